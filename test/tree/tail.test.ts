/** The tail: with what the caller knows, only what changed is opened. */
import { describe, expect, it } from 'vitest'
import { unwrap } from '../../src/core/stage.js'
import type { Store } from '../../src/storage/store.js'
import { planSessionTree } from '../../src/tree/plan.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { SessionHydratedTree, SessionTreePlan, TreeRequest } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'
import { assistantMessage, type CorpusMessage, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { type FixtureMaker, jsonFixture, memoryFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { keyOf, treeOf } from '../support/trees.js'
import { watched } from '../support/watched-store.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 20))
const KEY = keyOf(SESSION.id)
/** Long after: nothing is hot but the last eight. */
const NOW = SESSION.updated + DAY
const message = (at: number): CorpusMessage => SESSION.messages.at(at) as CorpusMessage

const STORES: readonly (readonly [string, FixtureMaker])[] = [
  ['memory', memoryFixture],
  ['JSON', jsonFixture],
  ['SQLite', sqliteFixture('1.2.1')],
]

interface World extends AsyncDisposable {
  readonly fixture: StoreFixture
  readonly sessions: Sessions
  readonly opened: string[]
  /** Signatures of the last tree that was read. */
  readonly known: Map<string, string | undefined>
  read(more?: Partial<TreeRequest>): Promise<SessionHydratedTree>
  plan(more?: Partial<TreeRequest>): Promise<SessionTreePlan>
}

async function worldOf(make: FixtureMaker, corpus = [SESSION], now = NOW): Promise<World> {
  const fixture = make(corpus)
  const clock = manualClock(now)
  const { store, opened } = watched(await fixture.open(clock)) as { store: Store; opened: string[] }
  const sessions = await createSessionSet([store], { clock })
  const known = new Map<string, string | undefined>()
  const request = (more: Partial<TreeRequest>): TreeRequest => ({ session: KEY, known: ({ message }) => known.get(message), ...more })
  return {
    fixture,
    sessions,
    opened,
    known,
    async read(more = {}) {
      opened.length = 0
      const tree = await treeOf(sessions, request(more))
      for (const { key, signature } of tree.messages) known.set(key.message, signature)
      return tree
    },
    plan: async (more = {}) => unwrap(await planSessionTree(sessions, request(more))),
    async [Symbol.asyncDispose]() {
      await sessions.close()
      fixture[Symbol.dispose]()
    },
  }
}

describe.each(STORES)('the tail over %s', (_, make) => {
  it('is empty when nothing changed: no message and no part is opened', async () => {
    await using w = await worldOf(make)
    await w.read()
    expect((await w.read()).messages).toEqual([])
    expect(w.opened).toEqual([])
    expect((await w.plan()).unchanged).toBe(SESSION.messages.length)
    expect((await w.read({ deep: true })).messages).toEqual([])
    expect(w.opened).toEqual([])
  })

  it('is exactly the new message with its parts', async () => {
    await using w = await worldOf(make)
    await w.read()
    const added = userMessage(SESSION.updated + 60_000, ['one', 'two'])
    add(w, added)
    const { messages } = await w.read()
    expect(messages.map(({ key, parts }) => [key.message, parts.length])).toEqual([[added.id, 2]])
    expect(w.opened).toEqual([added.id, ...added.parts.map(({ id }) => id)])
    expect((await w.read()).messages).toEqual([])
  })

  it('finds an edit of a hot message, of its part, a new part in it, and a part that went', async () => {
    await using w = await worldOf(make)
    const place = { session: SESSION.id, message: message(-2).id }
    const part = { ...place, part: message(-2).parts[0]?.id ?? '' }
    const edits: readonly (() => void)[] = [
      () => w.fixture.write(place, JSON.stringify({ ...message(-2).data, summary: { diffs: [] } }), NOW + 1),
      () => w.fixture.write(part, '{"type":"text","text":"edited"}', NOW + 2),
      () => w.fixture.write({ ...place, part: 'prt_new' }, '{"type":"text","text":"new"}', NOW + 3),
      () => w.fixture.remove({ ...place, part: 'prt_new' }),
    ]
    await w.read()
    for (const edit of edits) {
      edit()
      expect((await w.read()).messages.map(({ key }) => key.message)).toEqual([place.message])
      expect((await w.read()).messages).toEqual([])
    }
  })

  it('sees an old edit in a cold message with deep only', async () => {
    await using w = await worldOf(make)
    await w.read()
    const cold = message(4)
    w.fixture.write({ session: SESSION.id, message: cold.id, part: cold.parts[0]?.id ?? '' }, '{"type":"text","text":"pruned"}', NOW)
    expect((await w.read()).messages).toEqual([])
    expect((await w.read({ deep: true })).messages.map(({ key }) => key.message)).toEqual([cold.id])
    expect((await w.read({ deep: true })).messages).toEqual([])
  })

  it('has the last eight messages hot, and no ninth', async () => {
    await using w = await worldOf(make)
    await w.read()
    for (const at of [-8, -9])
      w.fixture.write({ session: SESSION.id, message: message(at).id, part: `prt_late${at}` }, '{"type":"text","text":"late"}', NOW)
    expect((await w.read()).messages.map(({ key }) => key.message)).toEqual([message(-8).id])
  })

  it('lists messages anew with deep: one removed and another written in its place, long ago, are seen', async () => {
    await using w = await worldOf(make)
    await w.read()
    w.fixture.remove({ session: SESSION.id, message: message(4).id })
    const other = userMessage(message(4).time + 7, [])
    add(w, other)
    expect((await w.read({ deep: true })).messages.map(({ key }) => key.message)).toEqual([other.id])
    expect((await w.plan({ deep: true })).unchanged).toBe(SESSION.messages.length)
  })

  it('looks at every message of the last ten minutes', async () => {
    const now = SESSION.updated + 60_000
    await using w = await worldOf(make, [SESSION], now)
    await w.read()
    const young = SESSION.messages.findIndex(({ time }) => time > now - 600_000 + 1000)
    expect(young).toBeLessThan(SESSION.messages.length - 9)
    for (const at of [young, young - 3])
      w.fixture.write({ session: SESSION.id, message: message(at).id, part: message(at).parts[0]?.id ?? '' }, '{"type":"text","text":"x"}', now)
    expect((await w.read()).messages.map(({ key }) => key.message)).toEqual([message(young).id])
  })

  it('checks an unsettled message again however old, until it is settled', async () => {
    const running = assistantMessage(START + 1500, {
      completed: false,
      parts: [{ type: 'tool', tool: 'bash', callID: 'c', state: { status: 'running', input: {} } }],
    })
    const stuck = assistantMessage(START + 1600, { parts: [{ type: 'tool', tool: 'bash', callID: 'c', state: { status: 'pending', input: {} } }] })
    await using w = await worldOf(make, [{ ...SESSION, messages: [running, stuck, ...SESSION.messages] }])
    await w.read()
    expect(
      [...w.known]
        .filter(([, signature]) => signature?.startsWith('~'))
        .map(([id]) => id)
        .sort(),
    ).toEqual([running.id, stuck.id].sort())
    expect((await w.read()).messages).toEqual([])
    w.fixture.write(
      { session: SESSION.id, message: running.id },
      JSON.stringify({ ...running.data, time: { created: running.time, completed: running.time + 9 } }),
      NOW,
    )
    const done = {
      type: 'tool',
      tool: 'bash',
      callID: 'c',
      state: { status: 'completed', input: {}, output: 'ok', title: '', metadata: {}, time: { start: 1, end: 2 } },
    }
    for (const { id, parts } of [running, stuck])
      w.fixture.write({ session: SESSION.id, message: id, part: parts[0]?.id ?? '' }, JSON.stringify(done), NOW)
    expect((await w.read()).messages.map(({ key }) => key.message)).toEqual([running.id, stuck.id])
    expect([...w.known.values()].some((signature) => signature?.startsWith('~'))).toBe(false)
    expect((await w.read()).messages).toEqual([])
  })

  it('reads again what was damaged, once it is mended', async () => {
    await using w = await worldOf(make)
    const place = { session: SESSION.id, message: message(-1).id, part: message(-1).parts[0]?.id ?? '' }
    w.fixture.write(place, '{"type":"te', NOW - 1)
    expect((await w.read()).messages.at(-1)).toMatchObject({ damagedParts: 1, parts: [] })
    w.fixture.write(place, '{"type":"text","text":"whole"}', NOW)
    expect((await w.read()).messages).toMatchObject([{ damagedParts: 0, parts: [{ text: 'whole' }] }])
  })

  it('works in a window, and gives every message whose signature is not known', async () => {
    await using w = await worldOf(make)
    await w.read({ messages: { last: 5 } })
    expect((await w.read({ messages: { last: 7 } })).messages.map(({ key }) => key.message)).toEqual([message(-7).id, message(-6).id])
    expect((await w.read({ known: () => 'a signature of somebody else', messages: { last: 2 } })).messages.length).toBe(2)
  })

  it('does not depend on the session open: signatures hold in another set', async () => {
    await using w = await worldOf(make)
    await w.read()
    await using again = await createSessionSet([(await w.fixture.open(manualClock(NOW))) as Store], { clock: manualClock(NOW) })
    const tree = await treeOf(again, { session: KEY, known: ({ message }) => w.known.get(message), deep: true })
    expect(tree.messages).toEqual([])
  })
})

function add(w: World, added: CorpusMessage): void {
  w.fixture.write({ session: SESSION.id, message: added.id }, JSON.stringify(added.data), added.time)
  for (const part of added.parts) w.fixture.write({ session: SESSION.id, message: added.id, part: part.id }, JSON.stringify(part.data), part.time)
}
