/**
 * A look at some sessions alone, before everything is listed: by what the catalog has of them, and as a listing would give them. Where a
 * listing might give something else (too much is new, something is gone, or a store cannot be looked at in this way) it says so.
 */
import { encodeKey, type SessionKey, sessionKey } from '../../core/keys.js'
import type { StoreListing } from '../../storage/merged.js'
import type { SessionEntry, Store } from '../../storage/store.js'
import type { Catalog } from './port.js'

export interface LookOptions {
  /** Sessions that nobody listed, too. @default false */
  readonly news?: boolean
}

/** With more new sessions than this a listing is due. */
const MOST_NEW = 32

/** `stores`: all those of the agent. @throws StorageError */
export async function lookAlone(
  catalog: Catalog,
  keys: readonly SessionKey[],
  stores: readonly Store[],
  { news = false }: LookOptions = {},
): Promise<readonly StoreListing[] | undefined> {
  if (!stores.every((store) => (store.supports.lines === true ? store.look !== undefined : !news || store.ids !== undefined))) return undefined
  if (keys.length === 0 && !news) return []
  const wanted = new Map(keys.map((key) => [encodeKey(key), key]))
  if (news) for (const key of await newKeys(stores, catalog)) wanted.set(encodeKey(key), key)
  if (wanted.size > keys.length + MOST_NEW) return undefined
  const listings: StoreListing[] = []
  for (const store of stores) {
    const listing = await lookInto(store, catalog, [...wanted.values()])
    if (listing === undefined) return undefined
    const isAsked = ({ key }: SessionEntry): boolean => wanted.has(encodeKey(key))
    // What is new in one folder of logs may be old in another one.
    if (news && stores.length > 1 && !listing.entries.every(isAsked)) return undefined
    listings.push({ store, listing: { ...listing, entries: news ? listing.entries : listing.entries.filter(isAsked) } })
  }
  return listings
}

/** Of stores whose sessions go by their names. */
async function newKeys(stores: readonly Store[], catalog: Catalog): Promise<readonly SessionKey[]> {
  const keys: SessionKey[] = []
  for (const store of stores) {
    const held = await catalog.ids(store)
    for (const id of (await store.ids?.()) ?? []) if (!held.has(id)) keys.push(sessionKey(store.agent, id))
  }
  return keys
}

/** Undefined for a store that cannot be looked at as a whole, or that lacks what it had: then it may have been moved away. */
async function lookInto(store: Store, catalog: Catalog, keys: readonly SessionKey[]): Promise<StoreListing['listing'] | undefined> {
  const before = keys.flatMap((key) => catalog.copies(key, [store]).map(({ entry }) => entry))
  const listing =
    store.look === undefined
      ? await store.sessions({ before: { entries: before, mark: undefined }, only: keys })
      : await store.look(keys, before, await catalog.known(store))
  if (listing === undefined || !listing.complete || listing.issues.length > 0) return undefined
  const found = new Set(listing.entries.map(({ key }) => encodeKey(key)))
  return before.every(({ key }) => found.has(encodeKey(key))) ? listing : undefined
}
