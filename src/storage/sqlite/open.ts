/**
 * Opening a database that belongs to somebody else: read-only, and readable even where its folder is not writable.
 *
 * A database in WAL mode wants a -shm beside it. Where SQLite cannot make one, a database without a live -wal is opened
 * as immutable (node:sqlite) or from a private copy (better-sqlite3 has no such option). Nothing is ever written to the original.
 * Either shows the database as it was then: `frozen` says so, and who keeps it open looks whether the files have moved on.
 */
import { copyFileSync, existsSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import { typeOf } from '../file-type.js'
import { openSqlite, type SqliteDatabase, type SqliteOptions, sqliteFailure, supportsImmutable } from './driver.js'

/** Sessions are read once and in order, so a large page cache only holds memory. */
const PAGE_CACHE_KIB = 2048
/** The largest database that is copied, in bytes. */
const COPY_LIMIT = 256 * 2 ** 20

export interface OpenOptions {
  /** How long a statement waits for a writer, in milliseconds. @default 5000 */
  readonly busyTimeoutMs?: number | undefined
}

export interface OpenedDatabase {
  readonly database: SqliteDatabase
  /** It shows the files as they were when it was opened. */
  readonly frozen: boolean
}

/**
 * @throws StorageError STORE_MISSING, STORE_UNREADABLE, STORE_BUSY, STORE_DAMAGED, STORE_TOO_LARGE_TO_COPY, SQLITE_DRIVER_MISSING
 */
export async function openForeignDatabase(path: string, { busyTimeoutMs }: OpenOptions = {}): Promise<OpenedDatabase> {
  const open = (place: string, immutable: boolean): Promise<SqliteDatabase> =>
    openAndTouch(place, { readOnly: true, immutable, ...(busyTimeoutMs !== undefined && { busyTimeoutMs }) })
  refuseOthers(path)
  try {
    if (isUnwritten(path)) return { database: await openCopy(path, 0, 0, open), frozen: true }
    refuseEmptied(path)
    return { database: await open(path, false), frozen: false }
  } catch (error) {
    if (error instanceof StorageError) throw error
    if (sqliteFailure(error) !== 'cannot-open' && existsSync(path)) throw storeError(error, path)
  }
  try {
    // The -wal stands beside the file itself, not beside a link to it.
    const file = existsSync(path) ? realpathSync(path) : path
    const walBytes = sizeOf(`${file}-wal`)
    const bytes = sizeOf(file)
    if (walBytes === 0 && supportsImmutable()) return { database: await open(file, true), frozen: true }
    return { database: await openCopy(file, bytes, walBytes, open), frozen: true }
  } catch (error) {
    throw error instanceof StorageError ? error : storeError(error, path)
  }
}

/** What is no regular file is not opened: a named pipe would never answer. @throws StorageError STORE_UNREADABLE, STORE_MISSING */
function refuseOthers(path: string): void {
  let type: ReturnType<typeof typeOf>
  try {
    type = typeOf(path)
  } catch (cause) {
    throw new StorageError('STORE_UNREADABLE', { reason: `it cannot be looked at (${systemCode(cause) ?? 'unknown'})`, path }, { cause })
  }
  if (type === 'file') return
  if (type === undefined) throw new StorageError('STORE_MISSING', { reason: 'the database is gone, or its name is a link that leads nowhere', path })
  throw new StorageError('STORE_UNREADABLE', { reason: `this is ${type === 'folder' ? 'a folder' : 'no regular file'}, not a database`, path })
}

/**
 * A file that OpenCode has only just made. It turns it to WAL mode next and does not wait for a lock in doing so:
 * a reader there, though it reads nothing, makes OpenCode's first start fail. So SQLite is kept from it.
 */
function isUnwritten(path: string): boolean {
  return sizeOf(path) === 0 && sizeOf(`${realpathSync(path)}-wal`) === 0
}

/** SQLite deletes the -wal of an empty file, even one that it opens for reading: then nothing could save what stands there. @throws StorageError STORE_DAMAGED */
function refuseEmptied(path: string): void {
  // The -wal stands beside the file itself, not beside a link to it.
  if (sizeOf(path) > 0 || sizeOf(`${realpathSync(path)}-wal`) === 0) return
  throw new StorageError('STORE_DAMAGED', { reason: 'the file is empty, though its -wal is not; it is left as it is', path })
}

/** Names what went wrong with the database as a whole. */
export function storeError(error: unknown, path: string): StorageError {
  const details = { reason: `SQLite says: ${messageOf(error)}`, path }
  switch (sqliteFailure(error)) {
    case 'busy':
      return new StorageError('STORE_BUSY', details, { cause: error })
    case 'damaged':
      return new StorageError('STORE_DAMAGED', details, { cause: error })
    case 'no-table':
    case 'no-column':
      return new StorageError('STORE_NOT_READY', details, { cause: error })
    default:
      return new StorageError('STORE_UNREADABLE', details, { cause: error })
  }
}

/** SQLite opens lazily: only a first read tells whether the file, its -wal and its -shm can be used. */
async function openAndTouch(path: string, options: SqliteOptions): Promise<SqliteDatabase> {
  const database = await openSqlite(path, options)
  try {
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    database.exec(`PRAGMA cache_size = -${PAGE_CACHE_KIB}`)
    return database
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }
}

async function openCopy(
  path: string,
  fileBytes: number,
  walBytes: number,
  open: (place: string, immutable: boolean) => Promise<SqliteDatabase>,
): Promise<SqliteDatabase> {
  if (fileBytes + walBytes > COPY_LIMIT) {
    const reason = `its folder is not writable, and its ${fileBytes + walBytes} bytes are too many for a private copy`
    throw new StorageError('STORE_TOO_LARGE_TO_COPY', { reason, path })
  }
  const folder = temporaryFolder()
  try {
    const copy = join(folder, basename(path))
    copyFileSync(path, copy)
    if (walBytes > 0) copyFileSync(`${path}-wal`, `${copy}-wal`)
    const database = await open(copy, false)
    return {
      ...database,
      [Symbol.dispose]: () => {
        database[Symbol.dispose]()
        removeFolder(folder)
      },
    }
  } catch (error) {
    removeFolder(folder)
    throw error
  }
}

/** What is still open when the process ends; one listener for all, since Node warns of more than ten. */
const folders = new Set<string>()

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-'))
  if (folders.size === 0) process.once('exit', removeFolders)
  folders.add(folder)
  return folder
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
  if (folders.size === 0) process.off('exit', removeFolders)
}

function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

/** 0 for a file that is not there. @throws StorageError STORE_MISSING, STORE_UNREADABLE */
function sizeOf(path: string): number {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined && !path.endsWith('-wal')) throw new StorageError('STORE_MISSING', { reason: 'the database is gone', path })
    return stat?.size ?? 0
  } catch (error) {
    if (error instanceof StorageError) throw error
    throw new StorageError('STORE_UNREADABLE', { reason: `it cannot be looked at (${systemCode(error) ?? 'unknown'})`, path }, { cause: error })
  }
}
