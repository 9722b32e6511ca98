/** A set of sessions and its catalog: what the set's listings go on from, and what they leave. */
import { StorageError } from '../../core/errors.js'
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { MergedSessions, StoreListing } from '../../storage/merged.js'
import type { ListedBefore, Listing, SessionEntry, Store } from '../../storage/store.js'
import { metaOf } from '../sessions/session-meta.js'
import type { SessionMeta } from '../types.js'
import type { IndexLock } from './index-lock.js'
import type { Catalog } from './port.js'
import type { ShownAs } from './write.js'

export interface SetCatalog {
  /** Whether all of them were listed before, so that there is something to show until they are listed again. */
  isWarm(stores: readonly Store[]): boolean
  before(store: Store): Promise<ListedBefore | undefined>
  /**
   * Looks at one session alone, in every store of its agent, since it may have moved to another one. Nothing where that is not possible: of
   * logs, and of what the catalog does not have.
   * @throws StorageError of a store that cannot be listed
   */
  look(key: SessionKey, stores: readonly Store[]): Promise<readonly StoreListing[]>
  /** Leaves what was listed. It is not waited for: `settled` does. `isSame`: what is shown is what was shown before. */
  write(listings: readonly StoreListing[], shown: Shown, isSame: boolean): void
  settled(): Promise<void>
  lock(signal: AbortSignal): Promise<IndexLock | undefined>
}

/** How sessions are shown. */
export interface Shown {
  readonly stores: readonly Store[]
  readonly sessions: MergedSessions
  readonly meta: (key: SessionKey) => SessionMeta | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

export function setCatalog(catalog: Catalog): SetCatalog {
  /** By place, and only when all of it was written. */
  const written = new Map<string, { readonly listing: Listing<SessionEntry>; readonly edition: number }>()
  /** Of copies that are not shown. */
  const metas = new WeakMap<SessionEntry, SessionMeta>()
  let writes: Promise<unknown> = Promise.resolve()

  const plainMeta = (store: Store, entry: SessionEntry, now: number): SessionMeta => {
    const meta = metas.get(entry) ?? metaOf({ entry, store, record: entry.record, hidden: [] }, now)
    metas.set(entry, meta)
    return meta
  }

  const shownAs = (store: Store, entry: SessionEntry, { sessions, meta, now }: Shown): ShownAs => {
    const session = sessions.get(encodeKey(entry.key))
    const isShown = session === undefined || (session.store === store && session.entry === entry)
    const shown = isShown ? meta(entry.key) : undefined
    const isPlain = shown === undefined || (session?.record === entry.record && session?.hidden.length === 0)
    const hiddenBy = isShown ? undefined : { kind: session.store.kind, path: session.store.path }
    return { meta: shown ?? plainMeta(store, entry, now), hiddenBy, isPlain }
  }

  const writeStore = async (store: Store, listing: Listing<SessionEntry>, shown: Shown): Promise<void> => {
    const place = placeOf(store)
    written.delete(place)
    const edition = await catalog.write(store, listing, (entry) => shownAs(store, entry, shown), shown.stores)
    if (edition !== undefined) written.set(place, { listing, edition })
  }

  return {
    isWarm: (stores) => stores.length > 0 && stores.every((store) => isKept(store) && (attempt(() => catalog.knows(store)) ?? false)),
    async before(store) {
      if (!isKept(store)) return undefined
      try {
        return await catalog.before(store)
      } catch (error) {
        if (error instanceof StorageError) return undefined
        throw error
      }
    },
    async look(key, stores) {
      const own = stores.filter((store) => isKept(store) && store.agent === key.agent)
      const copies = attempt(() => catalog.copies(key, own)) ?? []
      // Logs are looked at all together, and then it costs less to go on from all that was listed of them.
      if (copies.length === 0 || own.some(({ supports }) => supports.lines === true)) return []
      const listings: StoreListing[] = []
      for (const store of own) {
        const held = copies.flatMap((copy) => (placeOf(copy.store) === placeOf(store) ? [copy.entry] : []))
        const listing = await store.sessions({ before: { entries: held, mark: undefined }, only: [key] })
        listings.push({ store, listing: { ...listing, entries: listing.entries.filter((found) => found.key.session === key.session) } })
      }
      return listings
    },
    write(listings, shown, isSame) {
      const edition = catalog.edition()
      for (const { store, listing } of listings) {
        const held = written.get(placeOf(store))
        if (!isKept(store) || (isSame && held?.edition === edition && isEqual(held?.listing, listing))) continue
        writes = writes.then(() => writeStore(store, listing, shown))
        // Whoever waits for it hears of a bug in it; nobody else must.
        writes.catch(() => undefined)
      }
    },
    async settled() {
      await writes
    },
    lock: (signal) => catalog.lock(signal),
  }
}

/** Sessions in memory are of one process. */
function isKept({ kind }: Store): boolean {
  return kind !== 'memory'
}

/** Names a store, be it opened anew. */
export function placeOf({ kind, path }: Pick<Store, 'kind' | 'path'>): string {
  return `${kind} ${path}`
}

function isEqual(before: Listing<SessionEntry> | undefined, now: Listing<SessionEntry>): boolean {
  if (before === undefined || before.mark !== now.mark || before.complete !== now.complete) return false
  if (before.entries === now.entries) return true
  return before.entries.length === now.entries.length && before.entries.every((entry, at) => entry === now.entries[at])
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}
