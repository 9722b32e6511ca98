import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Best, dot, VectorMatrix } from '../../../src/indexer/sinks/vectors.js'

const DIMENSIONS = 5

describe('vector matrix', () => {
  it('equals a map of rows under any writes', () => {
    const doc = fc.integer({ min: 1, max: 8 })
    const write = fc.record({ doc, vector: fc.option(fc.array(fc.integer({ min: -4, max: 4 }), { minLength: DIMENSIONS, maxLength: DIMENSIONS })) })
    const property = fc.property(fc.array(write, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (writes, limit) => {
      const matrix = new VectorMatrix(DIMENSIONS, 2)
      const model = new Map<number, Float32Array>()
      for (const { doc, vector } of writes) {
        if (vector === null) {
          matrix.delete(doc)
          model.delete(doc)
        } else {
          matrix.set(doc, `id${doc}`, Float32Array.from(vector))
          model.set(doc, Float32Array.from(vector))
        }
      }
      const query = Float32Array.from([1, 2, -1, 0.5, 3])
      const expected = [...model].map(([doc, vector]) => ({ doc, id: `id${doc}`, score: cosine(query, vector) }))
      expected.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
      expect(matrix.nearest(query, limit)).toEqual(expected.slice(0, limit))
      const even = expected.filter(({ doc }) => doc % 2 === 0)
      expect(matrix.nearest(query, limit, [2, 4, 6, 8, 10])).toEqual(even.slice(0, limit))
    })
    fc.assert(property, { numRuns: 200 })
  })

  it('multiplies vectors of any length', () => {
    for (let length = 0; length < 12; length++) {
      const vector = Float32Array.from({ length }, (_, i) => i + 1)
      const rows = Float32Array.from({ length: length + 3 }, (_, i) => i - 2)
      const expected = vector.reduce((sum, value, i) => sum + value * (rows[i + 3] ?? 0), 0)
      expect(dot(vector, rows, 3)).toBe(expected)
    }
  })
})

describe('best', () => {
  it('keeps the first of the sorted list, in any order of arrival', () => {
    const property = fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 }), fc.integer({ min: 1, max: 10 }), (scores, limit) => {
      const all = scores.map((score, doc) => ({ doc, id: `id${String(doc).padStart(3, '0')}`, score }))
      const best = new Best(limit)
      for (const neighbour of [...all].reverse()) best.offer(neighbour)
      expect(best.inOrder()).toEqual(all.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1)).slice(0, limit))
    })
    fc.assert(property, { numRuns: 200 })
  })
})

function cosine(a: Float32Array, b: Float32Array): number {
  const scale = (vector: Float32Array): number => (dot(vector, vector, 0) > 0 ? 1 / Math.sqrt(dot(vector, vector, 0)) : 0)
  return dot(a, b, 0) * scale(a) * scale(b)
}
