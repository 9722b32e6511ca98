import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunkSections, cutInHalves } from '../../src/indexer/text/chunk.js'

const LIMIT = 64

describe('chunks', () => {
  it('hold everything but the whitespace between them, once and in order', () => {
    const unit = fc.oneof(
      fc.constantFrom(' ', '\n', '\n\n', '. ', 'word', '-', '。'),
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.string({ unit: 'grapheme', maxLength: 5 }),
    )
    const section = fc.array(unit, { maxLength: 120 }).map((units) => units.join(''))
    const property = fc.property(fc.array(section, { maxLength: 5 }), fc.integer({ min: LIMIT, max: 300 }), (sections, limit) => {
      const kept = sections.map((text) => text.trim()).filter((text) => text !== '')
      const text = kept.join('\n\n')
      const chunks = chunkSections(sections, limit)
      let at = 0
      for (const chunk of chunks) {
        expect(chunk.trim()).toBe(chunk)
        expect(chunk).not.toBe('')
        expect(chunk.length).toBeLessThanOrEqual(limit)
        const found = text.indexOf(chunk, at)
        expect(text.slice(at, found).trim()).toBe('')
        at = found + chunk.length
      }
      expect(at).toBe(text.length)
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('never split a pair of surrogates, nor what readers see as one character', () => {
    const family = '👩‍👩‍👧‍👦'
    for (const unit of ['🎉', family, 'e\u0301\u0302', '👍🏽', '🇩🇪']) {
      const chunks = chunkSections([unit.repeat(200)], LIMIT)
      expect(chunks.length).toBeGreaterThan(1)
      for (const chunk of chunks.slice(0, -1)) expect(chunk.endsWith('\u200d')).toBe(false)
      for (const chunk of chunks) expect(/\p{Surrogate}/u.test(chunk), unit).toBe(false)
      const ragged = chunkSections([unit.repeat(200)], LIMIT + 1)
      for (const chunk of ragged) expect(/\p{Surrogate}/u.test(chunk), unit).toBe(false)
      if (unit !== '🇩🇪') for (const chunk of chunks) expect(chunk.length % unit.length, unit).toBe(0)
    }
  })

  it('are cut at the end of a section, if one is near', () => {
    const [a, b] = ['a'.repeat(40), 'b '.repeat(30)]
    expect(chunkSections([a, b], LIMIT)).toEqual([a, b.trim()])
    expect(chunkSections(['short', 'too'], LIMIT)).toEqual(['short\n\ntoo'])
  })

  it.each([
    ['a paragraph', '\n\n', 'two lines\nof text and words. Yes'],
    ['a line', '\n', 'one sentence. Another one with words'],
    ['a sentence', '. ', 'and more words of it'],
    ['a word', ' ', 'unbroken'],
  ])('else at the end of %s', (_, boundary, inner) => {
    const text = `${'x'.repeat(36)}${boundary}${inner.padEnd(80, 'y')}`
    const [first] = chunkSections([text], LIMIT)
    expect(first).toBe(`${'x'.repeat(36)}${boundary.trimEnd()}`)
  })

  it('are cut anywhere when there is no boundary', () => {
    expect(chunkSections(['z'.repeat(150)], LIMIT).map(({ length }) => length)).toEqual([64, 64, 22])
  })

  it('are none for no text', () => {
    expect(chunkSections([])).toEqual([])
    expect(chunkSections(['', ' \n\t', '\ufeff'])).toEqual([])
  })

  it('have about 1,600 characters by default, and a limit that makes sense', () => {
    const chunks = chunkSections(['Some sentence of eight words stands here. '.repeat(1000)])
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(1600)
    expect(chunks.length).toBeLessThan(30)
    expect(() => chunkSections(['x'], 10)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('take huge sections, of one character and of white space', () => {
    const LENGTH = 10_000_000
    for (const unit of ['x', ' ', '\n', '漢', '🎉', 'e\u0301', '\u200d', 'x\n\n', '. ']) {
      const section = `a${unit.repeat(LENGTH / unit.length)}z`
      const chunks = chunkSections([section], 1600)
      expect(chunks.at(0)?.startsWith('a') && chunks.at(-1)?.endsWith('z'), unit).toBe(true)
      expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(1600)
    }
    expect(chunkSections(new Array(1_000_000).fill('x'), 1600).length).toBeLessThan(2000)
  })
})

describe('a text that is cut in halves', () => {
  it('loses nothing but whitespace at the cut, and no part is tiny', () => {
    const property = fc.property(fc.string({ unit: 'grapheme', minLength: 65, maxLength: 2000 }), (text) => {
      const halves = cutInHalves(text.trim())
      if (text.trim().length <= 64) return expect(halves).toBeUndefined()
      if (halves === undefined) return
      expect(halves.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''))
      for (const half of halves) {
        expect(half.trim()).toBe(half)
        expect(half.isWellFormed?.() ?? true).toBe(text.isWellFormed?.() ?? true)
      }
    })
    fc.assert(property, { numRuns: 200 })
  })

  it('is cut between paragraphs, then lines, then sentences, then words', () => {
    const cut = (joint: string): string | undefined =>
      cutInHalves(`${'a'.repeat(50)} ${'b'.repeat(10)}${joint}${'c'.repeat(10)} ${'d'.repeat(40)}`)?.[0]
    for (const joint of ['\n\n', '\n', '. ']) expect(cut(joint)).toBe(`${'a'.repeat(50)} ${'b'.repeat(10)}${joint.trim()}`)
    expect(cut('')).toBe('a'.repeat(50))
  })

  it('is not, when it is short', () => {
    expect(cutInHalves('word '.repeat(12))).toBeUndefined()
  })
})
