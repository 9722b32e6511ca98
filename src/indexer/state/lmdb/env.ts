/**
 * An LMDB environment; the only importer of lmdb, which is loaded when one is opened.
 *
 * `transact` is the only way to write. It is built on childTransaction, which undoes everything when the change throws (plain `transaction`
 * keeps what was written before the throw), waits for the writer of another process on a thread of its own, and resolves after the data
 * reached the disk: without overlappingSync a commit and its flush are one.
 * Changes that are asked for at the same time share a commit, which is what takes long; each is undone or done for itself.
 * A commit that fails leaves the handle in doubt: it is closed and opened anew, and the changes run again, one by one,
 * which is safe since every change checks its fencing token itself.
 */
import { resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RootDatabase } from 'lmdb'
import { messageOf, StorageError, systemCode } from '../../../core/errors.js'
import { makePrivate } from '../local-disk.js'
import { checkLmdbFile } from './file.js'

const MAX_ATTEMPTS = 4
const CLOSE_TIMEOUT_MS = 2000
/** A writer that is stopped in the middle of a transaction keeps all others waiting; they say so after this time. */
const LOCK_WAIT_MS = 60_000

/** What is used of lmdb, in types of our own: nobody who imports ours needs those of lmdb. */
export type Key = Key[] | string | symbol | number | boolean | Uint8Array

export interface RangeOptions {
  readonly start?: Key
  readonly end?: Key
  readonly reverse?: boolean
  readonly limit?: number
}

export interface Table {
  get(key: Key): unknown
  getBinary(key: Key): Buffer | undefined
  getKeys(range: RangeOptions): Iterable<Key>
  getKeysCount(range: RangeOptions): number
  getRange(range: RangeOptions): Iterable<{ readonly key: Key; readonly value: unknown }>
  putSync(key: Key, value: unknown): void
  removeSync(key: Key): void
}

export interface LmdbOptions {
  readonly path: string
  /** Name -> encoding of its values. */
  readonly tables: Readonly<Record<string, 'msgpack' | 'binary'>>
  /** Reads of an existing environment before any other table is opened or made; throws to refuse it. */
  readonly admit?: (meta: Table) => void
  /** Called as 'j' inside each transaction, before it is committed. */
  readonly failpoint?: ((name: string) => void) | undefined
  /** How long a transaction waits for another process, in milliseconds. @default 60_000 */
  readonly lockWaitMs?: number | undefined
}

type Tables<O extends LmdbOptions> = { readonly [N in keyof O['tables']]: Table }

export interface LmdbEnvironment<T> extends AsyncDisposable {
  /** For reads. Never keep an iterator over an await: a held snapshot keeps every freed page. */
  readonly tables: T
  /** Runs `change` in one transaction. @throws StorageError STATE_UNAVAILABLE, and whatever StorageError `change` throws */
  transact<R>(change: (tables: T) => R): Promise<R>
  /** A process that was killed while it read would keep every page freed since. */
  forgetDeadReaders(): void
}

/** @throws StorageError STATE_UNAVAILABLE, STATE_DAMAGED, and what `admit` throws */
export async function openLmdb<const O extends LmdbOptions>(options: O): Promise<LmdbEnvironment<Tables<O>>> {
  const { open } = await import('lmdb')
  const path = resolve(options.path)
  let handle: Handle<Tables<O>> | undefined = await inTurn(path, () => openHandle(open, options))
  let closed = false

  /** Gives those whose commit failed. */
  const attempt = async (
    changes: readonly Asked<Tables<O>>[],
  ): Promise<{ readonly failed: readonly Asked<Tables<O>>[]; readonly cause: unknown }> => {
    if (closed) throw closedError(path)
    const own = handle ?? (await openHandle(open, options))
    handle = own
    const ends = await Promise.all(changes.map((asked) => settleOne(own, asked, options)))
    const [failure] = ends.filter((end) => end !== undefined)
    if (failure === undefined) return { failed: [], cause: undefined }
    handle = undefined
    await closeHandle(own.root)
    handle = await openHandle(open, options)
    return { failed: changes.filter((_, at) => ends[at] !== undefined), cause: failure.cause }
  }

  /** One that is too much for the disk takes nobody with it: what failed together is tried again one by one. */
  const commit = async (changes: readonly Asked<Tables<O>>[], attempts = MAX_ATTEMPTS): Promise<void> => {
    const { failed, cause } = await attempt(changes)
    for (const asked of failed) {
      if (attempts > 1) await commit([asked], attempts - 1)
      else asked.reject(unavailable('the index state could not be written', path, cause))
    }
  }

  let waiting: Asked<Tables<O>>[] = []
  /** Whoever asks until it begins is in it. */
  const commitWaiting = async (): Promise<void> => {
    // Who has just been told of the commit before asks for the next.
    await nextTurn()
    const changes = waiting
    waiting = []
    try {
      await commit(changes)
    } catch (error) {
      for (const { reject } of changes) reject(error)
    }
  }

  return {
    get tables() {
      if (closed) throw closedError(path)
      if (handle === undefined) throw new StorageError('STATE_UNAVAILABLE', { reason: 'the index state is being opened anew', path })
      // Else a read may see the snapshot of an earlier read of this turn, older than what another process did since.
      handle.root.resetReadTxn()
      return handle.tables
    },
    transact: <R>(change: (tables: Tables<O>) => R) =>
      new Promise<R>((resolve, reject) => {
        waiting.push({ change, resolve: resolve as (result: unknown) => void, reject })
        if (waiting.length === 1) void inTurn(path, commitWaiting)
      }),
    forgetDeadReaders() {
      if (!closed) handle?.root.readerCheck()
    },
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      await inTurn(path, async () => {
        if (handle !== undefined) await closeHandle(handle.root)
      })
    },
  }
}

const turns = new Map<string, Promise<unknown>>()

/**
 * One step at a time for each file of this process. Opening takes LMDB's write lock on the calling thread, while a transaction that has
 * the lock waits for that very thread to run its change: side by side they would wait for each other for ever.
 */
async function inTurn<T>(path: string, step: () => Promise<T>): Promise<T> {
  const before = turns.get(path)
  const run = (async () => {
    await before?.catch(() => undefined)
    return step()
  })()
  turns.set(path, run)
  try {
    return await run
  } finally {
    if (turns.get(path) === run) turns.delete(path)
  }
}

interface Handle<T> {
  readonly root: RootDatabase<unknown, Key>
  readonly tables: T
}

async function openHandle<O extends LmdbOptions>(open: typeof import('lmdb').open, options: O): Promise<Handle<Tables<O>>> {
  const { path, tables, admit } = options
  let root: RootDatabase<unknown, Key> | undefined
  try {
    checkLmdbFile(path)
    // Never `cache` or `useWritemap`: they make rollback impossible. All openers must agree on overlappingSync.
    root = open<unknown, Key>({ path, noSubdir: true, maxDbs: 24, overlappingSync: false })
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

/** A change that somebody waits for. */
interface Asked<T> {
  readonly change: (tables: T) => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Tells who asked how it ended, unless its commit failed: that is given. */
async function settleOne<T>(handle: Handle<T>, { change, resolve, reject }: Asked<T>, options: LmdbOptions): Promise<CommitFailure | undefined> {
  try {
    resolve(await runOnce(handle, change, options))
  } catch (error) {
    if (error instanceof CommitFailure) return error
    reject(error)
  }
  return undefined
}

/** What LMDB says when a transaction cannot begin, write or commit. */
class CommitFailure extends Error {}

async function runOnce<T, R>(handle: Handle<T>, change: (tables: T) => R, { path, failpoint, lockWaitMs = LOCK_WAIT_MS }: LmdbOptions): Promise<R> {
  let begun = false
  let abandoned = false
  let refused: { readonly error: unknown } | undefined
  const inside = (): R => {
    try {
      if (abandoned) throw new Error('nobody waits for this transaction any more')
      begun = true
      const result = change(handle.tables)
      failpoint?.('j')
      return result
    } catch (error) {
      refused = { error }
      throw error
    }
  }
  try {
    const running = handle.root.childTransaction(inside)
    if (!(await settlesWithin(running, lockWaitMs)) && !begun) {
      abandoned = true
      running.catch(() => undefined)
      throw new StorageError('STATE_UNAVAILABLE', { reason: `another process has been writing for ${lockWaitMs} ms`, path })
    }
    return await running
  } catch (error) {
    if (abandoned) throw error
    // Its own words end a change; a commit that failed may have undone what it was refused for.
    if (refused !== undefined && error === refused.error && !isLmdbError(error)) throw error
    // lmdb hangs a promise on the error that would end the process if nobody looked at it.
    if (typeof error === 'object' && error !== null && 'commitError' in error) Promise.resolve(error.commitError).catch(() => undefined)
    throw new CommitFailure('commit', { cause: error })
  }
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      late,
    ])
  } finally {
    clearTimeout(timer)
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

/** Waits for `flushed` first: close() hangs for ever when only synchronous transactions came before it, as when nothing but tables was opened. */
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
