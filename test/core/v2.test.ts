/** Every kind of message that OpenCode 2 and its betas write, and what it becomes. */
import { describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { FORMATS } from '../../src/core/formats.js'
import { parseMessageId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, sessionKey } from '../../src/core/keys.js'
import type { MessageReading } from '../../src/core/records.js'

const KEY = messageKey(sessionKey('opencode', parseSessionId('ses_1')), parseMessageId('msg_1'))
const IDS = { id: 'msg_1', sessionID: 'ses_1' }
const MODEL = { id: 'm1', providerID: 'p1', variant: 'high' }
const TOKENS = { input: 3, output: 2, reasoning: 1, cache: { read: 5, write: 4 } }

function read(type: string | undefined, document: unknown): { readonly record?: MessageReading; readonly odd?: string; readonly damage?: string } {
  return FORMATS.v2.message(document, KEY, type)
}

function whole(type: string, document: Document): MessageReading {
  const reading = read(type, document)
  expect(reading.odd).toBeUndefined()
  if (reading.record === undefined) throw new Error(reading.damage)
  return reading.record
}

function part(at: number, fields: Document): Document {
  return { ...fields, id: `msg_1_${at}`, sessionID: 'ses_1', messageID: 'msg_1' }
}

/** The parts of an assistant message with this content. */
function content(...items: readonly unknown[]): MessageReading['parts'] {
  return whole('assistant', { content: items, time: { created: 1 } }).parts
}

/** The state of a tool part. */
function state(stored: Document, time: Document = { created: 10, ran: 11, completed: 12 }): unknown {
  const [tool] = content({ type: 'tool', id: 'call_1', name: 'shell', state: stored, time })
  return tool?.type === 'tool' ? tool.state : tool
}

describe('a user message', () => {
  it('is a user message with its text, its files and its agents as parts', () => {
    const mention = { text: '@plan.md', start: 3, end: 11 }
    const { message, parts } = whole('user', {
      text: 'see @plan.md',
      files: [
        { data: 'aGk=', mime: 'text/plain', source: { type: 'inline' }, name: 'plan.md', description: 'the plan', mention },
        { data: 'AAEC', mime: 'image/png', source: { type: 'uri', uri: 'file:///srv/a.png' } },
        { mime: 'text/plain', source: { type: 'uri', uri: 'file:///srv/b.txt' } },
      ],
      agents: [{ name: 'explore', mention: { text: '@explore', start: 0, end: 8 } }, { name: 'plan' }],
      skills: [{ id: 'tidy' }],
      metadata: { from: 'cli' },
      time: { created: 5 },
    })
    expect(message).toEqual({ ...IDS, role: 'user', type: 'user', skills: [{ id: 'tidy' }], metadata: { from: 'cli' }, time: { created: 5 } })
    expect(parts).toEqual([
      part(0, { type: 'text', text: 'see @plan.md' }),
      part(1, {
        type: 'file',
        mime: 'text/plain',
        url: 'data:text/plain;base64,aGk=',
        filename: 'plan.md',
        description: 'the plan',
        source: { type: 'inline', text: { value: '@plan.md', start: 3, end: 11 } },
      }),
      part(2, { type: 'file', mime: 'image/png', url: 'data:image/png;base64,AAEC', source: { type: 'uri', uri: 'file:///srv/a.png' } }),
      part(3, { type: 'file', mime: 'text/plain', url: 'file:///srv/b.txt', source: { type: 'uri', uri: 'file:///srv/b.txt' } }),
      part(4, { type: 'agent', name: 'explore', source: { value: '@explore', start: 0, end: 8 } }),
      part(5, { type: 'agent', name: 'plan' }),
    ])
  })

  it('may have files and agents in the spelling of the betas', () => {
    const { parts } = whole('user', {
      text: '',
      files: [{ uri: 'data:text/plain,hi', mime: 'text/plain', name: 'hi', source: { text: '@hi', start: 0, end: 3 } }],
      agents: [{ name: 'plan', source: { text: '@plan', start: 4, end: 9 } }],
      time: { created: 5 },
    })
    expect(parts).toEqual([
      part(0, { type: 'text', text: '' }),
      part(1, { type: 'file', mime: 'text/plain', url: 'data:text/plain,hi', filename: 'hi', source: { text: { value: '@hi', start: 0, end: 3 } } }),
      part(2, { type: 'agent', name: 'plan', source: { value: '@plan', start: 4, end: 9 } }),
    ])
  })

  it('keeps what is no file as a part of an unknown kind, and lists that are none on the message', () => {
    const { record, odd } = read('user', { text: 'x', files: ['a.png', { name: 'no mime' }], agents: { plan: true }, time: { created: 5 } })
    expect(odd).toBe('a part that is no object')
    expect(record?.message).toMatchObject({ role: 'user', agents: { plan: true } })
    expect(record?.parts.slice(1)).toEqual([
      part(1, { type: 'unknown', raw: part(1, { content: 'a.png' }) }),
      part(2, { type: 'unknown', raw: part(2, { name: 'no mime' }) }),
    ])
  })
})

describe('text that OpenCode wrote for the user', () => {
  it.each([
    ['synthetic', { text: 't', description: 'short', sessionID: 'ses_beta' }],
    ['system', { text: 't', description: 'short' }],
    ['skill', { text: 't', skill: 'sk_1', name: 'tidy' }],
  ])('of the kind %s is a user message with a synthetic text part', (type, fields) => {
    const { text, ...rest } = fields
    const { message, parts } = whole(type, { ...fields, time: { created: 5 } })
    expect(message).toEqual({ ...rest, ...IDS, role: 'user', type, time: { created: 5 } })
    expect(parts).toEqual([part(0, { type: 'text', text, synthetic: true })])
  })
})

describe('an assistant message', () => {
  it('is one, with every field in its V1 place or under its own name', () => {
    const time = { created: 1, streamed: 2, completed: 3 }
    const own = {
      agent: 'build',
      finish: 'stop',
      rawFinish: 'end_turn',
      cost: 0.5,
      tokens: TOKENS,
      time,
      snapshot: { start: 'a', end: 'b', files: ['f'] },
    }
    const retry = { attempt: 2, at: 7, error: { type: 'provider.rate-limit', message: 'slow down' } }
    const { message, parts } = whole('assistant', {
      ...own,
      model: MODEL,
      retry,
      native: { responseID: 'r' },
      metadata: { a: 1 },
      error: { type: 'provider.auth', message: 'no key', status: 401 },
      content: [],
    })
    expect(message).toEqual({
      ...own,
      ...IDS,
      role: 'assistant',
      type: 'assistant',
      modelID: 'm1',
      providerID: 'p1',
      variant: 'high',
      retry,
      providerState: { responseID: 'r' },
      metadata: { a: 1 },
      error: { name: 'provider.auth', data: { message: 'no key', status: 401 } },
    })
    expect(parts).toEqual([])
  })

  it('has its content as parts, named by their place', () => {
    const stored = [
      { type: 'text', text: 'hello', native: { id: 'x' } },
      { type: 'reasoning', text: 'hmm', native: { signature: 's' }, time: { created: 4, completed: 6 } },
      { type: 'reasoning', text: 'still', time: { created: 4 } },
    ]
    expect(content(...stored)).toEqual([
      part(0, { type: 'text', text: 'hello', metadata: { id: 'x' } }),
      part(1, { type: 'reasoning', text: 'hmm', metadata: { signature: 's' }, time: { start: 4, end: 6 } }),
      part(2, { type: 'reasoning', text: 'still', time: { start: 4 } }),
    ])
  })

  it.each(['native', 'state', 'providerState', 'providerMetadata'])('finds what the provider keeps under %s', (name) => {
    expect(content({ type: 'text', id: 'txt_1', text: '', [name]: { a: 1 } })).toEqual([
      part(0, { type: 'text', text: '', contentID: 'txt_1', metadata: { a: 1 } }),
    ])
    expect(content({ type: 'reasoning', text: '', [name]: { a: 1 } })).toEqual([part(0, { type: 'reasoning', text: '', metadata: { a: 1 } })])
  })

  it('keeps both when what the provider keeps stands there under two names', () => {
    expect(content({ type: 'text', text: '', native: { a: 1 }, state: { b: 2 } })).toEqual([
      part(0, { type: 'text', text: '', metadata: { a: 1 }, state: { b: 2 } }),
    ])
  })

  it('keeps content of kinds that are not known, and of known kinds in a bad shape', () => {
    const items = [
      { type: 'hologram', id: 'h', depth: 3 },
      { type: 'text' },
      'text',
      null,
      { type: 'tool', id: 'c', name: 'x', state: { status: 'dreaming' } },
      { text: 'no type' },
    ]
    const { record, odd } = read('assistant', { content: items, time: { created: 1 } })
    expect(odd).toBe('a text part without its text')
    expect(record?.parts).toEqual([
      part(0, { type: 'unknown', raw: part(0, { type: 'hologram', contentID: 'h', depth: 3 }) }),
      part(1, { type: 'unknown', raw: part(1, { type: 'text' }) }),
      part(2, { type: 'unknown', raw: part(2, { content: 'text' }) }),
      part(3, { type: 'unknown', raw: part(3, { content: null }) }),
      part(4, { type: 'unknown', raw: part(4, { type: 'tool', contentID: 'c', name: 'x', state: { status: 'dreaming' } }) }),
      part(5, { type: 'unknown', raw: part(5, { text: 'no type' }) }),
    ])
  })
})

describe('a tool', () => {
  it('keeps its name, its call, who ran it and when', () => {
    const stored = { status: 'completed', input: {}, content: [{ type: 'text', text: 'ok' }] }
    const time = { created: 10, ran: 11, completed: 12, pruned: 13 }
    expect(
      content({ type: 'tool', id: 'call_1', name: 'subagent', executed: true, native: { a: 1 }, providerResultState: { b: 2 }, state: stored, time }),
    ).toEqual([
      part(0, {
        type: 'tool',
        tool: 'subagent',
        callID: 'call_1',
        executed: true,
        metadata: { a: 1 },
        providerResultState: { b: 2 },
        time,
        state: { status: 'completed', input: {}, output: 'ok', time: { start: 11, end: 12, compacted: 13 } },
      }),
    ])
  })

  it('may have its provider in the spelling of the betas', () => {
    const [tool] = content({
      type: 'tool',
      id: 'c',
      name: 'x',
      provider: { executed: true, metadata: { a: 1 }, resultMetadata: { b: 2 }, more: 3 },
      state: { status: 'pending', input: '' },
      time: { created: 10 },
    })
    expect(tool).toMatchObject({ executed: true, metadata: { a: 1 }, providerResultState: { b: 2 }, provider: { more: 3 } })
  })

  it.each(['streaming', 'pending'])('in the state %s is pending, its input as it has come so far', (status) => {
    expect(state({ status, input: '{"comm' }, { created: 10 })).toEqual({ status: 'pending', input: {}, raw: '{"comm' })
    expect(state({ status, input: { command: 'ls' } })).toEqual({ status: 'pending', input: { command: 'ls' } })
  })

  it('that runs shows what it printed so far', () => {
    expect(state({ status: 'running', input: { command: 'ls' }, metadata: { output: 'a' } }, { created: 10, ran: 11 })).toEqual({
      status: 'running',
      input: { command: 'ls' },
      metadata: { output: 'a' },
      time: { start: 11 },
    })
    const older = { status: 'running', input: {}, structured: { exit: 0 }, content: [{ type: 'text', text: 'so far' }] }
    expect(state(older, { created: 10 })).toEqual({ status: 'running', input: {}, metadata: { exit: 0, output: 'so far' }, time: { start: 10 } })
  })

  it('that is completed has its texts as output, its files as attachments, and the rest beside them', () => {
    const stored = {
      status: 'completed',
      input: { command: 'ls' },
      content: [
        { type: 'text', text: 'one\n' },
        { type: 'text', text: 'two' },
        { type: 'file', uri: 'data:image/png;base64,AA', mime: 'image/png', name: 'a.png' },
        { type: 'text', text: 'three' },
        { type: 'link', href: 'https://example.org' },
      ],
      metadata: { exit: 0 },
    }
    expect(state(stored)).toEqual({
      status: 'completed',
      input: { command: 'ls' },
      output: 'one\ntwo\nthree',
      attachments: [{ type: 'file', mime: 'image/png', url: 'data:image/png;base64,AA', filename: 'a.png' }],
      content: [{ type: 'link', href: 'https://example.org' }],
      metadata: { exit: 0 },
      time: { start: 11, end: 12 },
    })
  })

  it('may have its result in the spelling of the betas', () => {
    const attachments = [{ uri: 'file:///a.txt', mime: 'text/plain', name: 'a.txt' }, 'b']
    expect(state({ status: 'completed', input: {}, structured: { exit: 1 }, result: 'all of it', outputPaths: ['/spill'], attachments })).toEqual({
      status: 'completed',
      input: {},
      output: 'all of it',
      result: 'all of it',
      outputPaths: ['/spill'],
      attachments: [
        { type: 'file', mime: 'text/plain', url: 'file:///a.txt', filename: 'a.txt' },
        { type: 'unknown', content: 'b' },
      ],
      metadata: { exit: 1 },
      time: { start: 11, end: 12 },
    })
    expect(state({ status: 'completed', input: {}, content: [], metadata: { a: 1 }, structured: { b: 2 }, result: { c: 3 } })).toEqual({
      status: 'completed',
      input: {},
      output: '',
      metadata: { a: 1 },
      structured: { b: 2 },
      result: { c: 3 },
      time: { start: 11, end: 12 },
    })
  })

  it('that failed has its error as text and as it was stored, and what it had printed', () => {
    const error = { type: 'tool.interrupted', message: 'stopped' }
    expect(state({ status: 'error', input: {}, error, content: [{ type: 'text', text: 'half' }], metadata: { exit: 130 } })).toEqual({
      status: 'error',
      input: {},
      error: 'stopped',
      cause: error,
      metadata: { exit: 130, output: 'half' },
      time: { start: 11, end: 12 },
    })
    const taken = { status: 'error', input: {}, error: 'plain', content: [{ type: 'text', text: 'half' }], metadata: { output: 'other' } }
    expect(state(taken)).toEqual({ ...taken, time: { start: 11, end: 12 } })
    expect(state({ status: 'error', input: {}, error: { type: 'odd' } })).toMatchObject({ error: '{"type":"odd"}', cause: { type: 'odd' } })
  })
})

describe('a shell', () => {
  const input = { command: 'git status' }

  it('is an assistant message with a tool part', () => {
    const page = { output: 'clean\n', cursor: 6, size: 6, truncated: false }
    const { message, parts } = whole('shell', {
      shellID: 'sh_1',
      ...input,
      status: 'exited',
      exit: 0,
      output: page,
      time: { created: 5, completed: 9 },
    })
    expect(message).toEqual({ ...IDS, role: 'assistant', type: 'shell', time: { created: 5, completed: 9 } })
    const metadata = { shellID: 'sh_1', status: 'exited', exit: 0, cursor: 6, size: 6, truncated: false }
    const done = { status: 'completed', input, output: 'clean\n', metadata, time: { start: 5, end: 9 } }
    expect(parts).toEqual([part(0, { type: 'tool', tool: 'shell', callID: 'sh_1', state: done })])
  })

  it('that runs is not final', () => {
    const { message, parts } = whole('shell', {
      shellID: 'sh_1',
      ...input,
      status: 'running',
      output: { output: 'so far', cursor: 6, size: 9, truncated: false },
      time: { created: 5 },
    })
    expect(message).toMatchObject({ time: { created: 5 } })
    expect(message).not.toHaveProperty('time.completed')
    expect(parts).toMatchObject([
      { state: { status: 'running', input, metadata: { status: 'running', output: 'so far', size: 9 }, time: { start: 5 } } },
    ])
  })

  it.each(['timeout', 'killed', 'exited'])('that is %s without an end time ended when it began', (status) => {
    const { message, parts } = whole('shell', { shellID: 'sh_1', ...input, status, time: { created: 5 } })
    expect(message).toMatchObject({ time: { created: 5, completed: 5 } })
    expect(parts).toMatchObject([{ state: { status: 'completed', output: '', metadata: { status }, time: { start: 5, end: 5 } } }])
  })

  it('may be in the spelling of 1.18', () => {
    const { message, parts } = whole('shell', { callID: 'call_1', ...input, output: 'clean', time: { created: 5, completed: 6 } })
    expect(message).toMatchObject({ role: 'assistant', time: { created: 5, completed: 6 } })
    expect(parts).toEqual([
      part(0, {
        type: 'tool',
        tool: 'shell',
        callID: 'call_1',
        state: { status: 'completed', input, output: 'clean', metadata: {}, time: { start: 5, end: 6 } },
      }),
    ])
    expect(whole('shell', { callID: 'call_1', ...input, output: '', time: { created: 5 } }).parts).toMatchObject([{ state: { status: 'running' } }])
  })
})

describe('a compaction', () => {
  it('is an assistant message with its summary', () => {
    const stored = {
      status: 'completed',
      reason: 'auto',
      recent: 'the last words',
      providerContext: { a: 1 },
      cost: 0.1,
      tokens: TOKENS,
      time: { created: 5 },
    }
    const { message, parts } = whole('compaction', { ...stored, summary: 'all before', model: MODEL, native: { n: 1 } })
    expect(message).toEqual({
      ...stored,
      ...IDS,
      role: 'assistant',
      type: 'compaction',
      summary: true,
      modelID: 'm1',
      providerID: 'p1',
      variant: 'high',
      providerState: { n: 1 },
      time: { created: 5, completed: 5 },
    })
    expect(parts).toEqual([part(0, { type: 'compaction', auto: true }), part(1, { type: 'text', text: 'all before' })])
  })

  it('that runs is not final', () => {
    const { message, parts } = whole('compaction', { status: 'running', reason: 'manual', summary: 'so', recent: '', time: { created: 5 } })
    expect(message).not.toHaveProperty('time.completed')
    expect(parts).toEqual([part(0, { type: 'compaction', auto: false }), part(1, { type: 'text', text: 'so' })])
  })

  it('that failed has its error and no text', () => {
    const { message, parts } = whole('compaction', {
      status: 'failed',
      reason: 'auto',
      error: { type: 'unknown', message: 'no' },
      time: { created: 5 },
    })
    expect(message).toMatchObject({ summary: true, status: 'failed', error: { name: 'unknown', data: { message: 'no' } } })
    expect(parts).toEqual([part(0, { type: 'compaction', auto: true })])
  })

  it('may be in the spelling of 1.18, without a status', () => {
    const { message, parts } = whole('compaction', { reason: 'manual', summary: 's', recent: 'r', time: { created: 5 } })
    expect(message).toMatchObject({ summary: true, recent: 'r', time: { created: 5, completed: 5 } })
    expect(parts.map(({ type }) => type)).toEqual(['compaction', 'text'])
  })
})

describe('what is neither asked nor answered', () => {
  it.each([
    ['agent-switched', { agent: 'plan', previous: 'build' }],
    ['model-switched', { model: MODEL, previous: MODEL }],
    ['location-switched', { location: { directory: '/srv' }, projectID: 'p', subpath: 'a', previous: { location: { directory: '/' } } }],
    ['idle', { outcome: 'interrupted' }],
    ['telepathy', { thought: 1 }],
    ['constructor', {}],
  ])('(%s) is kept raw', (type, fields) => {
    const raw = { ...fields, time: { created: 5 }, type, ...IDS }
    expect(whole(type, { ...fields, time: { created: 5 } })).toEqual({ message: { role: 'unknown', ...IDS, raw }, parts: [] })
  })
})

describe('a document', () => {
  it.each([
    ['user', { time: { created: 1 } }, 'text'],
    ['user', { text: 'x' }, 'time.created'],
    ['user', { text: 'x', time: { created: '1' } }, 'time.created'],
    ['assistant', { time: { created: 1 } }, 'content'],
    ['shell', { time: { created: 1 } }, 'command'],
    ['skill', { text: 5, time: { created: 1 } }, 'text'],
  ])('of the kind %s is kept raw without what it needs, and named', (type, document, missing) => {
    const { record, odd } = read(type, document)
    expect(odd).toBe(`a message of the kind ${type} without its ${missing}`)
    expect(record).toEqual({ message: { role: 'unknown', ...IDS, raw: { ...document, type, ...IDS } }, parts: [] })
  })

  it.each([[null], [[]], ['text'], [7]])('%j is damage', (document) => {
    expect(read('user', document)).toEqual({ damage: 'the document is no object' })
  })

  it('may name its kind itself', () => {
    expect(read(undefined, { type: 'user', text: 'x', time: { created: 1 } }).record?.message.role).toBe('user')
    expect(read(undefined, { text: 'x' })).toEqual({ damage: 'the message has no type' })
  })

  it('is read without being changed', () => {
    const document = {
      content: [
        { type: 'hologram', id: 'h' },
        { type: 'text', text: 'x', id: 't' },
      ],
      time: { created: 1 },
    }
    const before = structuredClone(document)
    read('assistant', document)
    expect(document).toEqual(before)
  })
})
