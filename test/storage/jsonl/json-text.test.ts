/** What strings say is what JSON.parse makes of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayBeEscaped, says, textAt } from '../../../src/storage/jsonl/json-text.js'
import { Words } from '../../../src/storage/jsonl/words.js'

function textIn(text: string): string | undefined {
  const bytes = Buffer.from(`[${text}]`)
  return textAt(bytes, 1, bytes.length - 1)
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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

  it('is none where JSON.parse throws (property)', () => {
    const piece = fc.constantFrom('\\', '\\u', 'u00', '69', '"', 'n', 'x', '\n', 'é', '\\"', '\\\\')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = `"${pieces.join('')}"`
        const said = parsedOr(text)
        if (said !== undefined || text.includes('\\')) expect(textIn(text)).toBe(said)
      }),
      { numRuns: 2000 },
    )
  })

  it('is none where no string stands, and where it is broken', () => {
    for (const text of ['12', 'null', '["a"]', '{"a":1}', '"\\x"', '"\\u12"']) expect(textIn(text)).toBeUndefined()
    expect(textAt(Buffer.from('"a"'), -1, 0)).toBeUndefined()
  })
})

describe('a word', () => {
  it('is said by whatever JSON.parse makes that word of (property)', () => {
    const letter = fc.constantFrom('a', 'b', '/', '\\/', '\\u0061', '\\u0062', '\\u002f', '\\u002F', '\\u006', '\\', 'é')
    fc.assert(
      fc.property(fc.array(letter, { maxLength: 4 }), fc.constantFrom('', 'a', 'ab', 'a/b', 'b/'), (letters, word) => {
        const bytes = Buffer.from(`"${letters.join('')}"`)
        expect(says(bytes, 1, bytes.length - 1, Buffer.from(word))).toBe(parsedOr(bytes.toString()) === word)
      }),
      { numRuns: 5000 },
    )
  })

  it('is not looked for in what is too long for it, or has no escapes', () => {
    const mayBe = (text: string): boolean => mayBeEscaped(Buffer.from(text), 0, text.length, 2)
    expect(['\\u0061', '\\u0061\\u0062', '\\u0061\\u0062c', 'ab', ''].map(mayBe)).toEqual([true, true, false, false, false])
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
