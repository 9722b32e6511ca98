import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import type { Generation } from '../../src/storage/generation.js'
import { openSqlite, type SqlRow } from '../../src/storage/sqlite/driver.js'
import type { SessionEntry } from '../../src/storage/store.js'
import { type Catalog, type CatalogStore, openCatalog } from '../../src/tree/catalog/catalog.js'
import { type Prepare, preparing, readSessions, type SessionReading } from '../../src/tree/catalog/pages.js'
import { catalogPlaces } from '../../src/tree/catalog/places.js'
import { cursorAfter, readQuery, type SessionQuery } from '../../src/tree/sessions/session-page.js'
import type { SessionMeta } from '../../src/tree/types.js'
import { describePages, entriesOf } from '../contracts/session-page.js'
import { type CatalogWorld, catalogWorld, listed, manyEntries, plainly, storeOf } from '../support/catalog-world.js'
import { tempFolder } from '../support/temp.js'

describePages('in the catalog', catalogWorld)

/** The writes that others see. */
function writesOf({ home }: CatalogWorld): { readonly seen: () => unknown; [Symbol.dispose](): void } {
  const database = new Database(join(home, 'sessions.idx.db'), { readonly: true })
  return { seen: () => database.pragma('data_version'), [Symbol.dispose]: () => void database.close() }
}

function rowsOf({ home }: CatalogWorld, sql: string): readonly unknown[][] {
  const database = new Database(join(home, 'sessions.idx.db'), { readonly: true })
  const rows = database.prepare(sql).raw(true).all() as unknown[][]
  database.close()
  return rows
}

function damage({ home }: CatalogWorld, sql: string): void {
  const database = new Database(join(home, 'sessions.idx.db'))
  database.exec(sql)
  database.close()
}

function reopened({ home }: CatalogWorld): Promise<Catalog> {
  return openCatalog({ home, clock: systemClock })
}

describe('what a listing left', () => {
  const store = storeOf()
  const entries = manyEntries(500)

  it('is given back as it was, with its mark, to the next process', async () => {
    await using world = await catalogWorld()
    const key = sessionKey('opencode', parseSessionId('broken'))
    const path = '/stores/opencode/broken.json'
    const damaged: SessionEntry = {
      key,
      path,
      project: 'p',
      record: undefined,
      generation: 'g' as Generation,
      damage: { code: 'CORRUPT_RECORD', key, path, reason: 'half of it' },
    }
    const all = [
      ...entries,
      { ...entries[0], key: sessionKey('opencode', parseSessionId('v')), version: 'v1', record: undefined } as SessionEntry,
      damaged,
    ]
    expect(world.catalog.knows(store)).toBe(false)
    expect(await world.catalog.before(store)).toBeUndefined()
    await world.catalog.write(store, listed(all, 'mark 1'), plainly(store))
    using other = await reopened(world)
    expect(other.knows(store)).toBe(true)
    const before = await other.before(store)
    expect(before?.mark).toBe('mark 1')
    expect(new Map(before?.entries.map((entry) => [entry.key.session, entry]))).toEqual(new Map(all.map((entry) => [entry.key.session, entry])))
    expect(other.copies(key, [store])).toEqual([{ store, entry: damaged }])
  })

  it('keeps no mark of a listing that was not complete, and its rows', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries, 'mark 1'), plainly(store))
    const [first] = entries
    const part = { entries: [{ ...first, version: 'new' } as SessionEntry], issues: [], complete: false, mark: 'mark 2' }
    await world.catalog.write(store, part, plainly(store))
    const before = await world.catalog.before(store)
    expect(before?.mark).toBeUndefined()
    expect(before?.entries).toHaveLength(500)
    expect(before?.entries.find(({ key }) => key.session === first?.key.session)?.version).toBe('new')
  })

  it('goes with its session, in a complete listing of its own store alone', async () => {
    await using world = await catalogWorld()
    const claude = storeOf('claude')
    await world.catalog.write(store, listed(entries, 'a'), plainly(store))
    await world.catalog.write(claude, listed(entriesOf([{ id: 'c', agent: 'claude' }], 'claude'), 'b'), plainly(claude))
    await world.catalog.write(store, listed(entries.slice(400), 'c'), plainly(store))
    expect((await world.catalog.before(store))?.entries).toHaveLength(100)
    expect((await world.catalog.before(store))?.mark).toBe('c')
    expect((await world.catalog.before(claude))?.mark).toBe('b')
    expect(world.read({ limit: 500 })).toHaveLength(101)
    expect(world.read({ search: 'number 17' })).toEqual([])
  })

  it('has no mark, and not the row, where a row was damaged; the next write makes the file anew', async () => {
    const harms = [
      `UPDATE entries SET record = replace(record, 'Session', 'Sassion') WHERE row = (SELECT row FROM sessions WHERE id = 's007')`,
      `UPDATE entries SET generation = 'other' WHERE row = (SELECT row FROM sessions WHERE id = 's007')`,
      `UPDATE entries SET record = '{"id":1}' WHERE row = (SELECT row FROM sessions WHERE id = 's007')`,
      `DELETE FROM entries WHERE row = (SELECT row FROM sessions WHERE id = 's007')`,
      `UPDATE sessions SET crc = 5 WHERE id = 's007'`,
      `UPDATE sessions SET id = '../x' WHERE id = 's007'`,
      `UPDATE sessions SET crc = 1 WHERE id = 's007'`,
    ]
    for (const harm of harms) {
      await using world = await catalogWorld()
      await world.catalog.write(store, listed(entries, 'm'), plainly(store))
      damage(world, harm)
      const before = await world.catalog.before(store)
      expect(before?.mark).toBeUndefined()
      expect(before?.entries.map(({ key }) => key.session)).toEqual(entries.map(({ key }) => key.session).filter((id) => id !== 's007'))
      await world.catalog.write(store, listed(entries, 'm'), plainly(store))
      expect(world.catalog.rebuilt).toBe('rows in it were damaged')
      expect((await world.catalog.before(store))?.mark).toBe('m')
    }
  })

  it('has no mark where a row is missing that another process took away', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    damage(world, `DELETE FROM sessions WHERE id = 's007'`)
    expect((await world.catalog.before(store))?.mark).toBeUndefined()
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    expect((await world.catalog.before(store))?.mark).toBe('m')
  })

  it('leaves out a card that is damaged, and shows the others', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries.slice(0, 5), 'm'), plainly(store))
    damage(world, `UPDATE sessions SET card = replace(card, 'number', 'numbor') WHERE id = 's002'`)
    expect(world.read()).toEqual(['s000', 's001', 's003', 's004'])
    await world.catalog.write(store, listed(entries.slice(0, 5), 'm'), plainly(store))
    expect(world.read()).toEqual(['s000', 's001', 's002', 's003', 's004'])
  })

  it('goes on behind a page that had a damaged row', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries.slice(0, 9), 'm'), plainly(store))
    damage(world, `UPDATE sessions SET card = '[]' WHERE id = 's002'`)
    const found: string[] = []
    let after: string | undefined
    do {
      const page = world.catalog.page(readQuery({ limit: 3, ...(after !== undefined && { after }) }), [store])
      found.push(...page.sessions.map(({ id }) => id))
      after = page.next
    } while (after !== undefined)
    expect(found).toEqual(['s000', 's001', 's003', 's004', 's005', 's006', 's007', 's008'])
  })

  it('is not damaged because something was asked that SQLite has no answer to', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    const cwd = Array.from({ length: 2000 }, (_, at) => `/work/${at}/`)
    expect(() => world.read({ sort: 'name', cwd })).toThrow(/folders/)
    expect(world.read({ sort: 'name', cwd: cwd.slice(0, 400) })).toEqual([])
    expect(world.read({ limit: 1e300 })).toHaveLength(500)
    expect(world.read({ search: 'session '.repeat(5000) })).toHaveLength(50)
    expect(world.catalog.edition()).toBe(1)
  })

  it('never has what could not be read back: a time without end, a model that is no model, half a character', async () => {
    await using world = await catalogWorld()
    const odd = (id: string, change: object): SessionEntry => {
      const [entry] = entriesOf([{ id }], 'opencode')
      return { ...entry, record: { ...entry?.record, ...change } } as SessionEntry
    }
    const half = { ...odd('d', {}), project: 'p\ud800' }
    const strange = [
      odd('a', { time: { created: 1, updated: Number.POSITIVE_INFINITY } }),
      odd('b', { model: 'gpt' }),
      odd('c', { title: 'fine' }),
      half,
    ]
    await world.catalog.write(store, listed(strange, 'm'), plainly(store))
    expect(world.read()).toEqual(['c'])
    const before = await world.catalog.before(store)
    expect([before?.entries.length, before?.mark]).toEqual([1, undefined])
    expect([world.catalog.rebuilt, world.catalog.edition()]).toEqual([undefined, 1])
  })

  it('does not know a store of which it lacks a session, until it has all of them', async () => {
    await using world = await catalogWorld()
    const [fine, ...others] = entriesOf([{ id: 'a' }, { id: 'b' }, { id: 'c' }], 'opencode')
    const half = others.map((entry) => ({ ...entry, project: 'p\ud800' }))
    if (fine === undefined) throw new Error('no entry')
    await world.catalog.write(store, listed([fine], 'm'), plainly(store))
    expect(world.catalog.knows(store)).toBe(true)
    await world.catalog.write(store, listed([fine, ...half], 'm'), plainly(store))
    expect(world.catalog.knows(store)).toBe(false)
    using writes = writesOf(world)
    const before = writes.seen()
    await world.catalog.write(store, listed([fine, ...half], 'm'), plainly(store))
    expect(writes.seen()).toEqual(before)
    await world.catalog.write(store, listed([fine, ...others], 'm'), plainly(store))
    expect(world.catalog.knows(store)).toBe(true)
  })
})

describe('writing a listing', () => {
  const store = storeOf()
  const entries = manyEntries(1000)

  it('writes nothing where nothing differs, whether it knows the entries or not', async () => {
    await using world = await catalogWorld()
    const shown = plainly(store)
    await world.catalog.write(store, listed(entries, 'm'), shown)
    using writes = writesOf(world)
    const before = writes.seen()
    await world.catalog.write(store, listed(entries, 'm'), shown)
    await world.catalog.write(store, listed(structuredClone(entries), 'm'), plainly(store))
    expect(writes.seen()).toEqual(before)
  })

  it('writes the rows that differ, and no others', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    damage(world, 'CREATE TABLE touched (row); CREATE TRIGGER touch AFTER UPDATE ON sessions BEGIN INSERT INTO touched VALUES (old.id); END')
    const changed = entries.map((entry, at) => (at % 200 === 7 ? { ...entry, version: 'new' } : entry))
    await world.catalog.write(store, listed(changed, 'm2'), plainly(store))
    expect(rowsOf(world, 'SELECT row FROM touched').flat()).toEqual(['s0007', 's0207', 's0407', 's0607', 's0807'])
    expect((await world.catalog.before(store))?.mark).toBe('m2')
  })

  it('writes again what was written before another listing took its place', async () => {
    await using world = await catalogWorld()
    const changed = entries.slice(5).map((entry, at) => (at % 9 === 0 ? { ...entry, version: 'other' } : entry))
    const shown = plainly(store)
    for (const [list, mark] of [
      [entries, 'a'],
      [changed, 'b'],
      [entries, 'a'],
      [changed, 'b'],
    ] as const) {
      await world.catalog.write(store, listed(list, mark), shown)
      using other = await reopened(world)
      const before = await other.before(store)
      expect(before?.mark).toBe(mark)
      expect(before?.entries.map(({ version }) => version)).toEqual(list.map(({ version }) => version))
    }
  })

  it('lets the event loop turn', async () => {
    await using world = await catalogWorld()
    let turns = 0
    const counting = setInterval(() => turns++, 0)
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    clearInterval(counting)
    expect(turns).toBeGreaterThan(10)
  })

  it('writes the rows of a first listing some at a time, so that others may write in between, and shows them when all are there', async () => {
    await using world = await catalogWorld()
    using reader = await openSqlite(world.catalog.path, { readOnly: true })
    const seen = new Set<unknown>()
    const shown = plainly(store)
    await world.catalog.write(store, listed(manyEntries(2500), 'm'), (entry) => {
      seen.add(reader.prepare('SELECT (SELECT count(*) FROM sessions), (SELECT count(listed) FROM stores)').get()?.join())
      return shown(entry)
    })
    expect([...seen]).toEqual(['0,0', '1000,0', '1500,0'])
    expect((await world.catalog.before(store))?.mark).toBe('m')
  })

  it('leaves no row behind of a store that another process takes away meanwhile, and writes all of it the next time', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries.slice(0, 3), 'm'), plainly(store))
    const shown = plainly(store)
    let asked = 0
    const taken = await world.catalog.write(store, listed(entries, 'm2'), (entry) => {
      if (asked++ === 0) damage(world, 'DELETE FROM sessions; DELETE FROM entries; DELETE FROM stores')
      return shown(entry)
    })
    expect([taken, rowsOf(world, 'SELECT count(*) FROM sessions'), world.catalog.issues.length]).toEqual([undefined, [[0]], 1])
    expect(await world.catalog.write(store, listed(entries, 'm2'), shown)).toBe(1)
    expect([world.read({ limit: 500 }).length, world.catalog.issues]).toEqual([500, []])
  })

  it('keeps no thread waiting while another process writes', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries.slice(0, 3), 'm'), plainly(store))
    using other = await openSqlite(world.catalog.path, { readOnly: false })
    other.exec('BEGIN IMMEDIATE')
    // Few rows: the first turn of the event loop is that of the waiting.
    const writing = world.catalog.write(store, listed(entries.slice(0, 9), 'm2'), plainly(store))
    setTimeout(() => other.exec('ROLLBACK'), 1)
    await writing
    expect((await world.catalog.before(store))?.mark).toBe('m2')
  })

  it('leaves out, this time, what another process keeps from being written', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(store, listed(entries.slice(0, 3), 'm'), plainly(store))
    const other = new Database(join(world.home, 'sessions.idx.db'))
    other.exec('BEGIN IMMEDIATE')
    await world.catalog.write(store, listed(entries, 'm2'), plainly(store))
    expect(world.catalog.issues).toEqual([])
    expect(world.read()).toHaveLength(3)
    other.exec('ROLLBACK')
    other.close()
    await world.catalog.write(store, listed(entries, 'm2'), plainly(store))
    expect((await world.catalog.before(store))?.mark).toBe('m2')
  })
})

describe('copies of a session', () => {
  const upper = storeOf('opencode', '/a')
  const lower = storeOf('opencode', '/b')
  const third = storeOf('opencode', '/c')
  const both = entriesOf([{ id: 'both', title: 'upper', updated: 5 }], 'opencode')
  const old = entriesOf(
    [
      { id: 'both', title: 'lower', updated: 4 },
      { id: 'own', title: 'own', updated: 3 },
    ],
    'opencode',
  )

  it('are shown once; one that is hidden by a store is shown to who does not have that store', async () => {
    await using world = await catalogWorld()
    const hidden = (entry: SessionEntry) => ({ ...plainly(lower)(entry), hiddenBy: entry.key.session === 'both' ? upper : undefined })
    await world.catalog.write(upper, listed(both), plainly(upper))
    await world.catalog.write(lower, listed(old), hidden)
    const titles = (stores: readonly (typeof upper)[]) => world.catalog.page(readQuery({}), stores).sessions.map(({ title }) => title)
    expect(titles([upper, lower])).toEqual(['upper', 'own'])
    expect(titles([upper])).toEqual(['upper'])
    expect(titles([lower])).toEqual(['lower', 'own'])
    expect(titles([lower, third])).toEqual(['lower', 'own'])
    expect(titles([third])).toEqual([])
    expect(world.catalog.byId(parseSessionId('both'), [upper, lower]).map(({ title, source }) => [title, source.path])).toEqual([['upper', '/a']])
    expect(world.catalog.byId(parseSessionId('both'), [lower]).map(({ title }) => title)).toEqual(['lower'])
    expect(world.catalog.copies(sessionKey('opencode', parseSessionId('both')), [upper, lower])).toHaveLength(2)
    expect(world.catalog.count(readQuery({}), [upper, lower])).toBe(2)
  })

  it('move when another one is shown', async () => {
    await using world = await catalogWorld()
    await world.catalog.write(upper, listed(both), plainly(upper))
    await world.catalog.write(lower, listed(old), plainly(lower))
    await world.catalog.write(upper, listed(both), (entry) => ({ ...plainly(upper)(entry), hiddenBy: lower }))
    expect(world.read({}, [upper, lower])).toEqual(['both', 'own'])
    expect(world.catalog.page(readQuery({}), [upper, lower]).sessions[0]?.title).toBe('lower')
  })
})

interface Asked {
  readonly plan: string
  readonly rows: number
}

interface AllKinds extends AsyncDisposable {
  /** Of rows of sessions, in order. */
  readonly asked: readonly Asked[]
  begin(query: SessionQuery): SessionReading
  read(query: SessionQuery): { readonly sessions: readonly SessionMeta[]; readonly asked: readonly Asked[] }
}

/** Children, archived ones, and both, all of one folder and tag. */
async function storeOfAllKinds(count: number): Promise<AllKinds> {
  const world = await catalogWorld()
  const store = storeOf()
  const kind = (at: number) => ({ directory: '/work', tag: 'red', ...(at % 7 === 0 && { parent: 's001' }), ...(at % 9 === 0 && { archived: 5 }) })
  await world.catalog.write(store, listed(manyEntries(count, kind)), plainly(store))
  const database = await openSqlite(world.catalog.path, { readOnly: true })
  const prepare = preparing(database)
  const asked: Asked[] = []
  const spy: Prepare = (sql) => {
    const statement = prepare(sql)
    if (!sql.startsWith('SELECT id, card')) return statement
    const plan = prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...Array.from(sql.matchAll(/\?/g), () => 1))
    const note = (rows: SqlRow[]): SqlRow[] => {
      asked.push({ plan: plan.map((row) => String(row.at(-1))).join('\n'), rows: rows.length })
      return rows
    }
    return { ...statement, all: (...values) => note(statement.all(...values)) }
  }
  const begin = (query: SessionQuery): SessionReading => readSessions(spy, catalogPlaces(prepare).segments([store]), readQuery(query))
  return {
    asked,
    begin,
    read(query) {
      const from = asked.length
      const { sessions } = begin(query).take(query.limit ?? 50)
      return { sessions, asked: asked.slice(from) }
    },
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

describe('the plan of a page', () => {
  const fixed: readonly (readonly [string, SessionQuery, RegExp])[] = [
    ['by the last update', {}, /sessions_updated/],
    ['by creation', { sort: 'created' }, /sessions_created/],
    ['by name', { sort: 'name' }, /sessions_name/],
    ['of a folder', { cwd: '/work' }, /sessions_cwd/],
    ['below a folder', { cwd: '/' }, /sessions_cwd/],
    ['of folders', { cwd: ['/work', '/other'] }, /sessions_cwd/],
    ['below a folder, of all kinds', { cwd: '/', children: true, archived: true }, /sessions_cwd/],
    ['by name, of all kinds', { sort: 'name', children: true, archived: true }, /sessions_name/],
    ['with a tag', { tag: 'red' }, /sessions_tag/],
    ['of an agent', { agent: 'opencode' }, /sessions_updated/],
    ['with everything that is left out', { children: true, archived: true }, /sessions_updated/],
    ['with archived ones', { archived: true }, /sessions_updated/],
    ['with children, by creation', { children: true, sort: 'created' }, /sessions_created/],
  ]

  it.each(fixed)('%s is a range of an index', async (_name, query, index) => {
    await using place = await storeOfAllKinds(300)
    const first = place.read({ ...query, limit: 3 })
    const { asked } = place.read({ ...query, limit: 3, after: cursorAfter(first.sessions[2] as SessionMeta, query) })
    const all = [...first.asked, ...asked]
    expect(all.length).toBeGreaterThanOrEqual(3)
    for (const { plan } of all) {
      expect(plan).toMatch(index)
      expect(plan).not.toMatch(/SCAN|TEMP B-TREE/)
    }
  })

  it.each([
    ['few', 'number 17', /SEARCH sessions USING INTEGER PRIMARY KEY/],
    ['many', 'session', /SEARCH sessions USING INDEX sessions_updated/],
  ])('of a search that finds %s goes through the titles, and through no other table', async (_name, search, index) => {
    await using place = await storeOfAllKinds(2500)
    for (const { plan } of place.read({ search, limit: 3 }).asked) {
      expect(plan).toMatch(index)
      expect(plan).toMatch(/titles VIRTUAL TABLE INDEX/)
      expect(plan.replace(/SCAN titles VIRTUAL TABLE INDEX/g, '')).not.toMatch(/SCAN/)
    }
  })

  it('of a first page reads its rows, and a row more of each range', async () => {
    await using place = await storeOfAllKinds(2000)
    const rows = (query: SessionQuery): number => place.read(query).asked.reduce((sum, { rows }) => sum + rows, 0)
    expect(rows({ limit: 50 })).toBeLessThanOrEqual(51)
    expect(rows({ limit: 50, children: true, archived: true })).toBeLessThanOrEqual(50 + 2 * 4 + 50)
  })

  it('reads every row once where all pages are asked for, in a few statements', async () => {
    await using place = await storeOfAllKinds(2000)
    const reading = place.begin({ children: true, archived: true, sort: 'name' })
    const found: string[] = []
    let pages = 0
    for (; !reading.isAtEnd(); pages++) found.push(...reading.take(50).sessions.map(({ id }) => id))
    expect([pages, new Set(found).size, found.length]).toEqual([40, 2000, 2000])
    expect(place.asked.reduce((sum, { rows }) => sum + rows, 0)).toBe(2000)
    expect(place.asked.length).toBeLessThan(50)
  })

  it('goes on from what is there: neither what this process wrote nor what another one did is missed', async () => {
    await using world = await catalogWorld()
    using other = await reopened(world)
    const store = storeOf()
    const entries = manyEntries(100)
    await world.catalog.write(store, listed(entries, 'm'), plainly(store))
    for (const [at, writer] of [world.catalog, other].entries()) {
      const { next = '' } = world.catalog.page(readQuery({ limit: 10 }), [store])
      const changed = entries.map((entry, place) =>
        place === 12 + at ? entriesOf([{ id: `new${at}`, updated: 2_000_000 - place }], 'opencode') : [entry],
      )
      await writer.write(store, listed(changed.flat(), 'm2'), plainly(store))
      const page = world.catalog.page(readQuery({ limit: 4, after: next }), [store]).sessions.map(({ id }) => id)
      expect(page).toEqual(['s010', 's011', ...(at === 0 ? ['new0', 's013'] : ['s012', 'new1'])])
    }
    const first = world.catalog.page(readQuery({ limit: 10 }), [store])
    expect(world.catalog.page(readQuery({ limit: 4, after: first.next ?? '' }), []).sessions).toEqual([])
    expect(world.catalog.page(readQuery({ limit: 1, after: first.next ?? '' }), [store]).sessions.map(({ id }) => id)).toEqual(['s010'])
  })

  it('shows each row once, though another process moves it to where others stand while the page is read', async () => {
    await using world = await catalogWorld()
    const store = storeOf()
    await world.catalog.write(store, listed(manyEntries(3), 'm'), plainly(store))
    using other = await openSqlite(world.catalog.path, { readOnly: false })
    let asked = 0
    const archives: CatalogStore = {
      ...store,
      // It is asked for once the segments are known.
      get path() {
        if (asked++ === 0) other.exec("UPDATE sessions SET segment = segment + 2 WHERE id = 's1'")
        return store.path
      },
    }
    const page = world.catalog.page(readQuery({ archived: true }), [archives])
    expect(page.sessions.map(({ id }) => id)).toEqual(['s0', 's1', 's2'])
    expect(world.read({ archived: true }, [archives])).toEqual(['s0', 's1', 's2'])
    expect(world.read({}, [archives])).toEqual(['s0', 's2'])
  })

  it('finds few and many titles alike', async () => {
    await using world = await catalogWorld()
    const store = storeOf()
    const entries = manyEntries(2500, (at) => ({ title: at % 500 === 3 ? 'rare one' : `common ${at}`, tag: at % 2 === 0 ? 'even' : 'odd' }))
    await world.catalog.write(store, listed(entries), plainly(store))
    expect(world.read({ search: 'rare' })).toEqual(['s0003', 's0503', 's1003', 's1503', 's2003'])
    expect(world.read({ search: 'comm', limit: 3 })).toEqual(['s0000', 's0001', 's0002'])
    expect(world.read({ search: 'comm', tag: 'odd', limit: 3 })).toEqual(['s0001', 's0005', 's0007'])
    expect(world.catalog.count(readQuery({ search: 'comm' }), [store])).toBe(2495)
  })

  it('goes through folders one by one, or through all where there are many', async () => {
    await using world = await catalogWorld()
    const store = storeOf()
    await world.catalog.write(
      store,
      listed(manyEntries(400, (at) => ({ directory: at % 4 === 0 ? `/few/${at % 3}` : `/many/${at}` }))),
      plainly(store),
    )
    expect(world.read({ cwd: '/few/', limit: 4 })).toEqual(['s000', 's004', 's008', 's012'])
    expect(world.read({ cwd: '/many/', limit: 4 })).toEqual(['s001', 's002', 's003', 's005'])
    expect(world.read({ cwd: '/many/', limit: 500 })).toHaveLength(300)
    expect(world.read({ cwd: '/few/', sort: 'name', limit: 500 })).toHaveLength(100)
  })
})

describe('children', () => {
  it('are found by their parent, the oldest first, of the same agent', async () => {
    await using world = await catalogWorld()
    await world.put([
      { id: 'p' },
      { id: 'late', parent: 'p', created: 9 },
      { id: 'early', parent: 'p', created: 3, archived: 4 },
      { id: 'other', parent: 'p', agent: 'claude' },
    ])
    const key = sessionKey('opencode', parseSessionId('p'))
    expect(world.catalog.children(key, [storeOf()]).map(({ id }) => id)).toEqual(['early', 'late'])
  })
})

describe('the file', () => {
  it('does not keep the text of what is gone', async () => {
    using folder = tempFolder()
    const store = storeOf()
    const prompt = 'a word behind the other'
    const texts = (): readonly string[] => readdirSync(folder.path).filter((name) => readFileSync(join(folder.path, name)).includes(prompt))
    for (const [mark, gone] of [['m', manyEntries(60, () => ({ title: prompt }))] as const, ['m2', []] as const]) {
      using catalog = await openCatalog({ home: folder.path, clock: systemClock })
      await catalog.write(store, listed([...entriesOf([{ id: 'x' }], 'opencode'), ...gone], mark), plainly(store))
      if (gone.length > 0) expect(texts()).not.toEqual([])
    }
    expect(texts()).toEqual([])
  })

  it('is for its owner alone, and so are those beside it', async () => {
    await using world = await catalogWorld()
    await world.put([{ id: 'a' }])
    for (const name of ['sessions.idx.db', 'sessions.idx.db-wal', 'sessions.idx.db-shm'])
      expect(statSync(join(world.home, name)).mode & 0o777).toBe(0o600)
  })
})
