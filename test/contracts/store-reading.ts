/** The reading half of the contract of stores: opening, damage, whole trees. */
import { expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import { encodeKey, messageKey, partKey } from '../../src/core/keys.js'
import { Slab } from '../../src/storage/slab.js'
import type { Leaf, Read } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { type CorpusMessage, WRAP } from '../support/corpus.js'
import {
  allDocuments,
  type ContractSubject,
  censusOf,
  idIn,
  type MakeWorld,
  mixed,
  never,
  parsed,
  places,
  pricedReads,
} from '../support/store-world.js'
import { issuesIn, keyOf, type PlainTree, plain, resultOf, setOf } from '../support/trees.js'
import { workOf } from '../support/work.js'

export function describeOpening(world: MakeWorld, { corpus, corpus: [first, across], documents }: ContractSubject): void {
  it('gives one leaf per read in the order asked, whatever the order', async () => {
    await using w = await world()
    await w.store.sessions()
    using slab = new Slab()
    const reads = mixed(await pricedReads(w.store, across))
    const leaves = await w.store.open(reads, slab)
    expect(leaves.map((leaf) => [leaf.span && encodeKey(leaf.span.key), leaf.span?.length, leaf.span?.generation])).toEqual(
      reads.map(({ key, price }) => [encodeKey(key), price?.bytes, price?.generation]),
    )
    const expected = new Map(allDocuments(across))
    for (const [at, leaf] of leaves.entries()) {
      // the type of a record may stand beside its document
      const document = { ...leaf.span?.source, ...(parsed(leaf) as object) }
      expect(document).toMatchObject(expected.get(idIn(reads[at] as Read)) ?? { never: true })
    }
  })

  it('gives the same read twice when asked twice', async () => {
    await using w = await world()
    await w.store.sessions()
    const [one] = await pricedReads(w.store, first)
    const leaves = await w.store.open([one as Read, one as Read], new Slab())
    expect(leaves.map(parsed)).toEqual([parsed(leaves[0] as Leaf), parsed(leaves[0] as Leaf)])
    expect(leaves.length).toBe(2)
  })

  it('opens without prices too', async () => {
    await using w = await world()
    await w.store.sessions()
    const reads = (await pricedReads(w.store, first)).map(({ kind, key }): Read => ({ kind, key }))
    const { value, work } = await workOf(w.store, () => w.store.open(reads, new Slab()))
    expect(value.every(({ span }) => span !== undefined)).toBe(true)
    expect(work.files + work.rows).toBe(reads.length)
  })

  it('never gives other bytes under a generation: a rewritten record is STALE_SPAN, and its siblings are not (law 1)', async () => {
    await using w = await world()
    await w.store.sessions()
    const reads = await pricedReads(w.store, first)
    const [, second] = places(first).filter(({ part }) => part === undefined)
    w.fixture.write(second ?? never(), '{"role":"user","time":{"created":1},"note":"rewritten"}', first.updated + 9000)
    const leaves = await w.store.open(reads, new Slab())
    const stale = leaves.flatMap((leaf, at) => (leaf.issue === undefined ? [] : [[leaf.issue.code, leaf.issue.transient, idIn(reads[at] as Read)]]))
    expect(stale).toEqual([['STALE_SPAN', true, second?.message]])
    const again = await pricedReads(w.store, first)
    expect((await w.store.open(again, new Slab())).every(({ issue }) => issue === undefined)).toBe(true)
  })

  it('gives STALE_SPAN for what was removed', async () => {
    await using w = await world()
    await w.store.sessions()
    const reads = await pricedReads(w.store, first)
    const gone = places(first).find(({ part }) => part !== undefined) ?? places(first)[1] ?? never()
    w.fixture.remove(gone)
    const leaves = await w.store.open(reads, new Slab())
    expect(leaves.flatMap((leaf, at) => (leaf.issue === undefined ? [] : [[leaf.issue.code, idIn(reads[at] as Read)]]))).toEqual([
      ['STALE_SPAN', gone.part ?? gone.message],
    ])
    expect((await w.store.price(reads)).filter((price) => price === undefined).length).toBe(1)
  })

  it('opens with openParts what parts lists and open gives', async () => {
    await using w = await world()
    await w.store.sessions()
    for (const session of corpus) {
      const messages = session.messages.map(({ id }) => messageKey(keyOf(session.id), parseMessageId(id)))
      const opened = await w.store.openParts(keyOf(session.id), messages, new Slab())
      const listed = await w.store.parts(
        keyOf(session.id),
        messages.map(({ message }) => message),
      )
      const reads = listed.entries.flatMap((list, at) => list.map(({ id }): Read => ({ kind: 'part', key: partKey(messages[at] ?? never(), id) })))
      const leaves = await w.store.open(reads, new Slab())
      const flat = opened.entries.flat()
      expect(flat.map(({ key }) => encodeKey(key))).toEqual(reads.map(({ key }) => encodeKey(key)))
      expect(flat.map(({ leaf }) => parsed(leaf))).toEqual(leaves.map(parsed))
      expect(opened.entries.map((list) => list.length)).toEqual(listed.entries.map((list) => list.length))
    }
  })

  it.runIf(documents)('opens todo lists and diffs by the key of their session', async () => {
    await using w = await world()
    await w.store.sessions()
    const key = keyOf(first.id)
    const reads: Read[] = [
      { kind: 'todo', key },
      { kind: 'diff', key },
    ]
    const prices = await w.store.price(reads)
    const leaves = await w.store.open(
      reads.map((read, at) => ({ ...read, ...(prices[at] && { price: prices[at] }) })),
      new Slab(),
    )
    expect(leaves.map((leaf) => leaf.span && parsed(leaf))).toEqual([first.todos, first.diffs])
    expect(leaves.map(({ span }) => span?.length)).toEqual(prices.map((price) => price?.bytes))
  })
}

/** Each is no record, in another way. */
const DAMAGE: Readonly<Record<string, string>> = {
  empty: '',
  'NUL-filled': '\0'.repeat(40),
  truncated: '{"type":"text","text":"half of i',
  'not JSON': '{"type":"text"} trailing',
}

export function describeDamage(world: MakeWorld, { corpus: [first], partLeaves, expectedTree }: ContractSubject): void {
  it.each(Object.entries(DAMAGE))('gives a %s record as a leaf that does not parse, and everything else intact', async (reason, text) => {
    await using w = await world()
    const victim = first.messages[2] as CorpusMessage
    const bad = { session: first.id, message: victim.id, ...(partLeaves && { part: victim.parts[0]?.id ?? '' }) }
    w.fixture.write(bad, text, first.created)
    await using sessions = await setOf(w.store)
    const result = await runSessionTreeFlow(sessions, { session: keyOf(first.id) })
    const { message, part } = bad
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason, key: { message, ...(partLeaves && { part }) } }])
    const whole = expectedTree(first, w.fixture.sessionRecord(first))
    const left = (m: PlainTree['messages'][number]): object =>
      partLeaves ? { ...m, parts: m.parts.slice(1), damagedParts: 1 } : { ...m, message: undefined, parts: [] }
    const messages = whole.messages.map((m) => (m.id === victim.id ? left(m) : m))
    expect(plain(resultOf(result))).toEqual({ ...whole, messages })
  })

  // where the kind stands beside the document, an object that lacks it is no damage but of an unknown shape
  const nameless = partLeaves ? ['{}', '{"role":5}', '{"type":null}'] : []
  it.each(['null', '[]', '"text"', '7', ...nameless])('takes %s for damage, in a message and in a part', async (text) => {
    await using w = await world()
    const [, victim, other] = first.messages as [CorpusMessage, CorpusMessage, CorpusMessage]
    w.fixture.write({ session: first.id, message: victim.id }, text, first.created)
    w.fixture.write({ session: first.id, message: other.id, ...(partLeaves && { part: other.parts[1]?.id ?? '' }) }, text, first.created)
    await using sessions = await setOf(w.store)
    const result = await runSessionTreeFlow(sessions, { session: keyOf(first.id) })
    expect(issuesIn(result).map(({ code }) => code)).toEqual(['CORRUPT_RECORD', 'CORRUPT_RECORD'])
    const tree = resultOf(result)
    expect(tree.messages.length).toBe(first.messages.length)
    const hidden = tree.messages.find(({ key }) => key.message === victim.id)
    expect({ message: hidden?.message, parts: hidden?.parts.length }).toEqual({ message: undefined, parts: victim.parts.length })
  })
}

export function describeWhole(world: MakeWorld, { corpus, corpus: [first, across], partLeaves, documents, expectedTree }: ContractSubject): void {
  it('gives the tree that the corpus says, for every session', async () => {
    await using w = await world()
    await using sessions = await setOf(w.store)
    for (const session of corpus) {
      const result = await runSessionTreeFlow(sessions, { session: keyOf(session.id) })
      expect(plain(resultOf(result))).toEqual(expectedTree(session, w.fixture.sessionRecord(session)))
      // of the sample, one part of a known kind lacks a field it needs
      expect(issuesIn(result).map(({ code }) => code)).toEqual(session === across ? ['UNEXPECTED_SHAPE'] : [])
    }
  })

  it('counts everything there is in its census', async () => {
    await using w = await world()
    await w.store.sessions()
    w.fixture.write({ session: 'ses_deleted', message: 'msg_orphan' }, '{"role":"user","time":{"created":1}}', WRAP)
    if (partLeaves) w.fixture.write({ session: first.id, message: 'msg_deleted', part: 'prt_orphan' }, '{"type":"text","text":""}', WRAP)
    w.fixture.write({ session: first.id, message: first.messages[0]?.id ?? '' }, '{', WRAP)
    const census = await censusOf(w.store)
    const count = (kind: string, orphan: boolean): number =>
      census.filter((e) => e.what === 'record' && e.kind === kind && e.orphan === orphan).length
    const messages = corpus.flatMap((session) => session.messages)
    expect([count('session', false), count('message', false), count('part', false)]).toEqual([
      corpus.length,
      messages.length,
      messages.flatMap((m) => m.parts).length,
    ])
    expect([count('message', true), count('part', true), count('diff', false)]).toEqual([1, partLeaves ? 1 : 0, documents ? 1 : 0])
    expect(census.every((entry) => entry.what !== 'record' || entry.leaf.span !== undefined)).toBe(true)
  })

  it('stops its census when it is aborted', async () => {
    await using w = await world()
    const controller = new AbortController()
    const census = async (): Promise<void> => {
      for await (const entry of w.store.census(() => new Slab(), { signal: controller.signal })) {
        if (entry.what === 'record' && entry.kind === 'message') controller.abort(new Error('enough'))
      }
    }
    await expect(census()).rejects.toThrow('enough')
  })

  it('works all the same when nothing is there', async () => {
    await using w = await world([])
    expect(await w.store.sessions()).toMatchObject({ entries: [], issues: [], complete: true })
    expect(await w.store.open([], new Slab())).toEqual([])
    expect(await w.store.price([])).toEqual([])
    expect(await censusOf(w.store)).toEqual([])
  })
}
