/** The file of the local sink: opened, checked, and made when it is not there. */
import { closeSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StorageError, systemCode } from '../../core/errors.js'
import { openSqlite, type SqliteDatabase, sqliteFailure } from '../../storage/sqlite/driver.js'
import { makeFolder } from '../../tree/make-folder.js'
import { TOKENIZER } from './full-text.js'

/** 'SPLF', in the header of the file. */
const APPLICATION = 0x53504c46
const SCHEMA_VERSION = 3

/**
 * A document is one row in each of three tables, all by the same number `doc`; every write changes the three in one transaction.
 * Vectors are float32 in the byte order of the machine, apart from the texts so that reading all of them reads nothing else.
 * `words` keeps no text of its own.
 */
const SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE documents (
  doc INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent TEXT NOT NULL,
  session_id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  chunk INTEGER NOT NULL,
  role TEXT NOT NULL,
  created_at REAL NOT NULL,
  text_hash TEXT NOT NULL,
  project_id TEXT NOT NULL,
  directory TEXT NOT NULL,
  title TEXT NOT NULL,
  source TEXT NOT NULL,
  text TEXT NOT NULL,
  rev INTEGER NOT NULL DEFAULT 0,
  space TEXT NOT NULL DEFAULT '',
  inherited INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX documents_session ON documents (session_id);
CREATE INDEX documents_project ON documents (project_id);
CREATE INDEX documents_directory ON documents (directory);
CREATE INDEX documents_created ON documents (created_at);
CREATE TABLE vectors (doc INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (text, pieces, content = '', contentless_delete = 1, tokenize = "${TOKENIZER}");
PRAGMA application_id = ${APPLICATION};
PRAGMA user_version = ${SCHEMA_VERSION};
`

/** From version 1: who wrote a document last, and of which space its vector is. What was written before is older than any write. */
const TO_VERSION_2 = `
ALTER TABLE documents ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN space TEXT NOT NULL DEFAULT '';
`
/** From version 2: whether a document is of a message that its session copied. Of what was written before nobody knows. */
const TO_VERSION_3 = `
ALTER TABLE documents ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 3;
`

/**
 * Several processes may have the file open, and may make it at the same time.
 * @throws StorageError STATE_TOO_NEW, STORE_UNSUPPORTED, STATE_UNAVAILABLE, STATE_DAMAGED, SINK_FAILED
 */
export async function openLocalDatabase(path: string, busyTimeoutMs: number): Promise<SqliteDatabase> {
  try {
    makeFolder(dirname(path))
    // SQLite gives the files beside it the mode of the database itself
    closeSync(openSync(path, 'a', 0o600))
    const database = await openSqlite(path, { readOnly: false, busyTimeoutMs })
    try {
      await prepareDatabase(database, path, busyTimeoutMs)
      return database
    } catch (error) {
      database[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    throw localFailure(error, path)
  }
}

async function prepareDatabase(database: SqliteDatabase, path: string, waitMs: number): Promise<void> {
  await whenFree(database, { waitMs }, () => {
    snapshot(database, () => refuseForeign(database, path))
    database.exec('PRAGMA journal_mode = WAL')
  })
  // a document that the caller was told is stored must outlive a power loss; a forgotten one must not linger in free pages
  database.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = ON')
  await whenFree(database, { waitMs }, () =>
    transact(database, () => {
      if (refuseForeign(database, path) === 'empty') database.exec(SCHEMA)
      else migrate(database, schemaVersionOf(database))
    }),
  )
}

function migrate(database: SqliteDatabase, version: number): void {
  if (version < 2) database.exec(TO_VERSION_2)
  if (version < 3) database.exec(TO_VERSION_3)
}

const LONGEST_PAUSE_MS = 20

/**
 * Does the work again and again while another process holds the file, for `waitMs` at most. SQLite itself would wait on this thread;
 * here it is free meanwhile. `check` comes before each try, and throws to give up.
 */
export async function whenFree<T>(
  database: SqliteDatabase,
  { waitMs, check }: { readonly waitMs: number; readonly check?: () => void },
  work: () => T,
): Promise<T> {
  for (let waited = 0, pause = 1; ; waited += pause, pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    check?.()
    database.exec('PRAGMA busy_timeout = 0')
    try {
      return work()
    } catch (error) {
      if (sqliteFailure(error) !== 'busy' || waited >= waitMs) throw error
    } finally {
      database.exec(`PRAGMA busy_timeout = ${waitMs}`)
    }
    await delay(pause)
  }
}

/**
 * To be called in a transaction: another process may make the schema between two reads.
 * @throws StorageError STATE_TOO_NEW, STORE_UNSUPPORTED
 */
export function refuseForeign(database: SqliteDatabase, path: string): 'empty' | 'ours' {
  const application = numberOf(database, 'PRAGMA application_id')
  const version = schemaVersionOf(database)
  if (application === APPLICATION && version > SCHEMA_VERSION) {
    throw new StorageError('STATE_TOO_NEW', { reason: `the sink has schema version ${version}, this program knows ${SCHEMA_VERSION}`, path })
  }
  if (application === APPLICATION) return 'ours'
  const tables = numberOf(database, 'SELECT count(*) FROM sqlite_schema')
  if (application === 0 && version === 0 && tables === 0) return 'empty'
  throw new StorageError('STORE_UNSUPPORTED', { reason: 'the database is not a sink of this library', path })
}

export function schemaVersionOf(database: SqliteDatabase): number {
  return numberOf(database, 'PRAGMA user_version')
}

function numberOf(database: SqliteDatabase, sql: string): number {
  return Number(database.prepare(sql).get()?.[0] ?? 0)
}

/** Runs `change` in a write transaction; a throw undoes all of it. */
export function transact<T>(database: SqliteDatabase, change: () => T): T {
  return within(database, 'BEGIN IMMEDIATE', change)
}

/** Runs `read` on one snapshot of the database. */
export function snapshot<T>(database: SqliteDatabase, read: () => T): T {
  return within(database, 'BEGIN', read)
}

function within<T>(database: SqliteDatabase, begin: string, work: () => T): T {
  database.exec(begin)
  try {
    const value = work()
    database.exec('COMMIT')
    return value
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // a failed COMMIT may have ended the transaction already; the first error is the one to report
    }
    throw error
  }
}

/**
 * Merges the full text index, whose segments keep the terms of deleted texts until then; writes the file anew, whose pages may hold
 * bytes of rows that moved; and empties the -wal, which holds both as they were.
 */
export function scrubDatabase(database: SqliteDatabase, path: string): void {
  database.exec("INSERT INTO words (words) VALUES ('optimize')")
  database.exec('VACUUM')
  truncateWal(database, path)
}

/** Takes out everything, the tables too: whoever has the file open as well can neither read nor write it any more. */
export function emptyDatabase(database: SqliteDatabase, path: string): void {
  transact(database, () => {
    for (const table of ['words', 'vectors', 'documents', 'meta']) database.exec(`DROP TABLE IF EXISTS ${table}`)
    database.exec('PRAGMA application_id = 0; PRAGMA user_version = 0')
  })
  database.exec('VACUUM')
  truncateWal(database, path)
}

/** False when another process has the file open; SQLite leaves the mode to who is alone with it. */
export function leaveWalMode(database: SqliteDatabase): boolean {
  try {
    return database.prepare('PRAGMA journal_mode = DELETE').get()?.[0] === 'delete'
  } catch (error) {
    if (sqliteFailure(error) === 'busy') return false
    throw error
  }
}

/** To be called of a closed file alone that nobody else has open: SQLite would go on in the removed one, and remove the -wal of a new one. */
export function removeDatabase(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) rmSync(file, { force: true })
}

function truncateWal(database: SqliteDatabase, path: string): void {
  const blocked = numberOf(database, 'PRAGMA wal_checkpoint(TRUNCATE)')
  if (blocked !== 0) throw new StorageError('SINK_FAILED', { reason: 'another process reads the sink, so what was deleted is not wiped yet', path })
}

/** What a failure of the file means to the indexer. Reasons name no text and no query. */
export function localFailure(error: unknown, path: string): unknown {
  if (error instanceof StorageError) return error
  switch (sqliteFailure(error)) {
    case 'busy':
      return new StorageError('SINK_FAILED', { reason: 'another process holds the sink', path }, { cause: error })
    case 'damaged':
      return new StorageError('STATE_DAMAGED', { reason: 'the sink is no intact database', path }, { cause: error })
    case 'cannot-open':
      return new StorageError('STATE_UNAVAILABLE', { reason: 'the sink cannot be opened or written', path }, { cause: error })
    default:
      return otherFailure(error, path)
  }
}

/** What is no failure of a file or of SQLite is a bug, and stays what it is. */
function otherFailure(error: unknown, path: string): unknown {
  const code = systemCode(error)
  if (code === undefined) return error
  if (/^(?:ERR_)?SQLITE/.test(code))
    return new StorageError('SINK_FAILED', { reason: `the database of the sink gave ${code}`, path }, { cause: error })
  if (typeof error !== 'object' || error === null || !('syscall' in error)) return error
  return new StorageError('STATE_UNAVAILABLE', { reason: `the sink cannot be opened or written (${code})`, path }, { cause: error })
}
