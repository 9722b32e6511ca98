/** The open stores as one set of sessions; lists them, keeps what was listed, and closes them. */
import { setMaxListeners } from 'node:events'
import { type Clock, systemClock } from '../../core/clock.js'
import { createDirtyTracker } from '../../core/dirty-tracker.js'
import { StorageError, setClosed } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { type Agent, encodeKey, type SessionKey } from '../../core/keys.js'
import { checkClock, checkNumber, refuseUnknown } from '../../core/options.js'
import { following, untilAborted } from '../../core/signals.js'
import { type StageIssue, storeIssueOf } from '../../core/stage.js'
import { type MergedSession, type MergedSessions, mergeSessions } from '../../storage/merged.js'
import { SlabPool } from '../../storage/slab.js'
import { SpanCache } from '../../storage/span-cache.js'
import type { ListedBefore, MessageListing, Store } from '../../storage/store.js'
import { fixedStores, type StoreSource } from '../../storage/store-source.js'
import { turnsOf } from '../../storage/turns.js'
import type { Catalog } from '../catalog/catalog.js'
import { rememberEarly } from '../catalog/early.js'
import { lookEarly } from '../catalog/early-look.js'
import { earlySessions } from '../catalog/early-sessions.js'
import type { LookOptions } from '../catalog/look-alone.js'
import { type SetCatalog, setCatalog } from '../catalog/set-catalog.js'
import { ShownRecords } from '../copies/shown-records.js'
import { tellChanges, tellClosing, tellFound, tellLook } from '../watch/told.js'
import { ListedStores, type Look, unsureStores } from './listed-stores.js'
import { Quiet } from './quiet.js'
import { ChangeTeller, NO_CHANGES, reportOf, type Taken, type Taking, Untold, workSoFar } from './session-changes.js'
import { MergedIndex } from './session-index.js'
import { checkRefresh, checkSession, notFound, type RefreshOptions, type RefreshReport, type SessionChanges, type Sessions } from './sessions.js'

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
 * @throws StorageError INVALID_OPTION, and what the listing throws
 */
export async function createSessionSet(stores: readonly Store[] | StoreSource, options: SessionSetOptions = {}): Promise<Sessions> {
  refuseUnknown(options, ['clock', 'cacheBytes', 'before', 'catalog', 'issues'])
  checkClock('clock', options.clock)
  checkNumber('cacheBytes', options.cacheBytes, 0)
  const set = new SessionSet('refresh' in stores ? stores : fixedStores(stores), options)
  try {
    if (!set.beginEarly()) await set.refresh()
    return set
  } catch (error) {
    await set[Symbol.asyncDispose]()
    throw error
  }
}

class SessionSet implements Sessions {
  readonly clock: Clock
  readonly cache: SpanCache
  readonly slabs = new SlabPool()
  readonly dirty = createDirtyTracker()
  readonly index: MergedIndex
  readonly #source: StoreSource
  readonly #records: ShownRecords
  readonly #catalog: Catalog | undefined
  readonly #kept: SetCatalog | undefined
  readonly #further: readonly StageIssue[]
  readonly #closing = new AbortController()
  /** The first listing, while it goes on in the background; somebody waits for it. */
  #first: Promise<SessionChanges> | undefined
  readonly #hurry = new AbortController()
  readonly #told = new ChangeTeller()
  readonly #untold = new Untold()
  #issues: readonly StageIssue[] = []
  /** The stores as they are shown, and what they are a copy of. */
  #shown: { readonly given: readonly Store[]; readonly stores: readonly Store[] } | undefined
  /** Of the last refresh that was taken. */
  #taken: Taken = { merge: { sessions: new Map(), issues: [] }, shown: { sessions: new Map(), issues: [] }, isSettled: false }
  readonly #listed: ListedStores
  /** Looks are taken one after the other: each is held against the one before. */
  #taking: Promise<unknown> = Promise.resolve()
  /** Listings begun, and the last one that was taken. */
  #begun = 0
  #replaced = 0

  constructor(source: StoreSource, { clock = systemClock, cacheBytes = 16 * 2 ** 20, before, catalog, issues = [] }: SessionSetOptions) {
    this.#source = source
    this.clock = clock
    this.#catalog = catalog
    this.#kept = catalog && setCatalog(catalog, this.#closing.signal)
    this.#listed = new ListedStores({
      dirty: this.dirty,
      held: (store) => this.index.entriesOf(store),
      before: async (store) => before?.(store) ?? (await this.#kept?.before(store, this.#closing.signal)),
    })
    this.#further = issues
    this.cache = new SpanCache(cacheBytes, this.dirty)
    this.index = new MergedIndex(this, this.#kept?.messageCounts)
    this.#records = new ShownRecords(clock)
    // As many listen to it as read, refresh and watch at a time.
    setMaxListeners(0, this.#closing.signal)
    tellClosing(this, this.#closing.signal)
    tellFound(this, source)
    tellLook(this, (options = {}) => this.#refresh(options, false))
  }

  get stores(): readonly Store[] {
    const { stores } = this.#source
    if (this.#shown?.given !== stores) this.#shown = { given: stores, stores: Object.freeze([...stores]) }
    return this.#shown.stores
  }

  get narrowed(): boolean {
    return this.#source.narrowed ?? false
  }

  get issues(): readonly StageIssue[] {
    return Object.freeze([...this.#issues, ...this.#further, ...(this.#catalog?.issues ?? [])])
  }

  get stale(): boolean {
    return this.index.isEarly
  }

  get keptIn(): string | undefined {
    return this.#kept?.holdsAll() === true ? this.#catalog?.path : undefined
  }

  /** Shows what the catalog has, and lists the stores in the background. False when it does not know all of them. */
  beginEarly(): boolean {
    if (this.#catalog === undefined || this.#kept?.isWarm(this.stores) !== true) return false
    const early = earlySessions(this.#catalog, () => this.stores)
    const quiet = new Quiet(this.clock)
    const page: typeof early.page = (query) => {
      quiet.disturb()
      return early.page(query)
    }
    rememberEarly(this, { page, look: async (...asked) => this.index.metasOf(await this.#lookEarly(...asked)) })
    this.index.showEarly(early)
    this.#issues = this.#source.issues
    const first = this.#listFirst(this.#kept, quiet).finally(() => {
      this.#first = undefined
    })
    // Whoever joins it hears of it; anybody else from the issues.
    first.catch((error: unknown) => {
      if (error instanceof StorageError && !this.#closing.signal.aborted) this.#issues = [storeIssueOf(error)]
    })
    this.#first = first
    return true
  }

  async #listFirst(kept: SetCatalog, quiet: Quiet): Promise<SessionChanges> {
    using end = following(this.#closing.signal, this.#hurry.signal)
    // Whoever opened the set goes first, and may be done with it by then.
    await quiet.awaited(end.signal)
    this.#closing.signal.throwIfAborted()
    const lock = await kept.lock(end.signal)
    try {
      return await this.#look({ signal: this.#closing.signal }, false)
    } finally {
      const unlock = (): void => lock?.[Symbol.dispose]()
      kept.settled().then(unlock, unlock)
    }
  }

  /** What was written before the call is seen: a first listing that looks already is waited for, and then the stores are looked at again. */
  async refresh(options: RefreshOptions = {}): Promise<SessionChanges> {
    checkRefresh(options)
    return this.#refresh(options, true)
  }

  async #refresh(options: RefreshOptions, isTold: boolean): Promise<SessionChanges> {
    const first = this.#first
    if (first === undefined || options.deep === true) return this.#look(options, isTold)
    const isUnderWay = this.#begun > 0
    this.#hurry.abort()
    const { report } = await untilAborted(first, options.signal)
    if (isUnderWay) return this.#look(options, isTold)
    const nothing = { ...NO_CHANGES, report }
    return isTold ? this.#untold.with(nothing) : nothing
  }

  async #look({ signal, ...options }: RefreshOptions, isTold: boolean): Promise<SessionChanges> {
    const turn = ++this.#begun
    const start = this.clock.monotonic()
    const tick = this.dirty.clock.now
    const before = workSoFar(this.stores)
    using end = following(this.#closing.signal, signal)
    const asked = { ...options, signal: end.signal }
    await this.#source.refresh(asked)
    const { stores, issues } = this.#source
    const look = await this.#listed.list(stores, issues, asked)
    const report = (): RefreshReport => {
      const durationMs = this.clock.monotonic() - start
      return reportOf(look.stores, before, { durationMs, sessions: this.#taken.shown.sessions.size })
    }
    const taken = this.#taking.then(() => this.#take(look, { turn, tick, report, isTold, signal: end.signal }))
    this.#taking = taken.catch(() => undefined)
    return await untilAborted(taken, end.signal)
  }

  /** Made ready with turns in between, and then shown in one go: there is no time at which a part of it shows. */
  async #take(look: Look, { turn, tick, report, isTold, signal }: Taking): Promise<SessionChanges> {
    // Of looks that overlap the one begun last stays, whichever ends last; what this one saw is then in the changes of that one.
    if (turn < this.#replaced) return { ...NO_CHANGES, report: report() }
    const { stores, listed, earlier, issues } = look
    const listings = this.#listed.listingsOf(look)
    const turns = turnsOf(this.clock, signal)
    const same = this.#taken.isSettled && this.#listed.areSame(stores, listed) ? this.#taken : undefined
    const merge = same?.merge ?? (await mergeSessions(listings, turns, this.#taken.merge))
    const shown = same?.shown ?? (await this.#records.complete(merge.sessions, turns))
    const isSettled = same !== undefined || (this.#records.isSettled && merge.issues.length === 0)
    const isUnsure = unsureStores(stores, listed, issues)
    const told = this.stale
      ? await this.#told.changesSince(earlier, shown.sessions, { isUnsure, turns })
      : await this.#told.changes(shown.sessions, { isUnsure, turns })
    const next = same === undefined || this.stale ? await this.index.next(shown.sessions, turns) : undefined
    signal.throwIfAborted()
    this.#replaced = turn
    this.#taken = { merge, shown, isSettled }
    this.#issues = [...issues, ...merge.issues, ...shown.issues]
    this.#listed.keep(stores, listed, tick)
    this.#told.keep(told)
    if (next !== undefined && this.index.take(next)) this.cache.clear()
    const { sessions } = shown
    this.#kept?.write(listings, { stores, sessions, meta: (key) => this.index.session(key), now: this.clock.now() }, same !== undefined)
    const changes = { ...told.changes, report: report() }
    tellChanges(this, changes)
    return isTold ? this.#untold.with(changes) : this.#untold.keep(changes)
  }

  async locate(session: SessionKey | SessionId): Promise<MergedSession> {
    checkSession(session)
    this.#closing.signal.throwIfAborted()
    const find = (): MergedSession | undefined => (typeof session === 'string' ? this.index.findMerged(session) : this.index.merged(session))
    const found = this.stale ? await this.#locateEarly(session) : find()
    if (found !== undefined) return found
    await this.#refresh({}, false)
    const fresh = find()
    if (fresh === undefined) throw notFound(session)
    return fresh
  }

  /** Of a session that is used before the stores are listed: it is looked at alone. Undefined where a listing must tell. */
  async #locateEarly(session: SessionKey | SessionId): Promise<MergedSession | undefined> {
    const [key, ...others] = typeof session === 'string' ? this.index.keysEarly(session) : [session]
    if (key === undefined || others.length > 0) return undefined
    const looked = this.index.merged(key)
    if (looked !== undefined) return looked
    return (await this.#lookEarly(key.agent, [key.session]))?.get(encodeKey(key))
  }

  /** Shows them as they are from now on. Undefined where a listing must tell. */
  async #lookEarly(agent: Agent, ids: readonly SessionId[], options?: LookOptions): Promise<MergedSessions | undefined> {
    if (!this.stale || this.#kept === undefined) return undefined
    const turns = turnsOf(this.clock, this.#closing.signal)
    const sessions = await lookEarly(() => this.#kept?.look(agent, ids, this.stores, options), this.clock, turns)
    if (sessions !== undefined && this.stale) for (const session of sessions.values()) this.index.showLooked(session)
    return sessions
  }

  async listMessages(
    { entry, store }: MergedSession,
    { anew = false, cursor = false, passing = false, along = false, native, signal }: NonNullable<Parameters<Sessions['listMessages']>[1]> = {},
  ): Promise<MessageListing> {
    const name = encodeKey(entry.key)
    // Lists are held of the copy that is shown; a caller may still hold one that was.
    const isShown = (): boolean => this.index.merged(entry.key)?.store === store
    const previous = anew || !isShown() ? undefined : this.index.held(name)
    const listing = await store.messages(entry.key, { previous, deep: anew, cursor, passing, along, native, signal })
    // A log is read again by the next one who asks, in a database or a tree of files the list saves that.
    const isKept = !passing || store.supports.lines !== true
    if (listing.complete && isKept && isShown()) this.index.hold(name, listing.entries)
    return listing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async close(): Promise<void> {
    this.#closing.abort(setClosed())
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
