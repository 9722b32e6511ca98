/** What is written for people, piece by piece. */
import { describe, expect, it } from 'vitest'
import { ago, onOneLine, plain, withoutUnseen } from '../../src/cli/output.js'

describe('ages', () => {
  const NOW = new Date(2026, 10, 30, 12).getTime()
  const DAY = 86_400_000

  it.each([
    [-5000, 'just now'],
    [500, 'just now'],
    [12_000, '12 s ago'],
    [3 * 3_600_000 + 60_000, '3 h 1 min ago'],
    [29 * DAY, '29 d ago'],
    [31 * DAY, '2026-10-30'],
    [729 * DAY, '2024-12-01'],
  ])('of %i ms: %s', (ms, text) => {
    expect(ago(NOW - ms, NOW)).toBe(text)
  })
})

/** What turns the direction of writing, and so can fake what is read. */
const TURNING = ['\u061c', '\u200e', '\u200f', '\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069']

describe('a text', () => {
  it.each(TURNING.map((character) => [character]))('goes without %j, which turns the direction of writing', (character) => {
    for (const shown of [plain, onOneLine, withoutUnseen]) expect(shown(`a${character}b`)).toBe('ab')
  })

  it.each([['\u2028'], ['\u2029']])('breaks at %j as at any line break; an id does not', (character) => {
    expect(plain(`a${character}b`)).toBe('a\nb')
    expect(onOneLine(`a${character}b`)).toBe('a b')
    expect(withoutUnseen(`a${character}b`)).toBe('ab')
  })

  it('keeps its lines, and no other control character', () => {
    expect(plain('a\n\tb\r\u001b[31mc\u0085d\u009be\ud800')).toBe('a\n\tb[31mcde\ufffd')
    expect(onOneLine('a\n\tb')).toBe('a b')
  })

  it('keeps what joins the characters of an emoji', () => {
    expect(plain('👩‍👩‍👧')).toBe('👩‍👩‍👧')
  })
})
