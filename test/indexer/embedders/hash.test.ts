import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashEmbedder } from '../../../src/indexer/embedders/hash.js'
import { describeEmbedder } from '../../contracts/embedder.js'

describeEmbedder('hash', () => hashEmbedder())
describeEmbedder('hash of few dimensions', () => hashEmbedder({ dimensions: 16 }))

// what version 1 gave when it was made: another value means another space, so VERSION must be raised
const GOLDEN_DIGEST = 1.4461648631840944
const GOLDEN_FILLED = 55

async function vectorOf(text: string): Promise<Float32Array> {
  return hashEmbedder().embed([text], { kind: 'document' })
}

async function likeness(a: string, b: string): Promise<number> {
  const [one, other] = [await vectorOf(a), await vectorOf(b)]
  return one.reduce((sum, value, i) => sum + value * (other[i] ?? 0), 0)
}

describe('hash embedder', () => {
  it('says that it is lexical, and names version and dimensions of its space', () => {
    expect(hashEmbedder()).toMatchObject({ name: expect.stringContaining('lexical'), space: 'hash/1/384', dimensions: 384 })
    expect(hashEmbedder({ dimensions: 64 }).space).toBe('hash/1/64')
    expect(() => hashEmbedder({ dimensions: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('gives vectors of length 1, even for texts without a word', async () => {
    const property = fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 300 }), async (text) => {
      expect(Math.hypot(...(await vectorOf(text)))).toBeCloseTo(1, 5)
    })
    await fc.assert(property, { numRuns: 100 })
    for (const text of ['', ' \n', '=> !== ;', '🎉🎉']) expect(Math.hypot(...(await vectorOf(text)))).toBeCloseTo(1, 5)
  })

  it('gives the vectors of version 1', async () => {
    const vector = await vectorOf('The quick brown fox parses spanTree_v2, naïve 日本語.')
    const digest = [...vector].reduce((sum, value, i) => sum + value * ((i % 7) - 3), 0)
    expect(digest).toBeCloseTo(GOLDEN_DIGEST, 6)
    expect([...vector].filter((value) => value !== 0)).toHaveLength(GOLDEN_FILLED)
  })

  it('knows case, width and composition of characters as one', async () => {
    expect(await likeness('Café Ｗide ﬁne', 'cafe\u0301 wide fine')).toBeCloseTo(1, 5)
  })

  it('finds identifiers by their pieces, and words by their spelling', async () => {
    expect(await likeness('parseSpanTree', 'span tree')).toBeGreaterThan(0.3)
    expect(await likeness('next_run_at', 'nextRunAt')).toBeGreaterThan(0.3)
    expect(await likeness('configuration', 'configurations')).toBeGreaterThan(0.2)
    expect(await likeness('日本語の検索', '検索')).toBeGreaterThan(0.2)
    expect(Math.abs(await likeness('lighthouse keeper', 'database migration'))).toBeLessThan(0.2)
  })

  it('is moved little by words that are everywhere', async () => {
    expect(await likeness('retry backoff', 'the retry of a backoff')).toBeGreaterThan(0.6)
    expect(await likeness('what is the', 'retry backoff')).toBeLessThan(0.2)
  })

  it('counts a text longer than its first table', async () => {
    const long = Array.from({ length: 20_000 }, (_, i) => `word${i}`).join(' ')
    const [a, b] = [await vectorOf(long), await vectorOf(long)]
    expect(a).toEqual(b)
    const embedder = hashEmbedder()
    const mixed = await embedder.embed([long, 'short', long], { kind: 'document' })
    expect(mixed.slice(384, 768)).toEqual(await vectorOf('short'))
    expect(mixed.slice(768)).toEqual(a)
  })

  it('stops in the middle of a batch when it is aborted', async () => {
    const controller = new AbortController()
    const embedding = hashEmbedder().embed(new Array(5000).fill('some text'), { kind: 'document', signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(embedding).rejects.toThrow('enough')
  })

  it('takes huge texts: of one letter, of one script, of marks', { timeout: 300_000 }, async () => {
    for (const unit of ['x', '漢', 'A1', '\u0301\u0323', 'word ']) {
      const vector = await vectorOf(unit.repeat(500_000))
      expect(Math.hypot(...vector), unit).toBeCloseTo(1, 5)
    }
  })
})
