/** Lines of Claude Code put together into messages of the one shape. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claudeFormat } from '../../../src/core/agents/claude.js'
import type { MessageLine } from '../../../src/core/agents/message-draft.js'
import type { Document } from '../../../src/core/documents.js'
import { parseMessageId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, sessionKey } from '../../../src/core/keys.js'

const KEY = messageKey(sessionKey('claude', parseSessionId('s')), parseMessageId('m'))
const AT = Date.parse('2026-01-01T00:00:00.000Z')
const iso = (seconds: number): string => new Date(AT + seconds * 1000).toISOString()
const own = (document: unknown): MessageLine => ({ document, use: 'own' })
const answer = (document: unknown): MessageLine => ({ document, use: 'answer' })

function assemble(...lines: readonly MessageLine[]): { message: Document; parts: readonly Document[]; odd?: string } {
  const reading = claudeFormat.assemble?.(lines, KEY) ?? { damage: 'no assemble' }
  if ('damage' in reading) throw new Error(reading.damage)
  const bare = ({ id: _, sessionID: __, messageID: ___, ...rest }: Document): Document => rest
  const { message, parts } = reading.record
  return {
    message: bare(message as unknown as Document),
    parts: parts.map((part) => bare(part as unknown as Document)),
    ...(reading.odd !== undefined && { odd: reading.odd }),
  }
}

function said(seconds: number, content: unknown, more: Document = {}, line: Document = {}): MessageLine {
  const message = { id: 'msg_1', role: 'assistant', model: 'claude-x', content, stop_reason: null, ...more }
  return own({ type: 'assistant', uuid: `u${seconds}`, timestamp: iso(seconds), message, ...line })
}

function asked(content: unknown, more: Document = {}): Document {
  return { type: 'user', uuid: 'u', timestamp: iso(0), message: { role: 'user', content }, ...more }
}

describe('an assistant’s message', () => {
  it('is made of one line per block; the last usage counts, and the first time', () => {
    const usage = (output: number): Document => ({
      input_tokens: 3,
      output_tokens: output,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 4,
    })
    const { message, parts } = assemble(
      said(1, [{ type: 'thinking', thinking: 'Hm.' }], { usage: usage(1) }, { cwd: '/w', version: '2.1', gitBranch: 'main', requestId: 'r1' }),
      said(2, [{ type: 'text', text: 'Yes.' }], { usage: usage(2) }),
      said(3, [{ type: 'tool_use', id: 'c1', name: 'Bash', input: { command: 'ls' } }], { usage: usage(9), stop_reason: 'tool_use' }),
      answer(asked([{ type: 'tool_result', tool_use_id: 'c1', content: 'a.txt' }], { timestamp: iso(4), toolUseResult: { stdout: 'a.txt' } })),
    )
    expect(message).toEqual({
      role: 'assistant',
      time: { created: AT + 1000, completed: AT + 3000 },
      modelID: 'claude-x',
      providerID: 'anthropic',
      path: { cwd: '/w', root: '/w' },
      tokens: { input: 3, output: 9, reasoning: 0, cache: { read: 5, write: 4 } },
      finish: 'tool_use',
      metadata: { version: '2.1', gitBranch: 'main', requestId: 'r1', messageId: 'msg_1' },
    })
    expect(parts).toEqual([
      { type: 'reasoning', text: 'Hm.' },
      { type: 'text', text: 'Yes.' },
      {
        type: 'tool',
        callID: 'c1',
        tool: 'Bash',
        state: {
          status: 'completed',
          input: { command: 'ls' },
          output: 'a.txt',
          metadata: { toolUseResult: { stdout: 'a.txt' } },
          time: { start: AT + 3000, end: AT + 4000 },
        },
      },
    ])
  })

  it('counts a block that stands on two lines once, and of a call the last version', () => {
    const text = { type: 'text', text: 'Yes.' }
    const { parts } = assemble(
      said(1, [text, { type: 'tool_use', id: 'c1', name: 'Bash', input: {} }]),
      said(2, [text, { type: 'tool_use', id: 'c1', name: 'Bash', input: { command: 'ls' } }]),
      said(3, [{ type: 'text', text: 'Yes, yes.' }, text]),
    )
    expect(parts.map((part) => part.text ?? (part.state as Document).input)).toEqual(['Yes.', { command: 'ls' }, 'Yes, yes.'])
  })

  it('keeps blocks that are alike on one line', () => {
    const text = { type: 'text', text: 'Ha.' }
    expect(assemble(said(1, [text, text])).parts).toHaveLength(2)
  })

  it('is not over without a stop reason, and its calls run without an answer', () => {
    const { message, parts } = assemble(said(1, [{ type: 'tool_use', id: 'c1', name: 'Bash', input: {} }]))
    expect([message.time, parts[0]?.state]).toEqual([{ created: AT + 1000 }, { status: 'running', input: {}, time: { start: AT + 1000 } }])
  })

  it('has the answers of parallel calls from one line, without the data that stands for them all', () => {
    const results = ['c1', 'c2'].map((id) => ({ type: 'tool_result', tool_use_id: id, content: [{ type: 'text', text: `of ${id}` }] }))
    const { parts } = assemble(
      said(
        1,
        ['c1', 'c2'].map((id) => ({ type: 'tool_use', id, name: 'Read', input: {} })),
      ),
      answer(asked([...results, { type: 'text', text: 'and more' }], { toolUseResult: { any: 1 } })),
    )
    expect(parts.map(({ state }) => [(state as Document).output, (state as Document).metadata])).toEqual([
      ['of c1', undefined],
      ['of c2', undefined],
    ])
  })

  it('has the tools that the provider ran in it', () => {
    const { parts } = assemble(
      said(1, [
        { type: 'server_tool_use', id: 's1', name: 'web_search', input: { query: 'x' } },
        { type: 'web_search_tool_result', tool_use_id: 's1', content: [{ type: 'web_search_result', url: 'https://a.example' }] },
      ]),
    )
    expect(parts).toMatchObject([{ type: 'tool', tool: 'web_search', executed: true, state: { status: 'completed' } }])
  })

  it('may be an error of the API', () => {
    const line = said(1, [{ type: 'text', text: 'API Error: 529' }], { model: '<synthetic>' }, { isApiErrorMessage: true })
    expect(assemble(line).message.error).toEqual({ name: 'APIError', data: { message: 'API Error: 529' } })
  })

  it('may have no type, as in usage logs', () => {
    const message = { role: 'assistant', id: 'x', model: 'claude-x', usage: { input_tokens: 100, output_tokens: 50 } }
    const { message: record, parts } = assemble(own({ timestamp: iso(1), message, costUSD: 0.12 }))
    expect([record.role, record.cost, record.tokens, parts]).toEqual([
      'assistant',
      0.12,
      { input: 100, output: 50, reasoning: 0, cache: { read: 0, write: 0 } },
      [],
    ])
  })
})

describe('a user’s message', () => {
  it('is a text or blocks', () => {
    expect(assemble(own(asked('Hello', { cwd: '/w', version: '2' })))).toEqual({
      message: { role: 'user', time: { created: AT }, metadata: { version: '2', cwd: '/w' } },
      parts: [{ type: 'text', text: 'Hello' }],
    })
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }
    expect(assemble(own(asked([{ type: 'text', text: 'See' }, image]))).parts).toEqual([
      { type: 'text', text: 'See' },
      { type: 'file', mime: 'image/png', url: 'data:image/png;base64,AA' },
    ])
  })

  it('says when nobody typed it', () => {
    expect(assemble(own(asked('Caveat', { isMeta: true })))).toMatchObject({
      message: { type: 'synthetic' },
      parts: [{ text: 'Caveat', synthetic: true }],
    })
    expect(assemble(own(asked('In short', { isCompactSummary: true })))).toMatchObject({
      message: { type: 'compaction' },
      parts: [{ type: 'compaction' }, { type: 'text', text: 'In short', synthetic: true }],
    })
  })

  it('shows answers only where nothing else does', () => {
    const result = { type: 'tool_result', tool_use_id: 'c1', content: 'x' }
    const text = { type: 'text', text: 'no' }
    expect(assemble(own(asked([result]))).parts).toMatchObject([{ type: 'tool', callID: 'c1', state: { output: 'x' } }])
    expect(assemble(own(asked([result, text]))).parts).toEqual([text])
    expect(assemble(own(asked([result, text])), answer(asked([result, text]))).parts).toMatchObject([{ type: 'tool' }, text])
  })

  it('may have been typed while the model was at work', () => {
    const queued = (attachment: Document): MessageLine => own({ type: 'attachment', timestamp: iso(0), attachment })
    expect(assemble(queued({ type: 'queued_command', prompt: 'wait', commandMode: 'prompt' }))).toMatchObject({
      message: { role: 'user', type: 'queued_command' },
      parts: [{ type: 'text', text: 'wait' }],
    })
    expect(assemble(queued({ type: 'queued_command', prompt: 'done', commandMode: 'task-notification' })).parts).toMatchObject([{ synthetic: true }])
    expect(assemble(queued({ type: 'todo_reminder', content: [] })).message.role).toBe('unknown')
  })
})

describe('other lines', () => {
  it('of the program are told as such', () => {
    const line = {
      type: 'system',
      subtype: 'compact_boundary',
      content: 'Conversation compacted',
      compactMetadata: { trigger: 'auto' },
      timestamp: iso(0),
    }
    expect(assemble(own(line))).toEqual({
      message: {
        role: 'user',
        time: { created: AT },
        type: 'system',
        metadata: { subtype: 'compact_boundary', compactMetadata: { trigger: 'auto' } },
      },
      parts: [{ type: 'text', text: 'Conversation compacted', synthetic: true }],
    })
  })

  it('that are not known are kept raw', () => {
    expect(assemble(own({ type: 'next-year', of: 1 })).message).toEqual({
      role: 'unknown',
      raw: { type: 'next-year', of: 1, id: 'm', sessionID: 's' },
    })
    expect(assemble(own({ type: 'user', message: 'error' })).odd).toBe('a user line without its message')
    expect(claudeFormat.message([1], KEY, undefined)).toEqual({ damage: 'the document is no object' })
  })

  it('of any shape never throw', () => {
    const shape = fc.anything({ withNullPrototype: false })
    const block = fc.record(
      { type: fc.constantFrom('text', 'tool_use', 'tool_result', 'thinking', 'image', 'x'), id: shape, text: shape, source: shape, content: shape },
      { requiredKeys: [] },
    )
    const line = fc.record(
      {
        type: fc.oneof(fc.constantFrom('user', 'assistant', 'system', 'attachment'), shape),
        timestamp: shape,
        attachment: shape,
        content: shape,
        message: fc.oneof(
          shape,
          fc.record(
            { content: fc.oneof(shape, fc.array(fc.oneof(shape, block))), usage: shape, stop_reason: shape, id: shape },
            { requiredKeys: [] },
          ),
        ),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(fc.record({ document: fc.oneof(shape, line), use: fc.constantFrom('own' as const, 'answer' as const) })), (lines) => {
        const reading = claudeFormat.assemble?.(lines, KEY)
        expect(reading).toBeDefined()
      }),
    )
  })
})

describe('hostile lines', () => {
  const nested = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) as unknown

  it('may nest as deep as they like', () => {
    const odd = { type: 'odd', nested }
    const lines = [1, 2].map((): MessageLine => ({ document: { type: 'assistant', message: { content: [odd] } }, use: 'own' }))
    expect(claudeFormat.assemble?.(lines, KEY)).toMatchObject({ record: { parts: [{ type: 'unknown' }, { type: 'unknown' }] } })
  })

  it('may have ids that are no texts', () => {
    const odd = { toString: 1 }
    const block = { type: 'tool_use', id: odd, name: odd, input: odd }
    const lines = [1, 2].map(
      (): MessageLine => ({ document: { type: 'assistant', message: { id: odd, content: [block, { type: odd }] } }, use: 'own' }),
    )
    expect(claudeFormat.assemble?.(lines, KEY)).toHaveProperty('record')
  })

  it('may be very many, with very many blocks', () => {
    const many = Array.from({ length: 20_000 }, (_, at) => ({ type: 'odd', at }))
    const lines = [many, many].map((content): MessageLine => ({ document: { type: 'assistant', message: { content } }, use: 'own' }))
    const reading = claudeFormat.assemble?.(lines, KEY)
    expect(reading !== undefined && 'record' in reading && reading.record.parts.length).toBe(20_000)
    const said = { type: 'assistant', timestamp: '2026-01-01T00:00:00.000Z', message: { stop_reason: 'end_turn', content: [] } }
    const group = Array.from({ length: 200_000 }, (): MessageLine => ({ document: said, use: 'own' }))
    expect(claudeFormat.assemble?.(group, KEY)).toMatchObject({ record: { message: { time: { completed: Date.parse(said.timestamp) } } } })
  })
})

describe('what the program says in the model’s place', () => {
  it('has no model', () => {
    const document = { type: 'assistant', message: { model: '<synthetic>', content: [{ type: 'text', text: 'No answer.' }] } }
    const reading = claudeFormat.message(document, KEY, undefined)
    expect('record' in reading && reading.record.message).not.toHaveProperty('modelID')
    expect('record' in reading && reading.record.message).not.toHaveProperty('providerID')
  })
})
