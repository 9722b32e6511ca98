/** Texts in the columns of a terminal: wide characters take two, what stands on another character none. */
import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { clip, clipPath, columnsOf, endOf, padTo, startOf } from '../../src/cli/columns.js'

const FAMILY = '👩‍👩‍👧'
const ACCENT = 'e\u0301'

describe('columns', () => {
  it.each([
    ['plain', 5],
    ['', 0],
    ['日本語', 6],
    [FAMILY, 2],
    [`caf${ACCENT}`, 4],
    ['한글', 4],
    ['…', 1],
  ])('of %j: %i', (text, columns) => {
    expect(columnsOf(text)).toBe(columns)
    expect(columnsOf(`${padTo(text, 9)}|`)).toBe(10)
  })

  it.each([
    ['日本語のタイトル', 7, '日本語…'],
    ['日本語のタイトル', 8, '日本語…'],
    ['日本語のタイトル', 16, '日本語のタイトル'],
    [`${FAMILY}${FAMILY}${FAMILY}`, 5, `${FAMILY}${FAMILY}…`],
    [`${ACCENT.repeat(6)}`, 4, `${ACCENT.repeat(3)}…`],
    ['abcdef', 1, '…'],
    ['abcdef', 0, '…'],
    ['one\n two\u2028three', 99, 'one two three'],
  ])('%j in %i: %j', (text, width, shown) => {
    expect(clip(text, width)).toBe(shown)
  })

  it.each([`e${'\u0301'.repeat(1_000_000)}x`, '日本'.repeat(500_000)])('are asked of no more of a long text than could be shown', (text) => {
    for (const part of [clip(text, 10), clipPath(text, 10), startOf(text, 10), endOf(text, 10)]) {
      expect(columnsOf(part)).toBeLessThanOrEqual(10)
      expect(part.length).toBeLessThan(1000)
    }
  })

  it('of the end of a path', () => {
    expect(clipPath('/srv/日本語/docs', 10)).toBe('…本語/docs')
    expect(clipPath('/srv/日本語/docs', 9)).toBe('…語/docs')
    expect(clipPath('/srv/日本語/docs', 16)).toBe('/srv/日本語/docs')
    expect(clipPath('/srv', 0)).toBe('…')
  })

  it('are never more than there is room for, and what is taken is whole characters', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '日', FAMILY, ACCENT, '🇩🇪', '\u0301', ' ', '/', '한'), maxLength: 30 })
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 40 }), (line, room) => {
        for (const part of [startOf(line, room), endOf(line, room), clip(line, room), clipPath(line, room)]) {
          expect(stringWidth(part)).toBeLessThanOrEqual(room)
        }
        const [start, end] = [startOf(line, room), endOf(line, room)]
        expect(line.startsWith(start) && line.endsWith(end)).toBe(true)
        if (columnsOf(line) <= room) expect([start, end]).toEqual([line, line])
      }),
    )
  })
})
