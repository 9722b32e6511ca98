/** Content blocks as drafts of parts. */
import { describe, expect, it } from 'vitest'
import { answeredBy, answerIn, blockDraft, callIn, contentDrafts, fileOf, toolAnswer, toolDraft } from '../../../src/core/agents/blocks.js'
import { readingOf, timeIn } from '../../../src/core/agents/message-draft.js'
import { parseMessageId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, sessionKey } from '../../../src/core/keys.js'

const parts = (content: unknown, synthetic = false): unknown[] => contentDrafts(content, synthetic).map(({ part }) => part)

describe('content', () => {
  it('is a text, or a list of blocks and texts', () => {
    expect(parts('Hello')).toEqual([{ type: 'text', text: 'Hello' }])
    expect(parts(['a', { type: 'text', text: 'b' }], true)).toEqual([
      { type: 'text', text: 'a', synthetic: true },
      { type: 'text', text: 'b', synthetic: true },
    ])
    expect([parts(undefined), parts(null), parts([])]).toEqual([[], [], []])
  })

  it('holds reasoning, also where it is hidden', () => {
    expect(parts([{ type: 'thinking', thinking: 'Hm.', signature: 'xyz' }])).toEqual([{ type: 'reasoning', text: 'Hm.' }])
    expect(parts([{ type: 'redacted_thinking', data: 'xyz' }])).toEqual([{ type: 'reasoning', text: '', metadata: { redacted: true } }])
  })

  it('keeps what is not known raw, and never throws', () => {
    const key = messageKey(sessionKey('claude', parseSessionId('s')), parseMessageId('m'))
    const content = [7, null, {}, { type: 'text' }, { type: 'tool_result', content: 1 }, { type: 'next', of: 'year' }, { type: 'image', source: 3 }]
    const reading = readingOf({ message: { role: 'user', time: { created: 1 } }, parts: contentDrafts(content) }, key)
    expect('record' in reading && reading.record.parts.map((part) => part.type === 'unknown' && part.raw)).toEqual([
      { content: 7, id: 'm_0', sessionID: 's', messageID: 'm' },
      { content: null, id: 'm_1', sessionID: 's', messageID: 'm' },
      { id: 'm_2', sessionID: 's', messageID: 'm' },
      { type: 'text', id: 'm_3', sessionID: 's', messageID: 'm' },
      { type: 'tool_result', content: 1, id: 'm_4', sessionID: 's', messageID: 'm' },
      { type: 'next', of: 'year', id: 'm_5', sessionID: 's', messageID: 'm' },
      { type: 'image', source: 3, id: 'm_6', sessionID: 's', messageID: 'm' },
    ])
  })
})

describe('files', () => {
  it.each([
    [{ type: 'image', source: { type: 'base64', media_type: 'image/webp', data: 'AAAA' } }, 'image/webp', 'data:image/webp;base64,AAAA'],
    [{ type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } }, 'image/png', 'https://a.example/b.png'],
    [{ type: 'image', mimeType: 'image/jpeg', data: 'BBBB' }, 'image/jpeg', 'data:image/jpeg;base64,BBBB'],
    [{ type: 'image', media_type: 'image/gif', data: 'data:image/bmp;base64,CC' }, 'image/bmp', 'data:image/bmp;base64,CC'],
    [{ type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'a b' } }, 'text/plain', 'data:text/plain,a%20b'],
  ])('have their content in a URL: %j', (block, mime, url) => {
    expect(fileOf(block)).toEqual({ type: 'file', mime, url })
  })

  it('have a name where there is one', () => {
    const block = { type: 'document', title: 'a.pdf', source: { type: 'base64', media_type: 'application/pdf', data: 'AA' } }
    expect(blockDraft(block).part).toEqual({ type: 'file', mime: 'application/pdf', url: 'data:application/pdf;base64,AA', filename: 'a.pdf' })
  })
})

describe('tools', () => {
  const call = { id: 'c1', name: 'bash', input: { command: 'ls' }, start: 5 }

  it('run until they are answered', () => {
    expect(toolDraft(call, undefined, 0).part).toEqual({
      type: 'tool',
      callID: 'c1',
      tool: 'bash',
      state: { status: 'running', input: { command: 'ls' }, time: { start: 5 } },
    })
  })

  it('give texts, joined by line breaks, and images', () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }
    const answer = toolAnswer(['a', { type: 'text', text: 'b' }, image, { type: 'reference', to: 1 }], {
      isError: false,
      end: 9,
      metadata: { exit: 0 },
    })
    expect(toolDraft(call, answer, 0).part.state).toEqual({
      status: 'completed',
      input: { command: 'ls' },
      output: 'a\nb',
      metadata: { exit: 0, content: [{ type: 'reference', to: 1 }] },
      time: { start: 5, end: 9 },
      attachments: [{ type: 'file', mime: 'image/png', url: 'data:image/png;base64,AA' }],
    })
  })

  it('fail', () => {
    const answer = answerIn({ type: 'tool_result', tool_use_id: 'c1', content: 'no such file', is_error: true })
    expect(toolDraft(call, answer, 0).part.state).toEqual({ status: 'error', error: 'no such file', input: { command: 'ls' }, time: { start: 5 } })
  })

  it('may be told by their answer alone', () => {
    const { part } = toolDraft({ id: 'c9', name: undefined, input: undefined }, toolAnswer('x', { isError: false, end: 3 }), 0)
    expect(part).toEqual({ type: 'tool', callID: 'c9', tool: 'unknown', state: { status: 'completed', output: 'x', time: { start: 3, end: 3 } } })
  })

  it('are the model’s or the provider’s', () => {
    expect(callIn({ type: 'tool_use', id: 'a', name: 'n', input: 1 })).toEqual({ id: 'a', name: 'n', input: 1, executed: undefined })
    expect(callIn({ type: 'server_tool_use', id: 'a', name: 'web_search', input: {} })).toMatchObject({ executed: true })
    expect([callIn('tool_use'), callIn({ type: 'text' }), callIn({ type: 3 })]).toEqual([undefined, undefined, undefined])
    expect(['tool_result', 'web_search_tool_result', 'text'].map((type) => answeredBy({ type, tool_use_id: 'a' }))).toEqual(['a', 'a', undefined])
    expect(answeredBy({ type: 'tool_result', tool_use_id: 3 })).toBeUndefined()
  })
})

describe('times', () => {
  it('are none where no calendar has them', () => {
    expect([timeIn(1e300), timeIn(-1), timeIn(8.64e15 + 1), timeIn(Number.NaN)]).toEqual([undefined, undefined, undefined, undefined])
    expect([timeIn(0), timeIn(8.64e15), timeIn('1970-01-01T00:00:00Z')]).toEqual([0, 8.64e15, 0])
  })
})
