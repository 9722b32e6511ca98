/** What a refresh costs: nothing changed, a few of many changed. Work is counted, never timed. */
import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { anotherTick } from '../support/another-tick.js'
import { corpusSession, userMessage } from '../support/corpus.js'
import type { FixtureMaker } from '../support/store-fixtures.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'

const SESSIONS = 500
const START = Date.parse('2026-09-01T10:00:00Z')
const CORPUS = Array.from({ length: SESSIONS }, (_, at) => corpusSession(START + at * 1000, [userMessage(START + at * 1000 + 10, ['hello'])]))
/** An hour ahead: everything has cooled. */
const LATER: Clock = { ...systemClock, now: () => Date.now() + 3_600_000 }

async function opened(make: FixtureMaker, clock: Clock, corpus = CORPUS) {
  const fixture = make(corpus)
  const set = await setOf(await fixture.open(clock))
  anotherTick()
  const close = async (): Promise<void> => {
    await set.close()
    fixture[Symbol.dispose]()
  }
  return { fixture, set, [Symbol.asyncDispose]: close }
}

const appendTo = (fixture: ReturnType<FixtureMaker>, at: number, message = userMessage(START + at * 1000 + 7_000)): void => {
  const session = CORPUS[at]?.id ?? ''
  fixture.write({ session, message: message.id }, JSON.stringify(message.data), message.time)
  for (const part of message.parts) fixture.write({ session, message: message.id, part: part.id }, JSON.stringify(part.data), part.time)
}

const FIVE = [3, 100, 250, 251, 499]

describe('of 500 sessions in a tree of files', () => {
  it('nothing changed: no file is opened, and one stat is made for each session file and each folder of messages', async () => {
    await using world = await opened(jsonFixture, LATER)
    const { report, ...changes } = await world.set.refresh()
    expect(changes).toEqual({ added: [], changed: [], removed: [] })
    expect(report).toMatchObject({ stores: 1, sessions: SESSIONS, files: 0, rows: 0, bytes: 0, stats: 2 * SESSIONS })
  })

  it('5 are appended to: nothing is opened but what they need', async () => {
    await using world = await opened(jsonFixture, LATER)
    for (const at of FIVE) appendTo(world.fixture, at)
    const { report, ...changes } = await world.set.refresh()
    expect(changes.changed.map(({ session }) => session).sort()).toEqual(FIVE.map((at) => CORPUS[at]?.id).sort())
    expect({ files: report.files, bytes: report.bytes }).toEqual({ files: 0, bytes: 0 })
    expect(report.stats).toBeLessThanOrEqual(2 * SESSIONS + 5 * 20)
  })

  it('5 session files are rewritten: these are opened', async () => {
    await using world = await opened(jsonFixture, LATER)
    for (const at of FIVE) {
      const { id = '', project = '' } = CORPUS[at] ?? {}
      const path = join(world.fixture.path, 'session', project, `${id}.json`)
      writeFileSync(path, JSON.stringify({ id, directory: '/srv', title: 'another', time: { created: START, updated: START } }))
      utimesSync(path, START / 1000, START / 1000)
    }
    const { report, changed } = await world.set.refresh()
    expect(changed.length).toBe(5)
    expect(report.files).toBe(5)
    expect(report.bytes).toBeLessThan(5 * 1000)
  })

  it('a part is rewritten in place in a hot session: it is found, and one that is marked dirty however old it is', async () => {
    await using world = await opened(jsonFixture, LATER)
    const hot = { session: CORPUS[7]?.id ?? '', message: CORPUS[7]?.messages.at(-1)?.id ?? '', part: CORPUS[7]?.messages.at(-1)?.parts[0]?.id ?? '' }
    world.fixture.write(hot, '{"type":"text","text":"in place"}', START)
    expect((await world.set.refresh()).changed).toEqual([])
    const path = join(world.fixture.path, 'part', hot.message, `${hot.part}.json`)
    world.set.dirty.mark(path)
    expect((await world.set.refresh()).changed.map(({ session }) => session)).toEqual([hot.session])
    expect((await world.set.refresh()).changed).toEqual([])
    world.set.dirty.mark(path)
    expect((await world.set.refresh()).changed).toEqual([])
    world.fixture.write(hot, '{"type":"text","text":"in place again"}', START)
    world.set.dirty.mark(path)
    const { changed, report } = await world.set.refresh()
    expect(changed.map(({ session }) => session)).toEqual([hot.session])
    expect(report.files).toBe(0)
  })

  it('a tree that is moved away removes nothing, and one that comes back adds nothing', async () => {
    await using world = await opened(jsonFixture, LATER)
    const root = join(world.fixture.path, 'session')
    renameSync(root, `${root}-away`)
    const { report: _, ...away } = await world.set.refresh()
    expect(away).toEqual({ added: [], changed: [], removed: [] })
    renameSync(`${root}-away`, root)
    const { report: __, ...back } = await world.set.refresh()
    expect(back).toEqual({ added: [], changed: [], removed: [] })
    rmSync(root, { recursive: true })
    mkdirSync(root)
    expect((await world.set.refresh()).removed.length).toBe(SESSIONS)
  })
})

describe.each([
  ['1.18', sqliteFixture('1.18'), CORPUS],
  ['1.2.1', sqliteFixture('1.2.1'), CORPUS],
])('of 500 sessions in a database of %s', (_name, make) => {
  it('nothing changed: no row is stepped, and two stats are made', async () => {
    await using world = await opened(make, LATER)
    const { report, ...changes } = await world.set.refresh()
    expect(changes).toEqual({ added: [], changed: [], removed: [] })
    expect(report).toMatchObject({ files: 0, rows: 0, bytes: 0, stats: 2 })
  })

  it('5 are appended to: rows are stepped for these', async () => {
    await using world = await opened(make, LATER)
    for (const at of FIVE) appendTo(world.fixture, at)
    const { report, changed } = await world.set.refresh()
    expect(changed.map(({ session }) => session).sort()).toEqual(FIVE.map((at) => CORPUS[at]?.id).sort())
    expect(report.rows).toBeLessThanOrEqual(5 * 10)
    const again = await world.set.refresh()
    expect([again.changed, again.report.rows]).toEqual([[], 0])
  })

  it('finds a title, archiving and deletion that move no time, a deleted message, and what is rewritten in place while it is hot', async () => {
    await using world = await opened(make, LATER)
    using database = new Writer(world.fixture.path)
    const changedBy = async (act: () => void): Promise<unknown> => {
      act()
      const { added, changed, removed } = await world.set.refresh()
      return [added, changed, removed].map((keys) => keys.map(({ session }) => CORPUS.findIndex(({ id }) => id === session)))
    }
    const id = (at: number): string => CORPUS[at]?.id ?? ''
    expect(await changedBy(() => database.run('UPDATE session SET title = ? WHERE id = ?', 'another', id(1)))).toEqual([[], [1], []])
    expect(world.set.index.findById(world.set.index.sessionsByTime().find((meta) => meta.title === 'another')?.id ?? ('' as never))?.title).toBe(
      'another',
    )
    expect(await changedBy(() => database.run('UPDATE session SET time_archived = 5 WHERE id = ?', id(2)))).toEqual([[], [2], []])
    expect(await changedBy(() => database.run('DELETE FROM message WHERE id = ?', CORPUS[3]?.messages[0]?.id ?? ''))).toEqual([[], [3], []])
    appendTo(world.fixture, 4)
    await world.set.refresh()
    const part = CORPUS[4]?.messages.at(-1)?.parts[0]?.id ?? ''
    expect(await changedBy(() => database.run('UPDATE part SET data = ?, time_updated = time_updated + 1 WHERE id = ?', '{}', part))).toEqual([
      [],
      [4],
      [],
    ])
    expect(await changedBy(() => database.run('UPDATE session SET title = title WHERE id = ?', id(9)))).toEqual([[], [], []])
    expect(await changedBy(() => database.delete(id(5)))).toEqual([[], [], [5]])
    expect(await changedBy(() => database.run('VACUUM'))).toEqual([[], [], []])
    expect(await changedBy(() => appendTo(world.fixture, 6))).toEqual([[], [6], []])
  })

  it('finds rows that took the numbers of deleted ones', async () => {
    await using world = await opened(make, LATER)
    using database = new Writer(world.fixture.path)
    const last = CORPUS[499]?.messages.at(-1)?.id ?? ''
    world.fixture.remove({ session: CORPUS[499]?.id ?? '', message: last })
    appendTo(world.fixture, 17)
    const { changed } = await world.set.refresh()
    expect(changed.map(({ session }) => CORPUS.findIndex(({ id }) => id === session)).sort()).toEqual([17, 499])
    database.run('SELECT 1')
  })
})

it('of OpenCode 2, an answer that is rewritten in place is found while it is hot, and costs rows for that session', async () => {
  using fixture = v2Fixture(V2_SUBJECT.corpus)
  const set = await setOf(await fixture.open(LATER))
  const [first] = V2_SUBJECT.corpus
  const fresh = V2_SUBJECT.newMessage(START)
  const place = { session: first.id, message: fresh.id }
  fixture.write(place, JSON.stringify(fresh.data), START)
  expect((await set.refresh()).changed.map(({ session }) => session)).toEqual([first.id])
  fixture.write(place, JSON.stringify({ ...fresh.data, more: 1 }), START + 5)
  const { changed, report } = await set.refresh()
  expect(changed.map(({ session }) => session)).toEqual([first.id])
  expect(report.rows).toBeLessThanOrEqual(10)
  await set.close()
})

class Writer implements Disposable {
  readonly #database: Database.Database

  constructor(path: string) {
    this.#database = new Database(path)
  }

  run(sql: string, ...parameters: readonly unknown[]): void {
    const statement = this.#database.prepare(sql)
    if (statement.reader) statement.all(...parameters)
    else statement.run(...parameters)
  }

  delete(session: string): void {
    for (const table of ['part', 'message', 'todo']) this.run(`DELETE FROM ${table} WHERE session_id = ?`, session)
    this.run('DELETE FROM session WHERE id = ?', session)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

describe.each([
  ['a tree of files', jsonFixture],
  ['a database', sqliteFixture('1.18')],
] as const)('a deep look at %s', (_name, make) => {
  it('tells nothing when nothing was written, and what was rewritten long after it was written, also the first time', async () => {
    await using world = await opened(make, systemClock, CORPUS.slice(0, 40))
    // Writes of this moment cannot be told from later ones.
    await systemClock.sleep(100)
    const set = await setOf(await world.fixture.open(systemClock))
    expect(await set.refresh({ deep: true })).toMatchObject({ added: [], changed: [], removed: [] })
    const next = await setOf(await world.fixture.open(systemClock))
    const { id: session = '', messages = [] } = CORPUS[7] ?? {}
    const place = { session, message: messages[0]?.id ?? '', part: messages[0]?.parts[0]?.id ?? '' }
    await systemClock.sleep(100)
    world.fixture.write(place, '{"type":"text","text":"rewritten"}', Date.now())
    await systemClock.sleep(100)
    for (const one of [set, next]) {
      expect((await one.refresh({ deep: true })).changed.map((key) => key.session)).toEqual([session])
      expect((await one.refresh({ deep: true })).changed).toEqual([])
      await one.close()
    }
  })
})
