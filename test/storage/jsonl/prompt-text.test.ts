/** A prompt is the beginning of a text, on one line. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { promptIn, titleOfPrompt } from '../../../src/storage/jsonl/prompt-text.js'

describe('a prompt', () => {
  it('has every run of blanks as one space, whatever blanks they are (property)', () => {
    const piece = fc.constantFrom(' ', '  ', '\n', '\t ', '\u00a0', '\u2028', 'word', 'x', 'w'.repeat(70), '😀', '\ud83d')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const text = pieces.join('')
        const line = text
          .replace(/[\ud800-\udbff]$/, '')
          .replace(/\s+/g, ' ')
          .trim()
        const cut = (longest: number) => (line.length <= longest ? line : `${line.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, '')}…`)
        expect(promptIn(text)).toBe(line === '' ? undefined : cut(1000))
        expect(titleOfPrompt(promptIn(text) ?? '')).toBe(cut(200))
      }),
      { numRuns: 2000 },
    )
  })

  it('is the first text that counts', () => {
    const blocks = [{ type: 'image' }, { type: 'text', text: '  ' }, { type: 'text', text: 'no' }, 'yes']
    expect(promptIn(blocks, (text) => text !== 'no')).toBe('yes')
    expect(promptIn({ type: 'text', text: 'alone' })).toBe('alone')
    expect(promptIn([null, 1])).toBeUndefined()
  })
})
