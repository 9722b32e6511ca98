/** Many stores, one view: each session once, from the copy that is worth most. */
import { encodeKey } from '../core/keys.js'
import type { SessionRecord } from '../core/records.js'
import type { Listing, SessionEntry, Store } from './store.js'

export interface StoreListing {
  readonly store: Store
  readonly listing: Listing<SessionEntry>
}

/** A session as one store holds it. */
export interface SessionCopy {
  readonly store: Store
  readonly entry: SessionEntry
}

/** A session and the copy it is read from. */
export interface MergedSession extends SessionCopy {
  /** The entry's own record; where that is damaged, a lower copy's, or one rebuilt from the messages. */
  readonly record: SessionRecord | undefined
  /** Other copies, which this one hides, in order of precedence. */
  readonly hidden: readonly SessionCopy[]
}

/** Sessions by encoded key. */
export async function mergeSessions(listings: readonly StoreListing[]): Promise<ReadonlyMap<string, MergedSession>> {
  const merged = new Map<string, MergedSession>()
  for (const { store, listing } of listings) {
    for (const entry of listing.entries) {
      const name = encodeKey(entry.key)
      const upper = merged.get(name)
      merged.set(
        name,
        upper === undefined ? { entry, store, record: entry.record, hidden: [] } : { ...upper, hidden: [...upper.hidden, { store, entry }] },
      )
    }
  }
  return merged
}
