/** Texts are seen on the lines that hold them, whatever pieces the log comes in. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Sightings } from '../../../src/storage/jsonl/sightings.js'

const PARENT = '{"parent":"'

describe('sightings', () => {
  it('are those of a search in each line (property)', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', 'aab"', 'ba"', PARENT, `${PARENT}ab"`, ' ')
    const lines = fc.array(
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
      { maxLength: 20 },
    )
    fc.assert(
      fc.property(lines, fc.uniqueArray(fc.constantFrom('ab"', 'ba"', 'b'), { maxLength: 3 }), fc.integer({ min: 1, max: 5 }), (all, texts, held) => {
        const seen = new Sightings(texts, PARENT)
        const expected = all.map((line) => texts.some((text) => isIn(line, text)))
        expect(visits(all, held).map(({ bytes, start, end, offset, until }) => seen.in(bytes, start, end, offset, until))).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('search what is held once', () => {
    const bytes = Buffer.from(`${'x'.repeat(50)}\n`.repeat(100))
    let searched = 0
    const counting = Object.assign(Buffer.from(bytes), {
      subarray: (from: number, to: number): Buffer => {
        searched += to - from
        return bytes.subarray(from, to)
      },
    })
    const seen = new Sightings(['y'], PARENT)
    for (let start = 0; start < bytes.length; start += 51) expect(seen.in(counting, start, start + 50, start, bytes.length)).toBe(false)
    expect(searched).toBe(bytes.length)
  })
})

/** By the definition: at some place where it does not stand right behind the other text. */
function isIn(line: string, text: string): boolean {
  for (let at = line.indexOf(text); at >= 0; at = line.indexOf(text, at + 1)) if (!line.slice(0, at).endsWith(PARENT)) return true
  return false
}

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
