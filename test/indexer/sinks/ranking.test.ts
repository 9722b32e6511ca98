import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLocalSink } from '../../../src/indexer/sinks/local.js'
import { occurrencesIn, phrasesOf, scoreOf, tokensOf } from '../../../src/indexer/sinks/ranking.js'
import { sinkRow } from '../../contracts/sink.js'
import { tempFolder } from '../../support/temp.js'

const WORDS = [
  'lease',
  'Leases',
  'leasing',
  'retry',
  'retries',
  'parseSpanTree',
  'next_run_at',
  'café',
  'cafe',
  '検索を実装する',
  'a',
  'src/indexer/ports.ts',
  'x1',
]
const QUERIES = [...WORDS, 'lease retry', '"span tree"', 'retries leas', 'ports.ts café', '検索', 'run at', 'tree span', 'lea']

describe('ranking', () => {
  it('folds words as FTS5 does', () => {
    expect(tokensOf('The Retries of parse_span, Café NAI\u0308VE; Ångström 検索 क्षत्रिय _ naïve')).toEqual([
      'the',
      'retri',
      'of',
      'pars',
      'span',
      'cafe',
      'naiv',
      'angstrom',
      '検索',
      'क्षत्रिय',
      'naiv',
    ])
  })

  it('scores as the local sink does when all texts are known', async () => {
    const text = fc.array(fc.constantFrom(...WORDS, 'filler', 'other words'), { minLength: 1, maxLength: 12 }).map((words) => words.join(' '))
    const property = fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 12 }), fc.constantFrom(...QUERIES), async (texts, query) => {
      using folder = tempFolder()
      await using sink = await openLocalSink({ path: `${folder.path}/sink.db` })
      await sink.upsert(texts.map((one, i) => sinkRow(`d${i}`, one)))
      const expected = await sink.matching(query, 100)
      const phrases = phrasesOf(query)
      const found = texts.map((one) => occurrencesIn(one, phrases, new Map()))
      const statistics = {
        count: texts.length,
        frequencies: phrases.map((_, i) => found.filter(({ weights }) => (weights[i] ?? 0) > 0).length),
        averageLength: found.reduce((sum, { length }) => sum + length, 0) / texts.length,
      }
      const scores = new Map(found.map((one, i) => [`d${i}`, scoreOf(one, statistics)]))
      expect(
        [...scores]
          .filter(([, score]) => score > 0)
          .map(([id]) => id)
          .sort(),
      ).toEqual(expected.map(({ id }) => id).sort())
      for (const { id, score } of expected) expect(scores.get(id)).toBeCloseTo(score, 8)
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
