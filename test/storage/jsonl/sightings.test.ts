/** The last line that is meant is seen, whatever pieces the log comes in. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LastSighting } from '../../../src/storage/jsonl/sightings.js'

const MARK = '!'

describe('the last sighting', () => {
  it('is the last line of what is held that holds a text and is meant (property)', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', 'aab"', 'ba"', MARK, ' ')
    const lines = fc.array(
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
      { maxLength: 20 },
    )
    fc.assert(
      fc.property(lines, fc.uniqueArray(fc.constantFrom('ab"', 'ba"', 'b'), { maxLength: 3 }), fc.integer({ min: 1, max: 5 }), (all, texts, held) => {
        const seen = new LastSighting(texts, (bytes, start, end) => bytes.toString('latin1', start, end).includes(MARK))
        const isMeant = all.map((line) => line.includes(MARK) && texts.some((text) => line.includes(text)))
        const expected = isMeant.map((meant, at) => meant && !isMeant.slice(at + 1, at - (at % held) + held).includes(true))
        expect(visits(all, held).map(({ bytes, start, end, offset, until }) => seen.is(bytes, start, end, offset, until))).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('behind NULs is that of the line which follows them, and a line without its end waits until that is there', () => {
    const seen = new LastSighting(['x'], () => true)
    const text = Buffer.from('a\n\0\0x\nx')
    expect(seen.is(text, 0, 1, 0, 7)).toBe(false)
    expect(seen.is(text, 4, 5, 4, 7)).toBe(true)
    expect(seen.is(Buffer.from('xy\n'), 0, 2, 6, 3)).toBe(true)
  })

  it('is searched for from the end, once', () => {
    const bytes = Buffer.from(`${'x'.repeat(50)}\n`.repeat(100))
    let searches = 0
    const counting = Object.assign(Buffer.from(bytes), {
      subarray: (from: number, to: number): Buffer => {
        searches++
        return bytes.subarray(from, to)
      },
    })
    let looks = 0
    const seen = new LastSighting(['x'], () => ++looks > 0)
    for (let start = 0; start < bytes.length; start += 51)
      expect(seen.is(counting, start, start + 50, start, bytes.length)).toBe(start === bytes.length - 51)
    // One for the last newline, one to search in.
    expect([searches, looks]).toEqual([2, 1])
  })
})

/** Lines as a scanner gives them that holds `held` of them at a time, the oldest bytes overwritten. */
function visits(lines: readonly string[], held: number) {
  const longest = Math.max(0, ...lines.map((line) => line.length + 1))
  const buffer = Buffer.alloc(held * longest)
  let offset = 0
  return lines.map((_, at) => {
    const group = at - (at % held)
    const text = lines
      .slice(group, group + held)
      .map((line) => `${line}\n`)
      .join('')
    const start = lines.slice(group, at).reduce((sum, line) => sum + line.length + 1, 0)
    const bytes = Buffer.concat([Buffer.from(text), buffer.subarray(text.length)])
    const visit = { bytes, start, end: start + (lines[at] as string).length, offset, until: text.length }
    offset += (lines[at] as string).length + 1
    return visit
  })
}
