import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId, parseSessionId } from '../../src/core/ids.js'
import { type Agent, messageKey, sessionKey } from '../../src/core/keys.js'
import { documentId, textHashOf } from '../../src/indexer/text/document.js'

function keyOf(agent: Agent, session: string, message: string) {
  return messageKey(sessionKey(agent, parseSessionId(session)), parseMessageId(message))
}

describe('document id', () => {
  it('is the same for ever', () => {
    expect(documentId('default', keyOf('opencode', 'ses_1', 'msg_1'), 0)).toBe('default~tidbbqczqsvz3l2orbzawyodun~0')
  })

  it('has at most 128 bytes of safe characters, however long the ids are', () => {
    const id = documentId('n'.repeat(64), keyOf('opencode', `ses_${'x'.repeat(3000)}`, 'é'.repeat(3000)), Number.MAX_SAFE_INTEGER)
    expect(id).toMatch(/^[A-Za-z0-9._~-]{1,128}$/)
  })

  it('differs by namespace, agent, session, message and chunk', () => {
    const ids = [
      documentId('a', keyOf('opencode', 'ses_1', 'msg_1'), 0),
      documentId('b', keyOf('opencode', 'ses_1', 'msg_1'), 0),
      documentId('a', keyOf('claude', 'ses_1', 'msg_1'), 0),
      documentId('a', keyOf('opencode', 'ses_2', 'msg_1'), 0),
      documentId('a', keyOf('opencode', 'ses_1', 'msg_2'), 0),
      documentId('a', keyOf('opencode', 'ses_1m', 'sg_1'), 0),
      documentId('a', keyOf('opencode', 'ses_1', 'msg_1'), 1),
    ]
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('refuses a namespace or a chunk that would make it ambiguous or too long', () => {
    const key = keyOf('opencode', 'ses_1', 'msg_1')
    for (const namespace of ['', 'a~b', 'a b', 'ä', 'n'.repeat(65)]) {
      expect(() => documentId(namespace, key, 0), namespace).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    }
    for (const chunk of [-1, 0.5, Number.NaN]) expect(() => documentId('a', key, chunk)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })
})

describe('text hash', () => {
  it('is 16 bytes in hex, and the same for ever', () => {
    expect(textHashOf([])).toMatch(/^[0-9a-f]{32}$/)
    expect(textHashOf(['one', 'two'])).toBe('82c57034fae1dd0185fb283c569a6d46')
  })

  it('changes with the text, with the number of chunks and with their boundaries', () => {
    const different = [[], [''], ['', ''], ['ab'], ['a', 'b'], ['', 'ab'], ['ab', ''], ['b', 'a'], ['1:a'], ['a|1:b']]
    expect(new Set(different.map(textHashOf)).size).toBe(different.length)
    const chunks = fc.array(fc.string({ unit: 'binary', maxLength: 8 }), { maxLength: 4 })
    fc.assert(
      fc.property(chunks, chunks, (a, b) => {
        // a lone surrogate has no UTF-8 form of its own, and the projection leaves none
        const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')
        const isSame = JSON.stringify(a.map(wellFormed)) === JSON.stringify(b.map(wellFormed))
        expect(textHashOf(a) === textHashOf(b)).toBe(isSame)
      }),
    )
  })
})
