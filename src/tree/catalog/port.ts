/** What a catalog is asked. */
import type { Clock } from '../../core/clock.js'
import type { SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import type { KnownSession, ListedBefore, Listing, SessionEntry, Store } from '../../storage/store.js'
import type { ReadQuery } from '../sessions/session-page.js'
import type { SessionMeta } from '../types.js'
import type { CatalogCounts } from './counts.js'
import type { IndexLock } from './index-lock.js'
import type { OwnerProbe } from './owner.js'
import type { ShownAs } from './write.js'

export interface CatalogOptions {
  /** The folder of the file, made when it is missing. */
  readonly home: string
  readonly clock: Clock
  /** Tells which processes run. @default what /proc says */
  readonly owners?: OwnerProbe
}

/** A store as the catalog names it. */
export type CatalogStore = Pick<Store, 'agent' | 'kind' | 'path'>

export interface CatalogPage {
  readonly sessions: readonly SessionMeta[]
  readonly next: string | undefined
}

/** How each entry of a listing is shown. */
export type Showing = (entry: SessionEntry) => ShownAs

/** Reading throws StorageError CATALOG_UNAVAILABLE when the file cannot be read any more, and for a page of more than 400 folders. */
export interface Catalog extends Disposable {
  readonly path: string
  /** Why what was there before was thrown away. */
  readonly rebuilt: string | undefined
  /** What keeps it from being used, or from its name. */
  readonly issues: readonly StageIssue[]
  /** How many messages sessions have. */
  readonly counts: CatalogCounts
  /** Whether a listing of this store was ever written. */
  knows(store: CatalogStore): boolean
  /** What a store's listing left, for `Store.sessions`; undefined for one that was never written. */
  before(store: CatalogStore, signal?: AbortSignal): Promise<ListedBefore | undefined>
  /** The copies of a session in these stores, as they were listed. */
  copies(key: SessionKey, stores: readonly CatalogStore[]): readonly { readonly store: CatalogStore; readonly entry: SessionEntry }[]
  /** The sessions of the store that were listed. */
  ids(store: CatalogStore): Promise<ReadonlySet<SessionId>>
  /** What each file of the store was listed as, by path: of stores in which sessions have files of their own. */
  known(store: CatalogStore): Promise<ReadonlyMap<string, KnownSession>>
  /**
   * What a store listed, and how the merged view shows it. Costs what differs. Gives the edition that it was written in; undefined for what
   * cannot be written now, since another process writes: that is no error. Calls are carried out one after the other. `among`: the stores of
   * the merged view.
   */
  write(store: CatalogStore, listing: Listing<SessionEntry>, shown: Showing, among?: readonly CatalogStore[]): Promise<number | undefined>
  /** Takes away the rows of stores that are gone for long, `known` ones aside, some between two writes; ends with the signal. */
  prune(known: readonly CatalogStore[], signal: AbortSignal): Promise<void>
  /** Another one when the file is another one; undefined when it is damaged, or gone: the next write makes it anew. */
  edition(): number | undefined
  page(query: ReadQuery, stores: readonly CatalogStore[]): CatalogPage
  count(query: ReadQuery, stores: readonly CatalogStore[]): number
  /** The sessions with this id that are shown, at most one for each agent. */
  byId(id: SessionId, stores: readonly CatalogStore[]): readonly SessionMeta[]
  /** The sessions that are shown which this one began, the oldest first. */
  children(key: SessionKey, stores: readonly CatalogStore[]): readonly SessionMeta[]
  /**
   * Waits while another process lists everything anew, some seconds at most and no longer than `signal` says, and takes the lock that says so
   * of this one. Undefined when it could not be had, which keeps nobody from anything.
   */
  lock(signal: AbortSignal): Promise<IndexLock | undefined>
}
