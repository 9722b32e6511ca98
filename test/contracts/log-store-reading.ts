/** Reading logs that nobody writes to: what each stage does, and what it gives. */
import { readFileSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { unwrap } from '../../src/core/stage.js'
import { MappedSpan } from '../../src/storage/maps/mapped-span.js'
import { Slab } from '../../src/storage/slab.js'
import type { Span } from '../../src/storage/span.js'
import type { Read } from '../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { planReads, planSessionTree } from '../../src/tree/plan.js'
import { readMessageSpan, readPartSpan, readSpan } from '../../src/tree/read-span.js'
import { resolveSessionTree } from '../../src/tree/resolve.js'
import type { SessionRefTree, TreeRequest } from '../../src/tree/types.js'
import type { LogDialect } from '../support/log-dialects.js'
import { piecesOf } from '../support/log-pieces.js'
import { CORPUS, plainSayings, type SaidSession } from '../support/log-sayings.js'
import { type LogWorld, type MakeLogWorld, type Mapping, plainTree } from '../support/log-world.js'
import { resultOf, treeOf } from '../support/trees.js'
import { workOf } from '../support/work.js'

const [FIRST] = CORPUS

export async function resolved(w: LogWorld, session: SaidSession): Promise<SessionRefTree> {
  return unwrap(await resolveSessionTree(w.set, unwrap(await planSessionTree(w.set, { session: w.keyOf(session) }))))
}

export function spansIn({ messages }: SessionRefTree): readonly Span[] {
  return messages.flatMap(({ leaf, parts }) => [leaf, ...parts.map((part) => part.leaf)]).flatMap(({ span }) => span ?? [])
}

async function parses<T>(act: () => Promise<T>): Promise<{ readonly value: T; readonly count: number }> {
  const spy = vi.spyOn(JSON, 'parse')
  try {
    return { value: await act(), count: spy.mock.calls.length }
  } finally {
    spy.mockRestore()
  }
}

export function describeStages(world: MakeLogWorld, dialect: LogDialect, { map }: Mapping): void {
  it('plans a log that it knows without reading: not a byte, not a parse', async () => {
    await using w = await world()
    for (const session of CORPUS) {
      const first = await planSessionTree(w.set, { session: w.keyOf(session) })
      const { value, work } = await workOf(w.store, () => parses(() => planSessionTree(w.set, { session: w.keyOf(session) })))
      expect(work).toMatchObject({ files: 0, bytes: 0, rows: 0 })
      // A look at each file for what is listed, for its prices, and for its further lines; a journal that is not there is looked for, too.
      expect(work.stats).toBeLessThanOrEqual(dialect.agent === 'jcode' ? 6 : 3)
      expect(value.count).toBe(0)
      expect({ ...value.value, report: 0 }).toEqual({ ...first, report: 0 })
    }
  })

  it('plans a log that it does not know without a parse', async () => {
    await using w = await world()
    const { value, count } = await parses(() => planSessionTree(w.set, { session: w.keyOf(FIRST) }))
    expect([unwrap(value).messages.length, count]).toEqual([FIRST.sayings.length, 0])
  })

  it('resolves without a parse, to ranges that are lines of their file, each line once in a message', async () => {
    await using w = await world()
    for (const session of CORPUS) {
      const { value: refs, count } = await parses(() => resolved(w, session))
      using _ = refs
      expect(count).toBe(0)
      const forms = dialect.render(session).map(({ form }) => form)
      const pieces = w.pathsOf(session).flatMap((path, at) => piecesOf(path, forms[at]))
      expect(new Set(spansIn(refs).map((span) => span instanceof MappedSpan))).toEqual(new Set([map === 1]))
      const found = new Set<string>()
      for (const span of spansIn(refs)) {
        const { path, offset = -1, line } = span.source
        const range = readFileSync(path).subarray(offset, offset + span.length)
        expect(Buffer.from(span.bytes()).equals(range)).toBe(true)
        const piece = pieces.find((one) => one.path === path && one.offset <= offset && offset + span.length <= one.offset + one.length)
        expect([line, within(piece?.document)]).toEqual([piece?.line, expect.arrayContaining([JSON.parse(range.toString())])])
        const { key } = span
        found.add(`${key.kind === 'session' ? '' : key.message} ${path} ${offset}`)
      }
      expect(found.size).toBe(spansIn(refs).length)
      expect(refs.messages.length).toBe(session.sayings.length)
    }
  })

  it('gives the lines as they are with `native`', async () => {
    await using w = await world()
    using refs = await resolved(w, FIRST)
    const expected = refs.messages.map(({ leaf, parts }) => ({
      message: JSON.parse(leaf.span?.text() ?? ''),
      parts: parts.map(({ key, leaf: own }) => ({ id: key.part, document: JSON.parse(own.span?.text() ?? '') })),
    }))
    const tree = await treeOf(w.set, { session: w.keyOf(FIRST), native: true })
    expect(tree.messages.map(({ native }) => native)).toEqual(expected)
    expect(tree.native).toMatchObject({ id: dialect.idOf(FIRST), title: FIRST.title })
  })

  it('streams the same trees, whole and in pages', async () => {
    await using w = await world()
    for await (const result of runSessionFlow(w.set, { all: true })) {
      const tree = resultOf(result)
      const session = CORPUS.find((one) => dialect.idOf(one) === tree.key.session)
      expect(session && plainTree(tree)).toEqual(session && plainSayings(session, dialect.hasTree))
    }
    const pages = []
    for await (const page of runSessionFlow(w.set, { session: w.keyOf(FIRST) }, { output: 'messages' })) pages.push(resultOf(page))
    expect(pages.flatMap(({ messages }) => messages.map(({ key }) => key))).toEqual(
      (await treeOf(w.set, { session: w.keyOf(FIRST) })).messages.map(({ key }) => key),
    )
  })
}

/** What a piece holds that may be a leaf: itself, or the messages in it. */
function within(document: Readonly<Record<string, unknown>> | undefined): readonly unknown[] {
  return [document, ...(Array.isArray(document?.append_messages) ? document.append_messages : [])]
}

export function describeRequests(world: MakeLogWorld, dialect: LogDialect): void {
  it('gives windows: the last, those before one, those after one', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const all = (await treeOf(w.set, { session })).messages.map(({ key }) => key.message)
    const idsIn = async (messages: NonNullable<TreeRequest['messages']>): Promise<unknown> =>
      (await treeOf(w.set, { session, messages })).messages.map(({ key }) => key.message)
    const [second, fourth] = [all[1] as MessageId, all[3] as MessageId]
    expect(await idsIn({ last: 2 })).toEqual(all.slice(-2))
    expect(await idsIn({ last: 0 })).toEqual([])
    expect(await idsIn({ before: fourth })).toEqual(all.slice(0, 3))
    expect(await idsIn({ after: second })).toEqual(all.slice(2))
    expect(await idsIn({ after: second, last: 1 })).toEqual(all.slice(-1))
    expect((await planSessionTree(w.set, { session, limit: { bytes: 10 } })).status).toBe('failed')
  })

  it('leaves out what the caller knows, however old, and nothing that changed', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const tree = await treeOf(w.set, { session })
    const held = new Map(tree.messages.map(({ key, signature }) => [key.message, signature]))
    const plan = unwrap(await planSessionTree(w.set, { session, known: ({ message }) => held.get(message) }))
    expect([plan.messages.length, plan.unchanged]).toEqual([0, tree.messages.length])
    const [one] = held.keys()
    const wrong = unwrap(await planSessionTree(w.set, { session, known: ({ message }) => (message === one ? 'other' : held.get(message)) }))
    expect(wrong.messages.map(({ key }) => key.message)).toEqual([one])
  })

  it('gives single records by their keys: messages, and their further lines', async () => {
    await using w = await world()
    using refs = await resolved(w, FIRST)
    for (const { key, leaf, parts } of refs.messages) {
      using span = await readMessageSpan(w.set, key)
      expect([span.text(), span.generation, span.source]).toEqual([leaf.span?.text(), leaf.span?.generation, leaf.span?.source])
      for (const part of parts) {
        using own = await readPartSpan(w.set, part.key)
        expect(own.text()).toBe(part.leaf.span?.text())
      }
    }
    const [first] = refs.messages
    const absent = { ...(first?.key ?? w.keyOf(FIRST)), message: 'absent' } as never
    await expect(readSpan(w.set, absent)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('lists, prices and opens in any order, one or many at a time', async () => {
    await using w = await world()
    const keys = CORPUS.map((session) => w.keyOf(session))
    expect(await w.store.messageCounts(keys)).toEqual(CORPUS.map(({ sayings }) => sayings.length))
    const newest = await w.store.newest(keys)
    expect(newest.entries.map((entry) => entry?.created)).toEqual(CORPUS.map(({ sayings }) => sayings.at(-1)?.time))
    expect(await w.store.totals()).toMatchObject({ sessions: CORPUS.length, messages: CORPUS.flatMap(({ sayings }) => sayings).length })
    const plan = unwrap(await planSessionTree(w.set, { session: keys[0] as never }))
    const reads = [...planReads(plan)].reverse()
    using slab = new Slab()
    const leaves = await w.store.open([...reads, ...reads], slab)
    expect(leaves.map(({ span }) => span?.length)).toEqual([...reads, ...reads].map(({ price }) => price?.bytes))
    expect(leaves.map(({ span }) => span?.generation)).toEqual([...reads, ...reads].map(({ price }) => price?.generation))
    const opened = await w.store.openParts(
      keys[0] as never,
      plan.messages.map(({ key }) => key),
      slab,
    )
    expect(opened.entries.map((list) => list.map(({ key }) => key))).toEqual(plan.messages.map(({ parts }) => (parts ?? []).map(({ key }) => key)))
    const strange: Read[] = [{ kind: 'todo', key: keys[0] as never }]
    expect((await w.store.open(strange, slab)).map(({ issue }) => issue?.code)).toEqual(['STALE_SPAN'])
    expect(await w.store.price(strange)).toEqual([undefined])
  })

  it('adds up what a session cost, wherever its lines say so', async () => {
    await using w = await world()
    for (const session of CORPUS) {
      const { messages } = await treeOf(w.set, { session: w.keyOf(session) })
      const tokens = messages.flatMap(({ message }) => (message?.role === 'assistant' ? [message.tokens] : [])) as { input: number; output: number }[]
      expect(tokens.every((own) => own.input > 0)).toBe(true)
      expect((await w.set.index.usage(w.keyOf(session))).tokens).toMatchObject({
        input: tokens.reduce((sum, { input }) => sum + input, 0),
        output: tokens.reduce((sum, { output }) => sum + output, 0),
      })
    }
  })

  it('stops when it is told to', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const signal = AbortSignal.abort(new Error('enough'))
    const plan = unwrap(await planSessionTree(w.set, { session }))
    await expect(w.store.sessions({ signal })).rejects.toThrow('enough')
    await expect(w.store.messages(session, { signal, deep: true })).rejects.toThrow('enough')
    await expect(runSessionTreeFlow(w.set, { session, signal })).rejects.toThrow('enough')
    await expect(resolveSessionTree(w.set, plan, { signal })).rejects.toThrow('enough')
    const controller = new AbortController()
    const census = async (): Promise<void> => {
      for await (const entry of w.store.census(() => new Slab(), { signal: controller.signal }))
        if (entry.what === 'record') controller.abort(new Error('enough'))
    }
    await expect(census()).rejects.toThrow('enough')
    expect(plainTree(await treeOf(w.set, { session }))).toEqual(plainSayings(FIRST, dialect.hasTree))
  })
}
