/** Damaged records of the copy that is shown are taken from the copies that it hides. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { Store } from '../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { loadTodos } from '../../src/tree/loader.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { FlowResult, SessionHydratedTree } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'
import { memoryCopy } from '../support/copies.js'
import { type CorpusMessage, type CorpusPart, type CorpusSession, sampleCorpus, sessionDocument } from '../support/corpus.js'
import { eraAFixture, type FixtureMaker, jsonFixture, type StoreFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { issuesIn, keyOf, resultOf, setOf, treeOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'
import { watched } from '../support/watched-store.js'
import { workOf } from '../support/work.js'

const [SESSION] = sampleCorpus()
const LOWER = marked(SESSION, 'lower')
const KEY = keyOf(SESSION.id)
const ALL = SESSION.messages.map(({ id }) => id)
const [, , MESSAGE] = SESSION.messages as [CorpusMessage, CorpusMessage, CorpusMessage]
const [, PART] = MESSAGE.parts as [CorpusPart, CorpusPart]
const PLACE = { session: SESSION.id, message: MESSAGE.id }

/** The same records, which say in every message and every text where they stand. */
function marked(session: CorpusSession, mark: string): CorpusSession {
  const messages = session.messages.map((message) => ({
    ...message,
    data: { ...message.data, agent: mark },
    parts: message.parts.map((part) => ({ ...part, data: { ...part.data, text: `${mark} ${part.data.text}` } })),
  }))
  return { ...session, info: { ...session.info, title: mark }, messages }
}

interface Pair extends AsyncDisposable {
  readonly upper: StoreFixture
  readonly lower: StoreFixture
  readonly set: Sessions
  readonly stores: readonly [Store, Store]
}

/** `spoil` comes before anything is opened. */
async function pair(makeUpper: FixtureMaker, makeLower: FixtureMaker, spoil: (upper: StoreFixture, lower: StoreFixture) => void): Promise<Pair> {
  const [upper, lower] = [makeUpper(makeUpper === v2Fixture ? V2_SUBJECT.corpus : [SESSION]), makeLower([LOWER])]
  spoil(upper, lower)
  const stores = [await upper.open(), await lower.open()] as const
  const set = await setOf(stores[1], stores[0])
  const close = async (): Promise<void> => {
    await set.close()
    upper[Symbol.dispose]()
    lower[Symbol.dispose]()
  }
  return { upper, lower, set, stores, [Symbol.asyncDispose]: close }
}

async function read(set: Sessions): Promise<{ readonly result: FlowResult<SessionHydratedTree>; readonly tree: SessionHydratedTree }> {
  const result = await runSessionTreeFlow(set, { session: KEY })
  return { result, tree: resultOf(result) }
}

/** [message id, who says the message, who says each of its parts]. */
function told({ messages }: SessionHydratedTree): unknown[] {
  return messages.map(({ key, message, parts }) => {
    const texts = parts.map((part) => ('text' in part && part.text?.startsWith('lower ') ? 'lower' : 'upper'))
    const owner = message === undefined ? undefined : 'agent' in message && message.agent === 'lower' ? 'lower' : 'upper'
    return [key.message, owner, ...texts]
  })
}

/** What `told` gives of the session when nothing is damaged, but for the given message. */
function expectedBut(message: readonly string[]): unknown[] {
  return SESSION.messages.map(({ id, parts }) => (id === MESSAGE.id ? [id, ...message] : [id, 'upper', ...parts.map(() => 'upper')]))
}

const olderMemory: FixtureMaker = ([session]) => {
  const store = memoryCopy('opencode-era-a', 'older:', session === undefined ? [] : [session])
  return {
    path: store.path,
    open: async () => store,
    write: (place, text, time) => store.put(place, text, time),
    remove: (place) => store.remove(place),
    sessionRecord: () => ({}),
    [Symbol.dispose]: () => undefined,
  }
}

const upperMemory: FixtureMaker = ([session]) => {
  const store = memoryCopy('opencode-json', 'upper:', session === undefined ? [] : [session])
  return { ...olderMemory([]), path: store.path, open: async () => store, write: (place, text, time) => store.put(place, text, time) }
}

const PAIRS: readonly (readonly [string, FixtureMaker, FixtureMaker])[] = [
  ['memory over memory', upperMemory, olderMemory],
  ['a database over a tree', sqliteFixture('1.18'), jsonFixture],
  ['a tree over trees of 0.x', jsonFixture, eraAFixture()],
]

describe.each(PAIRS)('%s', (_, makeUpper, makeLower) => {
  it.each(['', '{"role":', '\0\0\0', '[]'])('a message that reads %j gives way to the lower one, its parts stay', async (text) => {
    await using it = await pair(makeUpper, makeLower, (upper) => upper.write(PLACE, text, MESSAGE.time))
    const { result, tree } = await read(it.set)
    expect(told(tree)).toEqual(expectedBut(['lower', 'upper', 'upper']))
    expect(tree.source.kind).toBe(it.stores[0].kind)
    const [issue, ...others] = issuesIn(result)
    expect(others).toEqual([])
    expect(issue).toMatchObject({ code: 'RECORD_FROM_LOWER_COPY', key: { kind: 'message', message: MESSAGE.id } })
    expect(issue?.path?.startsWith(it.upper.path)).toBe(true)
    expect(issue?.reason).toMatch(new RegExp(`^.+; the record is that of ${it.stores[1].kind}$`))
  })

  it('a part gives way to the lower one, at its place', async () => {
    for (const [at, part] of MESSAGE.parts.entries()) {
      await using it = await pair(makeUpper, makeLower, (upper) => upper.write({ ...PLACE, part: part.id }, '{"type"', part.time))
      const { result, tree } = await read(it.set)
      expect(told(tree)).toEqual(expectedBut(['upper', ...MESSAGE.parts.map((_, place) => (place === at ? 'lower' : 'upper'))]))
      expect(tree.messages.map(({ damagedParts }) => damagedParts)).toEqual(ALL.map(() => 0))
      expect(tree.messages.find(({ key }) => key.message === MESSAGE.id)?.parts.map(({ id }) => id)).toEqual(MESSAGE.parts.map(({ id }) => id))
      expect(issuesIn(result)).toMatchObject([{ code: 'RECORD_FROM_LOWER_COPY', key: { kind: 'part', part: part.id } }])
    }
  })

  it('everything at once', async () => {
    await using it = await pair(makeUpper, makeLower, (upper) => {
      for (const { id, time, parts } of SESSION.messages) {
        upper.write({ session: SESSION.id, message: id }, '{', time)
        for (const part of parts) upper.write({ session: SESSION.id, message: id, part: part.id }, '', time)
      }
    })
    const { result, tree } = await read(it.set)
    expect(told(tree)).toEqual(SESSION.messages.map(({ id, parts }) => [id, 'lower', ...parts.map(() => 'lower')]))
    expect(new Set(issuesIn(result).map(({ code }) => code))).toEqual(new Set(['RECORD_FROM_LOWER_COPY']))
    expect(issuesIn(result).length).toBe(SESSION.messages.reduce((sum, { parts }) => sum + 1 + parts.length, 0))
  })

  it('what the lower copy holds damaged too, or not at all, stays damaged', async () => {
    for (const spoilLower of [
      (lower: StoreFixture) => lower.write({ ...PLACE, part: PART.id }, '{', PART.time),
      (lower: StoreFixture) => lower.remove({ ...PLACE, part: PART.id }),
    ]) {
      await using it = await pair(makeUpper, makeLower, (upper, lower) => {
        upper.write({ ...PLACE, part: PART.id }, '{', PART.time)
        spoilLower(lower)
      })
      const { result, tree } = await read(it.set)
      expect(told(tree)).toEqual(expectedBut(['upper', 'upper']))
      expect(tree.messages.map(({ damagedParts }) => damagedParts).filter(Boolean)).toEqual([1])
      expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', key: { kind: 'part', part: PART.id } }])
    }
  })

  it('of a session without damage nothing is opened in the lower copy', async () => {
    await using it = await pair(makeUpper, makeLower, () => undefined)
    const { value, work } = await workOf(it.stores[1], () => read(it.set))
    expect(value.result.status).toBe('ok')
    expect(work).toEqual({ files: 0, rows: 0, bytes: 0, stats: 0 })
  })

  it('a stream mends as the tree does', async () => {
    await using it = await pair(makeUpper, makeLower, (upper) => {
      upper.write(PLACE, '{', MESSAGE.time)
      upper.write({ ...PLACE, part: PART.id }, '{', PART.time)
    })
    for (const output of ['sessions', 'messages'] as const) {
      const results: FlowResult<SessionHydratedTree>[] = []
      for await (const result of runSessionFlow(it.set, { session: KEY }, { output })) results.push(result)
      expect(results.flatMap((result) => told(resultOf(result)))).toEqual(expectedBut(['lower', 'upper', 'lower']))
      expect(results.flatMap(issuesIn).map(({ code }) => code)).toEqual(['RECORD_FROM_LOWER_COPY', 'RECORD_FROM_LOWER_COPY'])
    }
  })

  it('a mended message keeps its signature: a tail does not read it again', async () => {
    await using it = await pair(makeUpper, makeLower, (upper) => upper.write(PLACE, '{', MESSAGE.time))
    const { tree } = await read(it.set)
    const known = new Map(tree.messages.map(({ key, signature }) => [key.message, signature]))
    const tail = await treeOf(it.set, { session: KEY, known: (key) => known.get(key.message), deep: true })
    expect(tail.messages).toEqual([])
  })
})

describe('a message whose id tells no time', () => {
  it('stands where the record that was found puts it, not where the damaged file was written', async () => {
    const odd = { ...MESSAGE, id: 'msg-0' }
    const messages = SESSION.messages.map((message) => (message === MESSAGE ? odd : message))
    using upper = jsonFixture([{ ...SESSION, messages }])
    using lower = eraAFixture()([{ ...LOWER, messages }])
    upper.write({ ...PLACE, message: odd.id }, '{', SESSION.updated + 60_000)
    await using set = await setOf(await upper.open(), await lower.open())
    expect((await set.index.messages(KEY)).at(-1)?.id).toBe(odd.id)
    expect((await read(set)).tree.messages.map(({ key }) => key.message)).toEqual(messages.map(({ id }) => id))
  })
})

describe('OpenCode 2, whose parts stand inside their messages', () => {
  it.each<[string, FixtureMaker]>([
    ['1.x', sqliteFixture('1.18')],
    ['a tree', jsonFixture],
  ])('takes a message with its parts from %s, at its own place', async (_, makeLower) => {
    await using it = await pair(v2Fixture, makeLower, (upper) => upper.write(PLACE, '{', MESSAGE.time))
    const { result, tree } = await read(it.set)
    expect(tree.source.kind).toBe('opencode-v2')
    expect(tree.messages.map(({ key }) => key.message)).toEqual(ALL)
    const node = tree.messages.find(({ key }) => key.message === MESSAGE.id)
    expect([node?.message?.role, node?.parts.map(({ id }) => id)]).toEqual(['user', MESSAGE.parts.map(({ id }) => id)])
    expect(issuesIn(result)).toMatchObject([{ code: 'RECORD_FROM_LOWER_COPY', key: { kind: 'message' } }])
  })

  it('counts and names the parts that are damaged there too', async () => {
    await using it = await pair(v2Fixture, jsonFixture, (upper, lower) => {
      upper.write(PLACE, '{', MESSAGE.time)
      lower.write({ ...PLACE, part: PART.id }, '{', PART.time)
    })
    const { result, tree } = await read(it.set)
    const node = tree.messages.find(({ key }) => key.message === MESSAGE.id)
    expect([node?.message?.role, node?.parts.length, node?.damagedParts]).toEqual(['user', MESSAGE.parts.length - 1, 1])
    expect(issuesIn(result)).toMatchObject([
      { code: 'RECORD_FROM_LOWER_COPY', key: { kind: 'message' } },
      { code: 'CORRUPT_RECORD', key: { kind: 'part', part: PART.id } },
    ])
  })

  it('has the todo list of 1.x', async () => {
    await using it = await pair(v2Fixture, sqliteFixture('1.18'), () => undefined)
    expect(await loadTodos(it.set, KEY)).toEqual(SESSION.todos)
  })
})

describe('three copies', () => {
  it('the first intact one counts', async () => {
    const [upper, middle, last] = (['opencode-sqlite', 'opencode-json', 'opencode-era-a'] as const).map((kind) =>
      memoryCopy(kind, kind, [marked(SESSION, kind)]),
    ) as [MemoryStore, MemoryStore, MemoryStore]
    for (const store of [upper, middle]) store.put(PLACE, '{', MESSAGE.time)
    upper.put({ ...PLACE, part: PART.id }, '{', PART.time)
    upper.put({ session: SESSION.id }, '{', SESSION.updated)
    const set = await setOf(last, middle, upper)
    const { result, tree } = await read(set)
    const node = tree.messages.find(({ key }) => key.message === MESSAGE.id)
    expect([tree.session?.title, node?.message, node?.parts[1]]).toMatchObject([
      'opencode-json',
      { agent: 'opencode-era-a' },
      { text: `opencode-json ${PART.data.text}` },
    ])
    expect(issuesIn(result).map(({ code, path, reason }) => [code, path, reason])).toEqual([
      ['RECORD_FROM_LOWER_COPY', 'opencode-sqlite', 'truncated; the record is that of opencode-json'],
      ['RECORD_FROM_LOWER_COPY', 'opencode-sqlite', 'truncated; the record is that of opencode-era-a'],
      ['RECORD_FROM_LOWER_COPY', 'opencode-sqlite', 'truncated; the record is that of opencode-json'],
    ])
  })
})

describe('a damaged session record', () => {
  const spoilt = (upper: StoreFixture): void => {
    const folder = join(upper.path, 'session', SESSION.project)
    if (existsSync(folder)) for (const name of readdirSync(folder)) writeFileAt(join(folder, name), '{"title": "torn', SESSION.updated)
  }

  it('gives way in the tree, and in the index, which names what it shows', async () => {
    await using it = await pair(jsonFixture, eraAFixture(), spoilt)
    const meta = it.set.index.session(KEY)
    expect(meta).toMatchObject({ title: 'lower', damaged: true, source: { kind: 'opencode-json' }, hides: [{ kind: 'opencode-era-a' }] })
    expect(it.set.issues).toMatchObject([{ code: 'RECORD_FROM_LOWER_COPY', key: KEY, reason: 'truncated; the record is that of opencode-era-a' }])
    expect(it.set.issues[0]?.path?.startsWith(join(it.upper.path, 'session'))).toBe(true)
    const { result, tree } = await read(it.set)
    expect([tree.session?.title, told(tree)]).toEqual(['lower', expectedBut(['upper', 'upper', 'upper'])])
    expect(issuesIn(result)).toMatchObject([{ code: 'RECORD_FROM_LOWER_COPY', key: { kind: 'session' } }])
  })

  it('of a child links to its parent all the same', async () => {
    const child = { ...SESSION, info: { ...SESSION.info, parentID: 'ses_parent' } }
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/a', [child]), memoryCopy('opencode-json', '/b', [child])]
    upper.put({ session: SESSION.id }, '', SESSION.updated)
    const set = await setOf(upper, lower)
    expect(set.index.children(keyOf('ses_parent')).map(({ id, hides }) => [id, hides.length])).toEqual([[SESSION.id, 1]])
  })

  it('of a hidden copy is named, and nothing else', async () => {
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/a', [SESSION]), memoryCopy('opencode-json', '/b', [SESSION])]
    lower.put({ session: SESSION.id }, '', SESSION.updated)
    const set = await setOf(upper, lower)
    expect(set.issues).toMatchObject([{ code: 'CORRUPT_RECORD', path: '/b', key: KEY }])
    expect((await read(set)).result.status).toBe('ok')
  })
})

describe('a session record that no copy holds whole', () => {
  function damagedStore(): MemoryStore {
    const store = memoryCopy('opencode-json', '/b', [SESSION])
    store.put({ session: SESSION.id }, '{', SESSION.updated)
    return store
  }

  it('is rebuilt from the messages, in the index and in the tree, and named', async () => {
    const set = await setOf(damagedStore())
    const named = [{ code: 'SESSION_RECORD_DAMAGED', key: KEY, path: '/b', offset: 1, reason: 'truncated' }]
    expect(set.issues).toEqual(named)
    const [first, last] = [SESSION.messages.at(0)?.time, SESSION.messages.at(-1)?.time]
    expect(set.index.session(KEY)).toMatchObject({ damaged: true, directory: '/srv/sky', updated: last })
    const { result, tree } = await read(set)
    expect(tree.session).toMatchObject({ id: SESSION.id, directory: '/srv/sky', time: { updated: last } })
    expect(tree.session?.time.created).toBeLessThanOrEqual(first ?? 0)
    expect(told(tree)).toEqual(expectedBut(['upper', 'upper', 'upper']))
    expect(issuesIn(result)).toEqual(named)
  })

  it('stays damaged when there is no message either', async () => {
    const store = new MemoryStore('/b', 'opencode-json')
    store.put({ session: SESSION.id }, '{', SESSION.updated)
    const set = await setOf(store)
    expect(set.issues).toMatchObject([{ code: 'CORRUPT_RECORD', key: KEY }])
    const { result, tree } = await read(set)
    expect([tree.session, issuesIn(result).map(({ code }) => code)]).toEqual([undefined, ['CORRUPT_RECORD']])
  })

  it('is not rebuilt again before the record or the end of the session moves', async () => {
    const inner = damagedStore()
    const store = watched(inner)
    const set = await setOf(store.store)
    const opened = (): number => store.opened.length
    const first = opened()
    expect(first).toBeGreaterThan(0)
    await set.refresh()
    expect(opened()).toBe(first)
    const time = SESSION.updated + 60_000
    inner.put({ session: SESSION.id, message: 'msg_new' }, { role: 'user', time: { created: time } }, time)
    await set.refresh()
    expect(opened()).toBeGreaterThan(first)
    expect(set.index.session(KEY)?.updated).toBe(time)
    inner.put({ session: SESSION.id }, sessionDocument(SESSION), time)
    await set.refresh()
    expect([set.index.session(KEY)?.title, set.index.session(KEY)?.damaged, set.issues]).toEqual(['The sky', false, []])
  })

  it('that tells no folder is completed once', async () => {
    using older = eraAFixture()([SESSION])
    const store = watched(await older.open())
    await using set = await setOf(store.store)
    expect(set.index.session(KEY)).toMatchObject({ title: 'The sky', directory: '/srv/sky', damaged: false })
    const first = store.opened.length
    await set.refresh()
    expect([set.index.session(KEY)?.directory, store.opened.length]).toEqual(['/srv/sky', first])
  })
})

describe('what is not mended', () => {
  it('a file that is still being written: a moment later it is whole', async () => {
    using upper = jsonFixture([SESSION])
    using lower = eraAFixture()([LOWER])
    upper.write(PLACE, '{"role":', MESSAGE.time)
    const clock = manualClock(MESSAGE.time)
    await using set = await setOf(await upper.open(clock), await lower.open())
    const { result, tree } = await read(set)
    expect(told(tree).filter((row) => Array.isArray(row) && row[1] !== 'upper')).toEqual([[MESSAGE.id, undefined, 'upper', 'upper']])
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', transient: true }])
  })

  it('anything, while the store of the lower copy cannot be read', async () => {
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/a', [SESSION]), watched(memoryCopy('opencode-json', '/b', [LOWER]))]
    upper.put(PLACE, '{', MESSAGE.time)
    const set = await setOf(upper, lower.store)
    lower.before.open = () => {
      throw new StorageError('STORE_BUSY', { reason: 'somebody writes' })
    }
    expect(issuesIn((await read(set)).result)).toMatchObject([{ code: 'CORRUPT_RECORD' }])
    lower.before = {}
    expect(issuesIn((await read(set)).result)).toMatchObject([{ code: 'RECORD_FROM_LOWER_COPY' }])
  })

  it('parts of kinds that were not asked for', async () => {
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/a', [SESSION]), memoryCopy('opencode-json', '/b', [LOWER])]
    upper.put({ ...PLACE, part: PART.id }, '{', PART.time)
    const set = await setOf(upper, lower)
    const tree = await treeOf(set, { session: KEY, parts: { kinds: ['tool'] } })
    expect(tree.messages.map(({ parts, damagedParts }) => [parts.length, damagedParts])).toEqual(ALL.map(() => [0, 0]))
  })
})
