/** What was listed of each store last, from which its next listing goes on. */
import { sep } from 'node:path'
import type { DirtyTracker } from '../../core/dirty-tracker.js'
import { StorageError } from '../../core/errors.js'
import { type StageIssue, storeIssueOf } from '../../core/stage.js'
import type { StoreListing } from '../../storage/merged.js'
import type { ListedBefore, Listing, ListOptions, SessionEntry, Store } from '../../storage/store.js'
import { placeOf } from '../catalog/set-catalog.js'
import type { RefreshOptions } from './sessions.js'

/** Of stores that were asked: one that could not be listed has none. */
export type Listings = ReadonlyMap<Store, Listing<SessionEntry>>

/** What the stores gave. */
export interface Look {
  readonly stores: readonly Store[]
  readonly listed: Listings
  /** By store: from what its listing went on. */
  readonly earlier: ReadonlyMap<Store, readonly SessionEntry[]>
  readonly issues: readonly StageIssue[]
}

export interface ListedStoresOptions {
  readonly dirty: DirtyTracker
  /** What an earlier process listed. */
  readonly before: (store: Store) => Promise<ListedBefore | undefined>
  /** What is shown of a store. */
  readonly held: (store: Store) => readonly SessionEntry[]
}

export class ListedStores {
  readonly #dirty: DirtyTracker
  readonly #before: ListedStoresOptions['before']
  readonly #held: ListedStoresOptions['held']
  #listed: Listings = new Map()
  /** Places whose stores were listed at any time. */
  readonly #met = new Set<string>()
  /** By store: paths that were marked after this tick were not looked at since. */
  #lookedAt: ReadonlyMap<Store, number> = new Map()

  constructor({ dirty, before, held }: ListedStoresOptions) {
    this.#dirty = dirty
    this.#before = before
    this.#held = held
  }

  /** Changes nothing here: `keep` does. @throws the reason of the signal */
  async list(stores: readonly Store[], refused: readonly StageIssue[], options: RefreshOptions): Promise<Look> {
    const issues = [...refused]
    const listed = new Map<Store, Listing<SessionEntry>>()
    const earlier = new Map<Store, readonly SessionEntry[]>()
    for (const store of stores) {
      const asked = await this.#options(store, options)
      if (asked.before !== undefined) earlier.set(store, asked.before.entries)
      try {
        const listing = await store.sessions(asked)
        listed.set(store, listing)
        issues.push(...listing.issues)
      } catch (error) {
        options.signal?.throwIfAborted()
        if (!(error instanceof StorageError)) throw error
        issues.push(storeIssueOf(error, store.path))
      }
    }
    return { stores, issues, listed, earlier }
  }

  /** A listing that failed says nothing about what is there: the last good one of its store stays, which a look meanwhile may have taken. */
  listingsOf({ stores, listed, earlier }: Look): readonly StoreListing[] {
    return stores.map((store) => {
      const listing = listed.get(store)
      if (listing !== undefined) return { store, listing }
      const held = this.#held(store)
      return { store, listing: { entries: held.length > 0 ? held : (earlier.get(store) ?? []), issues: [], complete: false } }
    })
  }

  /** One that was opened anew goes on from nothing: another store may stand in its place. */
  async #options(store: Store, { signal, deep }: RefreshOptions): Promise<ListOptions> {
    const held = this.#listed.get(store)
    const before = held ?? (this.#met.has(placeOf(store)) ? undefined : await this.#before(store))
    const dirty = this.#dirty.since(this.#lookedAt.get(store) ?? 0).flatMap((path) => within(store.path, path) ?? [])
    return {
      ...(signal !== undefined && { signal }),
      ...(deep !== undefined && { deep }),
      ...(before !== undefined && { before: { entries: before.entries, mark: before.mark } }),
      ...(dirty.length > 0 && { dirty }),
    }
  }

  /** True when every store gave the very list that it gave before. */
  areSame(stores: readonly Store[], listed: Listings): boolean {
    if (stores.length !== this.#listed.size) return false
    return stores.every((store) => listed.has(store) && listed.get(store)?.entries === this.#listed.get(store)?.entries)
  }

  /** @param tick Of the dirty paths, when the look began. */
  keep(stores: readonly Store[], listed: Listings, tick: number): void {
    const kept = new Map<Store, Listing<SessionEntry>>()
    this.#lookedAt = new Map(stores.map((store) => [store, listed.has(store) ? tick : (this.#lookedAt.get(store) ?? 0)]))
    for (const store of stores) {
      const listing = listed.get(store) ?? this.#listed.get(store)
      if (listing !== undefined) kept.set(store, listing)
      this.#met.add(placeOf(store))
    }
    this.#listed = kept
  }
}

/**
 * Stores of which nobody knows what they hold now: not listed as a whole, or there and not to be opened. One that was let go and of which no
 * more is said than that it is missing holds nothing.
 */
export function unsureStores(stores: readonly Store[], listed: Listings, issues: readonly StageIssue[]): (store: Store) => boolean {
  const places = new Map(stores.map((store) => [placeOf(store), listed.get(store)?.complete !== true]))
  const refused = issues.filter(({ code, key }) => key === undefined && code !== 'STORE_MISSING')
  return (store) => places.get(placeOf(store)) ?? refused.some(({ path }) => path !== undefined && within(store.path, path) !== undefined)
}

/** A path in the store; the store's own for one that the store is in. */
function within(store: string, path: string): string | undefined {
  if (path === store || path.startsWith(store + sep)) return path
  return store.startsWith(path + sep) ? store : undefined
}
