/** A catalog of told sessions in a folder of its own. */
import { systemClock } from '../../src/core/clock.js'
import { AGENTS, type Agent } from '../../src/core/keys.js'
import type { Listing, SessionEntry } from '../../src/storage/store.js'
import { type Catalog, type CatalogStore, openCatalog } from '../../src/tree/catalog/catalog.js'
import type { ShownAs } from '../../src/tree/catalog/write.js'
import { metaOf } from '../../src/tree/sessions/session-meta.js'
import { readQuery, type SessionQuery } from '../../src/tree/sessions/session-page.js'
import { entriesOf, type PageRow, type PageWorld } from '../contracts/session-page.js'
import { tempFolder } from './temp.js'

export const CATALOG_STORES: readonly CatalogStore[] = AGENTS.map((agent) => ({ agent, kind: 'memory', path: `/stores/${agent}` }))

export function storeOf(agent: Agent = 'opencode', path = `/stores/${agent}`): CatalogStore {
  return { agent, kind: 'memory', path }
}

/** As it is, of the store, hiding nothing. */
export function plainly(store: CatalogStore): (entry: SessionEntry) => ShownAs {
  const metas = new WeakMap<SessionEntry, ShownAs>()
  return (entry) => {
    const held = metas.get(entry) ?? { meta: metaOf({ entry, store, record: entry.record, hidden: [] }, 0), hiddenBy: undefined, isPlain: true }
    metas.set(entry, held)
    return held
  }
}

export function listed(entries: readonly SessionEntry[], mark?: string): Listing<SessionEntry> {
  return { entries, issues: [], complete: true, mark }
}

/** Sessions `s00000`, ..., of an agent, the first one updated last. */
export function manyEntries(count: number, change: (at: number) => Partial<PageRow> = () => ({})): readonly SessionEntry[] {
  const digits = String(count).length
  const rows = Array.from({ length: count }, (_, at): PageRow => {
    const id = `s${String(at).padStart(digits, '0')}`
    return { id, title: `Session number ${at}`, created: 1000 + at, updated: 2_000_000 - at, ...change(at) }
  })
  return entriesOf(rows, 'opencode')
}

export interface CatalogWorld extends PageWorld {
  readonly home: string
  readonly catalog: Catalog
  read(query?: SessionQuery, stores?: readonly CatalogStore[]): readonly string[]
}

export async function catalogWorld(): Promise<CatalogWorld> {
  const folder = tempFolder()
  const catalog = await openCatalog({ home: folder.path, clock: systemClock })
  return {
    home: folder.path,
    catalog,
    async put(rows) {
      for (const store of CATALOG_STORES) await catalog.write(store, listed(entriesOf(rows, store.agent)), plainly(store))
    },
    page: async (query) => ({ ...catalog.page(readQuery(query ?? {}), CATALOG_STORES), stale: false }),
    read: (query = {}, stores = CATALOG_STORES) => catalog.page(readQuery(query), stores).sessions.map(({ id }) => id),
    [Symbol.asyncDispose]: async () => {
      catalog[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}
