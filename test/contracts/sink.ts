/** What every Sink must do. Run it on yours: `describeSink('mine', async () => mySink())`, an empty one each time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DocumentMetadata, HeldDocument, Sink, SinkFilter, SinkRow } from '../../src/indexer/ports.js'
import { memorySink } from '../support/memory-sink.js'

export const DIMENSIONS = 8

export function sinkRow(id: string, text = `text of ${id}`, vector: readonly number[] = [1], metadata: Partial<DocumentMetadata> = {}): SinkRow {
  const full: DocumentMetadata = {
    agent: 'opencode',
    session_id: 'ses_1',
    message_id: `msg_${id}`,
    chunk: 0,
    role: 'user',
    created_at: 1_700_000_000_000,
    text_hash: `hash of ${text}`,
    project_id: 'project_1',
    directory: '/home/somebody/work',
    title: 'A title',
    source: 'opencode-json',
    rev: 1,
    space: 'space',
    ...metadata,
  }
  return { id, text, vector: Float32Array.from({ length: DIMENSIONS }, (_, i) => vector[i] ?? 0), metadata: full }
}

/** `empty` gives a sink that holds nothing. A sink that finds whole documents only after a while may wait in its calls. */
export function describeSink(name: string, empty: () => Promise<Sink>, { runs = 30 } = {}): void {
  describe(`${name} sink`, () => {
    describeDocuments(empty)
    describeMetadata(empty)
    describeWrites(empty)
    describeNearest(empty)
    describeMatching(empty)
    describeFilters(empty)
    describeWindowsPaths(empty)
    describeOptional(empty)
    describeDrop(empty)
    it('equals the model after any writes', () => equalsModel(empty, runs))
  })
}

function describeDocuments(empty: () => Promise<Sink>): void {
  it('holds nothing at first', async () => {
    await using sink = await empty()
    expect(await sink.count()).toBe(0)
    expect(await idsOf(sink)).toEqual([])
    expect(await sink.nearest(vector([1]), 10)).toEqual([])
    expect(await sink.matching('text', 10)).toEqual([])
  })

  it('gives documents back whole', async () => {
    await using sink = await empty()
    const row = sinkRow('a', 'line one\nline two \u{1f389}', [0.6, 0.8], { title: '', chunk: 3, created_at: 1.5 })
    await sink.upsert([row])
    const [hit] = await sink.nearest(row.vector, 1)
    expect(hit).toMatchObject({ id: 'a', text: row.text, metadata: row.metadata })
    expect(hit?.score).toBeCloseTo(1, 5)
    expect(await idsOf(sink)).toEqual([['a', row.metadata.text_hash]])
  })

  it('replaces by id: text, vector and metadata', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('a', 'yesterday', [1, 0], { role: 'user' }), sinkRow('b', 'elsewhere', [0, 0, 1])])
    const row = sinkRow('a', 'tomorrow', [0, 1], { role: 'assistant', directory: '/moved' })
    await sink.upsert([row])
    expect(await sink.count()).toBe(2)
    expect(await matchedIds(sink, 'yesterday')).toEqual([])
    expect(await matchedIds(sink, 'tomorrow')).toEqual(['a'])
    expect(await sink.nearest(vector([0, 1]), 1)).toMatchObject([{ id: 'a', text: 'tomorrow', metadata: row.metadata }])
    expect(await sink.nearest(vector([1, 0]), 2, { role: 'user' })).toMatchObject([{ id: 'b' }])
  })
}

function describeMetadata(empty: () => Promise<Sink>): void {
  it('gives back every field of the metadata and no other, as it was written last', async () => {
    await using sink = await empty()
    const full = sinkRow('a').metadata
    const bare = { ...full, role: '', title: '', directory: '', project_id: '', source: '', chunk: 0, created_at: 0, rev: 0, space: '' }
    for (const metadata of [full, bare, full]) {
      await sink.upsert([sinkRow('a', 'apple', [1], metadata)])
      expect((await sink.nearest(vector([1]), 1))[0]?.metadata).toEqual(metadata)
      expect((await sink.matching('apple', 1))[0]?.metadata).toEqual(metadata)
    }
  })

  it('tells which write of a document it holds', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('a', 'apple', [1], { rev: 3 }), sinkRow('b', 'banana', [1], { rev: Number.MAX_SAFE_INTEGER })])
    await sink.upsert([sinkRow('a', 'apple', [1], { rev: 4 })])
    expect((await heldBy(sink)).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      { id: 'a', text_hash: 'hash of apple', rev: 4 },
      { id: 'b', text_hash: 'hash of banana', rev: Number.MAX_SAFE_INTEGER },
    ])
    await sink.delete(['a'])
    await sink.upsert([sinkRow('a', 'apple', [1], { rev: 2 })])
    expect((await heldBy(sink, { session: 'ses_1' })).find(({ id }) => id === 'a')?.rev).toBe(2)
  })

  it('says whether texts leave the machine', async () => {
    await using sink = await empty()
    expect([undefined, false, true]).toContain(sink.remote)
  })
}

function describeWrites(empty: () => Promise<Sink>): void {
  it('applies a write again without effect', async () => {
    await using sink = await empty()
    const rows = [sinkRow('a', 'apple'), sinkRow('b', 'banana')]
    await sink.upsert(rows)
    await sink.upsert(rows)
    expect(await sink.count()).toBe(2)
    expect(await sink.matching('apple', 10)).toHaveLength(1)
    await sink.delete(['a', 'unknown'])
    await sink.delete(['a', 'unknown'])
    expect(await idsOf(sink)).toEqual([['b', 'hash of banana']])
    expect(await sink.matching('apple', 10)).toEqual([])
    expect(await sink.nearest(vector([1]), 10)).toMatchObject([{ id: 'b' }])
  })

  it('scores and ranks as before when a record is delivered again', async () => {
    await using sink = await empty()
    const rows = Array.from({ length: 40 }, (_, at) =>
      sinkRow(`d${at}`, `${'retry backoff '.repeat((at % 7) + 1)}word${at} ${'token '.repeat(at % 5)}`),
    )
    await sink.upsert(rows)
    const before = (await sink.matching('retry token word3', 40)).map(({ id, score }) => [id, score])
    for (let time = 0; time < 3; time++) await sink.upsert(rows.slice(0, 20))
    expect((await sink.matching('retry token word3', 40)).map(({ id, score }) => [id, score])).toEqual(before)
    expect(before.length).toBeGreaterThan(10)
  })

  it('does nothing for no rows, and refuses an aborted call', async () => {
    await using sink = await empty()
    await sink.upsert([])
    await sink.delete([])
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await expect(sink.upsert([sinkRow('a')], { signal })).rejects.toBe(reason)
    await expect(sink.delete(['a'], { signal })).rejects.toBe(reason)
    expect(await sink.count()).toBe(0)
  })

  it('keeps a copy of the vector', async () => {
    await using sink = await empty()
    const row = sinkRow('a', 'text', [1, 0])
    await sink.upsert([row])
    await sink.nearest(vector([1]), 1)
    row.vector.fill(-1)
    expect((await sink.nearest(vector([1, 0]), 1))[0]?.score).toBeCloseTo(1, 5)
  })

  it('lists more documents than one page holds, each once', async () => {
    await using sink = await empty()
    const rows = Array.from({ length: 2300 }, (_, i) => sinkRow(`id${i}`, 'text', [1, i]))
    await sink.upsert(rows)
    const ids = (await idsOf(sink)).map(([id]) => id)
    expect(ids).toHaveLength(2300)
    expect(new Set(ids).size).toBe(2300)
  })
}

function describeNearest(empty: () => Promise<Sink>): void {
  it('gives the nearest first, scored by cosine, whatever the length of a vector', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('far', 'x', [-1, 0]), sinkRow('near', 'x', [5, 1]), sinkRow('nearest', 'x', [0.1, 0]), sinkRow('aside', 'x', [0, 1])])
    const hits = await sink.nearest(vector([3]), 4)
    expect(hits.map(({ id }) => id)).toEqual(['nearest', 'near', 'aside', 'far'])
    expect(hits.map(({ score }) => Math.round(score * 1000) / 1000)).toEqual([1, 0.981, 0, -1])
    expect(await sink.nearest(vector([3]), 2)).toHaveLength(2)
    expect(await sink.nearest(vector([3]), 0)).toEqual([])
  })

  it('gives the next one once the nearest is deleted', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('a', 'x', [1, 0]), sinkRow('b', 'x', [1, 1]), sinkRow('c', 'x', [0, 1])])
    const nearestId = async () => (await sink.nearest(vector([1]), 1)).map(({ id }) => id)
    expect(await nearestId()).toEqual(['a'])
    await sink.delete(['a'])
    expect(await nearestId()).toEqual(['b'])
    await sink.upsert([sinkRow('c', 'x', [1, 0])])
    expect(await nearestId()).toEqual(['c'])
  })

  it('orders equal scores the same way each time', async () => {
    await using sink = await empty()
    await sink.upsert(['d', 'b', 'e', 'a', 'c'].map((id) => sinkRow(id, 'same', [1, 2])))
    const first = await sink.nearest(vector([1, 2]), 3)
    await sink.upsert(['a', 'b'].map((id) => sinkRow(id, 'same', [1, 2])))
    expect(await sink.nearest(vector([1, 2]), 3)).toEqual(first)
  })
}

function describeMatching(empty: () => Promise<Sink>): void {
  it('finds documents by their words, in any case, and no others', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('a', 'The Lease expired'), sinkRow('b', 'a ledger of rows'), sinkRow('c', 'nothing here')])
    expect(await matchedIds(sink, 'lease')).toEqual(['a'])
    expect((await matchedIds(sink, 'LEDGER lease')).sort()).toEqual(['a', 'b'])
    expect(await matchedIds(sink, 'absent')).toEqual([])
    expect(await sink.matching('lease ledger', 1)).toHaveLength(1)
    expect(await sink.matching('lease', 0)).toEqual([])
  })

  it('ranks a document with both words over one with either', async () => {
    await using sink = await empty()
    await sink.upsert([
      sinkRow('one', 'backoff of the first kind'),
      sinkRow('both', 'backoff with jitter here'),
      sinkRow('other', 'jitter of another kind'),
      ...Array.from({ length: 20 }, (_, i) => sinkRow(`filler${i}`, `filler number ${i} of this kind`)),
    ])
    expect((await matchedIds(sink, 'backoff jitter'))[0]).toBe('both')
  })

  it('takes every query for words, never for syntax', async () => {
    await using sink = await empty()
    await sink.upsert([sinkRow('a', 'some text AND more of it')])
    const odd = [
      '',
      ' ',
      '"',
      '""',
      '" AND',
      'text"',
      '(text',
      'text*',
      '*',
      'NEAR(a b)',
      'col:text',
      '-text',
      'a OR',
      '^',
      "'; DROP TABLE x",
      '\u0000text',
      '=>',
      '{}',
    ]
    for (const query of odd) expect(await sink.matching(query, 5), query).toBeInstanceOf(Array)
    for (const query of ['text"', '(text', '-text', 'NEAR(text)', 'text\u0000']) expect(await matchedIds(sink, query), query).toEqual(['a'])
  })
}

function describeFilters(empty: () => Promise<Sink>): void {
  const rows = [
    sinkRow('a', 'word', [1], { directory: '/w/app', project_id: 'p1', role: 'user', session_id: 's1', created_at: 100, agent: 'opencode' }),
    sinkRow('b', 'word', [1], { directory: '/w/app/sub', project_id: 'p2', role: 'assistant', session_id: 's1', created_at: 200, agent: 'claude' }),
    sinkRow('c', 'word', [1], { directory: '/w/apple', project_id: 'p1', role: 'user', session_id: 's2', created_at: 300, agent: 'opencode' }),
    sinkRow('d', 'word', [1], { directory: '', project_id: 'global', role: '', session_id: 's3', created_at: 0, agent: 'pi' }),
    sinkRow('e', 'word', [1], { directory: '/w/%/_', project_id: '/w/app', role: 'user', session_id: 's4', created_at: 400, agent: 'opencode' }),
  ]
  const cases: readonly (readonly [SinkFilter, string])[] = [
    [{}, 'abcde'],
    [{ directory: '/w/app' }, 'ab'],
    [{ directory: '/w/app/' }, 'ab'],
    [{ directory: '/w' }, 'abce'],
    [{ directory: '/' }, 'abce'],
    [{ directory: '' }, 'd'],
    [{ directory: '/w/%' }, 'e'],
    [{ directory: '/W/APP' }, ''],
    [{ project: 'p1' }, 'ac'],
    [{ project: '/w/app' }, 'abe'],
    [{ role: 'user' }, 'ace'],
    [{ role: '' }, 'd'],
    [{ agent: 'claude' }, 'b'],
    [{ session: 's1' }, 'ab'],
    [{ since: 200 }, 'bce'],
    [{ until: 200 }, 'abd'],
    [{ since: 100, until: 300 }, 'abc'],
    [{ project: 'p1', role: 'user', since: 200 }, 'c'],
    [{ session: 's1', agent: 'pi' }, ''],
  ]
  it.each(cases)('filters by %j', async (filter, expected) => {
    await using sink = await empty()
    await sink.upsert(rows)
    const sorted = (hits: readonly { readonly id: string }[]): string =>
      hits
        .map(({ id }) => id)
        .sort()
        .join('')
    expect(sorted(await sink.nearest(vector([1]), 10, filter))).toBe(expected)
    expect(sorted(await sink.matching('word', 10, filter))).toBe(expected)
    expect(
      (await idsOf(sink, filter))
        .map(([id]) => id)
        .sort()
        .join(''),
    ).toBe(expected)
  })
}

/** Documents keep a path as their store spelled it. */
function describeWindowsPaths(empty: () => Promise<Sink>): void {
  const rows = [
    sinkRow('a', 'word', [1], { directory: 'C:\\work\\x' }),
    sinkRow('b', 'word', [1], { directory: 'C:/work/x/sub' }),
    sinkRow('c', 'word', [1], { directory: 'C:\\work/xy', source: 'opencode-v2' }),
    sinkRow('d', 'word', [1], { directory: '\\\\server\\share\\x' }),
    sinkRow('e', 'word', [1], { directory: '//server/share/y', source: 'opencode-v2' }),
    sinkRow('f', 'word', [1], { directory: '/w/a\\b/c' }),
  ]
  it.each<[SinkFilter, string]>([
    [{ directory: 'C:\\work\\x' }, 'ab'],
    [{ directory: 'C:/work/x/' }, 'ab'],
    [{ project: 'C:/work/x' }, 'ab'],
    [{ directory: 'C:\\' }, 'abc'],
    [{ directory: '//server/share' }, 'de'],
    [{ directory: '\\\\server\\share\\y' }, 'e'],
    [{ directory: '/w/a' }, ''],
    [{ directory: '/w/a\\b' }, 'f'],
    [{ source: 'opencode-v2' }, 'ce'],
    [{ source: 'opencode-v2', directory: 'C:/work' }, 'c'],
  ])('filters by %j, however the path is spelled', async (filter, expected) => {
    await using sink = await empty()
    await sink.upsert(rows)
    const hits = [await sink.nearest(vector([1]), 10, filter), await sink.matching('word', 10, filter)]
    for (const found of hits) {
      const ids = found.map(({ id }) => id)
      expect(ids.sort().join('')).toBe(expected)
    }
  })
}

/** What a sink need not have. */
function describeOptional(empty: () => Promise<Sink>): void {
  it('gives the cosines of single documents, if it gives any', async (context) => {
    await using sink = await empty()
    if (sink.cosines === undefined) return context.skip()
    expect(await sink.cosines(vector([1]), ['a'])).toEqual([undefined])
    await sink.upsert([sinkRow('a', 'x', [3, 4]), sinkRow('b', 'x', [0]), sinkRow('c', 'x', [-2])])
    const [a, ...others] = await sink.cosines(vector([2]), ['a', 'unknown', 'c', 'b', 'c'])
    expect(a).toBeCloseTo(0.6, 6)
    expect(others).toEqual([undefined, -1, 0, -1])
    expect(await sink.cosines(vector([1]), [])).toEqual([])
  })

  it('holds what is left after a scrub, if it can scrub', async (context) => {
    await using sink = await empty()
    if (sink.scrub === undefined) return context.skip()
    await sink.scrub()
    await sink.upsert([sinkRow('a', 'apple', [1]), sinkRow('b', 'banana', [0, 1]), sinkRow('c', 'cherry', [1, 1])])
    await sink.delete(['b'])
    await sink.scrub()
    await sink.scrub()
    expect((await idsOf(sink)).map(([id]) => id).sort()).toEqual(['a', 'c'])
    expect(await matchedIds(sink, 'apple banana cherry')).toHaveLength(2)
    expect(await sink.nearest(vector([1]), 9)).toMatchObject([{ id: 'a' }, { id: 'c' }])
    await sink.upsert([sinkRow('b', 'banana', [0, 1])])
    expect(await matchedIds(sink, 'banana')).toEqual(['b'])
  })
}

function describeDrop(empty: () => Promise<Sink>): void {
  it('is gone with all it held after it was dropped, if it can be', async (context) => {
    const sink = await empty()
    if (sink.drop === undefined) {
      await sink[Symbol.asyncDispose]()
      return context.skip()
    }
    await sink.upsert([sinkRow('a', 'apple')])
    await sink.drop()
    await sink.drop()
    await expect(sink.count()).rejects.toMatchObject({ name: 'StorageError' })
    await expect(sink.upsert([sinkRow('b')])).rejects.toMatchObject({ name: 'StorageError' })
    await sink[Symbol.asyncDispose]()
  })
}

const WORDS = ['alpha', 'bravo', 'charlie', 'delta', 'echo']

/** Random writes, and after each the same answers as the model's. */
async function equalsModel(empty: () => Promise<Sink>, runs: number): Promise<void> {
  const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
  const row = fc.record({
    id,
    words: fc.array(fc.constantFrom(...WORDS), { maxLength: 4 }),
    vector: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 2, maxLength: DIMENSIONS }),
    directory: fc.constantFrom('/w', '/w/x', '/wx', ''),
    created_at: fc.integer({ min: 0, max: 3 }),
  })
  const write = fc.oneof({ arbitrary: fc.array(row, { maxLength: 5 }), weight: 2 }, { arbitrary: fc.array(id, { maxLength: 3 }), weight: 1 })
  const filter = fc.constantFrom<SinkFilter>({}, { directory: '/w' }, { project: '/w/x' }, { since: 1, until: 2 })
  const property = fc.asyncProperty(fc.array(fc.tuple(write, filter), { minLength: 1, maxLength: 8 }), async (steps) => {
    await using sink = await empty()
    await using model = memorySink()
    for (const [change, seen] of steps) {
      for (const target of [sink, model]) await apply(target, change)
      // Sinks may compute in single precision.
      expect(await stateOf(sink, seen)).toEqual(await stateOf(model, seen, (score) => expect.closeTo(score, 4)))
    }
  })
  await fc.assert(property, { numRuns: runs })
}

type Change = readonly (string | { id: string; words: string[]; vector: number[]; directory: string; created_at: number })[]

async function apply(sink: Sink, change: Change): Promise<void> {
  await sink.delete(change.filter((item) => typeof item === 'string'))
  const rows = change.filter((item) => typeof item !== 'string')
  await sink.upsert(rows.map(({ id, words, vector, ...metadata }) => sinkRow(id, words.join(' '), vector, metadata)))
}

async function stateOf(sink: Sink, filter: SinkFilter, asScore: (score: number) => unknown = (score) => score): Promise<unknown> {
  const query = vector([1, -2, 1, 0.5])
  const near = await sink.nearest(query, 100, filter)
  const byWord = await Promise.all(WORDS.map((word) => matchedIds(sink, word, filter)))
  return {
    count: await sink.count(),
    ids: (await idsOf(sink, filter)).sort(),
    near: near.map((hit) => ({ ...hit, score: asScore(hit.score) })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    first: asScore(near[0]?.score ?? 0),
    byWord: byWord.map((ids) => [...ids].sort()),
  }
}

async function heldBy(sink: Sink, filter?: SinkFilter): Promise<HeldDocument[]> {
  const held: HeldDocument[] = []
  for await (const document of sink.ids(filter)) held.push(document)
  return held
}

async function idsOf(sink: Sink, filter?: SinkFilter): Promise<[string, string][]> {
  return (await heldBy(sink, filter)).map(({ id, text_hash }) => [id, text_hash])
}

async function matchedIds(sink: Sink, query: string, filter?: SinkFilter): Promise<string[]> {
  return (await sink.matching(query, 100, filter)).map(({ id }) => id)
}

function vector(values: readonly number[]): Float32Array {
  return Float32Array.from({ length: DIMENSIONS }, (_, i) => values[i] ?? 0)
}
