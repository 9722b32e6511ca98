/** Stores that are gone. */
import { mkdirSync, rmSync } from 'node:fs'
import promises from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { type Catalog, type CatalogStore, openCatalog } from '../../src/tree/catalog/catalog.js'
import { readQuery } from '../../src/tree/sessions/session-page.js'
import { entriesOf } from '../contracts/session-page.js'
import { replaced } from '../support/builtin.js'
import { listed, manyEntries, plainly, storeOf } from '../support/catalog-world.js'
import { tempFolder } from '../support/temp.js'

const FOREVER = new AbortController().signal
const DAY = 24 * 60 * 60_000
const ENTRIES = manyEntries(1200)
const OWN = entriesOf([{ id: 'own' }, { id: 's0007' }], 'opencode')

interface World extends Disposable {
  readonly stores: { readonly gone: CatalogStore; readonly there: CatalogStore; readonly own: CatalogStore }
  /** So many days later. */
  opened(days: number): Promise<Catalog>
  /** What another process does then: it lists its own store, or another one. */
  later(days: number, writes?: CatalogStore, among?: readonly CatalogStore[]): Promise<void>
  /** The stores that hide rows, by number. */
  hiders(): readonly unknown[]
  /** Rows by table. */
  rows(): Readonly<Record<string, number>>
  shown(stores: readonly CatalogStore[]): Promise<readonly string[]>
  remove(): void
}

/** A store that hides a session of the own one, another one, and the own one: all listed on the same day. */
async function world(): Promise<World> {
  const folder = tempFolder()
  const home = join(folder.path, 'home')
  const [gone, there, own] = ['gone', 'there', 'own'].map((name) => storeOf('opencode', join(folder.path, name))) as [
    CatalogStore,
    CatalogStore,
    CatalogStore,
  ]
  for (const { path } of [gone, there, own]) mkdirSync(path)
  const opened = (days: number): Promise<Catalog> => openCatalog({ home, clock: { ...systemClock, now: () => 1e12 + days * DAY } })
  using catalog = await opened(0)
  await catalog.write(gone, listed(ENTRIES, 'm'), plainly(gone), [gone, own])
  await catalog.write(there, listed(entriesOf([{ id: 'there' }], 'opencode'), 'm'), plainly(there), [there])
  await catalog.write(own, listed(OWN, 'm'), (entry) => ({ ...plainly(own)(entry), hiddenBy: entry.key.session === 's0007' ? gone : undefined }), [
    gone,
    own,
  ])
  return {
    stores: { gone, there, own },
    opened,
    async later(days, writes = own, among = [writes]) {
      using other = await opened(days)
      await other.write(writes, listed(writes === own ? OWN : ENTRIES, 'm2'), plainly(writes), among)
      await other.prune(among, FOREVER)
    },
    hiders() {
      const database = new Database(join(home, 'sessions.idx.db'), { readonly: true })
      const found = database.prepare('SELECT DISTINCT (segment / 4) % 1048576 FROM sessions ORDER BY 1').pluck().all()
      database.close()
      return found
    },
    rows() {
      const database = new Database(join(home, 'sessions.idx.db'), { readonly: true })
      const count = (table: string): number => Number(database.prepare(`SELECT count(*) FROM ${table}`).pluck().get())
      const counts = Object.fromEntries(['stores', 'sessions', 'entries', 'titles'].map((table) => [table, count(table)]))
      database.close()
      return counts
    },
    async shown(stores) {
      using other = await opened(0)
      return other.page(readQuery({ limit: 5, sort: 'created' }), stores).sessions.map(({ id }) => id)
    },
    remove: () => rmSync(gone.path, { recursive: true }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** Writes, until some of the rows of the gone store are gone. */
async function writesUntilSome(place: World, catalog: Catalog): Promise<void> {
  const { own } = place.stores
  for (let at = 0; place.rows().sessions === ALL.sessions; at++) {
    await turn()
    await catalog.write(own, listed(OWN, `m${at}`), plainly(own), [own])
  }
}

const ALL = { stores: 3, sessions: 1203, entries: 1203, titles: 1203 }

describe('rows of a store that is gone', () => {
  it('stay for thirty days after it was listed last, then they go, and what they hid is shown', async () => {
    using place = await world()
    const { gone, there, own } = place.stores
    place.remove()
    await place.later(29)
    expect([place.rows(), place.hiders()]).toEqual([ALL, [0, 1]])
    await place.later(31)
    expect(place.hiders()).toEqual([0])
    expect(place.rows()).toEqual({ stores: 2, sessions: 3, entries: 3, titles: 3 })
    expect(await place.shown([there])).toEqual(['there'])
    expect(await place.shown([gone, own])).toEqual(['own', 's0007'])
  })

  it('stay while it is there, listed or not', async () => {
    using place = await world()
    await place.later(400)
    expect(place.rows()).toEqual(ALL)
  })

  it('stay where the store is one of those that are looked at, as one that is not mounted', async () => {
    using place = await world()
    place.remove()
    const { gone, own } = place.stores
    await place.later(400, own, [gone, own])
    expect(place.rows()).toEqual(ALL)
  })

  it('go between the writes of others, which wait for one step at most', async () => {
    using place = await world()
    place.remove()
    using catalog = await place.opened(31)
    const { own } = place.stores
    const pruning = catalog.prune([own], FOREVER)
    await writesUntilSome(place, catalog)
    expect(place.rows().sessions).toBeGreaterThan(3)
    await pruning
    expect(place.rows()).toMatchObject({ stores: 2, sessions: 3 })
  })

  it('keep neither a write nor the end waiting while a disk does not answer', async () => {
    using place = await world()
    place.remove()
    using catalog = await place.opened(31)
    const { own } = place.stores
    const closing = new AbortController()
    {
      using _ = replaced(promises, 'lstat', () => (() => new Promise(() => undefined)) as typeof promises.lstat)
      const pruning = catalog.prune([own], closing.signal).catch((error: unknown) => error)
      expect(await catalog.write(own, listed(OWN, 'm3'), plainly(own), [own])).toBe(1)
      closing.abort('closed')
      expect(await pruning).toBe('closed')
    }
    expect(place.rows()).toEqual(ALL)
  })

  it('end with the signal, and are taken up by the next process', async () => {
    using place = await world()
    place.remove()
    {
      using catalog = await place.opened(31)
      const closing = new AbortController()
      const pruning = catalog.prune([place.stores.own], closing.signal).catch((error: unknown) => error)
      await writesUntilSome(place, catalog)
      closing.abort('closed')
      expect(await pruning).toBe('closed')
    }
    expect(place.rows()).toMatchObject({ stores: 3 })
    await place.later(31)
    expect(place.rows()).toMatchObject({ stores: 2, sessions: 3 })
  })

  it('count from the last listing of any process', async () => {
    using place = await world()
    await place.later(20, place.stores.gone)
    place.remove()
    await place.later(49)
    expect(place.rows()).toEqual(ALL)
    await place.later(51)
    expect(place.rows()).toMatchObject({ stores: 2, sessions: 3 })
  })
})
