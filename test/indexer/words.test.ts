import { describe, expect, it } from 'vitest'
import { pairsOf, piecesOf, wordsOf } from '../../src/indexer/words.js'

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
