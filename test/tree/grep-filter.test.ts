import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byteFilter } from '../../src/tree/grep/filter.js'

const json = (text: string): Buffer => Buffer.from(JSON.stringify({ type: 'text', text }))
const hex = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`

/** Characters that JSON writes in several ways, or that have odd cases; and some that never are a problem. */
const ALPHABET = [
  'a',
  'B',
  'k',
  's',
  'K',
  'ſ',
  'K',
  'é',
  'É',
  'я',
  'Я',
  'µ',
  'μ',
  'ß',
  'ẞ',
  'İ',
  'ı',
  '"',
  '\\',
  '/',
  '\n',
  '\t',
  '\u0007',
  '🚀',
  '\u2028',
  'u',
  '0',
  ' ',
]
const anyText = fc.array(fc.constantFrom(...ALPHABET), { maxLength: 8 }).map((list) => list.join(''))
const needle = anyText.filter((text) => text !== '')

/** A string of JSON in which each unit is written in a way of its own, all of them legal. */
function written(text: string, ways: readonly number[]): string {
  const short: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '/': '\\/', '\n': '\\n', '\t': '\\t' }
  const units = Array.from({ length: text.length }, (_, at) => text.charAt(at))
  return `"${units
    .map((unit, at) => {
      const way = ways[at % ways.length] ?? 0
      const isPlain = unit >= ' ' && unit !== '"' && unit !== '\\'
      if (way === 0 && isPlain && !/\p{Surrogate}/u.test(unit)) return unit
      if (way === 1 && short[unit] !== undefined) return short[unit]
      return way === 2 ? hex(unit.charCodeAt(0)).toUpperCase().replace('\\U', '\\u') : hex(unit.charCodeAt(0))
    })
    .join('')}"`
}

describe('the filter of bytes', () => {
  it('tells documents apart that hold a text from those that do not', () => {
    const filter = byteFilter('retry backoff', false)
    expect(filter?.(json('a retry backoff b'))).toBe(true)
    expect(filter?.(json('a retry  backoff b'))).toBe(false)
    expect(filter?.(json('Retry Backoff'))).toBe(false)
    expect(byteFilter('Größe', false)?.(json('die Größe'))).toBe(true)
    expect(byteFilter('Größe', false)?.(json('die größe'))).toBe(false)
    expect(byteFilter('Größe', true)?.(json('DIE GRÖßE'))).toBe(true)
    expect(byteFilter('Größe', true)?.(json('DIE GRÜßE'))).toBe(false)
    expect(byteFilter('say "hello"', false)?.(json('he said hello'))).toBe(true)
    expect(byteFilter('say "hello"', false)?.(json('he said hi'))).toBe(false)
  })

  it('is not fooled by escapes that stand for other characters', () => {
    expect(byteFilter('needle', false)?.(json('\u001b[31mred\u001b[0m \u0000'))).toBe(false)
    expect(byteFilter('needle', false)?.(Buffer.from('{"text":"\\u006eeedle"}'))).toBe(true)
  })

  it('does not decide on a text without a stretch that stands in one way alone', () => {
    for (const text of ['"', '\n', '\\"/\t', '\ud83d', 'a\ud83d']) expect(byteFilter(text, false)).toBeUndefined()
  })

  it('lets every document pass that holds the text, however it is written, and in a document within the document', () => {
    const ways = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(anyText, needle, anyText, ways, ways, fc.boolean(), fc.boolean(), (before, text, behind, inner, outer, ignoreCase, nested) => {
        const filter = byteFilter(text, ignoreCase)
        const turned = ignoreCase
          ? [...text].map((c, at) => (at % 2 === 0 ? sameLength(c.toUpperCase(), c) : sameLength(c.toLowerCase(), c))).join('')
          : text
        const held = before + turned + behind
        const isFound = ignoreCase ? new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'i').test(held) : held.includes(text)
        const string = written(held, inner)
        const document = nested ? `{"arguments":${written(`{"input":${string}}`, outer)}}` : `{"text":${string}}`
        expect(JSON.parse(nested ? JSON.parse(document).arguments : document)).toEqual({ [nested ? 'input' : 'text']: held })
        if (isFound) expect(filter?.(Buffer.from(document)) ?? true).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

function sameLength(changed: string, character: string): string {
  return changed.length === character.length ? changed : character
}
