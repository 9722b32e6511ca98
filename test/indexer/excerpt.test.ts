import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { excerptOf } from '../../src/indexer/text/excerpt.js'

const FILLER = 'some ordinary words that nobody looks for, one after another. '

describe('excerpt', () => {
  it('is the whole text when that is short, on one line', () => {
    expect(excerptOf('one\n\n  two\tthree ', 'two', 100)).toBe('one two three')
    expect(excerptOf('', 'x', 100)).toBe('')
  })

  it('is around the words of the query, cut between words', () => {
    const text = `${FILLER.repeat(20)}The lease expired before its heartbeat. ${FILLER.repeat(20)}`
    const excerpt = excerptOf(text, 'Heartbeat LEASE', 120)
    expect(excerpt).toContain('lease expired before its heartbeat')
    expect(excerpt).toMatch(/^…\S.*\S…$/)
    for (const word of excerpt.slice(1, -1).split(' ')) expect(text.split(/\s+/)).toContain(word)
  })

  it('prefers the place with most of the words', () => {
    const text = `The lease alone. ${FILLER.repeat(10)} lease and heartbeat and token. ${FILLER.repeat(10)} a heartbeat alone.`
    expect(excerptOf(text, 'lease heartbeat token', 100)).toContain('lease and heartbeat and token')
  })

  it('finds words inside of identifiers, and begins at the beginning when there is none', () => {
    const text = `${FILLER.repeat(10)} parseSpanTree(bytes) ${FILLER.repeat(10)}`
    expect(excerptOf(text, 'spantree', 80)).toContain('parseSpanTree')
    expect(excerptOf(`${FILLER.repeat(10)} it retries twice`, 'retry', 80)).toContain('it retries')
    expect(excerptOf(text, 'absent', 80).startsWith('some ordinary')).toBe(true)
    expect(excerptOf(text, '"(*', 80).startsWith('some ordinary')).toBe(true)
    expect(excerptOf(`${FILLER.repeat(10)}the end`, 'end', 80).endsWith('the end')).toBe(true)
  })

  it('keeps its length and is well-formed, whatever the text and the query', () => {
    const text = fc.array(fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constantFrom(' ', '🎉🎉🎉🎉🎉🎉', 'needle')), { maxLength: 60 })
    const property = fc.property(text, fc.string({ unit: 'grapheme', maxLength: 20 }), fc.integer({ min: 40, max: 200 }), (units, query, length) => {
      const joined = units.join('')
      const excerpt = excerptOf(joined, `needle ${query}`, length)
      expect(excerpt.length).toBeLessThanOrEqual(length)
      expect(/\p{Surrogate}/u.test(excerpt)).toBe(false)
      const inner = excerpt.replace(/^…|…$/g, '')
      expect(joined.replace(/\s+/g, ' ')).toContain(inner)
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('takes huge texts and huge queries', { timeout: 300_000 }, () => {
    const LENGTH = 2_000_000
    for (const unit of ['x', '漢', ' ', '\n', 'a ', 'A1']) {
      const huge = unit.repeat(LENGTH / unit.length)
      expect(excerptOf(`needle ${huge} end`, `${huge} needle`, 100).length).toBeLessThanOrEqual(100)
    }
    const longWord = 'word'.repeat(1000)
    expect(excerptOf(`${FILLER.repeat(20)} ${longWord} ${FILLER.repeat(20)}`, longWord, 100)).toContain('wordword')
  })
})
