/** Sums of pieces are those of the bytes. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { crcBehind, joinedCrc } from '../../../src/storage/jsonl/crc-pieces.js'

it('the sums of two pieces give that of both, and the sum of both gives that of the second (property)', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.integer({ min: 0, max: 2 ** 18 }).map((length) => new Uint8Array(length).fill(7)),
  )
  fc.assert(
    fc.property(piece, piece, (first, second) => {
      const both = crc32(Buffer.concat([first, second]))
      expect(joinedCrc(crc32(first), crc32(second), second.length)).toBe(both)
      expect(crcBehind(crc32(first), both, second.length)).toBe(crc32(second))
    }),
    { numRuns: 500 },
  )
})
