/** Stores in a worker thread, for the suites that hold stores to their contract. */
import type { Clock } from '../../src/core/clock.js'
import type { Store, StoreKind } from '../../src/storage/store.js'
import type { StoreSource } from '../../src/storage/store-source.js'
import type { PlainStores } from '../../src/storage/worker/plain-stores.js'
import { type WorkerOptions, workerStores } from '../../src/storage/worker/worker-stores.js'
import { type ManualClock, manualClock } from './clocks.js'
import type { LogWorker } from './log-world.js'
import type { FixtureMaker } from './store-fixtures.js'

/** What `store-worker.mjs` opens. */
export type WorkerStore =
  | {
      readonly kind: StoreKind
      readonly path: string
      /** Epoch milliseconds of the worker's clock; 0: the time of the machine. */
      readonly wall: SharedArrayBuffer
    }
  | { readonly plain: PlainStores }
  /** A store in memory with so many sessions, of two messages with two parts each. */
  | { readonly kind: 'memory'; readonly sessions: number }

/** The stores in a worker that can be told to misbehave. */
export function storeInWorker(store: WorkerStore, options: WorkerOptions = {}): StoreSource {
  return workerStores(store as never, { entry: new URL('./store-worker.mjs', import.meta.url), ...options })
}

/** The store of such a source; disposing it ends the worker. */
export async function openInWorker(store: WorkerStore): Promise<Store> {
  const source = storeInWorker(store)
  await source.refresh()
  const [only] = source.stores
  if (only === undefined) throw new Error('the worker has no store')
  return new Proxy(only, {
    get(target, name) {
      if (name === Symbol.asyncDispose) return () => source[Symbol.asyncDispose]()
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The same fixture, its stores opened in a worker. A clock that is given stands still there. */
export function inWorker(kind: StoreKind, make: FixtureMaker): FixtureMaker {
  return (corpus) => {
    const fixture = make(corpus)
    const open = (clock?: Clock): Promise<Store> => {
      const wall = new SharedArrayBuffer(8)
      if (clock !== undefined) new Float64Array(wall).set([clock.now()])
      return openInWorker({ kind, path: fixture.path, wall })
    }
    return { ...fixture, open, [Symbol.dispose]: () => fixture[Symbol.dispose]() }
  }
}

export const logWorker: LogWorker = (now) => {
  const { clock, wall } = sharedClock(now)
  return { clock, open: (kind, path) => openInWorker({ kind, path, wall }) }
}

/** A clock of the test that the worker goes by too. */
export function sharedClock(now: number): { readonly clock: ManualClock; readonly wall: SharedArrayBuffer } {
  const wall = new SharedArrayBuffer(8)
  const times = new Float64Array(wall)
  const clock = Object.defineProperty(manualClock(now), 'wall', {
    get: () => times[0] ?? 0,
    set: (time: number) => {
      times[0] = time
    },
  })
  clock.wall = now
  return { clock, wall }
}
