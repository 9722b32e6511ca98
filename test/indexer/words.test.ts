import { describe, expect, it } from 'vitest'
import { onOneLine, pairsOf, piecesOf, windowsOf, wordsOf } from '../../src/indexer/text/words.js'

describe('words', () => {
  it('are runs of letters, marks, digits and underscores', () => {
    expect(wordsOf("don't parse_span(x9); naïve cafe\u0301 日本語")).toEqual(['don', 't', 'parse_span', 'x9', 'naïve', 'cafe\u0301', '日本語'])
    expect(wordsOf('a-b.c/d e_f')).toEqual(['a', 'b', 'c', 'd', 'e_f'])
    expect(wordsOf('=> …')).toEqual([])
  })

  it.each([
    ['parseSpanTree', 'parse Span Tree'],
    ['HTTPServer', 'HTTP Server'],
    ['parseHTTPHead2', 'parse HTTP Head2'],
    ['next_run_at', 'next run at'],
    ['FOO_BAR', 'FOO BAR'],
    ['_private', 'private'],
    ['ÉcoleNormale', 'École Normale'],
    ['Word', ''],
    ['word9', ''],
    ['USA', ''],
    ['9F3A', ''],
    ['__', ''],
  ])('%s has the pieces %j', (word, pieces) => {
    expect(piecesOf(word).join(' ')).toBe(pieces)
  })

  it('have pairs where their script writes no spaces', () => {
    expect(pairsOf('日本語v2のテスト')).toEqual(['日本', '本語', 'のテ', 'テス', 'スト'])
    expect(pairsOf('word')).toEqual([])
    expect(pairsOf('naïve')).toEqual([])
  })
})

describe('words of huge texts', () => {
  const LENGTH = 10_000_000

  it.each([
    ['one letter', 'x', 1],
    ['one letter beyond ASCII', 'é', 1],
    ['an unspaced script', '漢', 1],
    ['letters of two units', '\u{20000}', 2],
    ['a digit after a letter', '1', 1],
  ])('takes a run of %s, in words of bounded length', (_, unit, units) => {
    const text = `a ${unit.repeat(LENGTH / units)} z`
    const words = wordsOf(text)
    expect(words[0]).toBe('a')
    expect(words.at(-1)).toBe('z')
    expect(words.join('').length).toBe(LENGTH + 2)
    expect(Math.max(...words.map((word) => word.length))).toBeLessThanOrEqual(65_536)
    for (const word of words.slice(0, 3)) expect(pairsOf(word).length + piecesOf(word).length).toBeLessThan(65_536)
    expect(words.every((word) => word.isWellFormed())).toBe(true)
  })

  it('has windows that end after a space where there is one', () => {
    expect(windowsOf('short', 10)).toEqual(['short'])
    expect(windowsOf('some words here', 10)).toEqual(['some ', 'words here'])
    expect(windowsOf('🎉🎉🎉', 3)).toEqual(['🎉', '🎉', '🎉'])
    expect(windowsOf('🎉🎉', 1).join('')).toBe('🎉🎉')
  })

  it('is put on one line, however long a run of white space is', () => {
    expect(onOneLine(`a${' \n'.repeat(LENGTH / 2)}b${'\t'.repeat(1001)}c `)).toBe('a b c')
  })
})
