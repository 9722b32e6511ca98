/** Documents of 0.x in every stage of OpenCode's own conversion, read in V1's shape. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FORMATS } from '../../src/core/formats.js'
import { parseMessageId, parsePartId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { PART_KINDS } from '../../src/core/parts.js'
import type { MessageReading } from '../../src/core/records.js'
import { keyOf } from '../support/trees.js'

const KEY = messageKey(keyOf('ses_1'), parseMessageId('msg_1'))
const IDS = { sessionID: 'ses_1', messageID: 'msg_1' }
const TOKENS = { input: 9, output: 5, reasoning: 0, cache: { read: 2, write: 1 } }

function read(document: object): MessageReading & { readonly odd?: string } {
  const reading = FORMATS.v1.message(structuredClone(document), KEY, undefined)
  if ('damage' in reading) throw new Error(reading.damage)
  return { ...reading.record, ...(reading.odd !== undefined && { odd: reading.odd }) }
}

function readPart(document: object): unknown {
  const reading = FORMATS.v1.part(structuredClone(document), partKey(KEY, parsePartId('prt_1')))
  if ('damage' in reading) throw new Error(reading.damage)
  return reading.record
}

/** An assistant message as 0.1 wrote it. */
function folded(parts: readonly unknown[], tool: object = {}, more: object = {}): object {
  const assistant = { system: ['be kind'], modelID: 'm', providerID: 'p', path: { cwd: '/srv/sky/src', root: '/srv/sky' }, cost: 0.5, tokens: TOKENS }
  return { id: 'msg_1', role: 'assistant', parts, metadata: { assistant, time: { created: 10, completed: 20 }, sessionID: 'ses_1', tool, ...more } }
}

const call = (state: string, more: object = {}): object => ({
  type: 'tool-invocation',
  toolInvocation: { state, toolCallId: 'call_1', toolName: 'bash', args: { command: 'ls' }, ...more },
})

describe('a message of 0.1', () => {
  it('has its fields and its parts, which take their place for an id', () => {
    const { message, parts, odd } = read(folded([{ type: 'step-start' }, { type: 'text', text: 'Rayleigh.' }]))
    expect(odd).toBeUndefined()
    expect(message).toEqual({
      id: 'msg_1',
      sessionID: 'ses_1',
      role: 'assistant',
      time: { created: 10, completed: 20 },
      system: ['be kind'],
      modelID: 'm',
      providerID: 'p',
      path: { cwd: '/srv/sky/src', root: '/srv/sky' },
      cost: 0.5,
      tokens: TOKENS,
    })
    expect(parts).toEqual([
      { id: 'msg_1_0', ...IDS, type: 'step-start' },
      { id: 'msg_1_1', ...IDS, type: 'text', text: 'Rayleigh.' },
    ])
  })

  it('of a user keeps what V1 has no field for', () => {
    const user = {
      id: 'msg_1',
      role: 'user',
      parts: [],
      metadata: { time: { created: 10 }, sessionID: 'ses_1', tool: {}, user: { snapshot: 'abc' } },
    }
    expect(read(user).message).toEqual({
      id: 'msg_1',
      sessionID: 'ses_1',
      role: 'user',
      time: { created: 10 },
      metadata: { user: { snapshot: 'abc' } },
    })
  })

  it('keeps its error and its mark of a summary', () => {
    const error = { name: 'UnknownError', data: { message: 'no' } }
    const document = folded([], {}, { error }) as { metadata: { assistant: object } }
    document.metadata.assistant = { ...document.metadata.assistant, summary: true }
    expect(read(document).message).toMatchObject({ error, summary: true })
  })

  it('gives each state of a call, with what stood beside it', () => {
    const told = { call_1: { title: 'List', time: { start: 3, end: 4 }, exit: 0 } }
    const state = (part: object, tool: object = told): unknown => (read(folded([part], tool)).parts[0] as { state?: unknown }).state
    expect(state(call('partial-call'))).toEqual({ status: 'pending', input: { command: 'ls' } })
    expect(state(call('call'))).toEqual({ status: 'running', input: { command: 'ls' }, title: 'List', metadata: { exit: 0 }, time: { start: 3 } })
    expect(state(call('call'), { call_1: { time: { start: 0, end: 0 } } })).toEqual({ status: 'running', input: { command: 'ls' }, metadata: {} })
    expect(state(call('result', { result: 'a\nb' }))).toEqual({
      status: 'completed',
      input: { command: 'ls' },
      output: 'a\nb',
      title: 'List',
      metadata: { exit: 0 },
      time: { start: 3, end: 4 },
    })
    expect(state(call('result', { result: 'a' }), {})).toEqual({ status: 'completed', input: { command: 'ls' }, output: 'a', metadata: {} })
  })

  it('keeps what it knows of calls that are in none of its parts', () => {
    const tool = { call_1: { title: 'List' }, call_2: { title: 'Gone' } }
    const { message, parts } = read(folded([call('result', { result: '', step: 2 })], tool))
    expect(message).toMatchObject({ metadata: { tool: { call_2: { title: 'Gone' } } } })
    expect(message).not.toHaveProperty('metadata.tool.call_1')
    expect(parts).toMatchObject([{ type: 'tool', tool: 'bash', callID: 'call_1', metadata: { step: 2 } }])
  })

  it('has files, reasoning, and sources as unknown parts', () => {
    const source = { type: 'source-url', sourceId: 's', url: 'https://example.org', title: 'T' }
    const { parts, odd } = read(
      folded([
        { type: 'file', mediaType: 'image/png', filename: 'a.png', url: 'data:,' },
        { type: 'reasoning', text: 'hmm', providerMetadata: { a: 1 } },
        source,
      ]),
    )
    expect(odd).toBeUndefined()
    expect(parts).toEqual([
      { id: 'msg_1_0', ...IDS, type: 'file', mime: 'image/png', filename: 'a.png', url: 'data:,' },
      { id: 'msg_1_1', ...IDS, type: 'reasoning', text: 'hmm', metadata: { a: 1 } },
      { id: 'msg_1_2', ...IDS, type: 'unknown', raw: { id: 'msg_1_2', ...IDS, ...source } },
    ])
  })

  it('keeps parts in a bad shape raw, and names them once', () => {
    const strange = [null, 7, { text: 'no type' }, { type: 'text' }, call('result'), call('later', { result: '' }), { type: 'tool-invocation' }]
    const { parts, odd } = read(folded([...strange, { type: 'text', text: 'fine' }]))
    expect(parts.map(({ type }) => type)).toEqual([...strange.map(() => 'unknown'), 'text'])
    expect(parts.flatMap((part) => (part.type === 'unknown' ? [part.raw] : []))).toMatchObject([
      { value: null },
      { value: 7 },
      ...strange.slice(2),
    ] as object[])
    expect(odd).toBe(
      'part 0: the document is no object, part 1: the document is no object, part 2: the part has no type, a text part without its text',
    )
  })

  it('is odd without its time, and damage without its role', () => {
    expect(read({ id: 'msg_1', role: 'user', parts: [{ type: 'text', text: 'x' }], metadata: {} })).toMatchObject({
      message: { role: 'unknown' },
      parts: [{ type: 'text' }],
      odd: expect.any(String),
    })
    expect(FORMATS.v1.message({ parts: [], metadata: {} }, KEY, undefined)).toEqual({ damage: 'the message has no role' })
  })
})

describe('a message half way to V1', () => {
  const fields = { id: 'msg_1', role: 'assistant', time: { created: 10, completed: 20 }, sessionID: 'ses_1', mode: 'build', cost: 0, tokens: TOKENS }

  it('may hold parts in V1 shape, tools under the id of their call', () => {
    const state = { status: 'completed', input: {}, output: 'x', title: 't', metadata: {}, time: { start: 1, end: 2 } }
    const { message, parts } = read({
      ...fields,
      parts: [
        { type: 'text', text: 'a', id: 'prt_x' },
        { type: 'tool', id: 'call_1', tool: 'bash', state },
      ],
    })
    expect(message).toEqual(fields)
    expect(parts).toEqual([
      { id: 'msg_1_0', ...IDS, type: 'text', text: 'a' },
      { id: 'msg_1_1', ...IDS, type: 'tool', callID: 'call_1', tool: 'bash', state },
    ])
  })

  it('may have lost its parts and nothing else: then they are files in the shape of 0.1', () => {
    const { parts: _, ...document } = folded([], { call_1: { title: 'List' } }) as { parts: unknown }
    const { message, parts } = read({ ...document, mode: 'build' })
    expect(parts).toEqual([])
    expect(message).toMatchObject({
      role: 'assistant',
      mode: 'build',
      modelID: 'm',
      time: { created: 10 },
      metadata: { tool: { call_1: { title: 'List' } } },
    })
    expect(readPart({ ...call('result', { result: 'a' }), id: 'prt_1', messageID: 'msg_1' })).toEqual({
      id: 'prt_1',
      ...IDS,
      type: 'tool',
      tool: 'bash',
      callID: 'call_1',
      state: { status: 'completed', input: { command: 'ls' }, output: 'a', metadata: {} },
    })
    expect(readPart({ type: 'file', mediaType: 'text/plain', url: 'data:,' })).toMatchObject({ type: 'file', mime: 'text/plain' })
  })
})

describe('documents of 1.x', () => {
  it('are left as they are, a `metadata` of theirs included', () => {
    const message = { role: 'user', time: { created: 1 }, metadata: { time: { created: 9 }, tool: {} } }
    expect(read(message).message).toEqual({ id: 'msg_1', sessionID: 'ses_1', ...message })
    const reasoning = { type: 'reasoning', text: '', metadata: { a: 1 }, time: { start: 1 } }
    expect(readPart(reasoning)).toEqual({ id: 'prt_1', ...IDS, ...reasoning })
  })
})

describe('a call with fields that V1 has no place for', () => {
  it('keeps them in its metadata, beside what stood there', () => {
    const part = { ...call('result', { result: 'a', step: 2 }), metadata: { origin: 'x' } }
    expect(read(folded([part])).parts).toMatchObject([{ type: 'tool', metadata: { origin: 'x', step: 2 } }])
  })

  it('stays as it is where they would be lost', () => {
    for (const odd of [call('call', { result: 'early' }), call('result', { result: 'a', toolCallId: 7 })]) {
      expect(read(folded([odd])).parts).toMatchObject([{ type: 'unknown', raw: odd }])
    }
  })
})

describe('any message with parts inside', () => {
  it('loses no text of them, nor of what stood beside them (property)', () => {
    const value = fc.oneof({ weight: 3, arbitrary: fc.constant('leaf') }, fc.constant({ field: 'leaf' }), fc.constant(['leaf', 'leaf']))
    const invocation = fc.record(
      {
        state: fc.constantFrom('partial-call', 'call', 'result', 'later'),
        toolCallId: fc.oneof(fc.constant('call'), value),
        toolName: value,
        args: value,
        result: value,
        step: value,
      },
      { requiredKeys: ['state'] },
    )
    const part = fc.record(
      {
        type: fc.constantFrom('text', 'tool', 'file', 'tool-invocation', 'reasoning', 'source-url'),
        toolInvocation: fc.oneof({ weight: 3, arbitrary: invocation }, value),
        metadata: value,
        ...{ text: value, mediaType: value, mime: value, url: value, providerMetadata: value, callID: value, state: value },
      },
      { requiredKeys: ['type'] },
    )
    const told = fc.record({ title: value, exit: value, metadata: value }, { requiredKeys: [] })
    const metadata = fc.record(
      { tool: fc.oneof(fc.record({ call: told }), value), assistant: fc.oneof(fc.record({ modelID: value, cost: value }), value), error: value },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 3 }), metadata, (parts, beside) => {
        let leaves = 0
        const text = JSON.stringify({ role: 'user', parts, metadata: { time: { created: 1 }, ...beside } })
        const marked = text.replaceAll('"leaf"', () => `"leaf ${leaves++}."`)
        const { message, parts: given } = read(JSON.parse(marked))
        const kept = JSON.stringify([message, given])
        for (let at = 0; at < leaves; at++) expect(kept).toContain(`leaf ${at}.`)
      }),
      { numRuns: 500 },
    )
  })

  it('gives one part of a known kind, or a raw one, for each, and never throws (property)', () => {
    const part = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          type: fc.constantFrom('text', 'tool', 'file', 'tool-invocation', 'reasoning', '__proto__'),
          text: fc.jsonValue(),
          toolInvocation: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    )
    const metadata = fc.record({ time: fc.jsonValue(), tool: fc.jsonValue(), assistant: fc.jsonValue(), error: fc.jsonValue() }, { requiredKeys: [] })
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), metadata, (parts, metadata) => {
        const reading = read({ role: 'assistant', parts, metadata })
        expect(reading.parts.map(({ id }) => id)).toEqual(parts.map((_, at) => `msg_1_${at}`))
        for (const { type } of reading.parts) expect(PART_KINDS).toContain(type)
      }),
      { numRuns: 300 },
    )
  })
})
