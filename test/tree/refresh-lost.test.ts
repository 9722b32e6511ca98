/** Changes that a refresh might lose, and looks that might cost more than what changed. */
import { cpSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { StorageError } from '../../src/core/errors.js'
import type { MergedSession } from '../../src/storage/merged.js'
import { SqliteConnection } from '../../src/storage/sqlite/connection.js'
import { layoutsIn } from '../../src/storage/sqlite/layouts.js'
import { openForeignDatabase } from '../../src/storage/sqlite/open.js'
import { SqliteStore } from '../../src/storage/sqlite/opencode-sqlite.js'
import type { Store } from '../../src/storage/store.js'
import { turnsOf } from '../../src/storage/turns.js'
import { ShownRecords } from '../../src/tree/copies/shown-records.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { anotherTick } from '../support/another-tick.js'
import { type CorpusSession, corpusSession, userMessage } from '../support/corpus.js'
import { pastGrain } from '../support/past-grain.js'
import { eraAFixture, jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { keyOf, setOf } from '../support/trees.js'
import { workOf } from '../support/work.js'

const START = Date.parse('2026-09-01T10:00:00Z')
/** An hour ahead: everything has cooled. */
const LATER: Clock = { ...systemClock, now: () => Date.now() + 3_600_000 }

/** Of each as many messages, a minute apart. */
function corpusOf(sessions: number, messages = 1): readonly [CorpusSession, ...CorpusSession[]] {
  const session = (at: number): CorpusSession => {
    const created = START + at * 3_600_000
    return corpusSession(
      created,
      Array.from({ length: messages }, (_, minute) => userMessage(created + 10 + minute * 60_000, ['hello', 'there'])),
    )
  }
  return [session(0), ...Array.from({ length: sessions - 1 }, (_, at) => session(at + 1))]
}

async function databaseOf(path: string, clock: Clock): Promise<Store> {
  const { database, frozen } = await openForeignDatabase(path)
  const connection = new SqliteConnection(path, database, frozen)
  const [layout] = layoutsIn(connection.schema.tables)
  if (layout === undefined) throw new Error(`no database of sessions: ${path}`)
  return new SqliteStore(connection, layout, clock)
}

const idsOf = (keys: readonly { readonly session: string }[]): readonly string[] => keys.map(({ session }) => session)

function placeOf(session: CorpusSession, message = 0): { readonly session: string; readonly message: string; readonly part: string } {
  const found = session.messages[message]
  return { session: session.id, message: found?.id ?? '', part: found?.parts[0]?.id ?? '' }
}

it('what was said to be written to is looked at again when its store could not be listed', async () => {
  const corpus = corpusOf(3)
  using fixture = jsonFixture(corpus)
  const store = await fixture.open(LATER)
  let isFailing = false
  const flaky = new Proxy<Store>(store, {
    get: (_target, name) => {
      const value = Reflect.get(store, name)
      if (name === 'sessions' && isFailing) return () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'once', path: store.path }))
      return typeof value === 'function' ? value.bind(store) : value
    },
  })
  await using set = await createSessionSet([flaky])
  const place = placeOf(corpus[0])
  fixture.write(place, '{"type":"text","text":"in place"}', START)
  set.dirty.mark(join(fixture.path, 'part', place.message, `${place.part}.json`))
  isFailing = true
  expect((await set.refresh()).changed).toEqual([])
  isFailing = false
  expect(idsOf((await set.refresh()).changed)).toEqual([place.session])
  expect((await set.refresh()).changed).toEqual([])
})

it('a look at one session leaves what the store knows of the others', async () => {
  const corpus = corpusOf(3)
  using fixture = eraAFixture()(corpus)
  await using store = await fixture.open(LATER)
  const { entries } = await store.sessions()
  const [one, other] = [keyOf(corpus[0].id), keyOf(corpus[1]?.id ?? '')]
  await store.sessions({ before: { entries: entries.filter(({ key }) => key.session === one.session) }, only: [one] })
  expect((await store.messages(other)).entries.length).toBe(1)
  expect(await store.price([{ kind: 'session', key: other }])).not.toEqual([undefined])
})

it('a folder of messages that cannot be looked into fails no refresh', async () => {
  const corpus = corpusOf(2)
  using fixture = jsonFixture(corpus)
  await using set = await setOf(await fixture.open(LATER))
  const folder = join(fixture.path, 'message', corpus[0].id)
  rmSync(folder, { recursive: true })
  symlinkSync(folder, folder)
  set.dirty.mark(join(fixture.path, 'part', userMessage(START + 5).id, 'prt_x.json'))
  expect(idsOf((await set.refresh()).changed)).toEqual([corpus[0].id])
})

it('paths of messages that no session has cost one look at each folder, however many they are', async () => {
  const corpus = corpusOf(50)
  using fixture = jsonFixture(corpus)
  await using set = await setOf(await fixture.open(LATER))
  for (let at = 0; at < 200; at++) set.dirty.mark(join(fixture.path, 'part', userMessage(START + 77 + at).id, 'prt_x.json'))
  const place = placeOf(corpus[7] as CorpusSession)
  fixture.write(place, '{"type":"text","text":"in place"}', START)
  set.dirty.mark(join(fixture.path, 'part', place.message, `${place.part}.json`))
  const { changed, report } = await set.refresh()
  expect(idsOf(changed)).toEqual([place.session])
  expect(report.stats).toBeLessThan(4 * corpus.length)
})

it('what was hot for earlier processes is looked at closely of the sessions alone that were touched last', async () => {
  const corpus = corpusOf(400)
  using fixture = jsonFixture(corpus)
  await using store = await fixture.open(LATER)
  const { entries } = await store.sessions()
  const before = { entries: entries.map((entry) => ({ ...entry, version: `${entry.version}0123456789abcdef` })) }
  await using later = await fixture.open(LATER)
  const { work } = await workOf(later, () => later.sessions({ before }))
  expect(work.stats).toBeLessThan(2 * corpus.length + 256 * 3 + 1)
})

it('a write at the very moment of a look is not taken for the one that the look saw', async () => {
  const corpus = corpusOf(1, 12)
  using fixture = jsonFixture(corpus)
  let now = LATER.now()
  await using set = await setOf(await fixture.open({ ...systemClock, now: () => now }))
  const place = placeOf(corpus[0])
  const path = join(fixture.path, 'part', place.message, `${place.part}.json`)
  fixture.write(place, '{"type":"text","text":"in place"}', START)
  now = statSync(path).ctimeMs
  for (const _ of [1, 2]) {
    set.dirty.mark(path)
    expect(idsOf((await set.refresh()).changed)).toEqual([place.session])
  }
})

it('what was written while a long listing went on may be written to again unseen', async () => {
  const corpus = corpusOf(1)
  using fixture = jsonFixture(corpus)
  const { project, id } = corpus[0]
  const written = statSync(join(fixture.path, 'session', project, `${id}.json`)).ctimeMs
  let now = written - 100
  const slow: Clock = {
    ...systemClock,
    now() {
      const told = now
      now = written + 2
      return told
    },
  }
  await using store = await fixture.open(slow)
  const [entry] = (await store.sessions()).entries
  expect(entry?.version?.split('|')[0]).toMatch(/\?$/)
})

it('the copies of sessions that others hide in the same tree are not opened again', async () => {
  const corpus = corpusOf(5)
  using fixture = jsonFixture(corpus)
  cpSync(join(fixture.path, 'session', corpus[0].project), join(fixture.path, 'session', 'another'), { recursive: true })
  await using set = await setOf(await fixture.open(LATER))
  const { report, ...changes } = await set.refresh()
  expect(changes).toEqual({ added: [], changed: [], removed: [] })
  expect(report.files).toBe(0)
})

it('a folder of parts that is marked is looked into each time', async () => {
  const corpus = corpusOf(1, 12)
  using fixture = jsonFixture(corpus)
  await using set = await setOf(await fixture.open(LATER))
  const place = placeOf(corpus[0])
  for (const text of ['one', 'two!']) {
    fixture.write(place, JSON.stringify({ type: 'text', text }), START)
    set.dirty.mark(join(fixture.path, 'part', place.message))
    expect(idsOf((await set.refresh()).changed)).toEqual([place.session])
  }
})

it('a part that was deleted from an old message is found by the first deep look', async () => {
  const corpus = corpusOf(2, 12)
  using fixture = jsonFixture(corpus)
  await pastGrain()
  await using set = await setOf(await fixture.open(systemClock))
  await pastGrain()
  fixture.remove(placeOf(corpus[0]))
  await pastGrain()
  expect(idsOf((await set.refresh({ deep: true })).changed)).toEqual([corpus[0].id])
  expect((await set.refresh({ deep: true })).changed).toEqual([])
})

it('a change beyond the last messages of a hot session is not told once more to the next process', async () => {
  const corpus = corpusOf(2, 12)
  using fixture = jsonFixture(corpus)
  const recent: Clock = { ...systemClock, now: () => Date.now() + 60_000 }
  await using store = await fixture.open(recent)
  const listed = await store.sessions()
  const place = placeOf(corpus[0])
  fixture.write(place, '{"type":"text","text":"in place"}', START)
  const before = await store.sessions({ before: listed, dirty: [join(fixture.path, 'part', place.message, `${place.part}.json`)] })
  const moved = before.entries.filter((entry, at) => entry.version !== listed.entries[at]?.version)
  expect(idsOf(moved.map(({ key }) => key))).toEqual([corpus[0].id])
  await using later = await fixture.open(recent)
  const entries = structuredClone(before.entries)
  const now = await later.sessions({ before: { entries, mark: before.mark } })
  for (const [at, entry] of now.entries.entries()) expect(entry).toBe(entries[at])
})

it('of a database, a part of an old message of a hot session is not told once more to the next process', async () => {
  const corpus = corpusOf(3, 12)
  using fixture = sqliteFixture('1.2.1')(corpus)
  const recent: Clock = { ...systemClock, now: () => START + 12 * 60_000 }
  await using store = await databaseOf(fixture.path, recent)
  const listed = await store.sessions()
  fixture.write({ ...placeOf(corpus[0]), part: 'prt_later' }, '{"type":"text","text":"more"}', START + 11 * 60_000)
  const before = await store.sessions({ before: listed })
  const moved = before.entries.filter((entry, at) => entry.version !== listed.entries[at]?.version)
  expect(idsOf(moved.map(({ key }) => key))).toEqual([corpus[0].id])
  await using later = await databaseOf(fixture.path, recent)
  const entries = structuredClone(before.entries)
  const now = await later.sessions({ before: { entries, mark: undefined } })
  expect(now.entries.map(({ version }) => version)).toEqual(entries.map(({ version }) => version))
})

it('of a database, a part that comes to a message of a session that was cold for an earlier process is found', async () => {
  const corpus = corpusOf(3, 12)
  using fixture = sqliteFixture('1.2.1')(corpus)
  await using store = await databaseOf(fixture.path, LATER)
  const { entries, mark } = await store.sessions()
  const before = { entries: structuredClone(entries), mark }
  await using later = await databaseOf(fixture.path, LATER)
  const warm = await later.sessions({ before })
  expect(warm.entries).toBe(before.entries)
  const place = { ...placeOf(corpus[1] as CorpusSession, 11), part: 'prt_later' }
  fixture.write(place, '{"type":"step-finish"}', LATER.now())
  const now = await later.sessions({ before: { entries: warm.entries, mark: warm.mark } })
  const held = new Set(warm.entries)
  expect(idsOf(now.entries.filter((entry) => !held.has(entry)).map(({ key }) => key))).toEqual([place.session])
})

it('of a database, a part that is rewritten before the last part is found in a hot session, also with as many bytes', async () => {
  const corpus = corpusOf(2, 2)
  using fixture = sqliteFixture('1.2.1')(corpus)
  await using set = await setOf(await databaseOf(fixture.path, LATER))
  const [first, second] = ['prt_first', 'prt_second'].map((part) => ({ ...placeOf(corpus[1] as CorpusSession), part }))
  const time = LATER.now()
  fixture.write(first ?? placeOf(corpus[0]), '{"text":"abc"}', time)
  fixture.write(second ?? placeOf(corpus[0]), '{"text":"def"}', time + 10)
  expect((await set.refresh()).changed.length).toBe(1)
  fixture.write(first ?? placeOf(corpus[0]), '{"text":"xyz"}', time + 5)
  expect(idsOf((await set.refresh()).changed)).toEqual([corpus[1]?.id])
})

it('of a database, no mark is given while a commit may be on its way: it shows to readers after the write to the -wal', async () => {
  using fixture = sqliteFixture('1.18')(corpusOf(1))
  let now = 0
  await using store = await databaseOf(fixture.path, { ...systemClock, now: () => now })
  const written = Math.max(...[fixture.path, `${fixture.path}-wal`].map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0))
  now = written + 1000
  expect((await store.sessions()).mark).toBe(undefined)
  now = written + 3000
  expect((await store.sessions()).mark).toBeTypeOf('string')
})

it('of a database that a link leads to, what is written to its -wal moves the mark', async () => {
  const corpus = corpusOf(2)
  using fixture = sqliteFixture('1.18')(corpus)
  const link = `${fixture.path}.link`
  symlinkSync(fixture.path, link)
  await using store = await databaseOf(link, LATER)
  const { mark } = await store.sessions()
  expect(mark).toBeTypeOf('string')
  const message = userMessage(START + 5)
  fixture.write({ session: corpus[0].id, message: message.id }, JSON.stringify(message.data), message.time)
  expect((await store.sessions()).mark).not.toBe(mark)
})

it('of a database whose time of writing is set back the mark moves, too', async () => {
  using fixture = sqliteFixture('1.18')(corpusOf(2))
  await using store = await databaseOf(fixture.path, LATER)
  const { mark } = await store.sessions()
  const { atime, mtime } = statSync(fixture.path)
  utimesSync(fixture.path, atime, mtime)
  const set = (await store.sessions()).mark
  anotherTick()
  utimesSync(fixture.path, atime, mtime)
  expect([mark, set].map((one) => typeof one)).toEqual(['string', 'string'])
  expect((await store.sessions()).mark).not.toBe(set)
})

it('a session that cannot be read at the moment unsettles no refresh after it is gone', async () => {
  const shown = new ShownRecords(systemClock)
  const store = {
    newest: () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'busy' })),
    messages: () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'busy' })),
  }
  const entry = { key: keyOf('ses_x'), path: '/x', project: '', record: undefined, generation: 'v1' }
  const session = { store, entry, record: undefined, hidden: [] } as unknown as MergedSession
  await shown.complete(new Map([['x', session]]), turnsOf(systemClock))
  expect(shown.isSettled).toBe(false)
  await shown.complete(new Map(), turnsOf(systemClock))
  expect(shown.isSettled).toBe(true)
})
