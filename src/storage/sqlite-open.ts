/**
 * Opening a database that belongs to somebody else: read-only, and readable even where its folder is not writable.
 *
 * A database in WAL mode wants a -shm beside it. Where SQLite cannot make one, a database without a live -wal is opened
 * as immutable (node:sqlite) or from a private copy (better-sqlite3 has no such option). Nothing is ever written to the original.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { messageOf, StorageError, systemCode } from '../core/errors.js'
import { openSqlite, type SqliteDatabase, sqliteFailure, supportsImmutable } from './sqlite-driver.js'

/** Sessions are read once and in order, so a large page cache only holds memory. */
const PAGE_CACHE_KIB = 2048
/** The largest database that is copied, in bytes. */
const COPY_LIMIT = 256 * 2 ** 20

/**
 * @throws StorageError STORE_MISSING, STORE_UNREADABLE, STORE_BUSY, STORE_DAMAGED, STORE_TOO_LARGE_TO_COPY, SQLITE_DRIVER_MISSING
 */
export async function openForeignDatabase(path: string): Promise<SqliteDatabase> {
  try {
    return await openAndTouch(path, false)
  } catch (error) {
    if (error instanceof StorageError) throw error
    if (sqliteFailure(error) !== 'cannot-open' && existsSync(path)) throw storeError(error, path)
  }
  const walBytes = sizeOf(`${path}-wal`)
  sizeOf(path)
  try {
    if (walBytes === 0 && supportsImmutable()) return await openAndTouch(path, true)
    return await openCopy(path, walBytes)
  } catch (error) {
    throw error instanceof StorageError ? error : storeError(error, path)
  }
}

/** Names what went wrong with the database as a whole. */
export function storeError(error: unknown, path: string): StorageError {
  const details = { reason: `SQLite says: ${messageOf(error)}`, path }
  switch (sqliteFailure(error)) {
    case 'busy':
      return new StorageError('STORE_BUSY', details, { cause: error })
    case 'damaged':
      return new StorageError('STORE_DAMAGED', details, { cause: error })
    default:
      return new StorageError('STORE_UNREADABLE', details, { cause: error })
  }
}

/** SQLite opens lazily: only a first read tells whether the file, its -wal and its -shm can be used. */
async function openAndTouch(path: string, immutable: boolean): Promise<SqliteDatabase> {
  const database = await openSqlite(path, { readOnly: true, immutable })
  try {
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    database.exec(`PRAGMA cache_size = -${PAGE_CACHE_KIB}`)
    return database
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }
}

async function openCopy(path: string, walBytes: number): Promise<SqliteDatabase> {
  const bytes = sizeOf(path) + walBytes
  if (bytes > COPY_LIMIT) {
    const reason = `its folder is not writable, and its ${bytes} bytes are too many for a private copy`
    throw new StorageError('STORE_TOO_LARGE_TO_COPY', { reason, path })
  }
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  try {
    const copy = join(folder, basename(path))
    copyFileSync(path, copy)
    if (walBytes > 0) copyFileSync(`${path}-wal`, `${copy}-wal`)
    const database = await openAndTouch(copy, false)
    return {
      ...database,
      [Symbol.dispose]: () => {
        database[Symbol.dispose]()
        process.off('exit', remove)
        remove()
      },
    }
  } catch (error) {
    process.off('exit', remove)
    remove()
    throw error
  }
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
