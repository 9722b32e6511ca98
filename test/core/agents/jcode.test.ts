/** Messages of jcode's sessions as messages and parts. */
import { describe, expect, it } from 'vitest'
import { jcodeFormat } from '../../../src/core/agents/jcode.js'
import { parseMessageId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, sessionKey } from '../../../src/core/keys.js'
import type { MessageReading } from '../../../src/core/records.js'

type Fields = Readonly<Record<string, unknown>>
const KEY = messageKey(sessionKey('jcode', parseSessionId('s')), parseMessageId('m'))
const AT = Date.parse('2026-03-01T10:00:00.123Z')

function read(own: Fields, ...answers: readonly Fields[]): MessageReading {
  const lines = [{ document: own, use: 'own' as const }, ...answers.map((document) => ({ document, use: 'answer' as const }))]
  const reading = jcodeFormat.assemble?.(lines, KEY)
  if (reading === undefined || 'damage' in reading) throw new Error(reading?.damage)
  return reading.record
}

function partsOf(own: Fields, ...answers: readonly Fields[]): readonly unknown[] {
  return read(own, ...answers).parts.map(({ id: _, sessionID: __, messageID: ___, ...part }) => part)
}

const message = (role: string, content: unknown, more: Fields = {}): Fields => ({
  role,
  content,
  timestamp: '2026-03-01T10:00:00.123456789Z',
  ...more,
})

describe('messages', () => {
  it('are complete when they are written, and count their tokens', () => {
    const usage = { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 100, cache_creation_input_tokens: 7 }
    expect(read(message('assistant', [], { token_usage: usage })).message).toEqual({
      role: 'assistant',
      id: 'm',
      sessionID: 's',
      time: { created: AT, completed: AT },
      tokens: { input: 10, output: 5, reasoning: 0, cache: { read: 100, write: 7 } },
    })
    expect(read(message('assistant', [], { token_usage: { ...usage, prompt_tokens: 120 } })).message).toMatchObject({ tokens: { input: 13 } })
  })

  it('have the time in their ids where they have none', () => {
    expect(read({ id: 'message_1772359200123_99', role: 'user', content: 'a' }).message).toMatchObject({ time: { created: 1772359200123 } })
    expect(read({ id: 'x', role: 'user', content: 'a' }).message).toMatchObject({ time: { created: 0 } })
  })

  it('that nobody typed are told from prompts', () => {
    expect(read(message('user', [{ type: 'text', text: ' <system-reminder>x' }])).message).toMatchObject({ type: 'synthetic' })
    expect(read(message('user', 'done', { display_role: 'background_task' }))).toMatchObject({
      message: { type: 'background_task' },
      parts: [{ synthetic: true }],
    })
    expect(read(message('system', 'rules')).message).toMatchObject({ role: 'user', type: 'system' })
    expect(read(message('user', 'hi')).message).not.toHaveProperty('type')
    expect(read(message('alien', 'hi')).message).toMatchObject({ role: 'unknown', raw: { content: 'hi' } })
  })
})

describe('blocks', () => {
  it('of every kind are parts', () => {
    const blocks = [
      { type: 'text', text: 'a', cache_control: { type: 'ephemeral' } },
      { type: 'reasoning', text: 'b' },
      { type: 'reasoning_trace', text: 'c' },
      { type: 'anthropic_thinking', thinking: 'd', signature: 'x' },
      { type: 'open_a_i_reasoning', id: 'r', summary: ['e', 'f'], encrypted_content: 'x' },
      { type: 'open_ai_reasoning', id: 'r', summary: [], encrypted_content: 'x' },
      { type: 'image', media_type: 'image/gif', data: 'AA==' },
      { type: 'openai_compaction', encrypted_content: 'x' },
      { type: 'novelty', x: 1 },
    ]
    expect(partsOf(message('assistant', blocks))).toMatchObject([
      { type: 'text', text: 'a' },
      { type: 'reasoning', text: 'b' },
      { type: 'reasoning', text: 'c' },
      { type: 'reasoning', text: 'd' },
      { type: 'reasoning', text: 'e\n\nf' },
      { type: 'reasoning', text: '', metadata: { encrypted: true } },
      { type: 'file', mime: 'image/gif', url: 'data:image/gif;base64,AA==' },
      { type: 'compaction' },
      { type: 'unknown', raw: { type: 'novelty', x: 1 } },
    ])
  })

  it('that call have their answer from wherever it stands, and how long it took', () => {
    const call = { type: 'tool_use', id: 'c', name: 'bash', input: { command: 'ls' } }
    const answer = { type: 'tool_result', tool_use_id: 'c', content: 'no', is_error: true }
    expect(partsOf(message('assistant', [call]))).toEqual([
      { type: 'tool', tool: 'bash', callID: 'c', state: { status: 'running', input: { command: 'ls' }, time: { start: AT } } },
    ])
    const later = { role: 'user', content: [answer], timestamp: '2026-03-01T10:00:10.000Z', tool_duration_ms: 4000 }
    const end = Date.parse('2026-03-01T10:00:10.000Z')
    expect(partsOf(message('assistant', [call]), later)).toEqual([
      {
        type: 'tool',
        tool: 'bash',
        callID: 'c',
        state: { status: 'error', input: { command: 'ls' }, error: 'no', metadata: { tool_duration_ms: 4000 }, time: { start: end - 4000, end } },
      },
    ])
    expect(partsOf(message('assistant', [call, { ...answer, is_error: false }]))).toMatchObject([{ state: { status: 'completed', output: 'no' } }])
  })
})
