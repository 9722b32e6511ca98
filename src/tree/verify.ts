/** Verify: reads everything in every store and accounts for each record. */
import { dirname } from 'node:path'
import { StorageError } from '../core/errors.js'
import { checkBoolean, checkSignal, refuseUnknown } from '../core/options.js'
import { following } from '../core/signals.js'
import { Slab } from '../storage/slab.js'
import type { Store } from '../storage/store.js'
import type { OrphanCounts, StoreLedger } from './ledger.js'
import type { Sessions } from './sessions/sessions.js'
import { closingOf } from './watch/told.js'

export interface VerifyOptions {
  /**
   * Checks the JSON that stands beside the records too: saved approvals, era A's `app.json`, the JSON columns of sessions and
   * projects, queued input and messages of newer kinds. Never secrets, never settings (`kv`), never the event log, which has
   * copies of everything and no bound. What no type is needed for is checked without being built, by the optional peer
   * simdjson where it loads. @default false
   */
  readonly deep?: boolean
  /** Names every orphan; there may be very many. @default false */
  readonly orphans?: boolean
  readonly signal?: AbortSignal | undefined
}

export type LedgerTotal = Omit<StoreLedger, 'kind' | 'path' | 'ignored' | 'damaged' | 'orphanRecords'> & {
  readonly damaged: number
  readonly ignored: number
}

export interface Verification {
  readonly stores: readonly StoreLedger[]
  readonly total: LedgerTotal
}

/**
 * Reads, parses and type-checks every record of every store, orphans and hidden copies included; nothing is kept in memory but the
 * counts, the damage, and the ids of one shown session or a few. A store that cannot be read to its end is damage, `transient` where that may
 * pass, and hides no other. A store whose worker is lost meanwhile is read once more, from its beginning.
 * @throws StorageError INVALID_OPTION, SET_CLOSED; WORKER_LOST when it is lost again; the reason of `signal`
 */
export async function verifyStores(sessions: Sessions, options: VerifyOptions = {}): Promise<Verification> {
  refuseUnknown(options, ['deep', 'orphans', 'signal'])
  checkBoolean('deep', options.deep)
  checkSignal('signal', options.signal)
  const all = [...sessions.stores]
  const folders = new Map<string, Store>()
  for (const store of all) if (store.supports.rows) folders.set(dirname(store.path), besideOf(store, folders))
  const stores: StoreLedger[] = []
  using end = following(options.signal, closingOf(sessions))
  for (const store of all) {
    const how = { ...options, signal: end.signal, beside: folders.get(dirname(store.path)) === store }
    stores.push(
      await verifyStore(sessions, store, how).catch((error: unknown) => {
        if (!isLost(error)) throw error
        return verifyStore(sessions, store, how)
      }),
    )
  }
  return { stores, total: totalOf(stores) }
}

/** It says nothing of the store, and the next call has another worker. */
function isLost(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'WORKER_LOST'
}

/** What stands beside databases is counted once per folder: by the older generation of the first of them. */
function besideOf(store: Store, folders: ReadonlyMap<string, Store>): Store {
  const first = folders.get(dirname(store.path))
  return first === undefined || first.path === store.path ? store : first
}

/** Records between two turns of the event loop. */
const BATCH = 500

interface StoreOptions extends VerifyOptions {
  readonly signal: AbortSignal
  readonly beside: boolean
}

async function verifyStore(sessions: Sessions, store: Store, { deep, signal, orphans = false, beside }: StoreOptions): Promise<StoreLedger> {
  signal.throwIfAborted()
  // Loaded by who verifies.
  const { Ledger } = await import('./ledger.js')
  const { ShownCopies } = await import('./copies/shown-copies.js')
  const validator = deep === true ? (await import('../storage/json-validator.js')).jsonValidator() : undefined
  const ledger = new Ledger(store, sessions, new ShownCopies(sessions), { validator, orphans })
  let slab = new Slab(sessions.slabs)
  let taken = 0
  try {
    for await (const entry of store.census(() => slab, { signal, deep, beside })) {
      const pending = ledger.add(entry)
      if (pending !== undefined) await pending
      taken++
      if (taken % BATCH !== 0) continue
      slab[Symbol.dispose]()
      slab = new Slab(sessions.slabs)
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof StorageError) || isLost(error)) throw error
    const { code, reason, path = store.path, retryable } = error
    ledger.fail({ code, damage: 'unreadable', reason, ...(retryable && { transient: true }) }, path)
  } finally {
    slab[Symbol.dispose]()
  }
  signal.throwIfAborted()
  return ledger.close()
}

function totalOf(stores: readonly StoreLedger[]): LedgerTotal {
  const sum = (pick: (ledger: StoreLedger) => number): number => stores.reduce((total, ledger) => total + pick(ledger), 0)
  const orphans = (kind: keyof OrphanCounts): number => sum((ledger) => ledger.orphans[kind])
  return {
    sessions: sum((ledger) => ledger.sessions),
    messages: sum((ledger) => ledger.messages),
    parts: sum((ledger) => ledger.parts),
    inside: sum((ledger) => ledger.inside),
    todos: sum((ledger) => ledger.todos),
    diffs: sum((ledger) => ledger.diffs),
    projects: sum((ledger) => ledger.projects),
    orphans: { messages: orphans('messages'), parts: orphans('parts'), todos: orphans('todos'), diffs: orphans('diffs') },
    superseded: sum((ledger) => ledger.superseded),
    onlyHere: { messages: sum((ledger) => ledger.onlyHere.messages), parts: sum((ledger) => ledger.onlyHere.parts) },
    ignored: sum((ledger) => ledger.ignored.reduce((count, row) => count + row.count, 0)),
    damaged: sum((ledger) => ledger.damaged.length),
  }
}
