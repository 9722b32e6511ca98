import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { AGENTS, messageKey, partKey } from '../../src/core/keys.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { parseSpan } from '../../src/storage/span.js'
import type { Store } from '../../src/storage/store.js'
import {
  listMessages,
  listSessions,
  loadDiffs,
  loadMessages,
  loadMessageWithParts,
  loadParts,
  loadSession,
  loadSessionTree,
  loadTodos,
} from '../../src/tree/loader.js'
import { readDiffSpan, readMessageSpan, readPartSpan, readSessionSpan, readSpan, readTodoSpan } from '../../src/tree/read-span.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { SessionMeta } from '../../src/tree/types.js'
import { type CorpusMessage, type CorpusSession, corpusSession, sampleCorpus, WRAP } from '../support/corpus.js'
import { eraAFixture, foldedMessage, jsonFixture, memoryFixture, pretty, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { keyOf, setOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'
import { watched } from '../support/watched-store.js'
import { workOf } from '../support/work.js'

const CORPUS = sampleCorpus()
const [PARENT, ACROSS, CHILD] = CORPUS as [CorpusSession, CorpusSession, CorpusSession]
const KEY = keyOf(PARENT.id)
const [FIRST] = PARENT.messages as [CorpusMessage]
const FIRST_KEY = messageKey(KEY, parseMessageId(FIRST.id))
const PART_KEY = partKey(FIRST_KEY, parsePartId(FIRST.parts[0]?.id ?? ''))

describe('the index', () => {
  it('opens session records alone when it is built, and two messages of the one session that tells no folder', async () => {
    const homeless = CORPUS.filter(({ info }) => info.directory === '')
    expect(homeless).toEqual([CHILD])
    for (const [corpus, messages] of [
      [CORPUS.filter((session) => session !== CHILD), []],
      [CORPUS, CHILD.messages.slice(0, 2)],
    ] as const) {
      using fixture = jsonFixture(corpus)
      const world = watched(await fixture.open())
      const { work } = await workOf(world.store, () => setOf(world.store))
      expect(work.files).toBe(corpus.length + messages.length)
      expect(world.opened).toEqual(messages.map(({ id }) => id))
    }
  })

  it('looks sessions up by key, id, project, parent and time', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    const { index } = set
    expect(index.session(KEY)?.title).toBe('The sky')
    expect(index.findById(parseSessionId(PARENT.id))?.key).toEqual(KEY)
    expect(index.findById(parseSessionId('ses_nobody'))).toBeUndefined()
    expect(index.children(KEY).map(({ id, parent }) => [id, parent])).toEqual([[CHILD.id, PARENT.id]])
    expect(index.children(keyOf(CHILD.id))).toEqual([])
    expect(index.sessionsForProject('global').map(({ id }) => id)).toEqual([CHILD.id])
    const times = index.sessionsByTime().map(({ updated }) => updated)
    expect(times).toEqual([...times].sort((a, b) => b - a))
    expect(index.sessionsUpdatedSince(ACROSS.updated).map(({ id }) => id)).toEqual([ACROSS.id])
    expect(index.stats()).toMatchObject({ sessions: CORPUS.length, messages: 0, cache: { spans: 0, bytes: 0 } })
  })

  it('is not changed by who changes what it gives', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    const [first] = listSessions(set)
    const given: readonly unknown[] = [listSessions(set), set.stores, set.issues, AGENTS, first, first?.key, first?.source, first?.hides]
    for (const one of given) expect(Object.isFrozen(one)).toBe(true)
    expect(() => (listSessions(set) as SessionMeta[]).sort()).toThrow(TypeError)
    await set.refresh()
    expect(listSessions(set)[0]).toEqual(first)
  })

  it('lists messages when they are first needed, and their parts', async () => {
    using fixture = sqliteFixture('1.18')(CORPUS)
    await using set = await setOf(await fixture.open())
    const { index } = set
    expect((await index.messages(KEY)).map(({ id, created }) => [id, created])).toEqual(PARENT.messages.map(({ id, time }) => [id, time]))
    expect(index.stats().messages).toBe(PARENT.messages.length)
    expect(await index.messageCount(KEY)).toBe(PARENT.messages.length)
    expect(await index.message(FIRST_KEY)).toEqual({ key: FIRST_KEY, id: FIRST.id, created: FIRST.time })
    expect(await index.message(messageKey(KEY, parseMessageId('msg_none')))).toBeUndefined()
    expect((await index.parts(FIRST_KEY)).map(({ key }) => key.part)).toEqual(FIRST.parts.map(({ id }) => id))
    expect((await index.part(PART_KEY))?.bytes).toBe(JSON.stringify(FIRST.parts[0]?.data).length)
    await expect(index.messages(keyOf('ses_nobody'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('finds a session that was written after it was built, without being asked to refresh', async () => {
    using fixture = jsonFixture([PARENT])
    await using set = await setOf(await fixture.open())
    writeFileAt(
      join(fixture.path, 'session', 'global', 'ses_new.json'),
      pretty({ id: 'ses_new', title: 'new', time: { created: 1, updated: 1 } }),
      WRAP,
    )
    expect((await loadSession(set, parseSessionId('ses_new'))).session?.title).toBe('new')
  })

  it('keeps the last good listing of a store that fails, and says so', async () => {
    const store = new MemoryStore()
    store.put({ session: 'ses_1' }, { title: 'kept', time: { created: 1, updated: 1 } }, 1)
    const world = watched(store)
    await using set = await setOf(world.store)
    world.before = {
      sessions: () => {
        throw new StorageError('STORE_BUSY', { reason: 'somebody writes' })
      },
    }
    await set.refresh()
    expect(set.issues).toMatchObject([{ code: 'STORE_BUSY', transient: true }])
    expect(set.index.sessionsByTime().map(({ title }) => title)).toEqual(['kept'])
    world.before = {}
    await set.refresh()
    expect(set.issues).toEqual([])
  })

  it('drops sessions that are gone once they are', async () => {
    const store = new MemoryStore()
    for (const id of ['ses_1', 'ses_2']) store.put({ session: id }, { time: { created: 1, updated: 1 } }, 1)
    await using set = await setOf(store)
    store.remove({ session: 'ses_1' })
    await set.refresh()
    expect(set.index.sessionsByTime().map(({ id }) => id)).toEqual(['ses_2'])
  })

  it('closes every store, the others too when one cannot be closed', async () => {
    const closed: string[] = []
    const stores = ['a', 'b', 'c'].map((name) => {
      const close = async (): Promise<void> => {
        closed.push(name)
        if (name === 'b') throw new Error('stuck')
      }
      return Object.assign(new MemoryStore(name), { [Symbol.asyncDispose]: close })
    })
    const set = await createSessionSet(stores)
    await expect(set.close()).rejects.toThrow('Not every store could be closed.')
    expect(closed).toEqual(['a', 'b', 'c'])
  })
})

describe('usage', () => {
  it('comes from the record, and is added up from the messages where the record has only zeros', async () => {
    const recorded = { ...PARENT, info: { ...PARENT.info, cost: 9, tokens: { input: 1, output: 2, reasoning: 3, cache: { read: 4, write: 5 } } } }
    using fixture = jsonFixture([
      recorded,
      { ...ACROSS, info: { ...ACROSS.info, cost: 0, tokens: { input: 0, output: 0, reasoning: 0, cache: { read: 0, write: 0 } } } },
      CHILD,
    ])
    const store = await fixture.open()
    await using set = await setOf(store)
    const own = await workOf(store, () => set.index.usage(KEY))
    expect(own.value).toEqual({ cost: 9, tokens: { input: 1, output: 2, reasoning: 3, cache: { read: 4, write: 5 } } })
    expect(own.work.files).toBe(0)
    const steps = ACROSS.messages.filter(({ data }) => data.role === 'assistant').length
    const added = await workOf(store, () => set.index.usage(keyOf(ACROSS.id)))
    expect(added.value).toEqual({
      cost: steps * 0.25,
      tokens: { input: steps * 60, output: steps * 20, reasoning: steps * 3, cache: { read: steps * 40, write: steps * 7 } },
    })
    expect(added.work.files).toBe(ACROSS.messages.length + 1)
  })

  it('is numbers, whatever stands in the records', async () => {
    const store = new MemoryStore()
    store.put({ session: 's' }, { time: { created: 1, updated: 1 }, cost: { usd: 1 }, tokens: null }, 1)
    for (const [at, cost] of [{ usd: 1 }, '0.5', null, 0.5].entries()) {
      store.put(
        { session: 's', message: `m${at}` },
        { role: 'assistant', time: { created: at }, cost, tokens: { input: 'x', output: null, cache: 7 } },
        at,
      )
    }
    store.put({ session: 's', message: 'm9' }, '{', 9)
    await using set = await setOf(store)
    expect(await set.index.usage(keyOf('s'))).toEqual({ cost: 0.5, tokens: { input: 0, output: 0, reasoning: 0, cache: { read: 0, write: 0 } } })
  })
})

describe('loaders', () => {
  it('give whole records, issues beside', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    const id = parseSessionId(PARENT.id)
    expect(listSessions(set).length).toBe(CORPUS.length)
    expect((await listMessages(set, id)).length).toBe(PARENT.messages.length)
    const store = set.stores[0] as Store
    const loaded = await workOf(store, () => loadSession(set, id))
    expect([loaded.value.session?.title, loaded.value.issues, loaded.work.files]).toEqual(['The sky', [], 1])
    expect((await loadMessages(set, id, { last: 2 })).map(({ key }) => key.message)).toEqual(PARENT.messages.slice(-2).map((message) => message.id))
    expect(await loadTodos(set, id)).toEqual(PARENT.todos)
    expect(await loadDiffs(set, id)).toEqual(PARENT.diffs)
    expect([await loadTodos(set, keyOf(CHILD.id)), await loadDiffs(set, keyOf(CHILD.id))]).toEqual([[], []])
    await expect(loadTodos(set, parseSessionId('ses_nobody'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('give any one message with its parts, opening nothing else', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    for (const message of ACROSS.messages) {
      const id = parseMessageId(message.id)
      const { value, work } = await workOf(set.stores[0] as Store, () => loadMessageWithParts(set, parseSessionId(ACROSS.id), id))
      expect([value.key.message, value.parts.length]).toEqual([message.id, message.parts.length])
      expect(work.files).toBe(2 + message.parts.length)
    }
    expect((await loadParts(set, KEY, parseMessageId(FIRST.id))).length).toBe(FIRST.parts.length)
    await expect(loadMessageWithParts(set, KEY, parseMessageId('msg_none'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('give a session with the sessions it started, and end where parents run in circles', async () => {
    const around = ['a', 'b', 'c'].map((id, at) => corpusSession(WRAP + at, [], { id, info: { title: id, parentID: ['b', 'c', 'a'][at] } }))
    const own = corpusSession(WRAP + 9, [], { id: 'self', info: { title: 'self', parentID: 'self' } })
    using fixture = memoryFixture([...CORPUS, ...around, own])
    await using set = await setOf(await fixture.open())
    const tree = await loadSessionTree(set, KEY)
    expect([tree.messages.length, tree.children.map(({ meta, messages }) => [meta.id, messages.length])]).toEqual([
      PARENT.messages.length,
      [[CHILD.id, CHILD.messages.length]],
    ])
    const names = (node: Awaited<ReturnType<typeof loadSessionTree>>): unknown => [node.meta.id, ...node.children.map(names)]
    expect(names(await loadSessionTree(set, keyOf('a')))).toEqual(['a', ['c', ['b']]])
    expect(names(await loadSessionTree(set, keyOf('self')))).toEqual(['self'])
  })

  it('leave out what is no item of a list', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    writeFileAt(join(fixture.path, 'todo', `${PARENT.id}.json`), '[null, 3, {"content": "a"}]', WRAP)
    expect(await loadTodos(set, KEY)).toEqual([{ content: 'a', status: '', priority: '' }])
    writeFileAt(join(fixture.path, 'session_diff', `${PARENT.id}.json`), '[null, {"file": "a"}]', WRAP)
    expect(await loadDiffs(set, KEY)).toEqual([{ file: 'a', additions: 0, deletions: 0 }])
  })

  it('say plainly that a list is damaged', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    for (const text of ['{}', '[{"con', '']) {
      writeFileAt(join(fixture.path, 'todo', `${PARENT.id}.json`), text, WRAP)
      await expect(loadTodos(set, KEY)).rejects.toMatchObject({ code: 'CORRUPT_RECORD' })
    }
  })
})

describe('a part that stands inside its message', () => {
  const INLINE = partKey(FIRST_KEY, parsePartId(`${FIRST.id}_0`))

  it('has no span of its own: the error says where it stands', async () => {
    using second = v2Fixture([V2_SUBJECT.corpus[0]])
    using first = eraAFixture()([{ ...PARENT, messages: [] }])
    const file = join(first.path, PARENT.project, 'storage', 'session', 'message', PARENT.id, `${FIRST.id}.json`)
    writeFileAt(file, JSON.stringify(foldedMessage(PARENT.id, FIRST)), FIRST.time)
    for (const fixture of [first, second]) {
      await using set = await setOf(await fixture.open())
      expect((await loadParts(set, KEY, FIRST_KEY.message))[0]?.id).toBe(INLINE.part)
      for (const read of [readPartSpan, readSpan] as const) {
        await expect(read(set, INLINE)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: expect.stringContaining('readMessageSpan') })
      }
      expect(parseSpan(await readMessageSpan(set, FIRST_KEY))).toBeTypeOf('object')
      expect([await set.index.parts(FIRST_KEY), await set.index.part(INLINE)]).toEqual([[], undefined])
    }
  })

  it('is not said to be there where its message is not, or it is no place', async () => {
    using fixture = v2Fixture([V2_SUBJECT.corpus[0]])
    await using set = await setOf(await fixture.open())
    const lost = messageKey(KEY, parseMessageId('msg_none'))
    for (const key of [
      partKey(lost, parsePartId('msg_none_0')),
      partKey(FIRST_KEY, parsePartId(`${FIRST.id}_x`)),
      partKey(FIRST_KEY, parsePartId('prt_1')),
    ])
      await expect(readPartSpan(set, key)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'there is no such part' })
  })
})

describe('todo lists and diffs of hidden copies', () => {
  const OTHER = [{ content: 'other', status: 'pending', priority: 'low' }]
  const BARE = { ...PARENT, todos: undefined, diffs: undefined } as unknown as CorpusSession
  const NEWEST = { ...V2_SUBJECT.corpus[0], diffs: undefined } as unknown as CorpusSession

  it('stand in where the shown copy has none, in order of precedence', async () => {
    using newest = v2Fixture([NEWEST])
    using rows = sqliteFixture('1.18')([{ ...BARE, todos: OTHER }])
    using files = jsonFixture([PARENT])
    await using all = await setOf(await newest.open(), await rows.open(), await files.open())
    expect(all.index.session(KEY)?.source.kind).toBe('opencode-v2')
    expect([await loadTodos(all, KEY), await loadDiffs(all, KEY)]).toEqual([OTHER, PARENT.diffs])
    expect((await readTodoSpan(all, KEY)).source.path).toBe(rows.path)
    await using two = await setOf(await newest.open(), await files.open())
    expect([await loadTodos(two, KEY), await loadDiffs(two, KEY)]).toEqual([PARENT.todos, PARENT.diffs])
    await using one = await setOf(await newest.open())
    expect([await loadTodos(one, KEY), await loadDiffs(one, KEY)]).toEqual([[], []])
  })

  it('are not asked where the shown copy has its own', async () => {
    using rows = sqliteFixture('1.18')([{ ...PARENT, todos: OTHER, diffs: [] }])
    using files = jsonFixture([PARENT])
    await using set = await setOf(await rows.open(), await files.open())
    expect([await loadTodos(set, KEY), await loadDiffs(set, KEY)]).toEqual([OTHER, []])
  })
})

describe('single spans', () => {
  it.each([
    ['JSON', jsonFixture],
    ['SQLite', sqliteFixture('1.18')],
    ['memory', memoryFixture],
  ] as const)('are read by key, from the cache when nothing changed (%s)', async (_, make) => {
    using fixture = make(CORPUS)
    const store = await fixture.open()
    await using set = await setOf(store)
    const first = await readPartSpan(set, PART_KEY)
    const again = await workOf(store, () => readSpan(set, PART_KEY))
    expect([again.work.files, again.work.bytes]).toEqual([0, 0])
    expect(again.value.text()).toBe(first.text())
    expect(parseSpan(await readMessageSpan(set, FIRST_KEY))).toMatchObject(FIRST.data)
    expect(parseSpan(await readSessionSpan(set, KEY))).toMatchObject({ title: 'The sky' })
    expect(parseSpan(await readTodoSpan(set, KEY))).toEqual(PARENT.todos)
    expect(parseSpan(await readDiffSpan(set, KEY))).toEqual(PARENT.diffs)
    fixture.write({ session: PARENT.id, message: FIRST.id, part: PART_KEY.part }, '{"type":"text","text":"newer"}', WRAP)
    expect(parseSpan(await readPartSpan(set, PART_KEY))).toMatchObject({ text: 'newer' })
    expect(parseSpan(first)).toMatchObject(FIRST.parts[0]?.data ?? {})
    first[Symbol.dispose]()
    expect(() => first.bytes()).toThrow(expect.objectContaining({ code: 'SPAN_DISPOSED' }))
    fixture.remove({ session: PARENT.id, message: FIRST.id, part: PART_KEY.part })
    await expect(readPartSpan(set, PART_KEY)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(readDiffSpan(set, keyOf(CHILD.id))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
