/** The places of several stores under watch: events where there are any, stamps where a store has one, and word of what must be polled. */
import { messageOf, StorageError } from '../../core/errors.js'
import type { StageIssue } from '../../core/stage.js'
import { type WatchedPlace, type WatchedStore, watchedPlace } from './places.js'
import { type Loaded, type RootHandle, type WatchedRoots, watchedRoots } from './root.js'

export interface StoresWatchOptions {
  /** Undefined: nothing tells of changes. */
  readonly loaded: Loaded | undefined
  readonly roots?: WatchedRoots | undefined
  /** Written to; none: nobody knows where. */
  paths(paths: readonly string[]): void
  /** What was written may not have been told. */
  lost(): void
  /** Each is told once. */
  issue(issue: StageIssue): void
}

export interface StoresWatch extends AsyncDisposable {
  /** Some store tells nothing by itself now, neither events nor a stamp. */
  readonly polls: boolean
  /** Some place is to be asked at every beat: a stamp, a folder that may be replaced. */
  readonly beats: boolean
  /** Takes the stores as they are now. */
  follow(stores: readonly WatchedStore[]): void
  /** Asks stamps and looks after the folders. True when a store was written to. @param now Monotonic milliseconds. */
  beat(now: number): Promise<boolean>
}

export function watchStores(options: StoresWatchOptions): StoresWatch {
  return new Watches(options)
}

interface Held {
  readonly store: WatchedStore
  readonly place: WatchedPlace
  readonly handles: readonly RootHandle[]
  /** As of the last beat. */
  stamp: string | undefined
}

class Watches implements StoresWatch {
  readonly #options: StoresWatchOptions
  readonly #roots: WatchedRoots
  #held: readonly Held[] = []
  /** Reasons with their paths. */
  readonly #told = new Set<string>()
  readonly #leaving = new Set<Promise<void>>()
  #ended = false

  constructor(options: StoresWatchOptions) {
    this.#options = options
    this.#roots = options.roots ?? watchedRoots
  }

  get polls(): boolean {
    return this.#held.some(({ place, handles }) => place.stamp === undefined && (handles.length === 0 || handles.some((root) => !root.isWatched)))
  }

  get beats(): boolean {
    return this.#held.some(({ place, handles }) => place.stamp !== undefined || handles.length > 0)
  }

  follow(stores: readonly WatchedStore[]): void {
    if (this.#ended) return
    const before = new Map(this.#held.map((held) => [nameOf(held), held]))
    this.#held = stores.map((store) => {
      const place = watchedPlace(store)
      const name = nameOf({ store, place })
      const same = before.get(name)
      before.delete(name)
      if (same?.store === store) return same
      return { store, place, handles: same?.handles ?? this.#join(place), stamp: same?.stamp }
    })
    for (const gone of before.values()) this.#leave(gone)
  }

  async beat(now: number): Promise<boolean> {
    let moved = false
    for (const held of this.#held) {
      for (const root of held.handles) root.check(now)
      if (held.place.stamp === undefined) continue
      const stamp = await stampOf(held.place.stamp)
      // Of a new store: what was written between its listing and now.
      if (held.stamp !== stamp) moved = true
      held.stamp = stamp
    }
    return moved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    for (const held of this.#held) this.#leave(held)
    this.#held = []
    await Promise.all(this.#leaving)
  }

  #join({ roots, ignore }: WatchedPlace): readonly RootHandle[] {
    const { loaded, paths, lost } = this.#options
    if (loaded === undefined) return []
    return roots.map((root) => {
      let wasLost = false
      return this.#roots.join(root, ignore, loaded, {
        paths,
        lost: (reason) => {
          wasLost = true
          this.#tell(root, reason)
          lost()
        },
        // The first time it only begins: what was written until then is found as anything is that nobody told.
        back: () => (wasLost ? lost() : paths([])),
      })
    })
  }

  #leave({ handles }: Held): void {
    for (const root of handles) {
      const leaving = root.leave().finally(() => this.#leaving.delete(leaving))
      this.#leaving.add(leaving)
    }
  }

  #tell(path: string, reason: string): void {
    const name = `${path} ${reason}`
    if (this.#told.has(name)) return
    this.#told.add(name)
    this.#options.issue(pollingInstead(reason, path))
  }
}

/** Events are to be had no more, or never were. */
export function pollingInstead(reason: string, path?: string): StageIssue {
  return { code: 'WATCH_LOST', reason, transient: true, ...(path !== undefined && { path }) }
}

/** Stores of the same name are watched in the same way. */
function nameOf({ store, place }: Pick<Held, 'store' | 'place'>): string {
  return JSON.stringify([store.kind, store.path, place.roots, place.stamp !== undefined])
}

/** A store that cannot be asked for the moment is looked at when that ends; what it says then is another thing than the failure. */
async function stampOf(stamp: NonNullable<WatchedPlace['stamp']>): Promise<string> {
  try {
    return await stamp()
  } catch (error) {
    if (error instanceof StorageError) return `failed: ${error.code}`
    return `failed: ${messageOf(error)}`
  }
}
