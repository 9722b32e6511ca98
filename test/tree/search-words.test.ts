import { describe, expect, it } from 'vitest'
import { searchWords } from '../../src/tree/sessions/search-words.js'

describe('the words of a text', () => {
  it('are without case and accents, in their order', () => {
    expect(searchWords('Über den Wolken, ΟΔΟΣ; 日本 x')).toEqual(['uber', 'den', 'wolken', 'οδοσ', '日本', 'x'])
  })

  it('are those of its beginning, of one that is longer than an expression can match', () => {
    const [first, second, ...others] = searchWords(`first 日本${'x'.repeat(6_000_000)} last`)
    expect([first, second?.startsWith('日本xxx'), others]).toEqual(['first', true, []])
  })
})
