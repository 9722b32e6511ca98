/**
 * The catalog: what the stores listed, kept in spanleaf's home, so that a list is there at once and the next listing costs what changed.
 *
 * Invariants:
 * - it is a copy: whatever happens to it, nothing is lost but time, and no call fails where the stores can answer;
 * - a row is given back with the very version that its store gave it, so a store tells by it whether the row is old;
 * - rows go when a complete listing of their store does not have them, or with a store that is gone for long; other stores that a set of
 *   sessions does not know are left alone;
 * - several processes may read and write at once: every transaction leaves rows that are each true of some time, and a mark that does not
 *   stand beside all of its rows is not given back.
 */
import { join } from 'node:path'
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import type { Generation } from '../../storage/generation.js'
import { type SqlRow, type SqlValue, sqliteFailure } from '../../storage/sqlite/driver.js'
import type { KnownSession, ListedBefore, Listing, SessionEntry } from '../../storage/store.js'
import type { ReadQuery } from '../sessions/session-page.js'
import type { SessionMeta } from '../types.js'
import { type Ask, allRows, entriesBefore } from './before.js'
import { catalogCounts } from './counts.js'
import { atOneTime, type CatalogFile, catalogError, discardCatalog, isBroken, openCatalogFile, within } from './file.js'
import { awaitIndexLock, type IndexLock } from './index-lock.js'
import { type Pager, pagerOf } from './pager.js'
import { type Condition, countSessions, MOST_ASKED_FOLDERS, type Prepare, preparing, type Segment, sessionsWhere, storeName } from './pages.js'
import { type CatalogPlaces, catalogPlaces } from './places.js'
import type { Catalog, CatalogOptions, CatalogPage, CatalogStore, Showing } from './port.js'
import { type Pruning, pruneStores } from './prune.js'
import { ENTRY_COLUMNS, ENTRY_ROWS, entryIn } from './rows.js'
import { keepOnly, type ShownRow, type Written, writeStore } from './write.js'

export type { Catalog, CatalogOptions, CatalogPage, CatalogStore } from './port.js'

const LOCK_NAME = 'sessions.idx.lock'

/** @throws StorageError CATALOG_UNAVAILABLE, SQLITE_DRIVER_MISSING */
export async function openCatalog(options: CatalogOptions): Promise<Catalog> {
  return new FileCatalog(options, await openCatalogFile(options.home, options.clock))
}

class FileCatalog implements Catalog {
  readonly #options: CatalogOptions
  #file: CatalogFile
  #prepare: Prepare
  #places: CatalogPlaces
  #pager: Pager
  /** Rows that did not pass were met, or SQLite said so: the file is made anew before it is written the next time. */
  #damage: string | undefined
  #failure: StageIssue | undefined
  #writes: Promise<unknown> = Promise.resolve()
  /** Rows as this process read or wrote them last, by store and id, as long as nobody else writes. */
  readonly #rows = new Map<number, Map<SessionId, Written>>()
  #seen: SqlValue | undefined
  #edition = 1
  #closed = false

  readonly counts = catalogCounts({
    read: (store, ask) => this.#read(() => ask(this.#prepare, this.#places.find(store)?.store ?? 0)),
    write: async (store, act) => {
      await this.#writeInLine(async () => {
        const place = this.#places.find(store)
        if (place !== undefined) await this.#within((prepare) => act(prepare, place.store))
      })
    },
  })

  constructor(options: CatalogOptions, file: CatalogFile) {
    this.#options = options
    this.#file = file
    this.#prepare = preparing(file.database)
    this.#places = catalogPlaces(this.#prepare)
    this.#pager = pagerOf(this.#prepare)
  }

  get path(): string {
    return this.#file.path
  }

  get rebuilt(): string | undefined {
    return this.#file.rebuilt
  }

  get issues(): readonly StageIssue[] {
    return this.#failure === undefined ? this.#file.issues : [...this.#file.issues, this.#failure]
  }

  knows(store: CatalogStore): boolean {
    return this.#read(() => this.#places.find(store)?.listed ?? false)
  }

  async before(store: CatalogStore, signal?: AbortSignal): Promise<ListedBefore | undefined> {
    const place = this.#read(() => this.#places.find(store))
    if (place === undefined || (!place.listed && place.rows === 0)) return undefined
    this.#read(() => this.#forgetOthers())
    const known = new Map<SessionId, Written>()
    this.#rows.set(place.store, known)
    const { rows, digest, dropped } = await entriesBefore(this.#ask, { store, number: place.store, signal })
    for (const row of rows) known.set(row.entry.key.session, row)
    this.#noteDamage(dropped)
    const isWhole = dropped === 0 && place.rows === rows.length && place.digest === digest
    return { entries: rows.map(({ entry }) => entry), mark: isWhole ? place.mark : undefined }
  }

  copies(key: SessionKey, stores: readonly CatalogStore[]): readonly { readonly store: CatalogStore; readonly entry: SessionEntry }[] {
    return this.#read(() =>
      stores.flatMap((store) => {
        const place = store.agent === key.agent ? this.#places.find(store) : undefined
        if (place === undefined) return []
        const row = this.#prepare(`SELECT ${ENTRY_COLUMNS} FROM ${ENTRY_ROWS} WHERE store = ? AND id = ?`).get(place.store, key.session)
        if (row === undefined) return []
        const found = entryIn(storeName(store), store.agent, row)
        if (found === undefined) this.#noteDamage(1)
        return found === undefined ? [] : [{ store, entry: found.entry }]
      }),
    )
  }

  async ids(store: CatalogStore): Promise<ReadonlySet<SessionId>> {
    return new Set((await this.#rowsOf(store, 'SELECT id FROM sessions')).map(([id]) => id as SessionId))
  }

  async known(store: CatalogStore): Promise<ReadonlyMap<string, KnownSession>> {
    const rows = await this.#rowsOf(store, 'SELECT id, path, generation FROM sessions JOIN entries USING (row)')
    return new Map(rows.map(([id, path, generation]) => [String(path), { session: id as SessionId, generation: generation as Generation }]))
  }

  #rowsOf(store: CatalogStore, select: string): Promise<readonly SqlRow[]> {
    return allRows(this.#ask, { select, number: this.#read(() => this.#places.find(store)?.store ?? 0), atOnce: 1000 })
  }

  write(store: CatalogStore, listing: Listing<SessionEntry>, shown: Showing, among = [store]): Promise<number | undefined> {
    return this.#writeInLine(() => this.#writeOnce(store, listing, shown, among))
  }

  prune(known: readonly CatalogStore[], signal: AbortSignal): Promise<void> {
    const step: Pruning['step'] = async (act) => {
      let isMore = false
      await this.#writeInLine(async () => {
        isMore = await this.#within(act)
        this.#places.changed()
        this.#rows.clear()
      })
      return isMore
    }
    return pruneStores({ ask: this.#ask, step, clock: this.#options.clock, known, signal })
  }

  page(query: ReadQuery, stores: readonly CatalogStore[]): CatalogPage {
    if ((query.folders?.length ?? 0) > MOST_ASKED_FOLDERS)
      throw new StorageError('CATALOG_UNAVAILABLE', { reason: `no more than ${MOST_ASKED_FOLDERS} folders can be asked for`, path: this.path })
    const { sessions, next, damaged } = this.#readShown(stores, (segments) => this.#pager(segments, query))
    this.#noteDamage(damaged)
    return { sessions, next }
  }

  count(query: ReadQuery, stores: readonly CatalogStore[]): number {
    return this.#readShown(stores, (segments) => countSessions(this.#prepare, segments, query))
  }

  byId(id: SessionId, stores: readonly CatalogStore[]): readonly SessionMeta[] {
    const sessions = this.#where(stores, ({ store }) => ({ sql: 'store = ? AND id = ?', values: [store, id] }))
    return [...new Map(sessions.map((meta) => [meta.key.agent, meta])).values()]
  }

  children(key: SessionKey, stores: readonly CatalogStore[]): readonly SessionMeta[] {
    const own = stores.filter(({ agent }) => agent === key.agent)
    return this.#where(own, () => ({ sql: 'parent = ?', values: [key.session] })).sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1))
  }

  edition(): number | undefined {
    return this.#damage === undefined && this.#file.isCurrent() ? this.#edition : undefined
  }

  lock(signal: AbortSignal): Promise<IndexLock | undefined> {
    const { home, clock, owners } = this.#options
    return awaitIndexLock(join(home, LOCK_NAME), { clock, ...(owners !== undefined && { owners }) }, signal)
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#file.database[Symbol.dispose]()
  }

  /** Segments and rows of one time: rows that move from one to another meanwhile are given once. */
  #readShown<T>(stores: readonly CatalogStore[], read: (segments: readonly Segment[]) => T): T {
    return this.#read(() => atOneTime(this.#prepare, () => read(this.#places.segments(stores))))
  }

  #where(stores: readonly CatalogStore[], condition: (segment: Segment) => Condition): SessionMeta[] {
    const { sessions, damaged } = this.#readShown(stores, (segments) => sessionsWhere(this.#prepare, segments, condition))
    this.#noteDamage(damaged)
    return [...sessions]
  }

  #within<T>(act: (prepare: Prepare) => T): Promise<T> {
    return within(this.#file.database, this.#options.clock, () => act(this.#prepare))
  }

  #writeInLine(write: () => Promise<void>): Promise<number | undefined> {
    const written = this.#writes.then(() => this.#writeOrTell(write))
    // What went wrong in one write is not the next one's.
    this.#writes = written.catch(() => undefined)
    return written
  }

  async #writeOrTell(write: () => Promise<void>): Promise<number | undefined> {
    try {
      await this.#mend()
      try {
        await write()
      } catch (error) {
        if (!isBroken(error)) throw error
        this.#damage = 'SQLite found it damaged'
        await this.#mend()
        await write()
      }
      return this.#closed ? undefined : this.#edition
    } catch (error) {
      // While another process writes, what was left out differs the next time, too.
      if (this.#closed || sqliteFailure(error) === 'busy') return undefined
      const told = catalogError(error, this.path)
      if (!(told instanceof StorageError)) throw told
      this.#failure = { code: told.code, path: this.path, reason: told.reason, transient: true }
      return undefined
    }
  }

  async #writeOnce(store: CatalogStore, listing: Listing<SessionEntry>, shown: Showing, among: readonly CatalogStore[]): Promise<void> {
    if (this.#closed) return
    const places = this.#places
    if (places.find(store) === undefined) await this.#within(() => void places.ensure(store))
    const place = places.ensure(store)
    this.#forgetOthers()
    const asRow = (entry: SessionEntry): ShownRow => {
      const { meta, hiddenBy, isPlain } = shown(entry)
      const other = hiddenBy === undefined ? 0 : places.ensure({ agent: store.agent, ...hiddenBy }).store
      return { meta, isPlain, segment: places.segmentOf(place.store, other, meta) }
    }
    const pending: Written[] = []
    const known = this.#rows.get(place.store) ?? new Map<SessionId, Written>()
    await writeStore(this.#file.database, this.#prepare, {
      store: place.store,
      origin: { kind: store.kind, path: store.path },
      listing,
      shown: asRow,
      segment: (wanted, held) => places.resolved(wanted, held, among),
      known,
      onWritten: (row) => pending.push(row),
      clock: this.#options.clock,
    }).finally(() => places.changed())
    for (const row of pending) known.set(row.entry.key.session, row)
    if (listing.complete && known.size !== listing.entries.length) keepOnly(known, listing.entries)
    this.#rows.set(place.store, known)
    this.#failure = undefined
  }

  /** What this process knows of rows is of no use once another one wrote. */
  #forgetOthers(): void {
    const version = this.#places.version()
    if (version !== this.#seen) this.#rows.clear()
    this.#seen = version
  }

  /** Opens the file that stands at its name now; one that is damaged is made anew before. */
  async #mend(): Promise<void> {
    if (this.#closed || (this.#damage === undefined && this.#file.isCurrent())) return
    if (this.#damage !== undefined && this.#file.isCurrent()) discardCatalog(this.path)
    const file = await openCatalogFile(this.#options.home, this.#options.clock)
    if (this.#closed) return file.database[Symbol.dispose]()
    this.#file.database[Symbol.dispose]()
    const rebuilt = this.#damage ?? file.rebuilt ?? 'it was deleted or replaced while it was open'
    this.#file = { ...file, rebuilt }
    this.#damage = undefined
    this.#edition++
    this.#prepare = preparing(file.database)
    this.#places = catalogPlaces(this.#prepare)
    this.#pager = pagerOf(this.#prepare)
    this.#rows.clear()
    this.#seen = undefined
  }

  #noteDamage(rows: number): void {
    if (rows > 0) this.#damage ??= 'rows in it were damaged'
  }

  readonly #ask: Ask = (sql, values) => this.#read(() => this.#prepare(sql).all(...values))

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      if (isBroken(error)) this.#damage ??= 'SQLite found it damaged'
      throw catalogError(error, this.path)
    }
  }
}
