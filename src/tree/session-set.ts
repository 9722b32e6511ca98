/** The open stores as one set of sessions; lists them, keeps what was listed, and closes them. */
import { type Clock, systemClock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import type { SessionId } from '../core/ids.js'
import { encodeKey, type SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import { type MergedSession, mergeSessions, type StoreListing } from '../storage/merged.js'
import { SlabPool } from '../storage/slab.js'
import { SpanCache } from '../storage/span-cache.js'
import type { Listing, MessageEntry, Store } from '../storage/store.js'
import { fixedStores, type StoreSource } from '../storage/store-source.js'
import { MergedIndex } from './session-index.js'
import { notFound, type Sessions } from './sessions.js'
import { ShownRecords } from './shown-records.js'

export interface SessionSetOptions {
  readonly clock?: Clock
  /** Bytes of single records kept in memory. @default 16 MiB */
  readonly cacheBytes?: number
}

/** Lists the stores and takes them over: they are closed with the set. */
export async function createSessionSet(stores: readonly Store[] | StoreSource, options: SessionSetOptions = {}): Promise<Sessions> {
  const set = new SessionSet('refresh' in stores ? stores : fixedStores(stores), options)
  try {
    await set.refresh()
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
  readonly index: MergedIndex
  readonly #source: StoreSource
  readonly #records: ShownRecords
  #issues: readonly StageIssue[] = []
  /** Listings begun, and the last one that was taken. */
  #begun = 0
  #replaced = 0

  constructor(source: StoreSource, { clock = systemClock, cacheBytes = 16 * 2 ** 20 }: SessionSetOptions) {
    this.#source = source
    this.clock = clock
    this.cache = new SpanCache(cacheBytes)
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
    return this.#issues
  }

  async refresh(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const turn = ++this.#begun
    await this.#source.refresh(options)
    const issues = [...this.#source.issues]
    const listings: StoreListing[] = []
    for (const store of this.stores) {
      try {
        const listing = await store.sessions(options)
        listings.push({ store, listing })
        issues.push(...listing.issues)
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        // A listing that failed says nothing about what is there: the last good one of this store stays.
        listings.push({ store, listing: { entries: this.index.entriesOf(store), issues: [], complete: false } })
        issues.push({ code: error.code, path: error.path ?? store.path, reason: error.reason, transient: error.retryable })
      }
    }
    const merge = await mergeSessions(listings, this.index.all)
    const { sessions, issues: damage } = await this.#records.complete(merge.sessions)
    // Of listings that overlap the one begun last stays, whichever ends last.
    if (turn < this.#replaced) return
    this.#replaced = turn
    this.#issues = [...issues, ...merge.issues, ...damage]
    if (this.index.replace(sessions)) this.cache.clear()
  }

  async locate(session: SessionKey | SessionId): Promise<MergedSession> {
    const find = (): MergedSession | undefined => (typeof session === 'string' ? this.index.findMerged(session) : this.index.merged(session))
    const found = find()
    if (found !== undefined) return found
    await this.refresh()
    const fresh = find()
    if (fresh === undefined) throw notFound(session)
    return fresh
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
    this.cache.clear()
    await this.#source[Symbol.asyncDispose]()
  }
}
