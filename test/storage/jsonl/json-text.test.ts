/** What strings say is what JSON.parse makes of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textAt } from '../../../src/storage/jsonl/json-text.js'
import { Words } from '../../../src/storage/jsonl/words.js'

function textIn(text: string): string | undefined {
  const bytes = Buffer.from(`[${text}]`)
  return textAt(bytes, 1, bytes.length - 1)
}

/** As a string of JSON, any of its characters as an escape that it need not be. */
const written = fc.array(fc.tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2 }), fc.boolean()), { maxLength: 12 }).map((pieces) => {
  const escaped = (text: string) => [...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
  return `"${pieces.map(([text, isEscaped]) => (isEscaped ? escaped(text) : JSON.stringify(text).slice(1, -1))).join('')}"`
})

describe('a text in bytes', () => {
  it('is what JSON.parse makes of it (property)', () => {
    fc.assert(
      fc.property(written, (text) => {
        expect(textIn(text)).toBe(JSON.parse(text))
      }),
    )
  })

  it('is none where no string stands, and where it is broken', () => {
    for (const text of ['12', 'null', '["a"]', '{"a":1}', '"\\x"', '"\\u12"']) expect(textIn(text)).toBeUndefined()
    expect(textAt(Buffer.from('"a"'), -1, 0)).toBeUndefined()
  })
})

describe('known words', () => {
  it('are known however they are written', () => {
    const words = new Words({ user: 1, tool_use: 2 })
    const meaningOf = (text: string): number | undefined => {
      const bytes = Buffer.from(text)
      return words.at(bytes, 1, bytes.length - 1)
    }
    expect(['"user"', '"u\\u0073er"', '"\\u0074ool_use"', '"users"', '"us\\u0065rs"', '"\\x"', '""'].map(meaningOf)).toEqual([
      1,
      1,
      2,
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })
})
