/** The stores and the segments of the catalog, kept while nobody writes to it. */
import { type Agent, isAgent } from '../../core/keys.js'
import { byPrecedence } from '../../storage/precedence.js'
import type { SqlValue } from '../../storage/sqlite/driver.js'
import type { SessionMeta, SessionOrigin } from '../types.js'
import { type Condition, type Prepare, type Segment, storeName } from './pages.js'
import type { CatalogStore } from './port.js'
import { seedOf } from './rows.js'

/** A store as the catalog knows it. */
export interface CatalogPlace {
  readonly store: number
  /** A listing of it was written, and left nothing out. */
  readonly listed: boolean
  readonly mark: string | undefined
  readonly rows: number
  readonly digest: number
}

export interface CatalogPlaces {
  find(store: Pick<CatalogStore, 'kind' | 'path'>): CatalogPlace | undefined
  /** Makes its row where there is none. */
  ensure(store: CatalogStore): CatalogPlace
  segmentOf(store: number, hiddenBy: number, meta: SessionMeta): number
  /**
   * Of a row in the segment `held` that who has these stores wants in another. A store that they do not have may hide it from others, and
   * so it stays hidden; which of theirs hides it is as it was.
   */
  resolved(wanted: number, held: number | undefined, stores: readonly CatalogStore[]): number
  /**
   * Those that are shown to who has these stores; the same list until anything is written. A copy that is hidden by a store which is not
   * among them is shown, unless a store among them shows another one, or has one and comes before.
   */
  segments(stores: readonly CatalogStore[]): readonly Segment[]
  /** Moves with what others write. */
  version(): SqlValue
  /** This process wrote. */
  changed(): void
}

const STORES = 2 ** 20
const ASIDES = 4

export function catalogPlaces(prepare: Prepare): CatalogPlaces {
  let version: SqlValue | undefined
  let places = new Map<string, CatalogPlace>()
  let numbers: readonly number[] = []
  let shown: { readonly stores: readonly CatalogStore[]; readonly segments: readonly Segment[] } | undefined
  const current = (): SqlValue => prepare('PRAGMA data_version').get()?.[0] ?? null
  const load = (): void => {
    const now = current()
    if (now === version) return
    places = readPlaces(prepare)
    numbers = readSegments(prepare)
    shown = undefined
    version = now
  }
  const numbered = (stores: readonly CatalogStore[]): ReadonlyMap<number, CatalogStore> => {
    const known = new Map<number, CatalogStore>()
    for (const store of stores) {
      const place = places.get(nameOf(store.kind, store.path))
      if (place !== undefined) known.set(place.store, store)
    }
    return known
  }
  const find = ({ kind, path }: SessionOrigin): CatalogPlace | undefined => {
    load()
    return places.get(nameOf(kind, path))
  }
  const self: CatalogPlaces = {
    find,
    ensure(store) {
      const held = find(store)
      if (held !== undefined) return held
      prepare('INSERT OR IGNORE INTO stores (agent, kind, path) VALUES (?, ?, ?)').run(store.agent, store.kind, store.path)
      self.changed()
      const made = find(store)
      if (made === undefined) throw new Error('a row that was just written is not there')
      return made
    },
    segmentOf: (store, hiddenBy, { parent, archived }) =>
      (store * STORES + hiddenBy) * ASIDES + (parent === undefined ? 0 : 1) + (archived === undefined ? 0 : 2),
    resolved(wanted, held, stores) {
      if (held === undefined) return wanted
      const hider = hiderOf(held)
      const keeps = hider !== 0 && numbered(stores).has(hider) === (hiderOf(wanted) !== 0)
      return keeps ? wanted + (hider - hiderOf(wanted)) * ASIDES : wanted
    },
    segments(stores) {
      load()
      if (shown !== undefined && areSame(shown.stores, stores)) return shown.segments
      const known = numbered(stores)
      const segments = numbers.flatMap((segment) => segmentIn(segment, known))
      shown = { stores: [...stores], segments }
      return segments
    },
    version: current,
    changed() {
      version = undefined
    },
  }
  return self
}

function areSame(a: readonly CatalogStore[], b: readonly CatalogStore[]): boolean {
  return a.length === b.length && a.every((store, at) => store === b[at])
}

const ALL: Condition = { sql: '', values: [] }

function segmentIn(segment: number, stores: ReadonlyMap<number, CatalogStore>): readonly Segment[] {
  const number = Math.floor(segment / ASIDES / STORES)
  const hider = hiderOf(segment)
  const store = stores.get(number)
  if (store === undefined || stores.has(hider)) return []
  const source = Object.freeze({ kind: store.kind, path: store.path })
  const shown = hider === 0 ? ALL : unlessShownBy(store, stores)
  return [{ segment, seed: seedOf(storeName(source)), store: number, agent: store.agent, source, aside: segment % ASIDES, shown }]
}

export function hiderOf(segment: number): number {
  return Math.floor(segment / ASIDES) % STORES
}

/** The segment of the same rows when nothing hides them. */
export function unhidden(segment: number): number {
  return segment - hiderOf(segment) * ASIDES
}

function unlessShownBy(store: CatalogStore, stores: ReadonlyMap<number, CatalogStore>): Condition {
  const rivals = [...stores].filter(([, rival]) => rival !== store && rival.agent === store.agent)
  const tests = rivals.map(([, rival]) => {
    const isShown = byPrecedence(rival, store) < 0 ? '' : ` AND (o.segment / ${ASIDES}) % ${STORES} = 0`
    return ` AND NOT EXISTS (SELECT 1 FROM sessions o WHERE o.store = ? AND o.id = sessions.id${isShown})`
  })
  return { sql: tests.join(''), values: rivals.map(([number]) => number) }
}

function readPlaces(prepare: Prepare): Map<string, CatalogPlace> {
  const places = new Map<string, CatalogPlace>()
  for (const [store, agent, kind, path, mark, rows, digest, listed] of prepare(
    'SELECT store, agent, kind, path, mark, rows, digest, listed FROM stores',
  ).all()) {
    if (typeof kind !== 'string' || typeof path !== 'string' || !isAgent(agent as Agent)) continue
    places.set(nameOf(kind, path), {
      store: Number(store),
      listed: typeof listed === 'number',
      mark: typeof mark === 'string' ? mark : undefined,
      rows: Number(rows),
      digest: Number(digest),
    })
  }
  return places
}

/** Step by step down the index: there are few, however many rows they have. */
export function readSegments(prepare: Prepare): readonly number[] {
  const next = prepare('SELECT segment FROM sessions WHERE segment > ? ORDER BY segment LIMIT 1')
  const found: number[] = []
  for (let at = next.get(-1)?.[0]; typeof at === 'number' && at > (found.at(-1) ?? -1); at = next.get(at)?.[0]) found.push(at)
  return found
}

function nameOf(kind: string, path: string): string {
  return `${kind} ${path}`
}
