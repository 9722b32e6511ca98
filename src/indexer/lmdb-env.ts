/**
 * An LMDB environment; the only importer of lmdb, which is loaded when one is opened.
 *
 * `transact` is the only way to write. It is built on transactionSync, which undoes everything when the change throws
 * (plain `transaction` keeps what was written before the throw) and returns after the data reached the disk.
 * A commit that fails leaves the handle in doubt: it is closed and opened anew, and the change runs again,
 * which is safe since every change checks its fencing token itself.
 */
import type { Database, Key, RangeOptions, RootDatabase } from 'lmdb'
import { messageOf, StorageError, systemCode } from '../core/errors.js'
import { checkLmdbFile } from './lmdb-file.js'
import { makePrivate } from './local-disk.js'

/** Bytes; LMDB's limit is 1978. */
const MAX_KEY = 1900
const MAX_ATTEMPTS = 4
const CLOSE_TIMEOUT_MS = 2000

export type { Key, RangeOptions }
export type Table = Database<unknown, Key>

export interface LmdbOptions {
  readonly path: string
  /** Name -> encoding of its values. */
  readonly tables: Readonly<Record<string, 'msgpack' | 'binary'>>
  /** Reads of an existing environment before any other table is opened or made; throws to refuse it. */
  readonly admit?: (meta: Table) => void
  /** Lose the last writes, not the integrity, when the machine stops; for data that can be computed again. */
  readonly disposable?: boolean
  /** Called inside each transaction, before it is committed. */
  readonly failpoint?: ((name: string) => void) | undefined
}

type Tables<O extends LmdbOptions> = { readonly [N in keyof O['tables']]: Table }

export interface LmdbEnvironment<T> extends AsyncDisposable {
  /** For reads. Never keep an iterator over an await: a held snapshot keeps every freed page. */
  readonly tables: T
  /** Runs `change` in one transaction. @throws StorageError STATE_UNAVAILABLE, and whatever StorageError `change` throws */
  transact<R>(change: (tables: T) => R): Promise<R>
}

/** @throws StorageError STATE_UNAVAILABLE, STATE_DAMAGED, and what `admit` throws */
export async function openLmdb<const O extends LmdbOptions>(options: O): Promise<LmdbEnvironment<Tables<O>>> {
  const { open } = await import('lmdb')
  let handle = await openHandle(open, options)
  let reopening: Promise<void> | undefined
  let closed = false

  const reopen = async (): Promise<void> => {
    await closeHandle(handle.root)
    handle = await openHandle(open, options)
  }

  return {
    get tables() {
      if (closed) throw closedError(options.path)
      // Else a read may see the snapshot of an earlier read of this turn, older than what another process did since.
      handle.root.resetReadTxn()
      return handle.tables
    },
    async transact(change) {
      for (let attempt = 1; ; attempt++) {
        await reopening
        if (closed) throw closedError(options.path)
        try {
          return runOnce(handle, change, options.failpoint)
        } catch (error) {
          if (!(error instanceof CommitFailure)) throw error
          if (attempt === MAX_ATTEMPTS) throw unavailable('the index state could not be written', options.path, error.cause)
          reopening ??= reopen().finally(() => {
            reopening = undefined
          })
        }
      }
    },
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      await reopening
      await closeHandle(handle.root)
    },
  }
}

interface Handle<T> {
  readonly root: RootDatabase<unknown, Key>
  readonly tables: T
}

async function openHandle<O extends LmdbOptions>(open: typeof import('lmdb').open, options: O): Promise<Handle<Tables<O>>> {
  const { path, tables, admit, disposable = false } = options
  let root: RootDatabase<unknown, Key> | undefined
  try {
    checkLmdbFile(path)
    // Never `cache` or `useWritemap`: they make rollback impossible. All openers must agree on overlappingSync.
    root = open<unknown, Key>({ path, noSubdir: true, maxDbs: 24, overlappingSync: false, noSync: disposable })
    makePrivate([path, `${path}-lock`])
    const opened: Record<string, Table> = {}
    for (const [name, encoding] of Object.entries(tables)) {
      opened[name] = root.openDB<unknown, Key>({ name, encoding })
      if (name === 'meta') admit?.(opened[name])
    }
    return { root, tables: opened as Tables<O> }
  } catch (error) {
    if (root !== undefined) await closeHandle(root)
    if (error instanceof StorageError) throw error
    if (/MDB_(INVALID|CORRUPTED|VERSION_MISMATCH|PAGE_NOTFOUND)|not an LMDB file|located page was wrong type/i.test(messageOf(error))) {
      throw new StorageError('STATE_DAMAGED', { reason: 'the file is no intact LMDB environment', path }, { cause: error })
    }
    throw unavailable('the index state could not be opened', path, error)
  }
}

/** What LMDB says when a transaction cannot begin, write or commit. */
class CommitFailure extends Error {}

function runOnce<T, R>(handle: Handle<T>, change: (tables: T) => R, failpoint?: (name: string) => void): R {
  let refused: { readonly error: unknown } | undefined
  try {
    return handle.root.transactionSync(() => {
      try {
        const result = change(handle.tables)
        failpoint?.('j')
        return result
      } catch (error) {
        refused = { error }
        throw error
      }
    })
  } catch (error) {
    if (refused !== undefined && !isLmdbError(refused.error)) throw refused.error
    // lmdb hangs a promise on the error that would end the process if nobody looked at it.
    if (typeof error === 'object' && error !== null && 'commitError' in error) Promise.resolve(error.commitError).catch(() => undefined)
    throw new CommitFailure('commit', { cause: error })
  }
}

function isLmdbError(error: unknown): boolean {
  if (error instanceof StorageError || !(error instanceof Error)) return false
  return /^MDB_|^Commit failed/.test(error.message) || ('code' in error && typeof error.code === 'number')
}

/** A handle that is closed says nothing about the file. */
function closedError(path: string): StorageError {
  return new StorageError('STATE_UNAVAILABLE', { reason: 'the index is closed', path })
}

function unavailable(reason: string, path: string, cause: unknown): StorageError {
  return new StorageError('STATE_UNAVAILABLE', { reason: `${reason}: ${systemCode(cause) ?? messageOf(cause)}`, path }, { cause })
}

/** Waits for `flushed` first: close() hangs for ever when only synchronous transactions came before it. */
async function closeHandle(root: RootDatabase<unknown, Key>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)
  })
  const closing = (async () => {
    await root.flushed
    await root.close()
  })().catch(() => undefined)
  await Promise.race([closing, late])
  clearTimeout(timer)
}

/** @throws StorageError KEY_TOO_LONG */
export function checkKey(parts: readonly (string | number)[], name: string): void {
  let bytes = 0
  for (const part of parts) bytes += typeof part === 'number' ? 10 : Buffer.byteLength(part) + 2
  if (bytes > MAX_KEY) throw new StorageError('KEY_TOO_LONG', { reason: `a key of ${bytes} bytes`, key: `${name.slice(0, 64)}...` })
}
