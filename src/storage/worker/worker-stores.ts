/**
 * The stores of this machine, or of the places that somebody names, in a worker thread: nothing that reads them blocks the thread that asks.
 *
 * A worker that is lost is replaced by the next call. Its successor opens the stores again, and the stores that were handed out go on with it;
 * one that it does not find is an issue for as long as the source lives, as everywhere.
 */
import type { StageIssue } from '../../core/stage.js'
import type { ReadOptions, Store } from '../store.js'
import { StoreFilter } from '../store-filter.js'
import type { StoreSource } from '../store-source.js'
import { WorkerLink } from './link.js'
import type { PlainStores } from './plain-stores.js'
import type { SourceState, StoreState } from './protocol.js'
import { ProxyStore } from './proxy-store.js'
import { StoreCalls } from './store-calls.js'
import { workerEntry } from './worker-entry.js'

export interface WorkerOptions {
  /** How long a call waits for its next page, in milliseconds; then the worker is replaced. One that starts has a minute at least. @default 60_000 */
  readonly timeoutMs?: number
  /** The file that the worker runs. @default the built `worker-main.js` */
  readonly entry?: URL
}

const MINUTE = 60_000

/** No thread is started before the first refresh. Disposing the source ends it. */
export function workerStores(stores: PlainStores, options: WorkerOptions = {}): StoreSource {
  return new WorkerStores(stores, options)
}

interface Known {
  readonly store: Store
  readonly calls: StoreCalls
}

class WorkerStores implements StoreSource {
  issues: readonly StageIssue[] = []
  readonly narrowed: boolean
  readonly #link: WorkerLink
  #known: readonly Known[] = []
  /** Worker that the stores were bound in last. */
  #bound = 0
  /** By their paths: open in a worker that was lost, and not found by its successors. */
  readonly #missing = new Map<string, StageIssue>()

  constructor(stores: PlainStores, { timeoutMs = MINUTE, entry }: WorkerOptions) {
    this.narrowed = new StoreFilter(stores.names).narrows
    this.#link = new WorkerLink({
      entry: () => entry ?? workerEntry(),
      start: { spanleaf: 'stores', stores },
      timeoutMs,
      onStart: async () => this.#bind(await this.#link.one('refresh', undefined, { timeoutMs: Math.max(MINUTE, timeoutMs) })),
    })
  }

  get stores(): readonly Store[] {
    return this.#known.map(({ store }) => store)
  }

  async refresh({ signal }: ReadOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    // A worker that starts looks by itself.
    if (await this.#link.ready()) signal?.throwIfAborted()
    else this.#bind(await this.#link.one('refresh', undefined, { signal }))
  }

  async found(): Promise<string> {
    await this.#link.ready()
    return this.#link.one('found', undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#link.close()
  }

  #bind({ stores, issues }: SourceState): void {
    const before = this.#known
    const isNew = this.#bound !== this.#link.incarnation
    this.#bound = this.#link.incarnation
    this.#known = stores.map((state) => {
      const known = before.find((one) => (isNew ? isSame(one.store, state) : one.calls.id === state.id))
      const calls = known?.calls ?? new StoreCalls(this.#link, state.path)
      if (known === undefined || isNew) calls.bind(state.id)
      return known ?? { store: new ProxyStore(state, calls), calls }
    })
    const told = new Set([...stores, ...issues].map(({ path }) => path))
    if (isNew) for (const { store } of before) this.#missing.set(store.path, absence(store))
    for (const path of this.#missing.keys()) if (told.has(path)) this.#missing.delete(path)
    this.issues = [...issues, ...this.#missing.values()]
  }
}

function isSame(store: Store, { agent, kind, path }: StoreState): boolean {
  return store.agent === agent && store.kind === kind && store.path === path
}

function absence({ path }: Store): StageIssue {
  return { code: 'STORE_MISSING', path, reason: 'the store that was open here is gone' }
}
