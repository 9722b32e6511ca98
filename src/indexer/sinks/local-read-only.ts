/**
 * The file of the local sink opened only to be searched: it is not made, not changed, and keeps its mode.
 *
 * A database in WAL mode wants a -shm beside it. Where the folder cannot be written, a file without a live -wal is opened
 * as immutable (node:sqlite), else a private copy is read (better-sqlite3 has no such option) and removed afterwards.
 */
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StorageError, systemCode } from '../../core/errors.js'
import { openSqlite, type SqliteDatabase, sqliteFailure, supportsImmutable } from '../../storage/sqlite/driver.js'
import { localFailure, refuseForeign, snapshot } from './local-database.js'

/** The largest sink that is copied, in bytes. */
const COPY_LIMIT = 2 ** 30

/** @throws StorageError STORE_MISSING, STORE_UNREADABLE, STORE_TOO_LARGE_TO_COPY, STATE_TOO_NEW, STORE_UNSUPPORTED, STATE_DAMAGED, SINK_FAILED */
export async function openReadOnlyDatabase(path: string, busyTimeoutMs: number): Promise<SqliteDatabase> {
  const bytes = sizeOf(path)
  if (bytes === undefined) throw missing(path)
  try {
    return await openChecked(path, path, { busyTimeoutMs })
  } catch (error) {
    if (sqliteFailure(error) !== 'cannot-open') throw localFailure(error, path)
  }
  const walBytes = sizeOf(`${path}-wal`) ?? 0
  try {
    if (walBytes === 0 && supportsImmutable()) return await openChecked(path, path, { busyTimeoutMs, immutable: true })
    return await openCopy(path, bytes, walBytes)
  } catch (error) {
    throw sqliteFailure(error) === 'cannot-open' || systemCode(error) === 'EACCES' ? unreadable(error, path) : localFailure(error, path)
  }
}

/** `file` is what is opened, `path` what errors name. SQLite opens lazily, so only a first read tells whether the file can be used. */
async function openChecked(
  file: string,
  path: string,
  options: { readonly busyTimeoutMs?: number; readonly immutable?: boolean },
): Promise<SqliteDatabase> {
  const database = await openSqlite(file, { readOnly: true, ...options })
  try {
    if (snapshot(database, () => refuseForeign(database, path)) === 'empty') throw missing(path)
    return database
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }
}

async function openCopy(path: string, bytes: number, walBytes: number): Promise<SqliteDatabase> {
  if (bytes + walBytes > COPY_LIMIT) {
    const reason = `its folder is not writable, and its ${bytes + walBytes} bytes are too many for a private copy`
    throw new StorageError('STORE_TOO_LARGE_TO_COPY', { reason, path })
  }
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const close = (): void => {
    process.off('exit', remove)
    remove()
  }
  try {
    const copy = join(folder, 'sink.db')
    copyFileSync(path, copy)
    if (walBytes > 0) copyFileSync(`${path}-wal`, `${copy}-wal`)
    const database = await openChecked(copy, path, {})
    return {
      ...database,
      [Symbol.dispose]: () => {
        database[Symbol.dispose]()
        close()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}

/** Undefined for a file that is not there. @throws StorageError STORE_UNREADABLE */
function sizeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined
    throw unreadable(error, path)
  }
}

function missing(path: string): StorageError {
  return new StorageError('STORE_MISSING', { reason: 'nothing is stored in this sink yet', path })
}

function unreadable(cause: unknown, path: string): StorageError {
  return new StorageError('STORE_UNREADABLE', { reason: `the sink cannot be read (${systemCode(cause) ?? 'unknown'})`, path }, { cause })
}
