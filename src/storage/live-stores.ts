/**
 * The stores of this machine, or of the places that somebody names, as they come and go.
 *
 * Every refresh looks again. A store that stays what it is stays open. One that is let go (its file was replaced, is gone,
 * or lost the tables of its generation) is closed by the refresh after that, so what is being read from it may end.
 * What was open once and is not there is an issue for as long as the source lives: it is not known to be deleted.
 */
import type { Clock } from '../core/clock.js'
import { StorageError, setClosed, systemCode } from '../core/errors.js'
import type { StageIssue } from '../core/stage.js'
import { isLogKind, isLogName } from './agent-places.js'
import { typeOf } from './file-type.js'
import { mapFrozen } from './files/frozen-tree.js'
import { createFileMaps, type FileMaps, type MapOption } from './maps/file-maps.js'
import { type Discovery, identityOf, type StorePlace, versionOf } from './paths.js'
import type { ReadOptions, Store } from './store.js'
import { StoreFilter } from './store-filter.js'
import { closeAll, type StoreSource } from './store-source.js'

export interface LiveStoresOptions {
  /** Finds the places; called by every refresh. */
  readonly discover: () => Discovery
  readonly clock: Clock
  readonly filter?: StoreFilter
  /** Which logs are mapped. @default 'auto' */
  readonly map?: MapOption
  /** How long a query waits for a writer, in milliseconds. @default 5000 */
  readonly busyTimeoutMs?: number
}

/** No store is open before the first refresh. Disposing the source closes all. */
export function liveStores(options: LiveStoresOptions): StoreSource {
  return new LiveStores(options)
}

/** What is open at a place. */
interface Opened extends AsyncDisposable {
  readonly stores: readonly Store[]
  isReplaced(): boolean
  /** Follows an upgrade; gives the stores that it let go. */
  follow(): Promise<readonly Store[]>
  /** OpenCode has not made its tables yet. */
  readonly isNew: boolean
  /** Tables that should be there. */
  readonly missing: readonly string[]
}

/** A place that was open once. */
interface Known {
  readonly place: StorePlace
  readonly identity: string | undefined
  hadTables: boolean
}

class LiveStores implements StoreSource {
  stores: readonly Store[] = []
  issues: readonly StageIssue[] = []
  readonly narrowed: boolean
  readonly #options: LiveStoresOptions
  readonly #filter: StoreFilter
  /** Of all logs. */
  readonly #maps: FileMaps
  readonly #open = new Map<string, Opened>()
  readonly #known = new Map<string, Known>()
  /** Let go by the last refresh. */
  #retired: AsyncDisposable[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: LiveStoresOptions) {
    this.#options = options
    this.#filter = options.filter ?? new StoreFilter()
    this.#maps = createFileMaps({ map: options.map ?? 'auto', clock: options.clock })
    this.narrowed = this.#filter.narrows
  }

  /** One after the other: two of them would open the same place twice. */
  refresh(options: ReadOptions = {}): Promise<void> {
    const turn = this.#turn.then(() => this.#look(options.signal))
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  found(): string {
    const places = this.#options.discover().places.filter((place) => this.#filter.wantsPlace(place))
    const named = places.map(({ kind, path }) => [kind, path, ...(this.#open.has(path) ? [] : [versionOf(path), versionOf(`${path}-wal`)])])
    return JSON.stringify(named)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#turn
    await closeAll([...this.#retired, ...this.#open.values()])
    this.#retired = []
    this.#open.clear()
  }

  async #look(signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) throw setClosed()
    const letGo = this.#retired
    this.#retired = []
    try {
      const { places, issues } = this.#options.discover()
      const found = places.filter((place) => this.#filter.wantsPlace(place))
      const refused = issues.filter((issue) => this.#filter.wantsIssue(issue))
      const stores: Store[] = []
      for (const place of found) {
        signal?.throwIfAborted()
        const refusal = await this.#bring(place)
        if (refusal !== undefined) refused.push(refusal)
        const opened = this.#open.get(place.path)
        if (opened === undefined) continue
        stores.push(...opened.stores)
        refused.push(...this.#unready(place, opened))
      }
      refused.push(...this.#gone(found, refused))
      this.stores = stores
      this.issues = refused
    } catch (error) {
      // The stores are as before, those that were let go among them.
      this.#retired.push(...letGo)
      throw error
    }
    await closeAll(letGo)
  }

  /** Opens what stands at a place, anew when it is not what it was; gives the reason when that fails. */
  async #bring(place: StorePlace): Promise<StageIssue | undefined> {
    const { path } = place
    const known = this.#known.get(path)
    const held = this.#open.get(path)
    try {
      if (held !== undefined && known?.place.kind === place.kind && !held.isReplaced()) {
        this.#retired.push(...(await held.follow()))
        return undefined
      }
      this.#retire(path)
      this.#open.set(path, await openPlace(place, { ...this.#options, filter: this.#filter, maps: this.#maps, isSetClosed: () => this.#closed }))
      this.#known.set(path, { place, identity: identityOf(path), hadTables: known?.hadTables ?? false })
      return undefined
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      // What cannot follow for the moment stays as it is; what became another program's database is let go.
      if (!error.retryable) this.#retire(path)
      return { code: error.code, path: error.path ?? path, reason: error.reason, transient: error.retryable }
    }
  }

  #retire(path: string): void {
    const held = this.#open.get(path)
    if (held === undefined) return
    this.#open.delete(path)
    this.#retired.push(held)
  }

  /** What keeps a database from being whole, as far as its tables tell. An empty one that never held anything is just new. */
  #unready({ path }: StorePlace, { isNew, missing }: Opened): readonly StageIssue[] {
    const known = this.#known.get(path)
    const hadTables = known?.hadTables ?? false
    if (known !== undefined && !isNew) known.hadTables = true
    const notReady = (reason: string): StageIssue[] => [{ code: 'STORE_NOT_READY', path, reason, transient: true }]
    if (isNew) return hadTables ? notReady('the database had tables and has none now') : []
    return missing.length === 0 ? [] : notReady(`the database has no table ${missing.join(', ')}`)
  }

  /** Lets go what is not found any more. What only got another name is not gone. */
  #gone(found: readonly StorePlace[], refused: readonly StageIssue[]): readonly StageIssue[] {
    const paths = new Set(found.map(({ path }) => path))
    const identities = new Set(found.map(({ path }) => identityOf(path)))
    const told = new Set(refused.map(({ path }) => path))
    const issues: StageIssue[] = []
    for (const [path, { place, identity }] of this.#known) {
      if (paths.has(path)) continue
      this.#retire(path)
      if (identity !== undefined && identities.has(identity)) this.#known.delete(path)
      else if (!told.has(path)) issues.push(absence(place))
    }
    return issues
  }
}

interface PlaceOptions {
  readonly filter: StoreFilter
  readonly maps: FileMaps
  readonly isSetClosed: () => boolean
}

async function openPlace(
  { kind, path }: StorePlace,
  { clock, busyTimeoutMs, map, filter, maps, isSetClosed }: LiveStoresOptions & PlaceOptions,
): Promise<Opened> {
  // What reads stores of a kind is loaded by who has one.
  switch (kind) {
    case 'opencode-sqlite': {
      const { openDatabase } = await import('./sqlite/opencode-database.js')
      return openDatabase(path, { busyTimeoutMs, wants: (generation) => filter.wants(generation, path), isSetClosed })
    }
    case 'opencode-json': {
      const { openFileStore } = await import('./files/opencode-files.js')
      return openedTree(openFileStore(path, clock, typeof map === 'number' ? mapFrozen(path, maps, clock) : undefined))
    }
    case 'opencode-era-a': {
      const { openEraAStore } = await import('./files/opencode-files.js')
      return openedTree(openEraAStore(path, clock))
    }
    case 'pi-jsonl':
    case 'claude-jsonl':
    case 'codex-jsonl':
    case 'jcode-journal': {
      const { openLogStore } = await import('./jsonl/open-logs.js')
      return openedLogs(openLogStore(kind, path, { clock, maps }))
    }
  }
}

/** A single log may be replaced at every write of its agent; its store sees that by itself. */
function openedLogs(store: Store): Opened {
  const opened = openedTree(store)
  return typeOf(store.path) === 'folder' ? opened : { ...opened, isReplaced: () => false }
}

function openedTree(store: Store): Opened {
  const identity = identityOf(store.path)
  return {
    stores: [store],
    isNew: false,
    missing: [],
    isReplaced: () => identityOf(store.path) !== identity,
    follow: async () => [],
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

function absence({ kind, path }: StorePlace): StageIssue {
  const what = kind === 'opencode-sqlite' ? 'the database' : !isLogKind(kind) ? 'the tree' : isLogName(path) ? 'the log' : 'the folder of logs'
  try {
    const reason = typeOf(path) === undefined ? `${what} that was open here is gone` : `${what} that was open here is no store any more`
    return { code: 'STORE_MISSING', path, reason }
  } catch (error) {
    return { code: 'STORE_UNREADABLE', path, reason: `${what} that was open here cannot be looked at (${systemCode(error) ?? 'unknown'})` }
  }
}
