/** Many stores, one view: each session once, from the first store that has it. */
import { encodeKey } from '../core/keys.js'
import type { Listing, SessionEntry, Store } from './store.js'

export interface StoreListing {
  readonly store: Store
  readonly listing: Listing<SessionEntry>
}

/** A session and the store it is read from. */
export interface MergedSession {
  readonly entry: SessionEntry
  readonly store: Store
  /** Stores that hold another copy, which this one hides. */
  readonly hides: readonly Store[]
}

/** Sessions by encoded key. `listings` stand in order of precedence: databases before the JSON trees beside them. */
export function mergeSessions(listings: readonly StoreListing[]): ReadonlyMap<string, MergedSession> {
  const merged = new Map<string, MergedSession>()
  for (const { store, listing } of listings) {
    for (const entry of listing.entries) {
      const name = encodeKey(entry.key)
      const upper = merged.get(name)
      merged.set(name, upper === undefined ? { entry, store, hides: [] } : { ...upper, hides: [...upper.hides, store] })
    }
  }
  return merged
}
