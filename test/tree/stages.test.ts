/** The laws of the stages, each over every kind of store. */
import { describe, expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { issuesOf, unwrap } from '../../src/core/stage.js'
import type { Store } from '../../src/storage/store.js'
import { type FlowScope, runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { hydrateSessionTree } from '../../src/tree/hydrate.js'
import { planReads, planSessionTree } from '../../src/tree/plan.js'
import { resolveSessionTree } from '../../src/tree/resolve.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { SessionHydratedTree, TreeRequest } from '../../src/tree/types.js'
import { assistantMessage, type CorpusMessage, type CorpusSession, conversation, corpusSession, sampleCorpus } from '../support/corpus.js'
import { type FixtureMaker, jsonFixture, memoryFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { issuesIn, keyOf, plain, resultOf, setOf, treeOf } from '../support/trees.js'
import { watched } from '../support/watched-store.js'
import { workOf } from '../support/work.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const LONG = corpusSession(START, conversation(START + 1000, 80))
const CORPUS = [...sampleCorpus(), LONG]
const KEY = keyOf(LONG.id)
const [FIRST, SECOND] = LONG.messages as [CorpusMessage, CorpusMessage]
const ID = (at: number): CorpusMessage['id'] => LONG.messages.at(at)?.id ?? ''

const STORES: readonly (readonly [string, FixtureMaker])[] = [
  ['memory', memoryFixture],
  ['JSON', jsonFixture],
  ['SQLite', sqliteFixture('1.18')],
]

const SESSION_THEN_MESSAGES_THEN_AGAIN = ['open', 'open', 'price', 'open']

interface World extends AsyncDisposable {
  readonly fixture: StoreFixture
  readonly store: Store
  readonly sessions: Sessions
}

async function worldOf(make: FixtureMaker): Promise<World> {
  const fixture = make(CORPUS)
  const store = await fixture.open()
  const sessions = await setOf(store)
  const close = async (): Promise<void> => {
    await sessions.close()
    fixture[Symbol.dispose]()
  }
  return { fixture, store, sessions, [Symbol.asyncDispose]: close }
}

describe.each(STORES)('over %s', (_, make) => {
  it('plan opens no content (law 2), and pays nothing for what is refused', async () => {
    await using w = await worldOf(make)
    const { work } = await workOf(w.store, () => planSessionTree(w.sessions, { session: KEY }))
    expect([work.files, work.bytes]).toEqual([0, 0])
    const refused = await workOf(w.store, () => runSessionTreeFlow(w.sessions, { session: KEY, limit: { bytes: 100 } }))
    expect(refused.value).toMatchObject({ status: 'failed', stage: 'plan', error: { code: 'PLAN_TOO_LARGE' } })
    expect([refused.work.files, refused.work.bytes]).toEqual([0, 0])
  })

  it('resolve parses nothing: damage resolves like anything else (law 2)', async () => {
    await using w = await worldOf(make)
    for (const message of LONG.messages) {
      w.fixture.write({ session: LONG.id, message: message.id }, '{"cut', LONG.updated)
      for (const part of message.parts) w.fixture.write({ session: LONG.id, message: message.id, part: part.id }, '', LONG.updated)
    }
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    const resolved = await resolveSessionTree(w.sessions, plan)
    expect(resolved.status).toBe('ok')
    using refs = unwrap(resolved)
    expect(hydrateSessionTree(refs).status).toBe('partial')
  })

  it('hydrate opens nothing (law 2), and a disposed tree is SPAN_DISPOSED', async () => {
    await using w = await worldOf(make)
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    const refs = unwrap(await resolveSessionTree(w.sessions, plan))
    const { work, value } = await workOf(w.store, () => hydrateSessionTree(refs))
    expect(work).toEqual({ files: 0, rows: 0, bytes: 0, stats: 0 })
    expect(value.report.records).toBe(planReads(plan).length)
    refs[Symbol.dispose]()
    expect(() => hydrateSessionTree(refs)).toThrow(expect.objectContaining({ code: 'SPAN_DISPOSED' }))
  })

  it('pays the planned price, counted by the store and by the stage', async () => {
    await using w = await worldOf(make)
    for (const request of requests()) {
      const plan = unwrap(await planSessionTree(w.sessions, request))
      const { value, work } = await workOf(w.store, () => resolveSessionTree(w.sessions, plan))
      using _refs = unwrap(value)
      const { files, rows, bytes } = value.report
      expect({ files, rows, bytes }).toEqual({ files: plan.files, rows: plan.rows, bytes: plan.bytes })
      expect({ files: work.files, rows: work.rows, bytes: work.bytes }).toEqual({ files, rows, bytes })
      expect(planReads(plan).length).toBe(plan.files + plan.rows)
    }
  })

  it('gives the same tree for the same plan and the same bytes', async () => {
    await using w = await worldOf(make)
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    expect(unwrap(await planSessionTree(w.sessions, { session: KEY }))).toEqual(plan)
    const read = async (): Promise<SessionHydratedTree> => {
      using refs = unwrap(await resolveSessionTree(w.sessions, JSON.parse(JSON.stringify(plan))))
      return unwrap(hydrateSessionTree(refs))
    }
    expect(await read()).toEqual(await read())
  })

  it('takes any window: last, before, after, and all of them', async () => {
    await using w = await worldOf(make)
    const ids = LONG.messages.map(({ id }) => id)
    const read = async (messages: NonNullable<TreeRequest['messages']>): Promise<string[]> =>
      (await treeOf(w.sessions, { session: KEY, messages })).messages.map(({ key }) => key.message)
    const at = (n: number): never => ids.at(n) as never
    expect(await read({ last: 3 })).toEqual(ids.slice(-3))
    expect(await read({ last: 0 })).toEqual([])
    expect(await read({ last: 10_000 })).toEqual(ids)
    expect(await read({ before: at(2) })).toEqual(ids.slice(0, 2))
    expect(await read({ after: at(-3) })).toEqual(ids.slice(-2))
    expect(await read({ after: at(-1) })).toEqual([])
    expect(await read({ before: at(0) })).toEqual([])
    expect(await read({ after: at(10), before: at(20), last: 4 })).toEqual(ids.slice(16, 20))
    expect(await read({ after: at(20), before: at(10) })).toEqual([])
    await expect(read({ before: 'msg_none' as never })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('keeps only the kinds of parts that were asked for', async () => {
    await using w = await worldOf(make)
    const [, across] = CORPUS as [CorpusSession, CorpusSession]
    const kinds = async (...wanted: readonly string[]): Promise<string[]> =>
      (await treeOf(w.sessions, { session: keyOf(across.id), parts: { kinds: wanted as never } })).messages.flatMap(({ parts }) =>
        parts.map(({ type }) => type),
      )
    expect(new Set(await kinds('tool'))).toEqual(new Set(['tool']))
    expect(new Set(await kinds('unknown', 'reasoning'))).toEqual(new Set(['unknown', 'reasoning']))
    expect(await kinds()).toEqual([])
  })

  it("refuses the caller's mistakes", async () => {
    await using w = await worldOf(make)
    const bad: readonly object[] = [
      { messages: { last: -1 } },
      { messages: { last: 'x' } },
      { messages: { lst: 1 } },
      { limit: { bytes: -1 } },
      { limit: { megabytes: 1 } },
      { kinds: [] },
      { parts: { types: [] } },
      { parts: { kinds: 'text' } },
      { parts: { kinds: ['txt'] } },
      { messages: 3 },
      { messages: { last: 1.5 } },
      { messages: { before: 3 } },
      { limit: 3 },
      { known: {} },
      { deep: 'no' },
      { native: 1 },
      { signal: 3 },
      { session: undefined },
      { session: {} },
      { session: { agent: 'opencode', session: KEY.session } },
      { session: messageKey(KEY, parseMessageId(FIRST.id)) },
    ]
    for (const request of bad) {
      const asked = { session: KEY, ...request } as unknown as TreeRequest
      await expect(planSessionTree(w.sessions, asked), JSON.stringify(request)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
      await expect(runSessionTreeFlow(w.sessions, asked), JSON.stringify(request)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    for (const options of [{ x: 1 }, { signal: 3 }])
      await expect(resolveSessionTree(w.sessions, plan, options as object)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    for (const options of [{ dep: true }, { deep: 'no' }, { signal: 3 }, null, 3])
      await expect(w.sessions.refresh(options as object)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(planSessionTree(w.sessions, { session: keyOf('ses_nobody') })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(planSessionTree(w.sessions, { session: '../../etc' as never })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses above each limit, and not at it', async () => {
    await using w = await worldOf(make)
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    for (const name of ['bytes', 'files', 'rows'] as const) {
      const at = await planSessionTree(w.sessions, { session: KEY, limit: { [name]: plan[name] } })
      expect(at.status).toBe('ok')
      if (plan[name] === 0) continue
      const above = await planSessionTree(w.sessions, { session: KEY, limit: { [name]: plan[name] - 1 } })
      expect(above.status === 'failed' && above.error.code).toBe('PLAN_TOO_LARGE')
    }
  })

  it('plans a stale read again exactly once', async () => {
    await using w = await worldOf(make)
    const world = watched(w.store)
    const sessions = await setOf(world.store)
    const plan = unwrap(await planSessionTree(sessions, { session: KEY, messages: { last: 4 } }))
    const victim = { session: LONG.id, message: ID(-1) }
    let version = 0
    const rewrite = (): void => {
      version++
      w.fixture.write(victim, JSON.stringify({ ...LONG.messages.at(-1)?.data, version, note: 'x'.repeat(version) }), LONG.updated + version)
    }
    rewrite()
    world.calls.length = 0
    const once = await resolveSessionTree(sessions, plan)
    expect([once.status, world.calls]).toEqual(['ok', SESSION_THEN_MESSAGES_THEN_AGAIN])
    unwrap(once)[Symbol.dispose]()
    world.before = { open: rewrite }
    world.calls.length = 0
    const always = await resolveSessionTree(sessions, plan)
    expect(world.calls).toEqual(SESSION_THEN_MESSAGES_THEN_AGAIN)
    expect(issuesOf(always).map(({ code, transient }) => [code, transient])).toEqual([['STALE_SPAN', true]])
    unwrap(always)[Symbol.dispose]()
  })

  it('says what vanished between list and price, and does not call it unchanged', async () => {
    await using w = await worldOf(make)
    const world = watched(w.store)
    await using sessions = await setOf(world.store)
    await sessions.index.messages(KEY)
    world.before.price = () => {
      world.before = {}
      w.fixture.remove({ session: LONG.id, message: SECOND.id })
    }
    const planned = await planSessionTree(sessions, { session: KEY, messages: { before: ID(3) as never } })
    expect(issuesOf(planned).map(({ code, key }) => [code, key?.kind])).toEqual([['STALE_SPAN', 'message']])
    const plan = unwrap(planned)
    expect([plan.messages.length, plan.unchanged]).toEqual([2, 0])
  })

  it('streams what the tree flow gives: all, one project, one session, by sessions and by messages', async () => {
    await using w = await worldOf(make)
    const unsigned = (tree: SessionHydratedTree): unknown => ({
      ...tree,
      messages: tree.messages.map((node) => ({ ...node, signature: undefined, changed: undefined })),
    })
    const trees = new Map<string, SessionHydratedTree>()
    for (const { key } of w.sessions.index.sessionsByTime()) trees.set(key.session, await treeOf(w.sessions, { session: key }))
    const scopes = [{ all: true }, { project: 'global' }, { session: KEY }] as const
    const counts: number[] = []
    for (const scope of scopes) {
      const whole = new Map<string, unknown>()
      const paged = new Map<string, SessionHydratedTree>()
      for await (const result of runSessionFlow(w.sessions, scope)) whole.set(resultOf(result).key.session, unsigned(resultOf(result)))
      for await (const result of runSessionFlow(w.sessions, scope, { output: 'messages' })) {
        const page = resultOf(result)
        expect(page.messages.length).toBeLessThanOrEqual(64)
        const held = paged.get(page.key.session)
        paged.set(page.key.session, held === undefined ? page : { ...held, messages: [...held.messages, ...page.messages] })
      }
      const expected = new Map([...trees].filter(([id]) => whole.has(id)).map(([id, tree]) => [id, unsigned(tree)]))
      expect(whole).toEqual(expected)
      expect(new Map([...paged].map(([id, tree]) => [id, unsigned(tree)]))).toEqual(expected)
      counts.push(whole.size)
    }
    expect(counts).toEqual([CORPUS.length, 1, 1])
  })

  it('streams on past a session that cannot be read, and refuses options that are none', async () => {
    await using w = await worldOf(make)
    w.fixture.write({ session: LONG.id, message: FIRST.id }, '{', LONG.updated)
    const results = []
    for await (const result of runSessionFlow(w.sessions, { all: true })) results.push(result)
    expect(results.filter(({ status }) => status === 'failed')).toEqual([])
    expect(
      results
        .flatMap(issuesIn)
        .map(({ code }) => code)
        .sort(),
    ).toEqual(['CORRUPT_RECORD', 'UNEXPECTED_SHAPE'])
    await expect(runSessionFlow(w.sessions, { all: true }, { output: 'trees' } as never).next()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(runSessionFlow(w.sessions, { session: keyOf('ses_nobody') }).next()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('streams nothing for a scope that names none, or two, of what it may be, or for options that are none', async () => {
    await using w = await worldOf(make)
    const scopes: readonly unknown[] = [
      { projct: 'x' },
      {},
      { all: false },
      { all: true, project: 'x' },
      { project: 3 },
      { project: undefined },
      { session: undefined },
      { session: KEY, project: 'x' },
      'all',
      null,
      KEY,
    ]
    for (const scope of scopes)
      await expect(runSessionFlow(w.sessions, scope as FlowScope).next(), JSON.stringify(scope)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    for (const options of [{ parts: { kinds: ['txt'] } }, { parts: { kind: ['text'] } }, { native: 'no' }, { signal: 3 }, { limit: 1 }, null])
      await expect(runSessionFlow(w.sessions, { all: true }, options as object).next()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('takes what is undefined in a scope for what is not there', async () => {
    await using w = await worldOf(make)
    const none = { session: undefined, project: undefined, all: undefined }
    for (const [scope, count] of [
      [{ all: true }, CORPUS.length],
      [{ project: 'global' }, 1],
      [{ session: KEY }, 1],
    ] as const) {
      let streamed = 0
      for await (const _ of runSessionFlow(w.sessions, { ...none, ...scope } as FlowScope)) streamed++
      expect(streamed).toBe(count)
    }
  })

  it('stops when it is aborted, in every stage', async () => {
    await using w = await worldOf(make)
    const aborted = AbortSignal.abort(new Error('enough'))
    await expect(planSessionTree(w.sessions, { session: KEY, signal: aborted })).rejects.toThrow('enough')
    const plan = unwrap(await planSessionTree(w.sessions, { session: KEY }))
    await expect(resolveSessionTree(w.sessions, plan, { signal: aborted })).rejects.toThrow('enough')
    await expect(runSessionFlow(w.sessions, { all: true }, { signal: aborted }).next()).rejects.toThrow('enough')
    const { store, calls, before } = watched(w.store)
    const sessions = await setOf(store)
    for (const during of ['messages', 'price', 'parts'] as const) {
      const ending = new AbortController()
      before[during] = () => ending.abort(new Error('enough'))
      await expect(planSessionTree(sessions, { session: KEY, signal: ending.signal })).rejects.toThrow('enough')
      expect(calls.at(-1)).toBe(during)
      delete before[during]
    }
    const controller = new AbortController()
    const seen: string[] = []
    const stream = async (): Promise<void> => {
      for await (const result of runSessionFlow(w.sessions, { all: true }, { signal: controller.signal })) {
        seen.push(resultOf(result).key.session)
        controller.abort(new Error('enough'))
      }
    }
    await expect(stream()).rejects.toThrow('enough')
    expect(seen.length).toBe(1)
  })

  it('merges the reports and the issues of all three stages', async () => {
    await using w = await worldOf(make)
    const result = await runSessionTreeFlow(w.sessions, { session: KEY })
    expect(result.reports.map(({ stage }) => stage)).toEqual(['plan', 'resolve', 'hydrate'])
    const [plan, resolve, hydrate] = result.reports
    expect([resolve?.records, hydrate?.records, hydrate?.bytes]).toEqual([(plan?.files ?? 0) + (plan?.rows ?? 0), resolve?.records, resolve?.bytes])
    expect(result.reports.every(({ durationMs }) => durationMs >= 0)).toBe(true)
  })

  it('gives trees that outlive their reading: nothing of the next reading shows in them', async () => {
    await using w = await worldOf(make)
    const first = plain(await treeOf(w.sessions, { session: KEY }))
    const copy = structuredClone(first)
    for await (const _ of runSessionFlow(w.sessions, { all: true })) expect(_.status).not.toBe('failed')
    expect(first).toEqual(copy)
  })
})

function requests(): readonly TreeRequest[] {
  const unfinished = assistantMessage(START, { completed: false })
  return [
    { session: KEY },
    { session: KEY, messages: { last: 5 } },
    { session: KEY, parts: { kinds: ['text'] } },
    { session: KEY, known: () => unfinished.id },
  ]
}
