/** Search on a real Chroma server finds what it finds in the local sink. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'
import { searchIndex } from '../../src/indexer/search.js'
import { openChromaSink } from '../../src/indexer/sinks/chroma.js'
import { expressionOf } from '../../src/indexer/sinks/chroma-matching.js'
import { openLocalSink } from '../../src/indexer/sinks/local.js'
import { tokensOf } from '../../src/indexer/sinks/ranking.js'
import { describeSearch } from '../contracts/search.js'
import { sinkRow } from '../contracts/sink.js'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'
import { tempFolder } from '../support/temp.js'

// a busy machine runs the server slowly
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const missing = whyNoServer()

describe.skipIf(missing !== undefined)(`search on a real Chroma server${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let server: ChromaTestServer | undefined
  beforeAll(async () => {
    server = await startChromaServer()
  })
  afterAll(async () => server?.[Symbol.asyncDispose]())
  const open = () => openChromaSink({ url: server?.url ?? '', collection: `search-${randomUUID()}`, space: hashEmbedder().space })

  describeSearch('chroma', open)

  it('gives the first hits of the local sink among its own, whatever is asked for', async () => {
    using folder = tempFolder()
    await using local = await openLocalSink({ path: `${folder.path}/sink.db`, space: hashEmbedder().space })
    await using chroma = await open()
    const embedder = hashEmbedder()
    const texts = proseOf(500)
    const vectors = await embedder.embed(texts, { kind: 'document' })
    const rows = texts.map((text, i) => ({
      ...sinkRow(`local~${i}~0`, text, [], { message_id: `m${i}`, session_id: `ses_${i % 40}`, directory: `/w/p${i % 7}/src` }),
      vector: vectors.slice(i * embedder.dimensions, (i + 1) * embedder.dimensions),
    }))
    for (const sink of [local, chroma]) await sink.upsert(rows)
    const shared: number[] = []
    for (const query of QUERIES) {
      for (const options of [{}, { directory: '/w/p3' }]) {
        const [here, there] = await Promise.all([local, chroma].map((sink) => searchIndex({ embedder, sink }, query, { limit: 10, ...options })))
        const ids = new Set(there?.map(({ document }) => document.id))
        const first = (here ?? []).map(({ document }) => document.id)
        expect({ query, options, missing: first.slice(0, 3).filter((id) => !ids.has(id)) }).toEqual({ query, options, missing: [] })
        if (first.length > 0) shared.push(first.filter((id) => ids.has(id)).length / first.length)
      }
    }
    expect(shared.reduce((sum, share) => sum + share, 0) / shared.length).toBeGreaterThan(0.95)
  })

  it('finds a word beside any number of newer texts that have it inside of their words', async () => {
    await using sink = await open()
    await sink.upsert([sinkRow('a', 'my cat sat'), sinkRow('b', 'findTheCat()'), sinkRow('c', 'a_cat_here'), sinkRow('d', 'ÇATS')])
    await sink.upsert(Array.from({ length: 1200 }, (_, i) => sinkRow(`z${i}`, `the location of 5cat${i}`)))
    expect((await sink.matching('cat', 5)).map(({ id }) => id).sort()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('looks for words of any case, accent and ending by an expression that the server takes', async () => {
    await using sink = await open()
    const words = [
      'Retries',
      'possibilities',
      'CAFÉ',
      'ǆungla',
      'x',
      '検索',
      'क्षत्रिय',
      'Straße',
      'i',
      'iiiii',
      'eye',
      'able',
      'happily',
      'ΣΊΣΥΦΟΣ',
      'of HTTPServer',
      'utf8Éclair',
    ]
    await sink.upsert(words.map((word, i) => sinkRow(`d${i}`, `the ${word} of it`)))
    for (const [i, word] of words.entries()) {
      const found = (await sink.matching(word, 20)).map(({ id }) => id)
      expect({ word, found, expression: expressionOf(tokensOf(word)[0] ?? '') }).toMatchObject({ found: expect.arrayContaining([`d${i}`]) })
    }
  })
})

const WORDS = `lease session token fencing claim queue retry jitter backoff error parse span tree node path index search vector sink document chunk
  message compaction revert delete ledger record flush commit snapshot reader writer process signal timeout batch cache embed model space
  generation store folder project directory title role parseSpanTree next_run_at readFileSync TypeError undefined function return const async await
  migration schema column table trigger café naïve`.split(/\s+/)
const QUERIES = [
  'lease',
  'retry jitter',
  'parse span tree',
  'sessions claimed',
  'compaction revert ledger',
  'embedding cache',
  'next run at',
  'cafe naive',
  'readFileSync TypeError',
  'why does the reader time out',
  '"span tree"',
  'snapsh',
  'w17',
  'w23 lease',
  'how are tokens fenced by the queue?',
  'rare401',
]

/** Texts of the same few words, some more frequent than others, each with one of its own. */
function proseOf(count: number): string[] {
  let seed = 42
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return seed % below
  }
  const word = (): string => (random(3) > 0 ? `w${random(400)}` : (WORDS[random(WORDS.length)] ?? 'lease'))
  return Array.from({ length: count }, (_, i) => `${Array.from({ length: 8 + random(60) }, word).join(' ')} rare${i}`)
}
