/** Databases that are filled, or spoiled, by hand. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { tempFolder } from './temp.js'

/** A folder with a database that is filled by hand. */
export function databaseWith(
  fill: (database: Database.Database) => void,
): Disposable & { readonly path: string; readonly database: Database.Database } {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode.db')
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  fill(database)
  const close = (): void => {
    database.close()
    folder[Symbol.dispose]()
  }
  return { path, database, [Symbol.dispose]: close }
}

/** Writes around the fixture: rows that OpenCode does not make. */
export function tamper(path: string, act: (database: Database.Database) => void): void {
  const database = new Database(path)
  act(database)
  database.close()
}

/** The whole database as one file at rest. Moved into its place, so that whoever has the old file open keeps that. */
export function putDatabase(from: string, to: string): void {
  const source = new Database(from, { readonly: true })
  source.prepare('VACUUM INTO ?').run(`${to}.new`)
  source.close()
  renameSync(`${to}.new`, to)
}
