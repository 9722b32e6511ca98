/** What is on disk, read without the library. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type PlainSession, readDatabase, readTree } from '../support/independent-reader.js'

export interface RawStore {
  readonly kind: 'opencode-json' | 'opencode-sqlite'
  readonly sessions: ReadonlyMap<string, PlainSession>
  /** Every row of every table, or every file. */
  readonly records: number
  /** Files that are not JSON. */
  readonly damaged: readonly string[]
}

/** The store that the last OpenCode worked on, with the diffs that stand beside a database as files. */
export function rawStore(data: string): RawStore {
  const storage = join(data, 'storage')
  const database = join(data, 'opencode.db')
  if (!existsSync(database)) return rawTree(storage)
  const store = rawDatabase(database)
  return { ...store, records: store.records + filesBelow(storage).length }
}

export function rawTree(storage: string): RawStore {
  const files = filesBelow(storage)
  const damaged = files.filter((file) => file.endsWith('.json') && !isJson(file))
  return { kind: 'opencode-json', sessions: readTree(storage), records: files.length, damaged }
}

export function rawDatabase(path: string): RawStore {
  const db = new Database(path, { readonly: true })
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").pluck().all()
    const rows = tables.map((table) => Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get()))
    return { kind: 'opencode-sqlite', sessions: readDatabase(path), records: rows.reduce((sum, count) => sum + count, 0), damaged: [] }
  } finally {
    db.close()
  }
}

/** How many part files are not JSON at this moment. */
export function damagedParts(data: string): number {
  return filesBelow(join(data, 'storage', 'part')).filter((file) => !isJson(file)).length
}

function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.map((name) => join(folder, name)).filter((path) => statSync(path).isFile())
}

function isJson(path: string): boolean {
  try {
    JSON.parse(readFileSync(path, 'utf8'))
    return true
  } catch {
    return false
  }
}
