/** What is on disk, read without the library. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type PlainSession, readDatabase, readTree } from '../support/independent-reader.js'

export interface RawStore {
  readonly kind: 'opencode-json' | 'opencode-sqlite'
  readonly sessions: ReadonlyMap<string, PlainSession>
  /** Sessions, messages, parts, todos, diffs and projects together: rows, and files. */
  readonly records: number
  /** Files that are not JSON, below the data folder. */
  readonly damaged: readonly string[]
}

/** The store that the last OpenCode worked on, with the diffs that stand beside a database as files. */
export function rawStore(data: string): RawStore {
  const storage = join(data, 'storage')
  const database = join(data, 'opencode.db')
  if (!existsSync(database)) return rawTree(storage)
  const store = rawDatabase(database)
  return { ...store, records: store.records + filesBelow(join(storage, 'session_diff')).length }
}

const FOLDERS = ['session', 'message', 'part', 'todo', 'session_diff', 'project']
const TABLES = ['session', 'message', 'part', 'todo', 'project']

export function rawTree(storage: string): RawStore {
  const files = FOLDERS.flatMap((folder) => filesBelow(join(storage, folder)))
  return { kind: 'opencode-json', sessions: readTree(storage), records: files.length, damaged: files.filter((file) => !isJson(file)) }
}

export function rawDatabase(path: string): RawStore {
  const db = new Database(path, { readonly: true })
  try {
    const rows = TABLES.map((table) => Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get()))
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
