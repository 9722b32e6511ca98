/**
 * The file of the catalog: found out whose it is, opened, checked, and made when it is not there.
 *
 * What is not provably ours is never written to, moved or deleted: beside another program's database, one that a newer version of this
 * library made, or what is no database at all, a second name is used. Ours is thrown away when it is damaged or of an older schema: all that
 * it holds is read again from the stores.
 */
import { chmodSync, closeSync, lstatSync, openSync, readSync, rmSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import type { StageIssue } from '../../core/stage.js'
import { openSqlite, type SqliteDatabase, sqliteFailure } from '../../storage/sqlite/driver.js'
import { makeFolder } from '../make-folder.js'
import type { Prepare } from './pages.js'
import { APPLICATION, SCHEMA, SCHEMA_VERSION } from './schema.js'

export const CATALOG_NAME = 'sessions.idx.db'
/** Where the first name belongs to somebody else. */
export const SECOND_NAME = `sessions.idx.${SCHEMA_VERSION}.db`

/** Of reads, which wait only while the last process but this one closes the file. Waiting blocks the thread. */
const BUSY_TIMEOUT_MS = 200
/** A larger cache takes new memory, which costs more than reading a page of the file again, in whatever order the rows stand. */
const CACHE_KIB = 2048
/** Of a new file: a list is read with half as many reads as of SQLite's own 4 KiB. */
const PAGE_BYTES = 8192
/** What is deleted is overwritten: titles and prompts do not outlive their session in free pages. */
const SETTINGS = 'PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 8388608; PRAGMA secure_delete = ON'
/** What stays busy is written after the next listing. */
const RETRIES = 25
const RETRY_MS = 20

export interface CatalogFile {
  readonly path: string
  readonly database: SqliteDatabase
  /** Why what was there before was thrown away. */
  readonly rebuilt: string | undefined
  readonly issues: readonly StageIssue[]
  /** False when the file was deleted or replaced since it was opened. */
  isCurrent(): boolean
}

/** What stands at the name of a catalog. */
type Tenant = 'nothing' | 'ours' | 'older' | 'newer' | 'a database of another program' | 'no regular file' | 'no database'

/** @throws StorageError CATALOG_UNAVAILABLE, SQLITE_DRIVER_MISSING */
export async function openCatalogFile(home: string, clock: Clock): Promise<CatalogFile> {
  const issues: StageIssue[] = []
  try {
    makeFolder(home)
    for (const path of [join(home, CATALOG_NAME), join(home, SECOND_NAME)]) {
      const tenant = tenantOf(path)
      if (isUsable(tenant)) return await openOwn(path, tenant, issues, clock)
      const what = tenant === 'newer' ? 'it was made by a newer version' : `it is ${tenant}`
      issues.push({ code: 'CATALOG_UNAVAILABLE', path, reason: `${what}, so it was left alone` })
    }
  } catch (error) {
    throw catalogError(error, join(home, CATALOG_NAME))
  }
  throw new StorageError('CATALOG_UNAVAILABLE', { reason: 'what has the names of the catalog is no catalog', path: join(home, CATALOG_NAME) })
}

/** Throws away what is provably ours, for another one to be made; anything else stays. */
export function discardCatalog(path: string): void {
  const tenant = tenantOf(path)
  if (tenant !== 'ours' && tenant !== 'older') return
  // Of a new database that another process makes meanwhile the files beside it are other files.
  const beside = [`${path}-wal`, `${path}-shm`].map((file) => ({ file, was: inodeOf(file) }))
  rmSync(path, { force: true })
  for (const { file, was } of beside) if (was !== undefined && inodeOf(file) === was) rmSync(file, { force: true })
}

/** What a failure of the file means. What is no failure of a file or of SQLite is a bug, and stays what it is. */
export function catalogError(error: unknown, path: string): unknown {
  if (error instanceof StorageError || systemCode(error) === undefined) return error
  return new StorageError('CATALOG_UNAVAILABLE', { reason: `the catalog cannot be used: ${messageOf(error)}`, path }, { cause: error })
}

/** Runs `work` in a transaction that other processes wait for, and may read beside; a throw undoes all of it. */
export async function within<T>(database: SqliteDatabase, clock: Clock, work: () => T | Promise<T>): Promise<T> {
  await begin(database, clock)
  try {
    const result = await work()
    database.exec('COMMIT')
    return result
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
 * All that `read` asks is of one time, whatever other processes write meanwhile, and SQLite locks the file once for it. Unlike a transaction
 * this may stand in one.
 */
export function atOneTime<T>(prepare: Prepare, read: () => T): T {
  const release = (): void => void prepare('RELEASE reading').run()
  prepare('SAVEPOINT reading').run()
  let result: T
  try {
    result = read()
  } catch (error) {
    try {
      release()
    } catch {
      // SQLite may have ended it already; the first error is the one to report
    }
    throw error
  }
  release()
  return result
}

/** While another process writes, the event loop turns: SQLite's own waiting would block it. */
async function begin(database: SqliteDatabase, clock: Clock): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      database.exec('PRAGMA busy_timeout = 0')
      database.exec('BEGIN IMMEDIATE')
      return
    } catch (error) {
      if (sqliteFailure(error) !== 'busy' || tries >= RETRIES) throw error
    } finally {
      database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    }
    await clock.sleep(RETRY_MS)
  }
}

function isUsable(tenant: Tenant): tenant is 'nothing' | 'ours' | 'older' {
  return tenant === 'nothing' || tenant === 'ours' || tenant === 'older'
}

async function openOwn(path: string, tenant: 'nothing' | 'ours' | 'older', issues: readonly StageIssue[], clock: Clock): Promise<CatalogFile> {
  if (tenant === 'older') discardCatalog(path)
  const older = tenant === 'older' ? 'it was made by an older version' : undefined
  try {
    return { ...(await openOnce(path, clock)), rebuilt: older, issues }
  } catch (error) {
    if (!isBroken(error) || tenantOf(path) !== 'ours') throw error
    discardCatalog(path)
    return { ...(await openOnce(path, clock)), rebuilt: `it was damaged: ${messageOf(error)}`, issues }
  }
}

/** Whether another try with a new file may do better: not where the disk is full, or does not answer. */
export function isBroken(error: unknown): boolean {
  const code = systemCode(error) ?? ''
  if (!/^(?:ERR_)?SQLITE/.test(code) || /^SQLITE_(?:NOMEM|IOERR|FULL)/.test(code)) return false
  if (['busy', 'cannot-open', 'too-big'].includes(sqliteFailure(error))) return false
  const number = typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  return ![SQLITE_NOMEM, SQLITE_IOERR, SQLITE_FULL].includes(number)
}

const SQLITE_NOMEM = 7
const SQLITE_IOERR = 10
const SQLITE_FULL = 13

/**
 * Files that catalogs of this process have open, and how many. No other descriptor of them may be closed: with any of them a process loses
 * its locks on the file, and the next process to close it takes the -wal away.
 */
const openFiles = new Map<string, number>()

async function openOnce(path: string, clock: Clock): Promise<Pick<CatalogFile, 'path' | 'database' | 'isCurrent'>> {
  // SQLite gives the files beside it the mode of the database itself.
  if (!openFiles.has(inodeOf(path) ?? '')) closeSync(openSync(path, 'a', 0o600))
  for (const file of [path, `${path}-wal`, `${path}-shm`]) makePrivate(file)
  const inode = inodeOf(path) ?? ''
  const release = holding(inode)
  let database: SqliteDatabase | undefined
  const close = (): void => {
    database?.[Symbol.dispose]()
    release()
  }
  try {
    database = await openSqlite(path, { readOnly: false, busyTimeoutMs: BUSY_TIMEOUT_MS })
    await prepare(database, clock)
    return { path, database: { ...database, [Symbol.dispose]: close }, isCurrent: () => inodeOf(path) === inode }
  } catch (error) {
    close()
    throw error
  }
}

function holding(inode: string): () => void {
  openFiles.set(inode, (openFiles.get(inode) ?? 0) + 1)
  return () => {
    const left = (openFiles.get(inode) ?? 0) - 1
    if (left > 0) openFiles.set(inode, left)
    else openFiles.delete(inode)
  }
}

/**
 * The tables are made before the mode is changed to WAL: so the header of the file itself, and not only a -wal, tells whose it is.
 * Changing the mode does not wait for other processes, so it is tried again.
 */
async function prepare(database: SqliteDatabase, clock: Clock): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      database.exec(`${SETTINGS}; PRAGMA page_size = ${PAGE_BYTES}; PRAGMA cache_size = -${CACHE_KIB}`)
      if (numberOf(database, 'PRAGMA user_version') === 0) await within(database, clock, () => makeTables(database))
      // Reads a page of every table: what they are is in the schema.
      database.prepare('SELECT (SELECT count(*) FROM stores), (SELECT max(row) FROM sessions)').get()
      database.prepare("SELECT rowid FROM titles WHERE titles MATCH 'a' LIMIT 1").get()
      if (database.prepare('PRAGMA journal_mode').get()?.[0] !== 'wal') database.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (sqliteFailure(error) !== 'busy' || tries >= RETRIES) throw error
      await clock.sleep(RETRY_MS)
    }
  }
}

function makeTables(database: SqliteDatabase): void {
  // Another process may have made them since.
  if (numberOf(database, 'PRAGMA user_version') === 0) database.exec(SCHEMA)
}

function numberOf(database: SqliteDatabase, sql: string): number {
  return Number(database.prepare(sql).get()?.[0] ?? 0)
}

/** Told from the first bytes, since SQLite would write beside a database that it opens. */
function tenantOf(path: string): Tenant {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 'nothing'
  if (!stat.isFile()) return 'no regular file'
  if (openFiles.has(`${stat.dev}:${stat.ino}`)) return 'ours'
  if (stat.size === 0) return 'nothing'
  const header = Buffer.alloc(100)
  const file = openSync(path, 'r')
  try {
    readSync(file, header, 0, header.length, 0)
  } finally {
    closeSync(file)
  }
  if (header.toString('latin1', 0, 16) !== 'SQLite format 3\0') return 'no database'
  if (header.readUInt32BE(68) !== APPLICATION) return 'a database of another program'
  const version = header.readUInt32BE(60)
  return version > SCHEMA_VERSION ? 'newer' : version < SCHEMA_VERSION ? 'older' : 'ours'
}

function makePrivate(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && (stat.mode & 0o077) !== 0) chmodSync(path, 0o600)
}

function inodeOf(path: string): string | undefined {
  const stat: Stats | undefined = statSync(path, { throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}
