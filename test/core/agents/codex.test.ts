/** Items and events of Codex's logs as messages and parts. */
import { describe, expect, it } from 'vitest'
import { codexFormat } from '../../../src/core/agents/codex.js'
import { isToldByAgent } from '../../../src/core/agents/codex-text.js'
import type { MessageLine } from '../../../src/core/agents/message-draft.js'
import { parseMessageId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, sessionKey } from '../../../src/core/keys.js'
import type { MessageReading } from '../../../src/core/records.js'

type Fields = Readonly<Record<string, unknown>>
const KEY = messageKey(sessionKey('codex', parseSessionId('s')), parseMessageId('@0'))
const AT = Date.parse('2026-02-11T05:00:00.000Z')
const time = (second: number): string => new Date(AT + second * 1000).toISOString()
const own = (type: string, payload: Fields, second = 0): MessageLine => ({ document: { timestamp: time(second), type, payload }, use: 'own' })
const item = (payload: Fields, second?: number): MessageLine => own('response_item', payload, second)
const answer = (payload: Fields, second = 9): MessageLine => ({
  document: { timestamp: time(second), type: 'response_item', payload },
  use: 'answer',
})

function read(...lines: readonly MessageLine[]): MessageReading {
  const reading = codexFormat.assemble?.(lines, KEY)
  if (reading === undefined || 'damage' in reading) throw new Error(reading?.damage)
  return reading.record
}

/** Without ids. */
function partsOf(...lines: readonly MessageLine[]): readonly unknown[] {
  return read(...lines).parts.map(({ id: _, sessionID: __, messageID: ___, ...part }) => part)
}

describe('messages', () => {
  it('of the user have texts and images', () => {
    const content = [
      { type: 'input_text', text: 'look' },
      { type: 'input_image', image_url: 'data:image/webp;base64,AAAA' },
      { type: 'input_image', image_url: { url: 'https://example.org/x.png' } },
    ]
    const line = item({ type: 'message', role: 'user', content })
    expect(read(line).message).toEqual({ role: 'user', id: '@0', sessionID: 's', time: { created: AT } })
    expect(partsOf(line)).toEqual([
      { type: 'text', text: 'look' },
      { type: 'file', mime: 'image/webp', url: 'data:image/webp;base64,AAAA' },
      { type: 'file', mime: 'image/png', url: 'https://example.org/x.png' },
    ])
  })

  it('that nobody typed are synthetic', () => {
    const told = item({ type: 'message', role: 'user', content: [{ type: 'input_text', text: '<environment_context>...' }] })
    const developer = item({ type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'rules' }] })
    expect(read(told).message).toMatchObject({ role: 'user', type: 'synthetic' })
    expect(partsOf(told)).toEqual([{ type: 'text', text: '<environment_context>...', synthetic: true }])
    expect(read(developer).message).toMatchObject({ role: 'user', type: 'system' })
    expect(partsOf(developer)).toEqual([{ type: 'text', text: 'rules', synthetic: true }])
    expect(isToldByAgent('# AGENTS.md instructions for /work')).toBe(true)
  })

  it('of a step end with its last item', () => {
    const first = item(
      {
        type: 'message',
        role: 'assistant',
        phase: 'commentary',
        content: [
          { type: 'output_text', text: 'a' },
          { type: 'refusal', refusal: 'no' },
        ],
      },
      1,
    )
    const settings = own('turn_context', { cwd: '/w', model: 'm', effort: 'high', turn_id: 't' })
    const { message } = read(first, settings, item({ type: 'reasoning', summary: [] }, 4), own('event_msg', { type: 'token_count', info: null }, 8))
    expect(message).toMatchObject({ time: { created: AT + 1000, completed: AT + 4000 }, modelID: 'm', metadata: { effort: 'high', turn_id: 't' } })
    expect(message).not.toHaveProperty('tokens')
    expect(partsOf(first)).toEqual([
      { type: 'text', text: 'a', metadata: { phase: 'commentary' } },
      { type: 'text', text: 'no', metadata: { phase: 'commentary' } },
    ])
  })

  it('have no end where their lines have no time', () => {
    const bare = (payload: Fields): MessageLine => ({ document: { type: 'response_item', payload }, use: 'own' })
    const text = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'a' }] }
    expect(read(bare(text)).message.role === 'assistant' && read(bare(text)).message).toMatchObject({ time: { created: 0 } })
    for (const payload of [text, { type: 'compaction' }]) expect(read(bare(payload)).message).not.toHaveProperty('time.completed')
    expect(read(bare(text), item(text, 3)).message).toMatchObject({ time: { completed: AT + 3000 } })
  })

  it('of kinds that are not known stay raw; what is no object is damage', () => {
    expect(read(own('novelty', { x: 1 })).message).toMatchObject({ role: 'unknown', raw: { type: 'novelty', payload: { x: 1 } } })
    expect(read(item({ type: 'message', role: 'alien' })).message.role).toBe('unknown')
    expect(codexFormat.assemble?.([{ document: [1], use: 'own' }], KEY)).toEqual({ damage: 'the document is no object' })
    expect(codexFormat.message({ type: 'message', role: 'user', content: 'hi' }, KEY, undefined)).toMatchObject({
      record: { message: { role: 'user' } },
    })
  })

  it('of events say nothing that an item says too', () => {
    const agent = own('event_msg', { type: 'agent_message', message: 'yes' })
    const more = own('event_msg', { type: 'agent_reasoning', text: 'hm' })
    expect(partsOf(agent, more, item({ type: 'message', role: 'assistant', content: [{ text: 'yes' }] }))).toEqual([
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'yes' },
    ])
    const asked = own('event_msg', { type: 'user_message', message: 'look', local_images: ['/a b.png'] })
    expect(partsOf(asked)).toEqual([
      { type: 'text', text: 'look' },
      { type: 'file', mime: 'image/png', url: 'file:///a%20b.png' },
    ])
  })
})

describe('thoughts', () => {
  it('are their summary and what of them is not encrypted', () => {
    const summary = [
      { type: 'summary_text', text: 'a' },
      { type: 'summary_text', text: 'b' },
    ]
    expect(partsOf(item({ type: 'reasoning', summary, content: [{ type: 'reasoning_text', text: 'c' }] }))).toEqual([
      { type: 'reasoning', text: 'a\n\nb\n\nc' },
    ])
    expect(partsOf(item({ type: 'reasoning', summary: [], encrypted_content: 'xx' }))).toEqual([
      { type: 'reasoning', text: '', metadata: { encrypted: true } },
    ])
  })
})

describe('tools', () => {
  const call = item({ type: 'function_call', name: 'shell', arguments: '{"command":["ls"]}', call_id: 'c' }, 1)
  const state = (...lines: readonly MessageLine[]): unknown => (partsOf(...lines)[0] as { state: unknown }).state
  const times = { start: AT + 1000, end: AT + 9000 }

  it('run until they are answered', () => {
    expect(partsOf(call)).toEqual([
      { type: 'tool', tool: 'shell', callID: 'c', state: { status: 'running', input: { command: ['ls'] }, time: { start: AT + 1000 } } },
    ])
    expect(state(item({ type: 'function_call', name: 'shell', arguments: '{"cut', call_id: 'c' }))).toMatchObject({ input: '{"cut' })
  })

  it('are answered by a text, by a JSON text, by texts and images, or in an object', () => {
    const out = (output: unknown): unknown => state(call, answer({ type: 'function_call_output', call_id: 'c', output }))
    const input = { command: ['ls'] }
    expect(out('a.txt')).toEqual({ status: 'completed', input, output: 'a.txt', time: times })
    expect(out('{"output":"a","metadata":{"exit_code":1}}')).toEqual({
      status: 'completed',
      input,
      output: 'a',
      metadata: { exit_code: 1 },
      time: times,
    })
    expect(out('{"output":"cut')).toMatchObject({ output: '{"output":"cut' })
    expect(out({ content: 'no', success: false })).toEqual({ status: 'error', input, error: 'no', time: times })
    expect(out([{ type: 'input_text', text: 'a' }, { type: 'input_image', image_url: 'data:image/gif;base64,AA' }, { type: 'odd' }])).toEqual({
      status: 'completed',
      input,
      output: 'a',
      attachments: [{ type: 'file', mime: 'image/gif', url: 'data:image/gif;base64,AA' }],
      metadata: { content: [{ type: 'odd' }] },
      time: times,
    })
  })

  it('go by other names too', () => {
    const custom = item({ type: 'custom_tool_call', name: 'apply_patch', input: '*** Begin', call_id: 'c', status: 'completed' })
    expect(partsOf(custom, answer({ type: 'custom_tool_call_output', call_id: 'c', output: 'ok' }))).toMatchObject([
      { tool: 'apply_patch', state: { status: 'completed', input: '*** Begin', output: 'ok' } },
    ])
    const shell = item({ type: 'local_shell_call', call_id: 'c', status: 'completed', action: { type: 'exec', command: ['ls'] } })
    expect(partsOf(shell)).toMatchObject([{ tool: 'local_shell', state: { status: 'running', input: { command: ['ls'] } } }])
    expect(partsOf(item({ type: 'function_call', namespace: 'mcp', name: 'find', arguments: '{}', call_id: 'c' }))).toMatchObject([
      { tool: 'mcp.find' },
    ])
    const search = item({ type: 'tool_search_call', call_id: 'c', arguments: { query: 'x' } })
    expect(partsOf(search, answer({ type: 'tool_search_output', call_id: 'c', tools: [{ name: 't' }] }))).toMatchObject([
      { tool: 'tool_search', state: { input: { query: 'x' }, output: '[{"name":"t"}]' } },
    ])
  })

  it('of the provider answer themselves', () => {
    const action = { type: 'search', query: 'q' }
    expect(partsOf(item({ type: 'web_search_call', status: 'completed', action }))).toMatchObject([
      { tool: 'web_search', state: { status: 'completed', input: action } },
    ])
    expect(partsOf(item({ type: 'web_search_call', status: 'in_progress', action }))).toMatchObject([{ state: { status: 'running' } }])
    expect(partsOf(item({ type: 'image_generation_call', id: 'ig', status: 'completed', revised_prompt: 'a cat', result: 'QUJD' }))).toMatchObject([
      {
        tool: 'image_generation',
        callID: 'ig',
        state: { input: { prompt: 'a cat' }, attachments: [{ mime: 'image/png', url: 'data:image/png;base64,QUJD' }] },
      },
    ])
  })
})

describe('token counts', () => {
  const told = (total: number, last: Fields): MessageLine =>
    own('event_msg', { type: 'token_count', info: { total_token_usage: { total_tokens: total }, last_token_usage: last } })
  const said = item({ type: 'message', role: 'assistant', content: 'a' })

  it('of several answers of the model in one step are added up', () => {
    const first = { input_tokens: 10, cached_input_tokens: 4, output_tokens: 3, reasoning_output_tokens: 1, total_tokens: 13 }
    const second = { input_tokens: 20, cached_input_tokens: 10, output_tokens: 2, total_tokens: 22 }
    expect(read(said, told(13, first), told(35, second), told(35, second)).message).toMatchObject({
      tokens: { total: 35, input: 16, output: 5, reasoning: 1, cache: { read: 14, write: 0 } },
    })
  })

  it('are not those of a compaction, which are an estimate of what is left', () => {
    const estimate = { input_tokens: 0, cached_input_tokens: 0, output_tokens: 0, reasoning_output_tokens: 0, total_tokens: 5000 }
    const real = { input_tokens: 10, cached_input_tokens: 4, output_tokens: 3, total_tokens: 13 }
    expect(read(said, told(13, real), told(13, estimate)).message).toMatchObject({ tokens: { total: 13, input: 6, output: 3 } })
    expect(read(said, told(13, estimate)).message).not.toHaveProperty('tokens')
  })
})

describe('what other agents write', () => {
  it('is told, in either form', () => {
    const letter = { author: '/root', recipient: '/root/worker', content: 'Do it.', trigger_turn: true }
    const line: MessageLine = { document: { timestamp: time(0), type: 'inter_agent_communication', payload: letter }, use: 'own' }
    const metadata = { author: '/root', recipient: '/root/worker' }
    expect(read(line).message).toMatchObject({ role: 'user', type: 'agent_message', metadata })
    expect(partsOf(line)).toEqual([{ type: 'text', text: 'Do it.', synthetic: true }])
    const asItem = item({ type: 'agent_message', ...metadata, content: [{ type: 'input_text', text: 'Do it.' }] })
    expect(read(asItem).message).toMatchObject({ role: 'user', type: 'agent_message', metadata })
    expect(partsOf(asItem)).toEqual([{ type: 'text', text: 'Do it.', synthetic: true }])
  })

  it('and what Codex writes around images and commands, nobody typed', () => {
    const content = ['<image name=[Image #1]>', '</image>', 'look'].map((text) => ({ type: 'input_text', text }))
    const line = item({ type: 'message', role: 'user', content })
    expect(read(line).message).not.toHaveProperty('type')
    expect(partsOf(line)).toEqual([
      { type: 'text', text: '<image name=[Image #1]>', synthetic: true },
      { type: 'text', text: '</image>', synthetic: true },
      { type: 'text', text: 'look' },
    ])
    for (const text of ['<user_shell_command>\n', '<hook_prompt hook_run_id="1">', '<user_action>', '<goal_context>', '\n<environment_context>']) {
      expect(isToldByAgent(text), text).toBe(true)
    }
    expect(isToldByAgent('<imagery>')).toBe(false)
  })
})

describe('hostile items', () => {
  it('may have very many blocks, and nest as deep as they like', () => {
    const content = Array.from({ length: 300_000 }, () => ({ type: 'input_text', text: 'a' }))
    expect(read(item({ type: 'message', role: 'user', content })).parts).toHaveLength(300_000)
    const tools = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) as unknown
    expect(read(item({ type: 'tool_search_call', call_id: 'c' }), answer({ type: 'tool_search_output', call_id: 'c', tools })).parts).toHaveLength(1)
  })
})

describe('an image alone', () => {
  it('was sent by somebody', () => {
    const image = { type: 'input_image', image_url: 'data:image/png;base64,AA==' }
    const marks = ['<image name=[Image #1]>', '</image>'].map((text) => ({ type: 'input_text', text }))
    expect(read(item({ type: 'message', role: 'user', content: [image] })).message).not.toHaveProperty('type')
    expect(read(item({ type: 'message', role: 'user', content: [marks[0], image, marks[1]] })).message).not.toHaveProperty('type')
  })
})
