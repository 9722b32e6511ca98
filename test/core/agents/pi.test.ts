/** Entries of pi put together into messages of the one shape. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MessageLine } from '../../../src/core/agents/message-draft.js'
import { piFormat } from '../../../src/core/agents/pi.js'
import type { Document } from '../../../src/core/documents.js'
import { parseMessageId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, sessionKey } from '../../../src/core/keys.js'

const KEY = messageKey(sessionKey('pi', parseSessionId('s')), parseMessageId('m'))
const AT = Date.parse('2026-01-01T00:00:00.000Z')
const TIMESTAMP = '2026-01-01T00:00:00.000Z'

function assemble(document: unknown, ...answers: readonly unknown[]): { message: Document; parts: readonly Document[] } {
  const lines: MessageLine[] = [{ document, use: 'own' }, ...answers.map((answer) => ({ document: answer, use: 'answer' as const }))]
  const reading = piFormat.assemble?.(lines, KEY) ?? { damage: 'no assemble' }
  if ('damage' in reading) throw new Error(reading.damage)
  expect(reading.odd).toBeUndefined()
  const bare = ({ id: _, sessionID: __, messageID: ___, ...rest }: Document): Document => rest
  const { message, parts } = reading.record
  return { message: bare(message as unknown as Document), parts: parts.map((part) => bare(part as unknown as Document)) }
}

const entry = (message: Document): Document => ({ type: 'message', id: 'e1', parentId: null, timestamp: TIMESTAMP, message })

describe('a message of pi', () => {
  it('of a user is a text or blocks', () => {
    expect(assemble(entry({ role: 'user', content: 'Hello', timestamp: 5 }))).toEqual({
      message: { role: 'user', time: { created: AT } },
      parts: [{ type: 'text', text: 'Hello' }],
    })
    expect(assemble(entry({ role: 'user', content: [{ type: 'image', mimeType: 'image/png', data: 'AA' }] })).parts).toEqual([
      { type: 'file', mime: 'image/png', url: 'data:image/png;base64,AA' },
    ])
  })

  it('of an assistant has its calls answered', () => {
    const usage = { input: 12, output: 7, cacheRead: 2, cacheWrite: 1, totalTokens: 22, cost: { total: 0.5 } }
    const content = [
      { type: 'thinking', thinking: 'Hm.' },
      { type: 'text', text: 'Yes.' },
      { type: 'toolCall', id: 'c1', name: 'read', arguments: { path: 'a' } },
      { type: 'toolCall', id: 'c2', name: 'edit', arguments: {} },
      { type: 'toolCall', id: 'c3', name: 'bash', arguments: {} },
    ]
    const result = (id: string, isError: boolean, details?: Document): Document => ({
      type: 'message',
      timestamp: '2026-01-01T00:00:01.000Z',
      message: { role: 'toolResult', toolCallId: id, toolName: 'read', content: [{ type: 'text', text: `of ${id}` }], isError, details },
    })
    const said = entry({ role: 'assistant', content, provider: 'p', model: 'm', api: 'a', usage, stopReason: 'toolUse' })
    const { message, parts } = assemble(said, result('c1', false, { lines: 3 }), result('c2', true))
    expect(message).toEqual({
      role: 'assistant',
      time: { created: AT, completed: AT },
      modelID: 'm',
      providerID: 'p',
      finish: 'toolUse',
      tokens: { total: 22, input: 12, output: 7, reasoning: 0, cache: { read: 2, write: 1 } },
      cost: 0.5,
      metadata: { api: 'a' },
    })
    const span = { start: AT, end: AT + 1000 }
    expect(parts.map(({ text, state }) => text ?? state)).toEqual([
      'Hm.',
      'Yes.',
      { status: 'completed', input: { path: 'a' }, output: 'of c1', metadata: { details: { lines: 3 } }, time: span },
      { status: 'error', input: {}, error: 'of c2', time: span },
      { status: 'running', input: {}, time: { start: AT } },
    ])
  })

  it('may have failed', () => {
    const { message } = assemble(entry({ role: 'assistant', content: [], stopReason: 'aborted', errorMessage: 'stopped' }))
    expect(message.error).toEqual({ name: 'Aborted', data: { message: 'stopped' } })
  })

  it('may be a command that the user ran', () => {
    const { message, parts } = assemble(entry({ role: 'bashExecution', command: 'ls', output: 'a', exitCode: 1, cancelled: false }))
    expect(message).toEqual({ role: 'user', time: { created: AT }, type: 'bashExecution' })
    expect(parts).toEqual([
      {
        type: 'tool',
        tool: 'bash',
        state: { status: 'completed', input: { command: 'ls' }, output: 'a', metadata: { exit: 1, cancelled: false }, time: { start: AT, end: AT } },
      },
    ])
  })

  it('may be a result without its call', () => {
    const { message, parts } = assemble(entry({ role: 'toolResult', toolCallId: 'c1', toolName: 'read', content: 'x' }))
    expect([message.type, parts[0]?.tool, parts[0]?.callID]).toEqual(['toolResult', 'read', 'c1'])
  })

  it.each(['custom', 'hookMessage'])('may come from an extension (%s)', (role) => {
    expect(assemble(entry({ role, customType: 't', content: 'x', display: true }))).toEqual({
      message: { role: 'user', time: { created: AT }, type: 'custom', metadata: { customType: 't', display: true } },
      parts: [{ type: 'text', text: 'x', synthetic: true }],
    })
  })

  it('may be a compaction, however it is spelled', () => {
    const summary = { summary: 'In short', tokensBefore: 9 }
    const expected = {
      message: {
        role: 'assistant',
        time: { created: AT, completed: AT },
        type: 'compaction',
        summary: true,
        metadata: { tokensBefore: 9 },
      },
      parts: [{ type: 'compaction' }, { type: 'text', text: 'In short', synthetic: true }],
    }
    expect(assemble({ type: 'compaction', timestamp: TIMESTAMP, ...summary })).toEqual(expected)
    expect(assemble({ type: 'compactionSummary', timestamp: TIMESTAMP, ...summary })).toEqual(expected)
    expect(assemble(entry({ role: 'compactionSummary', ...summary }))).toEqual(expected)
    expect(assemble({ type: 'compaction', timestamp: TIMESTAMP, firstKeptEntryId: 'e0', summary: '' }).parts[0]).toEqual({
      type: 'compaction',
      tail_start_id: 'e0',
    })
  })

  it('may be the summary of a branch, however it is spelled', () => {
    for (const line of [
      { type: 'branch_summary', timestamp: TIMESTAMP, summary: 'In short' },
      { type: 'branchSummary', timestamp: TIMESTAMP, summary: 'In short' },
      entry({ role: 'branchSummary', summary: 'In short' }),
    ]) {
      expect(assemble(line)).toEqual({
        message: { role: 'user', time: { created: AT }, type: 'branch_summary' },
        parts: [{ type: 'text', text: 'In short', synthetic: true }],
      })
    }
  })

  it('of a kind that is not known is kept raw, and no shape throws', () => {
    expect(assemble(entry({ role: 'next', of: 'year' })).message.role).toBe('unknown')
    expect(assemble({ type: 'message', message: 3 }).message.role).toBe('unknown')
    expect(piFormat.message(3, KEY, undefined)).toEqual({ damage: 'the document is no object' })
    const shape = fc.anything({ withNullPrototype: false })
    const roles = ['user', 'assistant', 'toolResult', 'bashExecution', 'custom', 'branchSummary', 'compactionSummary']
    const message = fc.record({ role: fc.constantFrom(...roles), content: shape, usage: shape, summary: shape }, { requiredKeys: ['role'] })
    const document = fc.record({ type: fc.constantFrom('message', 'compaction', 'custom_message'), timestamp: shape, message }, { requiredKeys: [] })
    fc.assert(
      fc.property(
        document,
        fc.array(fc.oneof(shape, document)),
        (own, answers) =>
          void piFormat.assemble?.([{ document: own, use: 'own' }, ...answers.map((answer) => ({ document: answer, use: 'answer' as const }))], KEY),
      ),
    )
  })
})
