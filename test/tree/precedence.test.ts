/** Which copy of a session is read, and which stands behind it. */
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import type { MemoryStore } from '../../src/storage/memory-store.js'
import { parseSpan } from '../../src/storage/span.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import type { Store, StoreKind } from '../../src/storage/store.js'
import { readMessageSpan } from '../../src/tree/read-span.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { memoryCopy, putMessage, sourcesOf } from '../support/copies.js'
import { assistantMessage, type CorpusMessage, type CorpusSession, conversation, corpusSession, userMessage } from '../support/corpus.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { keyOf, setOf, treeOf } from '../support/trees.js'
import { insertV2Session, v2Fixture, writeV2Row } from '../support/v2-fixture.js'
import { type WatchedStore, watched } from '../support/watched-store.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const TALK = conversation(START + 1000, 4)
const [LATER] = conversation(START + 3_600_000, 1) as [CorpusMessage]
const KINDS: readonly StoreKind[] = ['opencode-v2', 'opencode-sqlite', 'opencode-json', 'opencode-era-a', 'memory']

function session(messages: readonly CorpusMessage[] = TALK, updated = START): CorpusSession {
  return corpusSession(START, messages, { updated })
}

const KEY = keyOf(session().id)
const V2 = (...sessions: CorpusSession[]): MemoryStore => memoryCopy('opencode-v2', '/v2', sessions)
const V1 = (...sessions: CorpusSession[]): MemoryStore => memoryCopy('opencode-sqlite', '/v1', sessions)
const B = (...sessions: CorpusSession[]): MemoryStore => memoryCopy('opencode-json', '/b', sessions)

/** Sources for every order of discovery, which must all be one. */
async function source(...stores: readonly Store[]): Promise<string> {
  const found = new Set<string>()
  for (const order of orders(stores)) found.add(sourcesOf(await createSessionSet(order)).join())
  expect(found.size).toBe(1)
  return [...found].join()
}

function orders<T>(items: readonly T[]): T[][] {
  return items.length < 2 ? [[...items]] : items.flatMap((item) => orders(items.filter((other) => other !== item)).map((rest) => [item, ...rest]))
}

describe('of equal copies', () => {
  it('that of the newest kind of store is read', async () => {
    expect(await source(...KINDS.map((kind) => memoryCopy(kind, `/${kind}`, [session()])))).toBe(
      '/opencode-v2 < /opencode-sqlite, /opencode-json, /opencode-era-a, /memory',
    )
  })

  it('of one kind that of opencode.db is read, then by path', async () => {
    const paths = ['/z/opencode.db', '/a/opencode-dev.db', '/b/other.db', '/y/opencode.db']
    expect(await source(...paths.map((path) => memoryCopy('opencode-sqlite', path, [session()])))).toBe(
      '/y/opencode.db < /z/opencode.db, /a/opencode-dev.db, /b/other.db',
    )
  })
})

describe('a copy further down', () => {
  it('is read when an older client went on with it after the import', async () => {
    expect(await source(V2(session()), V1(session([...TALK, LATER])))).toBe('/v1 < /v2')
    expect(await source(V1(session()), B(session([...TALK, LATER])))).toBe('/b < /v1')
    const [dev, main] = ['/d/opencode-dev.db', '/d/opencode.db']
    const copies = [memoryCopy('opencode-sqlite', dev, [session([...TALK, LATER])]), memoryCopy('opencode-sqlite', main, [session()])]
    expect(await source(...copies)).toBe(`${dev} < ${main}`)
  })

  it('is read when it is newer, however often the record above was touched since', async () => {
    expect(await source(V2(session(TALK, START + 9e9)), V1(session([...TALK, LATER])))).toBe('/v1 < /v2')
  })

  it('is not read when the newer client went on too, and later', async () => {
    const [latest] = conversation(START + 7_200_000, 1) as [CorpusMessage]
    expect(await source(V2(session([...TALK, latest])), V1(session([...TALK, LATER], START + 9e9)))).toBe('/v2 < /v1')
  })

  it('is read when the one above is empty, and not when it is empty itself', async () => {
    expect(await source(V2(session([], START + 5)), V1(session()))).toBe('/v1 < /v2')
    expect(await source(V2(session()), V1(session([], START + 5)))).toBe('/v2 < /v1')
    expect(await source(V2(session([])), V1(session([])))).toBe('/v2 < /v1')
  })

  it('is not taken for newer by a time that its store puts a few milliseconds later', async () => {
    const late = TALK.map((message, at) => (at === TALK.length - 1 ? { ...message, time: message.time + 7 } : message))
    expect(await source(V1(session()), B(session(late)))).toBe('/v1 < /b')
    // The last by its time is another message, and the copy above has that too.
    const other = TALK.map((message, at) => (at === TALK.length - 2 ? { ...message, time: START + 3_600_000 } : message))
    expect(await source(V1(session()), B(session(other)))).toBe('/v1 < /b')
  })

  it('is read when the import dropped its end, and when the end was removed above: to lose messages is worse than to show removed ones', async () => {
    const cut = TALK.slice(0, -2)
    expect(await source(V2(session(cut)), V1(session()))).toBe('/v1 < /v2')
    // once the newer client goes on, its copy is read again
    expect(await source(V2(session([...cut, LATER])), V1(session()))).toBe('/v2 < /v1')
  })

  it('is not read for a damaged message at its end, but for an intact one before it', async () => {
    const spoilt = (store: MemoryStore, ...ids: readonly string[]): MemoryStore => {
      for (const message of ids) store.put({ session: KEY.session, message }, '{', LATER.time)
      return store
    }
    const [latest] = conversation(START + 7_200_000, 1) as [CorpusMessage]
    const more = V1(session([...TALK, LATER, latest]))
    const late = TALK.map((message, at) => (at === TALK.length - 1 ? { ...message, time: message.time + 7 } : message))
    for (const talk of [TALK, late]) expect(await source(V2(session()), spoilt(V1(session(talk)), 'msg_stray'))).toBe('/v2 < /v1')
    expect(await source(V2(session()), spoilt(more, latest.id))).toBe('/v1 < /v2')
    expect(await source(V2(session()), spoilt(more, latest.id, LATER.id))).toBe('/v1 < /v2') // their parts are there
    for (const { id, parts } of [LATER, latest]) for (const part of parts) more.put({ session: KEY.session, message: id, part: part.id }, '', START)
    expect(await source(V2(session()), more)).toBe('/v2 < /v1')
  })

  it('is read when it ends with the same message and its record is newer: renamed or archived by an older client', async () => {
    const renamed = { ...session(TALK, START + 5), info: { ...session().info, title: 'renamed' } }
    expect(await source(V2(session()), V1(renamed))).toBe('/v1 < /v2')
    expect(await source(V2(session(TALK, START + 6)), V1(renamed))).toBe('/v2 < /v1')
    expect(await source(V2(session([])), V1({ ...renamed, messages: [] }))).toBe('/v1 < /v2')
    // with another end a touched record says nothing
    expect(await source(V2(session([...TALK, LATER])), V1(renamed))).toBe('/v2 < /v1')
  })

  it('gains and loses nothing by a damaged record', async () => {
    const damaged = (store: MemoryStore): MemoryStore => {
      store.put({ session: KEY.session }, '{', START)
      return store
    }
    expect(await source(damaged(V2(session())), V1(session(TALK, START + 5)))).toBe('/v2 < /v1')
    expect(await source(V2(session()), damaged(V1(session(TALK, START + 5))))).toBe('/v2 < /v1')
    expect(await source(damaged(V2(session())), V1(session([...TALK, LATER])))).toBe('/v1 < /v2')
    expect(await source(damaged(V2(session())), damaged(V1(session())))).toBe('/v2 < /v1')
  })
})

describe('three copies', () => {
  it('are held against each other from above, and hidden ones stay in order', async () => {
    const [latest] = conversation(START + 7_200_000, 1) as [CorpusMessage]
    expect(await source(V2(session()), V1(session([...TALK, LATER])), B(session()))).toBe('/v1 < /v2, /b')
    expect(await source(V2(session()), V1(session([...TALK, LATER])), B(session([...TALK, latest])))).toBe('/b < /v2, /v1')
    expect(await source(V2(session([])), V1(session([])), B(session()))).toBe('/b < /v2, /v1')
  })
})

describe('the listing', () => {
  const OTHER = corpusSession(START + 1, conversation(START + 1000, 1))

  it('asks each store once, only for sessions in several, and opens nothing', async () => {
    const upper = watched(V2(session(), OTHER))
    const lower = watched(V1(session()))
    const alone = watched(B(corpusSession(START + 2, [])))
    await setOf(upper.store, lower.store, alone.store)
    expect([upper.calls, lower.calls, alone.calls].map((calls) => calls.filter((name) => !/^(kind|path|sessions)$/.test(name)))).toEqual([
      ['newest'],
      ['newest'],
      [],
    ])
  })

  it('keeps to what it chose before when a store cannot be asked, and names the store', async () => {
    const memories = [V2(session()), V1(session([...TALK, LATER]))]
    const [upper, lower] = memories.map(watched) as [WatchedStore, WatchedStore]
    const set = await setOf(upper.store, lower.store)
    for (const [at, store] of [upper, lower].entries()) {
      // Of copies that nothing was written to nobody is asked again.
      putMessage(memories[at] as MemoryStore, session().id, TALK[0] as CorpusMessage)
      store.before.newest = () => {
        throw new StorageError('STORE_BUSY', { reason: 'somebody writes' })
      }
      await set.refresh()
      expect(sourcesOf(set)).toEqual(['/v1 < /v2'])
      expect(set.issues).toEqual([{ code: 'STORE_BUSY', path: store.store.path, reason: 'somebody writes', transient: true }])
      store.before = {}
    }
    putMessage(memories[0] as MemoryStore, session().id, TALK[0] as CorpusMessage)
    upper.before.price = () => {
      throw new StorageError('STORE_BUSY', { reason: 'somebody writes' })
    }
    await set.refresh()
    expect([sourcesOf(set), set.issues.length]).toEqual([['/v1 < /v2'], 1])
    const fresh = await setOf(upper.store, lower.store)
    expect(sourcesOf(fresh)).toEqual(['/v2 < /v1'])
  })

  it('keeps what a store listed last while it cannot be listed, the copies that others hide included', async () => {
    const [upper, lower] = [watched(V2(session())), watched(V1(session(), OTHER))]
    const set = await setOf(upper.store, lower.store)
    for (const store of [upper, lower]) {
      store.before.sessions = () => {
        throw new StorageError('STORE_BUSY', { reason: 'somebody writes' })
      }
    }
    for (let time = 0; time < 2; time++) {
      await set.refresh()
      expect([...sourcesOf(set)].sort()).toEqual(['/v1', '/v2 < /v1'])
      expect(set.issues.map(({ code, path }) => [code, path])).toEqual([
        ['STORE_BUSY', '/v2'],
        ['STORE_BUSY', '/v1'],
      ])
    }
  })

  it('follows a session to another copy: no list and no bytes of the one before are taken for it', async () => {
    // Of equal versions by their names: the stores count alike.
    const upper = V2(session())
    const said = TALK.map((message) => ({ ...message, parts: message.parts.map((part) => ({ ...part, data: { ...part.data, text: 'lower' } })) }))
    const lower = V1(session(said))
    const set = await setOf(upper, lower)
    const before = await treeOf(set, { session: KEY })
    const revision = await set.index.revision(KEY)
    putMessage(lower, KEY.session, LATER)
    await set.refresh()
    const after = await treeOf(set, { session: KEY })
    expect([before.source.path, before.messages.length, after.source.path, after.messages.length]).toEqual([
      '/v2',
      TALK.length,
      '/v1',
      TALK.length + 1,
    ])
    expect(after.messages[0]?.parts[0]).toMatchObject({ text: 'lower' })
    expect(await set.index.revision(KEY)).not.toBe(revision)
    expect(await set.index.messageCount(KEY)).toBe(TALK.length + 1)
  })

  it('lists the copy that a session moved to anew', async () => {
    const [question, answer, ...latest] = conversation(START + 3_600_000, 2)
    using database = sqliteFixture('1.18')([session()])
    using tree = jsonFixture([session([...TALK.slice(0, -2), question as CorpusMessage, answer as CorpusMessage])])
    await using set = await setOf(await database.open(), await tree.open())
    const ids = async (): Promise<string[]> => (await set.index.messages(KEY)).map(({ id }) => id)
    expect(await ids()).toEqual([...TALK.slice(0, -2), question, answer].map((message) => message?.id))
    const [last] = latest as [CorpusMessage]
    database.write({ session: KEY.session, message: last.id }, JSON.stringify(last.data), last.time)
    await set.refresh()
    expect(await ids()).toEqual([...TALK, last].map(({ id }) => id))
  })

  it('reads no record of the copy before from memory', async () => {
    const [first] = TALK as [CorpusMessage]
    const key = messageKey(KEY, parseMessageId(first.id))
    const lower = V1(session(TALK.map((message) => ({ ...message, data: { ...message.data, agent: 'lower' } }))))
    const set = await setOf(V2(session()), lower)
    const agent = async (): Promise<unknown> => {
      using span = await readMessageSpan(set, key)
      return (parseSpan(span) as { agent?: unknown }).agent
    }
    expect(await agent()).toBe('build')
    putMessage(lower, KEY.session, LATER)
    await set.refresh()
    expect(await agent()).toBe('lower')
  })

  it('names a version that moves with the record of a hidden copy', async () => {
    const [upper, lower] = [V2(session()), V1(session())]
    const set = await setOf(upper, lower)
    const first = await set.index.revision(KEY)
    await set.refresh()
    expect(await set.index.revision(KEY)).toBe(first)
    lower.put({ session: KEY.session }, { title: 'renamed', time: { created: START, updated: START - 1 } }, START)
    await set.refresh()
    expect(await set.index.revision(KEY)).not.toBe(first)
  })
})

describe('real stores', () => {
  it('a tree and the database it was imported into: their times differ, their messages do not', async () => {
    const talk = TALK.map((message) => ({ ...message, data: { ...message.data, time: { created: message.time - 3 } } }))
    const early = talk.map((message) => ({ ...message, time: message.time - 3 }))
    for (const [inDatabase, inTree] of [
      [TALK, talk],
      [early, TALK],
    ] as const) {
      using database = sqliteFixture('1.18')([session(inDatabase)])
      using tree = jsonFixture([session(inTree)])
      await using set = await setOf(await tree.open(), await database.open())
      expect(set.index.session(KEY)?.source.kind).toBe('opencode-sqlite')
    }
  })

  it('a database of OpenCode 2 whose import dropped nothing, added a row, and noted a switch later', async () => {
    using fixture = bothGenerations([...TALK])
    await using set = await createSessionSet(await openSqliteStores(fixture.path))
    expect(set.index.session(KEY)).toMatchObject({ source: { kind: 'opencode-v2' }, hides: [{ kind: 'opencode-sqlite' }] })
  })

  it('the same, and 1.x renamed it: a row that the import derived from the last message is no other end', async () => {
    using fixture = bothGenerations([...TALK], 'synthetic', START + 9e9)
    await using set = await createSessionSet(await openSqliteStores(fixture.path))
    expect(set.index.session(KEY)?.source.kind).toBe('opencode-sqlite')
  })

  it('the same, and 1.x went on before the switch', async () => {
    using fixture = bothGenerations([...TALK, userMessage(START + 600_000), assistantMessage(START + 601_000)])
    await using set = await createSessionSet(await openSqliteStores(fixture.path))
    expect(set.index.session(KEY)).toMatchObject({ source: { kind: 'opencode-sqlite' }, hides: [{ kind: 'opencode-v2' }] })
    expect((await treeOf(set, { session: KEY })).messages.length).toBe(TALK.length + 2)
  })
})

/** The tables of both: in those of 2.x the talk as it was imported, a row that the import adds, and one that tells of a switch an hour later. */
function bothGenerations(inV1: readonly CorpusMessage[], derived = 'system', touched = START): Disposable & { readonly path: string } {
  const fixture = v2Fixture([])
  const writer = new Database(fixture.path)
  writer.exec(openCodeTables('1.18').replaceAll('CREATE TABLE ', 'CREATE TABLE IF NOT EXISTS '))
  insertV2Session(writer, session())
  insertV2Session(writer, session(TALK, touched), 'session')
  const add = (id: string, type: string, time: number, seq: number): void =>
    writeV2Row(writer, { session: KEY.session, message: id }, JSON.stringify({ type, text: '', content: [], time: { created: time } }), time, seq)
  for (const [at, { id, data, time }] of TALK.entries()) add(id, String(data.role), time, at)
  const last = TALK.at(-1)
  add(`${last?.id.slice(0, 16)}derived0000000`, derived, (last?.time ?? 0) + 1, TALK.length)
  add('msg_switch', 'agent-switched', START + 3_600_000, TALK.length + 1)
  const insert = writer.prepare('INSERT INTO message (id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?)')
  for (const { id, data, time } of inV1) insert.run(id, KEY.session, time, time, JSON.stringify(data))
  writer.close()
  return fixture
}
