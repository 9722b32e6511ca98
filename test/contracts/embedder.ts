/** What every Embedder must do. Run it on yours: `describeEmbedder('mine', () => myEmbedder())`. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Embedder } from '../../src/indexer/ports.js'

const ODD_TEXTS = ['x', '.', '=>', '🎉', 'e\u0301', 'ﬁne', '\ud800', 'a\u0000b', '日本語のテキスト', 'word '.repeat(2000), 'A'.repeat(5000)]
const DOCUMENT = { kind: 'document' } as const

export function describeEmbedder(name: string, create: () => Embedder | Promise<Embedder>, { runs = 50 } = {}): void {
  describe(`${name} embedder`, () => {
    it('names itself, its space and its dimensions', async () => {
      const embedder = await create()
      expect(embedder.name).not.toBe('')
      expect(embedder.space).not.toBe('')
      expect(embedder.dimensions).toBeGreaterThan(0)
      expect((await create()).space).toBe(embedder.space)
    })

    it('gives no vector for no text', async () => {
      expect(await (await create()).embed([], DOCUMENT)).toEqual(new Float32Array(0))
    })

    it('gives one finite vector with a direction for every text, however odd', async () => {
      const embedder = await create()
      const vectors = await embedder.embed(ODD_TEXTS, DOCUMENT)
      expect(vectors).toBeInstanceOf(Float32Array)
      expect(vectors.length).toBe(ODD_TEXTS.length * embedder.dimensions)
      for (const i of ODD_TEXTS.keys()) expectDirection(rowOf(vectors, i, embedder.dimensions))
    })

    it('gives vectors in the order of the texts, whatever stands beside them', async () => {
      const embedder = await create()
      const texts = ['the first text', 'another one', 'and a third', 'the first text']
      const together = await embedder.embed(texts, DOCUMENT)
      for (const [i, text] of texts.entries()) {
        expectClose(rowOf(together, i, embedder.dimensions), await embedder.embed([text], DOCUMENT))
      }
    })

    it('embeds queries into the space of the documents', async () => {
      const embedder = await create()
      const documents = await embedder.embed(['how the database connection is retried', 'a recipe for apple pie with cinnamon'], DOCUMENT)
      const query = await embedder.embed(['retried database connection'], { kind: 'query' })
      const [right, wrong] = [0, 1].map((i) => cosine(query, rowOf(documents, i, embedder.dimensions)))
      expect(right).toBeGreaterThan(wrong ?? Number.NaN)
    })

    it('keeps calls that run at the same time apart', async () => {
      const embedder = await create()
      const texts = Array.from({ length: 6 }, (_, i) => `the text of call number ${i}, about subject ${i * 7}`)
      const [one, ...others] = await Promise.all([embedder.embed(texts, DOCUMENT), ...texts.map((text) => embedder.embed([text], DOCUMENT))])
      for (const [i, other] of others.entries()) expectClose(rowOf(one, i, embedder.dimensions), other)
    })

    it('embeds many texts of any length in one call, and says how many it would rather take', async () => {
      const embedder = await create()
      const texts = Array.from({ length: 150 }, (_, i) => `${i} ${'some words '.repeat(i % 40)}`)
      expect((await embedder.embed(texts, DOCUMENT)).length).toBe(150 * embedder.dimensions)
      const batch = embedder.batch?.(texts) ?? texts.length
      expect(Number.isInteger(batch) && batch >= 1 && batch <= texts.length).toBe(true)
      expect(embedder.batch?.(['x'.repeat(1_000_000), 'y']) ?? 1).toBeGreaterThanOrEqual(1)
    })

    it('answers a check, when it has one, and heeds its signal', async () => {
      const embedder = await create()
      await embedder.check?.()
      const reason = new Error('enough')
      if (embedder.check !== undefined) await expect(embedder.check(AbortSignal.abort(reason))).rejects.toBe(reason)
    })

    it('refuses with the reason of an aborted signal', async () => {
      const embedder = await create()
      const reason = new Error('enough')
      await expect(embedder.embed(['text'], { kind: 'document', signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    })

    it('gives any text the same finite vector each time', async () => {
      const embedder = await create()
      const property = fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 400 }), async (text) => {
        const vector = await embedder.embed([text], DOCUMENT)
        expectDirection(vector)
        expectClose(vector, await embedder.embed([text], DOCUMENT))
      })
      await fc.assert(property, { numRuns: runs })
    })
  })
}

function rowOf(vectors: Float32Array, row: number, dimensions: number): Float32Array {
  return vectors.subarray(row * dimensions, (row + 1) * dimensions)
}

function expectDirection(vector: Float32Array): void {
  const length = Math.hypot(...vector)
  expect(Number.isFinite(length)).toBe(true)
  expect(length).toBeGreaterThan(0)
}

function expectClose(a: Float32Array, b: Float32Array): void {
  expect(a.length).toBe(b.length)
  expect(cosine(a, b)).toBeGreaterThan(1 - 1e-5)
}

function cosine(a: Float32Array, b: Float32Array): number {
  const product = a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
  return product / (Math.hypot(...a) * Math.hypot(...b))
}
