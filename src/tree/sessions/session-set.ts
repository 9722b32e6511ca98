/** The open stores as one set of sessions; lists them, keeps what was listed, and closes them. */
import { sep } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { type Clock, systemClock } from '../../core/clock.js'
import { createDirtyTracker } from '../../core/dirty-tracker.js'
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { encodeKey, type SessionKey } from '../../core/keys.js'
import { following, untilAborted } from '../../core/signals.js'
import { type StageIssue, storeIssueOf } from '../../core/stage.js'
import { type Merge, type MergedSession, mergeSessions, type StoreListing } from '../../storage/merged.js'
import { SlabPool } from '../../storage/slab.js'
import { SpanCache } from '../../storage/span-cache.js'
import type { ListedBefore, Listing, ListOptions, MessageEntry, SessionEntry, Store } from '../../storage/store.js'
import { fixedStores, type StoreSource } from '../../storage/store-source.js'
import type { Catalog } from '../catalog/catalog.js'
import { rememberEarly } from '../catalog/early.js'
import { earlySessions } from '../catalog/early-sessions.js'
import { placeOf, type SetCatalog, setCatalog } from '../catalog/set-catalog.js'
import { ShownRecords } from '../copies/shown-records.js'
import { tellChanges } from '../watch/told.js'
import { ChangeTeller, reportOf, workSoFar } from './session-changes.js'
import { MergedIndex } from './session-index.js'
import { notFound, type RefreshOptions, type SessionChanges, type Sessions } from './sessions.js'

export interface SessionSetOptions {
  readonly clock?: Clock
  /** Bytes of single records kept in memory. @default 16 MiB */
  readonly cacheBytes?: number
  /** What an earlier process listed of a store, from where the first listing of it goes on. @default what the catalog has */
  readonly before?: (store: Store) => ListedBefore | undefined
  /** Shows its sessions until the stores are listed, and is given what they list. It is closed with the set. */
  readonly catalog?: Catalog
  /** Told besides what the stores tell. */
  readonly issues?: readonly StageIssue[]
}

/**
 * Lists the stores and takes them over: they are closed with the set. With a catalog that knows all of them the listing goes on in the
 * background, and the sessions are `stale` until it is through.
 */
export async function createSessionSet(stores: readonly Store[] | StoreSource, options: SessionSetOptions = {}): Promise<Sessions> {
  const set = new SessionSet('refresh' in stores ? stores : fixedStores(stores), options)
  try {
    if (!set.beginEarly()) await set.refresh()
    return set
  } catch (error) {
    await set[Symbol.asyncDispose]()
    throw error
  }
}

/** What a refresh ended with. */
interface Taken {
  readonly merge: Merge
  readonly shown: Awaited<ReturnType<ShownRecords['complete']>>
}

class SessionSet implements Sessions {
  readonly clock: Clock
  readonly cache: SpanCache
  readonly slabs = new SlabPool()
  readonly dirty = createDirtyTracker()
  readonly index: MergedIndex
  readonly #source: StoreSource
  readonly #records: ShownRecords
  readonly #before: SessionSetOptions['before']
  readonly #catalog: Catalog | undefined
  readonly #kept: SetCatalog | undefined
  readonly #further: readonly StageIssue[]
  readonly #closing = new AbortController()
  /** The first listing, while it goes on in the background; somebody waits for it. */
  #first: Promise<SessionChanges> | undefined
  readonly #hurry = new AbortController()
  readonly #told = new ChangeTeller()
  #issues: readonly StageIssue[] = []
  /** Of the last refresh that was taken. */
  #taken: Taken = { merge: { sessions: new Map(), issues: [] }, shown: { sessions: new Map(), issues: [] } }
  #listed: ReadonlyMap<Store, Listing<SessionEntry>> = new Map()
  /** Places whose stores were listed at any time. */
  readonly #met = new Set<string>()
  /** By store: paths that were marked after this tick were not looked at since. */
  #lookedAt: ReadonlyMap<Store, number> = new Map()
  /** Listings begun, and the last one that was taken. */
  #begun = 0
  #replaced = 0

  constructor(source: StoreSource, { clock = systemClock, cacheBytes = 16 * 2 ** 20, before, catalog, issues = [] }: SessionSetOptions) {
    this.#source = source
    this.clock = clock
    this.#before = before
    this.#catalog = catalog
    this.#kept = catalog && setCatalog(catalog)
    this.#further = issues
    this.cache = new SpanCache(cacheBytes, this.dirty)
    this.index = new MergedIndex(this)
    this.#records = new ShownRecords(clock)
  }

  get stores(): readonly Store[] {
    return this.#source.stores
  }

  get narrowed(): boolean {
    return this.#source.narrowed ?? false
  }

  get issues(): readonly StageIssue[] {
    const further = [...this.#further, ...(this.#catalog?.issues ?? [])]
    return further.length === 0 ? this.#issues : [...this.#issues, ...further]
  }

  get stale(): boolean {
    return this.index.isEarly
  }

  /** Shows what the catalog has, and lists the stores in the background. False when it does not know all of them. */
  beginEarly(): boolean {
    if (this.#catalog === undefined || this.#kept?.isWarm(this.stores) !== true) return false
    const early = earlySessions(this.#catalog, () => this.stores)
    rememberEarly(this, early)
    this.index.showEarly(early)
    const first = this.#listFirst(this.#kept).finally(() => {
      this.#first = undefined
    })
    // Whoever joins it hears of it; anybody else from the issues.
    first.catch((error: unknown) => {
      if (error instanceof StorageError) this.#issues = [storeIssueOf(error)]
    })
    this.#first = first
    return true
  }

  async #listFirst(kept: SetCatalog): Promise<SessionChanges> {
    // Whoever opened the set goes first.
    await turn()
    using end = following(this.#closing.signal, this.#hurry.signal)
    const lock = await kept.lock(end.signal)
    try {
      return await this.#look({ signal: this.#closing.signal })
    } finally {
      const unlock = (): void => lock?.[Symbol.dispose]()
      kept.settled().then(unlock, unlock)
    }
  }

  /** What was written before the call is seen: a first listing that looks already is waited for, and then the stores are looked at again. */
  async refresh(options: RefreshOptions = {}): Promise<SessionChanges> {
    const first = this.#first
    if (first === undefined || options.deep === true) return this.#look(options)
    const isUnderWay = this.#begun > 0
    this.#hurry.abort()
    const changes = await untilAborted(first, options.signal)
    return isUnderWay ? this.#look(options) : changes
  }

  async #look(options: RefreshOptions): Promise<SessionChanges> {
    const turn = ++this.#begun
    const start = this.clock.monotonic()
    const tick = this.dirty.clock.now
    const before = workSoFar(this.stores)
    await this.#source.refresh(options)
    const { stores } = this
    const issues = [...this.#source.issues]
    const listings: StoreListing[] = []
    const listed = new Map<Store, Listing<SessionEntry>>()
    const earlier = new Map<Store, readonly SessionEntry[]>()
    for (const store of stores) {
      const asked = await this.#listOptions(store, options)
      if (asked.before !== undefined) earlier.set(store, asked.before.entries)
      try {
        const listing = await store.sessions(asked)
        listings.push({ store, listing })
        listed.set(store, listing)
        issues.push(...listing.issues)
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        // A listing that failed says nothing about what is there: the last good one of this store stays.
        const held = this.index.entriesOf(store)
        listings.push({ store, listing: { entries: held.length > 0 ? held : (asked.before?.entries ?? []), issues: [], complete: false } })
        issues.push(storeIssueOf(error, store.path))
      }
    }
    const same = this.#isAsBefore(stores, listed) ? this.#taken : undefined
    const merge = same?.merge ?? (await mergeSessions(listings, this.#taken.merge))
    const { sessions, issues: damage } = same?.shown ?? (await this.#records.complete(merge.sessions))
    const report = reportOf(stores, before, { durationMs: this.clock.monotonic() - start, sessions: sessions.size })
    // Of listings that overlap the one begun last stays, whichever ends last; what this one saw is then in the changes of that one.
    if (turn < this.#replaced) return { added: [], changed: [], removed: [], report }
    this.#replaced = turn
    this.#taken = { merge, shown: { sessions, issues: damage } }
    this.#issues = [...issues, ...merge.issues, ...damage]
    this.#keep(stores, listed, tick)
    const whole = stores.filter((store) => listed.get(store)?.complete === true)
    const seen = this.stale ? this.#told.changesSince(earlier, sessions, whole) : this.#told.changes(sessions, whole)
    const changes = { ...seen, report }
    if ((same === undefined || this.stale) && this.index.replace(sessions)) this.cache.clear()
    this.#kept?.write(listings, { stores, sessions, meta: (key) => this.index.session(key), now: this.clock.now() }, same !== undefined)
    tellChanges(this, changes)
    return changes
  }

  /** What the next listing of a store goes on from. One that was opened anew goes on from nothing: another store may stand in its place. */
  async #listOptions(store: Store, { signal, deep }: RefreshOptions): Promise<ListOptions> {
    const held = this.#listed.get(store)
    const before = held ?? (this.#met.has(placeOf(store)) ? undefined : (this.#before?.(store) ?? (await this.#kept?.before(store))))
    const dirty = this.dirty.since(this.#lookedAt.get(store) ?? 0).flatMap((path) => within(store.path, path) ?? [])
    return {
      ...(signal !== undefined && { signal }),
      ...(deep !== undefined && { deep }),
      ...(before !== undefined && { before: { entries: before.entries, mark: before.mark } }),
      ...(dirty.length > 0 && { dirty }),
    }
  }

  /** True when every store gave the very list that it gave before, and nothing is left to be asked again. */
  #isAsBefore(stores: readonly Store[], listed: ReadonlyMap<Store, Listing<SessionEntry>>): boolean {
    const isSettled = this.#records.isSettled && this.#taken.merge.issues.length === 0 && stores.length === this.#listed.size
    return isSettled && stores.every((store) => listed.has(store) && listed.get(store)?.entries === this.#listed.get(store)?.entries)
  }

  #keep(stores: readonly Store[], listed: ReadonlyMap<Store, Listing<SessionEntry>>, tick: number): void {
    const kept = new Map<Store, Listing<SessionEntry>>()
    this.#lookedAt = new Map(stores.map((store) => [store, listed.has(store) ? tick : (this.#lookedAt.get(store) ?? 0)]))
    for (const store of stores) {
      const listing = listed.get(store) ?? this.#listed.get(store)
      if (listing !== undefined) kept.set(store, listing)
      this.#met.add(placeOf(store))
    }
    this.#listed = kept
  }

  async locate(session: SessionKey | SessionId): Promise<MergedSession> {
    const find = (): MergedSession | undefined => (typeof session === 'string' ? this.index.findMerged(session) : this.index.merged(session))
    const found = find() ?? (await this.#locateEarly(session))
    if (found !== undefined) return found
    await this.refresh()
    const fresh = find()
    if (fresh === undefined) throw notFound(session)
    return fresh
  }

  /** Of a session that is used before the stores are listed: it is looked at alone. */
  async #locateEarly(session: SessionKey | SessionId): Promise<MergedSession | undefined> {
    const key = typeof session === 'string' ? (this.stale ? this.index.findById(session)?.key : undefined) : session
    if (!this.stale || key === undefined || this.#kept === undefined) return undefined
    try {
      const merge = await mergeSessions(await this.#kept.look(key, this.stores))
      const { sessions } = await new ShownRecords(this.clock).complete(merge.sessions)
      const found = sessions.get(encodeKey(key))
      if (found !== undefined && this.stale) this.index.showLooked(found)
      return found
    } catch (error) {
      // The listing that goes on tells what is the matter.
      if (error instanceof StorageError) return undefined
      throw error
    }
  }

  async listMessages(
    { entry, store }: MergedSession,
    { anew = false, cursor = false, passing = false }: NonNullable<Parameters<Sessions['listMessages']>[1]> = {},
  ): Promise<Listing<MessageEntry>> {
    const name = encodeKey(entry.key)
    // Lists are held of the copy that is shown; a caller may still hold one that was.
    const isShown = (): boolean => this.index.merged(entry.key)?.store === store
    const previous = anew || !isShown() ? undefined : this.index.held(name)
    const listing = await store.messages(entry.key, { previous, deep: anew, cursor, passing })
    // A log is read again by the next one who asks, in a database or a tree of files the list saves that.
    const isKept = !passing || store.supports.lines !== true
    if (listing.complete && isKept && isShown()) this.index.hold(name, listing.entries)
    return listing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#first?.catch(() => undefined)
    this.cache.clear()
    try {
      await this.#kept?.settled()
    } finally {
      this.#catalog?.[Symbol.dispose]()
      await this.#source[Symbol.asyncDispose]()
    }
  }
}

/** A path in the store; the store's own for one that the store is in. */
function within(store: string, path: string): string | undefined {
  if (path === store || path.startsWith(store + sep)) return path
  return store.startsWith(path + sep) ? store : undefined
}
