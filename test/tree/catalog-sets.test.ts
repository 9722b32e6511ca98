/** Sets of sessions that are opened with a home. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import Database from 'better-sqlite3'
import { describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { StorageError } from '../../src/core/errors.js'
import { type OpenOptions, openSessions } from '../../src/open.js'
import { fixedStores } from '../../src/storage/store-source.js'
import { type Catalog, openCatalog } from '../../src/tree/catalog/catalog.js'
import { pageSessions } from '../../src/tree/sessions/session-page.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { SessionMeta } from '../../src/tree/types.js'
import { agentHome } from '../support/agent-homes.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { everyEra } from '../support/every-era.js'
import { pastGrain } from '../support/past-grain.js'
import { jsonFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { treeOf } from '../support/trees.js'

const START = Date.parse('2026-09-01T10:00:00Z')

interface World extends Disposable {
  readonly home: string
  readonly data: readonly string[]
  readonly folder: string
  open(options?: OpenOptions): Promise<Sessions>
  /** What is there, without a catalog. */
  fresh(options?: OpenOptions): Promise<readonly SessionMeta[]>
}

/** Every era of OpenCode, with copies, and the logs of the other agents. */
function world(): World {
  const eras = everyEra()
  const agents = agentHome()
  const place = tempFolder()
  const home = join(place.path, 'home')
  const data = [eras.data, agents.path]
  const given = { data, env: { HOME: place.path } }
  return {
    home,
    data,
    folder: place.path,
    open: (options = {}) => openSessions({ ...given, home, ...options }),
    async fresh(options = {}) {
      await using sessions = await openSessions({ ...given, ...options })
      return everything(sessions)
    },
    [Symbol.dispose]() {
      for (const one of [eras, agents, place]) one[Symbol.dispose]()
    },
  }
}

const name = ({ key }: SessionMeta): string => `${key.agent} ${key.session}`

/** By name: sessions of one time stand in any order. */
function everything({ index }: Sessions): readonly SessionMeta[] {
  return [...index.sessionsByTime()].sort((a, b) => (name(a) < name(b) ? -1 : 1))
}

/** Every file below a folder, as it stands. */
function filesBelow(folder: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || path.endsWith('-shm') || path.endsWith('-wal')) continue
    files.set(path, `${statSync(path).mtimeMs} ${readFileSync(path).toString('base64')}`)
  }
  return files
}

describe('a set with a catalog', () => {
  it('is there at once the second time, with what the first one listed, and then with what is there', async () => {
    using place = world()
    const truth = await place.fresh()
    expect(truth.length).toBeGreaterThan(6)
    {
      await using first = await place.open()
      expect([first.stale, everything(first)]).toEqual([false, truth])
    }
    await using sessions = await place.open()
    expect(sessions.stale).toBe(true)
    expect(sessions.stores.flatMap(({ work }) => [work.files, work.rows]).filter((count) => count > 20)).toEqual([])
    expect(everything(sessions)).toEqual(truth)
    expect(sessions.index.stats().sessions).toBe(truth.length)
    for (const meta of truth) {
      expect(sessions.index.session(meta.key)).toEqual(meta)
      expect(sessions.index.children(meta.key)).toEqual(truth.filter(({ parent, key }) => parent === meta.id && key.agent === meta.key.agent))
    }
    const early = await pageSessions(sessions, { children: true, archived: true, sort: 'name' })
    expect(early.stale).toBe(true)
    const { report } = await sessions.refresh()
    expect(sessions.stale).toBe(false)
    expect(everything(sessions)).toEqual(truth)
    expect(await pageSessions(sessions, { children: true, archived: true, sort: 'name' })).toEqual({ ...early, stale: false })
    expect(report.sessions).toBe(truth.length)
  })

  it('finds a log by its first prompt, which is not its title, before it is listed and then', async () => {
    using place = tempFolder()
    const logs = join(place.path, '.claude', 'projects', '-srv-sky')
    mkdirSync(logs, { recursive: true })
    const text = `Why does the pelican\n dive? ${'blue '.repeat(300)}`
    const message = { type: 'user', uuid: 'u1', parentUuid: null, sessionId: 'x', cwd: '/srv/sky', message: { role: 'user', content: text } }
    const title = { type: 'custom-title', customTitle: 'Birds', sessionId: 'x' }
    const id = '0b9d5b0a-0000-4000-8000-000000000001'
    writeFileSync(join(logs, `${id}.jsonl`), `${[message, title].map((line) => JSON.stringify(line)).join('\n')}\n`)
    const given = { data: join(place.path, '.claude'), home: join(place.path, 'home'), env: { HOME: place.path } }
    await (await openSessions(given)).close()
    await using sessions = await openSessions(given)
    for (const stale of [true, false]) {
      const page = await pageSessions(sessions, { search: 'birds pelican' })
      expect(page).toMatchObject({ stale, sessions: [{ id, title: 'Birds' }] })
      expect(page.sessions[0]?.prompt).toMatch(/^Why does the pelican dive\? (blue ){10}.*…$/)
      expect(page.sessions[0]?.prompt).toHaveLength(1000)
      await sessions.refresh()
    }
  })

  it('tells with its first refresh what happened since the set before, and nothing else', async () => {
    using place = world()
    await pastGrain()
    await (await place.open()).close()
    {
      await using sessions = await place.open()
      expect(await sessions.refresh()).toMatchObject({ added: [], changed: [], removed: [] })
    }
    const writer = new Database(join(place.data[0] ?? '', 'opencode.db'))
    const [id] = writer.prepare('SELECT id FROM session_v2 LIMIT 1').raw(true).get() as [string]
    writer.prepare('UPDATE session_v2 SET title = ?, time_updated = time_updated + 5 WHERE id = ?').run('Renamed', id)
    writer.close()
    const jcode = join(place.data[1] ?? '', '.jcode', 'sessions')
    for (const name of readdirSync(jcode)) rmSync(join(jcode, name), { recursive: true })
    await pastGrain()
    await using sessions = await place.open()
    expect(sessions.stale).toBe(true)
    const { added, changed, removed } = await sessions.refresh()
    expect([added, changed.map(({ session }) => session), removed.map(({ agent }) => agent)]).toEqual([[], [id], ['jcode']])
    expect(await sessions.refresh()).toMatchObject({ added: [], changed: [], removed: [] })
  })

  it('reads any session while it is stale, as it reads it without', async () => {
    using place = world()
    const truth = await place.fresh()
    const trees = async (sessions: Sessions) => {
      const found: unknown[] = []
      for (const { key } of truth) found.push(JSON.stringify(await treeOf(sessions, { session: key })))
      return found
    }
    await using plain = await openSessions({ data: place.data })
    const expected = await trees(plain)
    await (await place.open()).close()
    await using sessions = await place.open()
    const first = truth.find(({ hides }) => hides.length > 1)
    const located = first && (await sessions.locate(first.id))
    expect(sessions.stale).toBe(true)
    expect(located?.entry.key).toEqual(first?.key)
    expect(located?.hidden.length).toBe(first?.hides.length)
    expect(await trees(sessions)).toEqual(expected)
    await sessions.refresh()
    expect(await trees(sessions)).toEqual(expected)
  })

  it('reads no log because another one is used while it is stale', async () => {
    using place = world()
    const folder = join(place.folder, '.claude', 'projects', 'p')
    mkdirSync(folder, { recursive: true })
    const ids = [1, 2, 3, 4].map((at) => `00000000-0000-4000-8000-00000000000${at}`)
    for (const id of ids) {
      const line = { type: 'user', uuid: `u${id}`, parentUuid: null, sessionId: id, cwd: '/w', timestamp: '2026-01-01T00:00:00.000Z' }
      writeFileSync(join(folder, `${id}.jsonl`), `${JSON.stringify({ ...line, message: { role: 'user', content: 'hello' } })}\n`)
      utimesSync(join(folder, `${id}.jsonl`), 1e9, 1e9)
    }
    const options = { data: join(place.folder, '.claude') }
    await (await place.open(options)).close()
    await using sessions = await place.open(options)
    expect(sessions.stale).toBe(true)
    expect((await sessions.locate(ids[2] as SessionMeta['id'])).entry.key.session).toBe(ids[2])
    expect(sessions.stores.map(({ work }) => work.files)).toEqual([0])
  })

  it('looks at a session that is used in a store, too, that did not have it before', async () => {
    using place = world()
    const path = join(place.data[0] ?? '', 'opencode.db')
    const upper = (await place.fresh()).find(
      ({ source, hides }) => source.kind === 'opencode-v2' && hides.some(({ kind }) => kind === 'opencode-json'),
    )
    const id = upper?.id ?? ''
    const database = new Database(path)
    database.pragma('foreign_keys = OFF')
    const tables = ['session', 'session_v2']
    for (const table of tables) {
      database.exec(`CREATE TABLE kept_${table} AS SELECT * FROM ${table} WHERE id = '${id}'`)
      database.exec(`DELETE FROM ${table} WHERE id = '${id}'`)
    }
    await (await place.open()).close()
    for (const table of tables) database.exec(`INSERT INTO ${table} SELECT * FROM kept_${table}; DROP TABLE kept_${table}`)
    database.close()
    await using sessions = await place.open()
    expect(sessions.index.findById(id as SessionMeta['id'])?.source.kind).toBe('opencode-json')
    const { store, hidden } = await sessions.locate(id as SessionMeta['id'])
    expect([sessions.stale, store.kind, hidden.length]).toEqual([true, 'opencode-v2', upper?.hides.length])
  })

  it('shows what was, looks at what is used, and then shows what is', async () => {
    using place = world()
    await (await place.open()).close()
    const path = join(place.data[0] ?? '', 'opencode.db')
    const writer = new Database(path)
    const [id] = writer.prepare('SELECT id FROM session_v2 LIMIT 1').raw(true).get() as [string]
    writer.prepare('UPDATE session_v2 SET title = ?, time_updated = time_updated + 5 WHERE id = ?').run('Renamed', id)
    writer.close()
    await using sessions = await place.open()
    const titled = (title: string) => sessions.index.sessionsByTime().filter((meta) => meta.title === title)
    expect(titled('Renamed')).toEqual([])
    const { record, entry } = await sessions.locate(id as SessionMeta['id'])
    expect(record?.title).toBe('Renamed')
    expect(sessions.index.session(entry.key)?.title).toBe('Renamed')
    await sessions.refresh()
    expect(titled('Renamed')).toHaveLength(1)
    await sessions.close()
    await using next = await place.open()
    expect(next.stale).toBe(true)
    expect(next.index.sessionsByTime().filter(({ title }) => title === 'Renamed')).toHaveLength(1)
  })

  it.each([
    [{ model: { id: 'gpt-5' } }],
    [{ model: 'gpt-5' }],
    [{ model: null }],
    [{ label: 5 }],
    [{ tag: {} }],
    [{ prompt: 5 }],
    [{ entries: 'x' }],
    [{ cost: 'x', tokens: [] }],
    [{ revert: 'x' }],
    [{ revert: {}, time: { created: 1, updated: 2, archived: 'x' } }],
    [{ parentID: null, time: { created: 1, updated: 2, archived: null } }],
  ])('loses no session of which a field is null or of another type: %j', async (fields) => {
    using place = world()
    const [odd, other] = [corpusSession(START, []), corpusSession(START + 1, [])]
    using fixture = jsonFixture([odd, other])
    const file = join(fixture.path, 'session', odd.project, `${odd.id}.json`)
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...fields }))
    const options = { data: fixture.path }
    const truth = await place.fresh(options)
    expect(truth).toHaveLength(2)
    for (const isStale of [false, true]) {
      await using sessions = await place.open(options)
      expect(sessions.stale).toBe(isStale)
      for (const given of [sessions.index.sessionsByTime(), ...everything(sessions)]) expect(Object.isFrozen(given)).toBe(true)
      expect(everything(sessions)).toEqual(truth)
      expect((await pageSessions(sessions)).sessions).toHaveLength(2)
      expect((await pageSessions(sessions, { search: 'no such word' })).sessions).toEqual([])
    }
  })

  it('lets a session go that is gone, once a listing says so', async () => {
    using place = world()
    await (await place.open()).close()
    const log = [...filesBelow(place.data[1] ?? '').keys()].find((path) => path.includes('.pi') && path.endsWith('.jsonl')) ?? ''
    rmSync(log)
    const truth = await place.fresh()
    await using sessions = await place.open()
    expect(everything(sessions).length).toBe(truth.length + 1)
    const gone = everything(sessions).find((meta) => !truth.some((one) => name(one) === name(meta)))
    if (gone !== undefined) await expect(sessions.locate(gone.key)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await sessions.refresh()
    expect(everything(sessions)).toEqual(truth)
    await sessions.close()
    await using next = await place.open()
    expect(everything(next)).toEqual(truth)
  })

  it('shares its rows with sets of other stores, and takes none of theirs away', async () => {
    using place = world()
    const sets: readonly OpenOptions[] = [
      {},
      { store: 'opencode-json' },
      { store: ['opencode-sqlite', 'opencode-era-a'] },
      { agent: 'claude' },
      { data: place.data[0] ?? '' },
      { agent: ['opencode', 'pi'] },
    ]
    const truths: (readonly SessionMeta[])[] = []
    for (const options of sets) truths.push(await place.fresh(options))
    for (let round = 0; round < 3; round++) {
      for (const [at, options] of sets.entries()) {
        await using sessions = await place.open(options)
        if (round > 0) expect(sessions.stale).toBe(true)
        expect(everything(sessions).map(name)).toEqual(truths[at]?.map(name))
        await sessions.refresh()
        expect(everything(sessions)).toEqual(truths[at])
      }
    }
  })

  it('writes nothing in the stores of agents, and nothing at all without a home', async () => {
    using place = world()
    const before = place.data.map(filesBelow)
    await place.fresh()
    expect(existsSync(place.home)).toBe(false)
    for (let times = 0; times < 2; times++) {
      await using sessions = await place.open()
      for (const { key } of sessions.index.sessionsByTime()) await sessions.locate(key)
      await sessions.refresh()
      await sessions.refresh({ deep: true })
    }
    expect(place.data.map(filesBelow)).toEqual(before)
    expect(readdirSync(place.home).sort()).toEqual(['sessions.idx.db'])
  })

  it('has the size and the checksum of every session that is a file, of head and tail', async () => {
    using place = world()
    await (await place.open()).close()
    const database = new Database(join(place.home, 'sessions.idx.db'), { readonly: true })
    const rows = database
      .prepare('SELECT kind, e.path, file_size, checksum FROM sessions JOIN stores USING (store) JOIN entries e USING (row)')
      .raw(true)
      .all()
    database.close()
    expect(rows.length).toBeGreaterThan(10)
    for (const [kind, path, size, sum] of rows as [string, string, number | null, number | null][]) {
      const bytes = kind === 'opencode-v2' || kind === 'opencode-sqlite' ? undefined : readFileSync(path)
      expect([size, sum]).toEqual([bytes?.length ?? null, bytes === undefined ? null : crc32(bytes)])
    }
  })

  it('refuses a home in a store, and what is no path', async () => {
    using place = world()
    const inside = join(place.data[0] ?? '', 'storage', 'home')
    await expect(place.open({ home: inside })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(existsSync(inside)).toBe(false)
    for (const home of ['', true, 7]) await expect(place.open({ home: home as string })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await using sessions = await place.open({ home: false })
    expect(sessions.stale).toBe(false)
  })

  it('does without a catalog where there can be none, and says so once', async () => {
    using place = world()
    const truth = await place.fresh()
    writeFileSync(place.home, 'a file')
    await using sessions = await place.open()
    expect([sessions.stale, everything(sessions)]).toEqual([false, truth])
    await sessions.refresh()
    expect(sessions.issues.filter(({ code }) => code === 'CATALOG_UNAVAILABLE')).toHaveLength(1)
  })

  it('tells where all that was listed is kept, and that not all of it is', async () => {
    using place = world()
    const catalog = await openCatalog({ home: place.home, clock: systemClock })
    const { path } = catalog
    let refused: string | undefined = 'claude-jsonl'
    const opened = await openSessions({ data: place.data })
    const write: Catalog['write'] = async (store, ...given) => (store.kind === refused ? undefined : catalog.write(store, ...given))
    const sometimes = new Proxy(catalog, {
      get: (target, name) => {
        if (name === 'write') return write
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const sessions = await createSessionSet(fixedStores(opened.stores), { catalog: sometimes })
    await sessions.refresh()
    await vi.waitFor(() => expect(opened.stores.filter((store) => !catalog.knows(store)).map(({ kind }) => kind)).toEqual([refused]))
    expect(sessions.keptIn).toBeUndefined()
    refused = undefined
    await sessions.refresh()
    await vi.waitFor(() => expect(sessions.keptIn).toBe(path))
    await sessions.close()
    expect([sessions.keptIn, opened.keptIn]).toEqual([path, undefined])
  })

  it('has its file again when it is deleted while the set is open', async () => {
    using place = world()
    await using sessions = await place.open()
    await sessions.refresh()
    rmSync(place.home, { recursive: true })
    await sessions.refresh()
    await sessions.close()
    await using next = await place.open()
    expect(next.stale).toBe(true)
    expect(everything(next)).toEqual(await place.fresh())
  })

  it('writes nothing where nothing changed', async () => {
    using place = world()
    await (await place.open()).close()
    const path = join(place.home, 'sessions.idx.db')
    await using sessions = await place.open()
    await sessions.refresh()
    await sessions.refresh()
    const reader = new Database(path, { readonly: true })
    const uncounted = reader.prepare(
      'SELECT count(*) FROM sessions JOIN entries USING (row) WHERE messages IS NULL AND entry_count IS NULL AND version IS NOT NULL',
    )
    await vi.waitFor(() => expect(uncounted.pluck().get()).toBe(0), 20_000)
    const version = reader.pragma('data_version')
    await sessions.refresh()
    await sessions.close()
    expect(reader.pragma('data_version')).toEqual(version)
    reader.close()
  })

  it('ends its listing when it is closed at once', async () => {
    using place = world()
    await (await place.open()).close()
    for (let times = 0; times < 5; times++) await (await place.open()).close()
    const sessions = await place.open()
    const waiting = sessions.refresh()
    const closed = sessions.close()
    await Promise.allSettled([waiting, closed])
    await closed
    expect(readdirSync(place.home)).toEqual(['sessions.idx.db'])
  })

  it('goes on by itself, and is not stale any more', async () => {
    using place = world()
    await (await place.open()).close()
    await using sessions = await place.open()
    await vi.waitFor(() => expect(sessions.stale).toBe(false), 20_000)
  })

  it('waits for another process that lists everything, unless somebody waits for it', async () => {
    using place = world()
    await (await place.open()).close()
    const lock = join(place.home, 'sessions.idx.lock')
    mkdirSync(place.home, { recursive: true })
    const { pid } = process
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    writeFileSync(lock, JSON.stringify({ pid, boot, since: Date.now() }))
    await using sessions = await place.open()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(sessions.stale).toBe(true)
    await sessions.refresh()
    expect(sessions.stale).toBe(false)
    expect(existsSync(lock)).toBe(true)
  })

  it('says why it stays stale when the stores cannot be looked for', async () => {
    using fixture = jsonFixture([corpusSession(START, conversation(START, 2))])
    using place = tempFolder()
    const catalog = (): Promise<Catalog> => openCatalog({ home: place.path, clock: systemClock })
    await (await createSessionSet([await fixture.open()], { catalog: await catalog() })).close()
    const source = {
      ...fixedStores([await fixture.open()]),
      refresh: () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'somebody writes' })),
    }
    await using sessions = await createSessionSet(source, { catalog: await catalog() })
    await expect(sessions.refresh()).rejects.toMatchObject({ code: 'STORE_BUSY' })
    expect(sessions.stale).toBe(true)
    expect(sessions.issues).toMatchObject([{ code: 'STORE_BUSY', transient: true }])
    expect(sessions.index.sessionsByTime()).toHaveLength(1)
  })
})
