/** A set of sessions and its catalog: what the set's listings go on from, and what they leave. */
import { setImmediate as turn } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { type Agent, encodeKey, type SessionKey, sessionKey } from '../../core/keys.js'
import type { MergedSessions, StoreListing } from '../../storage/merged.js'
import type { ListedBefore, Listing, SessionEntry, Store } from '../../storage/store.js'
import { metaOf } from '../sessions/session-meta.js'
import type { SessionMeta } from '../types.js'
import type { IndexLock } from './index-lock.js'
import { type LookOptions, lookAlone } from './look-alone.js'
import type { Catalog } from './port.js'
import type { ShownAs } from './write.js'

export interface SetCatalog {
  /** Whether all of them were listed before, so that there is something to show until they are listed again. */
  isWarm(stores: readonly Store[]): boolean
  before(store: Store, signal?: AbortSignal): Promise<ListedBefore | undefined>
  /**
   * Looks at these sessions of an agent alone, in every store of it, since they may have moved to another one. `news`: at those that nobody
   * listed, too. Undefined where only a listing of everything tells.
   * @throws StorageError of a store that cannot be looked at
   */
  look(agent: Agent, ids: readonly SessionId[], stores: readonly Store[], options?: LookOptions): Promise<readonly StoreListing[] | undefined>
  /** Leaves what was listed. It is not waited for: `settled` does. `isSame`: what is shown is what was shown before. */
  write(listings: readonly StoreListing[], shown: Shown, isSame: boolean): void
  settled(): Promise<void>
  /** Whether what was left last stands in the file, of every store. */
  holdsAll(): boolean
  /** How many messages each of these sessions of a store has; what somebody counted since they were listed so is not counted again. */
  messageCounts(store: Store, sessions: readonly SessionEntry[]): Promise<readonly number[]>
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

/** `signal` ends what is done in the background. */
export function setCatalog(catalog: Catalog, signal: AbortSignal): SetCatalog {
  const left = new Left()
  /** Of copies that are not shown. */
  const metas = new WeakMap<SessionEntry, SessionMeta>()
  let writes = Promise.resolve()
  let counting = Promise.resolve()
  let pruning: Promise<void> | undefined

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
    left.written({ store, listing }, undefined)
    const edition = await catalog.write(store, listing, (entry) => shownAs(store, entry, shown), shown.stores)
    left.written({ store, listing }, edition)
    counting = inBackground(counting.then(() => countMissing(catalog, store, signal)))
  }

  return {
    isWarm: (stores) => stores.length > 0 && stores.every((store) => isKept(store) && (attempt(() => catalog.knows(store)) ?? false)),
    async before(store, signal) {
      if (!isKept(store)) return undefined
      try {
        return await catalog.before(store, signal)
      } catch (error) {
        if (error instanceof StorageError) return undefined
        throw error
      }
    },
    look: (agent, ids, stores, options) =>
      lookAlone(
        catalog,
        ids.map((id) => sessionKey(agent, id)),
        stores.filter((store) => store.agent === agent),
        options,
      ),
    write(listings, shown, isSame) {
      left.last = listings
      const edition = catalog.edition()
      pruning ??= inBackground(catalog.prune(shown.stores, signal))
      for (const one of listings) {
        if (!isKept(one.store) || (isSame && left.isWritten(one, edition))) continue
        writes = inBackground(writes.then(() => writeStore(one.store, one.listing, shown)))
      }
    },
    async settled() {
      await writes
      // They end with the next page.
      if (signal.aborted) await Promise.all([counting, pruning])
    },
    holdsAll: () => left.isAllWritten(catalog.edition()),
    messageCounts: (store, sessions) =>
      messageCounts(catalog, store, sessions, (asked, numbers) => {
        writes = inBackground(writes.then(() => keepCounted(catalog, store, asked, numbers)))
      }),
    lock: (signal) => catalog.lock(signal),
  }
}

/** What was left last, and what of it stands in the file. */
class Left {
  last: readonly StoreListing[] | undefined
  /** By place, and only when all of it was written. */
  readonly #written = new Map<string, { readonly listing: Listing<SessionEntry>; readonly edition: number }>()

  /** `edition`: in which; undefined when it was not, or not yet. */
  written({ store, listing }: StoreListing, edition: number | undefined): void {
    if (edition === undefined) this.#written.delete(placeOf(store))
    else this.#written.set(placeOf(store), { listing, edition })
  }

  isWritten({ store, listing }: StoreListing, edition: number | undefined): boolean {
    const held = this.#written.get(placeOf(store))
    return held !== undefined && held.edition === edition && isEqual(held.listing, listing)
  }

  isAllWritten(edition: number | undefined): boolean {
    return this.last?.every((one) => !isKept(one.store) || this.isWritten(one, edition)) ?? false
  }
}

/** By session; undefined where they cannot be counted. */
type Counts = readonly (number | undefined)[]

/** `keep` is given what was not known. */
async function messageCounts(
  { counts }: Catalog,
  store: Store,
  sessions: readonly SessionEntry[],
  keep: (asked: readonly SessionEntry[], numbers: Counts) => void,
): Promise<readonly number[]> {
  const isCounted = isKept(store) && store.supports.lines !== true
  const known = isCounted ? (attempt(() => counts.of(store, sessions)) ?? []) : []
  const asked = sessions.filter((_, at) => known[at] === undefined)
  const numbers = asked.length === 0 ? [] : await store.messageCounts(asked.map(({ key }) => key))
  if (isCounted && asked.length > 0) keep(asked, numbers)
  const found = new Map(asked.map((entry, at) => [entry, numbers[at]]))
  return sessions.map((entry, at) => known[at] ?? found.get(entry) ?? 0)
}

/** Sessions whose counts are written in one go. */
const KEPT = 500

async function keepCounted({ counts }: Catalog, store: Store, sessions: readonly SessionEntry[], numbers: Counts): Promise<void> {
  for (let at = 0; at < sessions.length; at += KEPT) {
    await counts.keep(store, sessions.slice(at, at + KEPT), numbers.slice(at, at + KEPT))
    await turn()
  }
}

/** Sessions that are counted in one go. */
const COUNTED = 64

/** Of a store that was listed: sessions that are new, or others than when they were counted. */
async function countMissing({ counts }: Catalog, store: Store, signal: AbortSignal): Promise<void> {
  if (store.supports.lines === true) return
  for (let after: string | undefined = ''; after !== undefined && !signal.aborted; await turn()) {
    const sessions = counts.missing(store, after, COUNTED)
    const numbers = sessions.length === 0 ? [] : await store.messageCounts(sessions.map(({ key }) => sessionKey(store.agent, key.session)))
    if (sessions.length > 0) await counts.keep(store, sessions, numbers)
    after = sessions.length < COUNTED ? undefined : sessions.at(-1)?.key.session
  }
}

/** What fails in a store or in the catalog is left for the next time. Whoever waits for it hears of a bug in it; nobody else must. */
function inBackground(work: Promise<void>): Promise<void> {
  const done = work.catch((error: unknown) => {
    if (!(error instanceof StorageError)) throw error
  })
  done.catch(() => undefined)
  return done
}

/** Sessions in memory are of one process. */
function isKept({ kind }: Store): boolean {
  return kind !== 'memory'
}

/** Names a store, be it opened anew. */
export function placeOf({ kind, path }: Pick<Store, 'kind' | 'path'>): string {
  return `${kind} ${path}`
}

function isEqual(before: Listing<SessionEntry>, now: Listing<SessionEntry>): boolean {
  if (before.mark !== now.mark || before.complete !== now.complete) return false
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
