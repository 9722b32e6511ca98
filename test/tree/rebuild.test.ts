/** What is left of a session whose own record is damaged or names no folder. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { SessionRecord } from '../../src/core/records.js'
import type { Store } from '../../src/storage/store.js'
import { rebuildRecord } from '../../src/tree/copies/rebuild.js'
import { loadMessages } from '../../src/tree/loader.js'
import { anotherTick } from '../support/another-tick.js'
import { manualClock } from '../support/clocks.js'
import {
  assistantMessage,
  type CorpusMessage,
  type CorpusSession,
  conversation,
  corpusSession,
  generatedId,
  userMessage,
  WRAP,
} from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import {
  eraAFixture,
  type FixtureMaker,
  foldedMessage,
  jsonFixture,
  memoryFixture,
  type StoreFixture,
  sqliteFixture,
  writeFileAt,
} from '../support/store-fixtures.js'
import { keyOf, setOf } from '../support/trees.js'
import { v2Fixture } from '../support/v2-fixture.js'
import { watched } from '../support/watched-store.js'
import { workOf } from '../support/work.js'

const START = Date.parse('2025-06-20T10:00:00Z')
const NOW = Date.parse('2026-11-20T12:00:00Z')
const clock = manualClock(NOW)

function titled(time: number, title: unknown): CorpusMessage {
  const message = userMessage(time)
  return { ...message, data: { ...message.data, summary: { title, diffs: [] } } }
}

function without(message: CorpusMessage, path: unknown): CorpusMessage {
  return { ...message, data: { ...message.data, path } }
}

const SESSION = corpusSession(START, [titled(START + 1000, 'Skies'), assistantMessage(START + 2000), ...conversation(START + 60_000, 2)])
const LAST = SESSION.messages.at(-1)?.time
const key = keyOf(SESSION.id)

function damageSession(fixture: StoreFixture, { id, project }: CorpusSession = SESSION): void {
  writeFileAt(join(fixture.path, 'session', project, `${id}.json`), '{"id":', START)
}

async function rebuilt(store: Store, session = key): Promise<SessionRecord | undefined> {
  const { entries } = await store.sessions()
  const entry = entries.find((other) => other.key.session === session.session)
  if (entry === undefined) throw new Error('the session is not listed')
  return rebuildRecord({ store, entry }, clock)
}

describe('a damaged record of era B', () => {
  it('is rebuilt from the folder it stands in, its id, and the first messages that tell', async () => {
    using fixture = jsonFixture([SESSION])
    damageSession(fixture)
    const store = await fixture.open(clock)
    await store.sessions()
    const { value, work } = await workOf(store, () => rebuilt(store))
    expect(value).toEqual({
      id: SESSION.id,
      projectID: SESSION.project,
      directory: '/srv/sky',
      title: 'Skies',
      version: '',
      time: { created: START, updated: LAST },
    })
    // The session's own file, and two messages of six; no part.
    expect(work.files).toBe(3)
  })

  it('passes over damaged messages, and takes only what is text', async () => {
    const messages = [
      titled(START + 1000, 7),
      without(assistantMessage(START + 2000), 'nowhere'),
      without(assistantMessage(START + 3000), { cwd: '', root: '/srv/root' }),
      titled(START + 4000, 'Second'),
    ]
    const session = corpusSession(START, messages)
    using fixture = jsonFixture([session])
    damageSession(fixture, session)
    const all = await rebuilt(await fixture.open(clock))
    expect([all?.directory, all?.title]).toEqual(['/srv/root', 'Second'])
    for (const text of ['', '{', '[]', '\0\0\0', '{"role":3}']) {
      fixture.write({ session: session.id, message: messages[2]?.id ?? '' }, text, START)
      const rest = await rebuilt(await fixture.open(clock))
      expect([rest?.directory, rest?.title, rest?.time]).toEqual(['', 'Second', { created: START, updated: START + 4000 }])
    }
  })

  it('opens eight messages at most', async () => {
    const mute = Array.from({ length: 12 }, (_, at) => without(assistantMessage(START + at * 1000), undefined))
    const session = corpusSession(START, [...mute, assistantMessage(START + 99_000)])
    using fixture = jsonFixture([session])
    damageSession(fixture, session)
    const world = watched(await fixture.open(clock))
    const record = await rebuilt(world.store)
    expect([record?.directory, record?.time.updated]).toEqual(['', START + 99_000])
    expect(world.opened).toEqual(mute.slice(0, 8).map(({ id }) => id))
    expect(world.calls).not.toContain('openParts')
  })

  it('takes the times of ids for those of the lap that the messages are of', async () => {
    // Read from today, an id of June 2025 is nearer to its next lap; the message itself says when it was.
    using fixture = jsonFixture([SESSION])
    damageSession(fixture)
    expect(NOW - START).toBeGreaterThan(2 ** 35)
    expect((await rebuilt(await fixture.open(clock)))?.time).toEqual({ created: START, updated: LAST })
  })

  it('begins with its first message where the id tells no time, or a later one', async () => {
    for (const id of ['ses_caprockPlan0001', generatedId('ses', START + 3_600_000)]) {
      const session = { ...SESSION, id }
      using fixture = jsonFixture([session])
      damageSession(fixture, session)
      expect((await rebuilt(await fixture.open(clock), keyOf(id)))?.time).toEqual({ created: START + 1000, updated: LAST })
    }
  })

  it('across the wrap ends with its last message', async () => {
    const session = corpusSession(WRAP - 120_000, conversation(WRAP - 60_000, 3))
    using fixture = jsonFixture([session])
    damageSession(fixture, session)
    const record = await rebuilt(await fixture.open(clock), keyOf(session.id))
    expect(record?.time).toEqual({ created: WRAP - 120_000, updated: session.messages.at(-1)?.time })
  })

  it('of a session without messages cannot be rebuilt', async () => {
    const session = corpusSession(START, [])
    using fixture = jsonFixture([session])
    damageSession(fixture, session)
    expect(await rebuilt(await fixture.open(clock))).toBeUndefined()
  })

  it('leaves what was found when the store fails for good; what may pass, and bugs, it lets through', async () => {
    using fixture = jsonFixture([SESSION])
    damageSession(fixture)
    const world = watched(await fixture.open(clock))
    let opens = 0
    const failAt = (turn: number, error: Error): void => {
      opens = 0
      world.before = {
        open: () => {
          opens++
          if (opens === turn) throw error
        },
      }
    }
    failAt(2, new StorageError('STORE_DAMAGED', { reason: 'the disk is full' }))
    const half = await rebuilt(world.store)
    expect([half?.title, half?.directory, half?.time.updated]).toEqual(['Skies', '', LAST])
    world.before = {
      messages: () => {
        throw new StorageError('STORE_UNREADABLE', { reason: 'it is closed' })
      },
    }
    expect(await rebuilt(world.store)).toBeUndefined()
    failAt(2, new StorageError('STORE_BUSY', { reason: 'somebody writes' }))
    await expect(rebuilt(world.store)).rejects.toMatchObject({ code: 'STORE_BUSY' })
    failAt(1, new TypeError('a bug'))
    await expect(rebuilt(world.store)).rejects.toThrow('a bug')
  })
})

describe('an intact record without a directory', () => {
  const homeless = (session: CorpusSession): CorpusSession => ({ ...session, info: { ...session.info, directory: '' } })

  it.each<[string, FixtureMaker]>([
    ['era A', eraAFixture()],
    ['era B', jsonFixture],
    ['V1 rows', sqliteFixture('1.18')],
    ['memory', memoryFixture],
  ])('gets the one of its first answer, and keeps everything else (%s)', async (_, make) => {
    const session = homeless(SESSION)
    using fixture = make([session])
    const store = await fixture.open(clock)
    const { entries } = await store.sessions()
    const before = structuredClone(entries[0]?.record)
    const { value, work } = await workOf(store, () => rebuildRecord({ store, entry: entries[0] ?? never() }, clock))
    expect(value).toEqual({ ...before, directory: '/srv/sky' })
    expect(entries[0]?.record).toEqual(before)
    if (store.supports.rows === false) expect(work.files).toBe(2)
  })

  it('gets it from an answer that comes later, though its record is not written again', async () => {
    const [asked, answered] = SESSION.messages
    const session = homeless({ ...SESSION, messages: [asked ?? never()] })
    using fixture = jsonFixture([session])
    await using set = await setOf(await fixture.open(clock))
    expect(set.index.session(key)?.directory).toBe('')
    const { id, time, data } = answered ?? never()
    anotherTick()
    fixture.write({ session: SESSION.id, message: id }, JSON.stringify(data), time)
    await set.refresh()
    expect(set.index.session(key)?.directory).toBe('/srv/sky')
  })

  it('gets it from a message that holds its parts, as 0.1 wrote it', async () => {
    using fixture = eraAFixture()([SESSION])
    const folder = join(fixture.path, SESSION.project, 'storage', 'session')
    rmSync(join(folder, 'part'), { recursive: true })
    for (const message of SESSION.messages)
      writeFileAt(join(folder, 'message', SESSION.id, `${message.id}.json`), JSON.stringify(foldedMessage(SESSION.id, message)), message.time)
    expect((await rebuilt(await fixture.open(clock)))?.directory).toBe('/srv/sky')
  })

  it('stays as it is where nothing tells, as in OpenCode 2', async () => {
    const session = homeless(SESSION)
    using fixture = v2Fixture([{ ...session, messages: [] }])
    const store = await fixture.open(clock)
    const [entry] = (await store.sessions()).entries
    expect(await rebuildRecord({ store, entry: entry ?? never() }, clock)).toBe(entry?.record)
  })
})

describe('an intact record', () => {
  it('with a directory is given back without a look at anything', async () => {
    using fixture = jsonFixture([SESSION])
    const store = await fixture.open(clock)
    const [entry] = (await store.sessions()).entries
    const { value, work } = await workOf(store, () => rebuildRecord({ store, entry: entry ?? never() }, clock))
    expect(value).toBe(entry?.record)
    expect(work).toEqual({ files: 0, rows: 0, bytes: 0, stats: 0 })
  })
})

describe('a damaged message', () => {
  it.each<[string, FixtureMaker]>([
    ['era A', eraAFixture()],
    ['era B', jsonFixture],
    ['V1 rows', sqliteFixture('1.18')],
  ])('stands without its record and with its parts (%s)', async (_, make) => {
    using fixture = make([SESSION])
    const [first] = SESSION.messages
    fixture.write({ session: SESSION.id, message: first?.id ?? '' }, '{"role":', START + 1000)
    await using set = await setOf(await fixture.open(clock))
    const [message, ...others] = await loadMessages(set, key)
    expect([message?.key.message, message?.message, message?.parts.map(({ id }) => id)]).toEqual([
      first?.id,
      undefined,
      first?.parts.map(({ id }) => id),
    ])
    expect(others.length).toBe(SESSION.messages.length - 1)
  })
})

describe('a database', () => {
  it('whose session row tells no folder takes it from the rows of its messages', async () => {
    using fixture = sqliteFixture('1.2.1')([SESSION])
    tamper(fixture.path, (database) => database.prepare("UPDATE session SET directory = ''").run())
    expect((await rebuilt(await fixture.open()))?.directory).toBe('/srv/sky')
  })
})

function never(): never {
  throw new Error('the store lists no session')
}
