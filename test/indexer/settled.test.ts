import { describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, sessionKey } from '../../src/core/keys.js'
import type { Part, ToolState } from '../../src/core/parts.js'
import type { Message } from '../../src/core/records.js'
import { settlement } from '../../src/indexer/settled.js'
import type { MessageNode } from '../../src/tree/types.js'

const NOW = 1_000_000_000
const OPTIONS = { settleMs: 10_000, abandonMs: 900_000 }
const session = parseSessionId('ses_1')
const id = parseMessageId('msg_1')
const ids = { id: parsePartId('prt_1'), sessionID: session, messageID: id }

const user: Message = { role: 'user', id, sessionID: session, time: { created: 1 } }
const writing: Message = { role: 'assistant', id, sessionID: session, time: { created: 1 } }
const done: Message = { role: 'assistant', id, sessionID: session, time: { created: 1, completed: 2 } }
const failed: Message = { role: 'assistant', id, sessionID: session, time: { created: 1 }, error: { name: 'MessageAbortedError' } }
const unknown: Message = { role: 'unknown', id, sessionID: session, raw: {} }
const text: Part = { type: 'text', text: 'x', ...ids }
const tool = (state: ToolState): Part => ({ type: 'tool', tool: 'bash', state, ...ids })

const LINE = { parent: undefined, trait: 'damaged', open: false } as const
const OPEN = { parent: undefined, trait: undefined, open: true } as const

interface Case {
  readonly message: Message | undefined
  readonly parts?: readonly Part[]
  readonly damagedParts?: number
  readonly quiet?: number
  readonly later?: boolean
  readonly idle?: number
  readonly log?: MessageNode['log']
}

function verdict({ message, parts = [text], damagedParts = 0, quiet = 0, later = false, idle = 0, log }: Case): string {
  const node: MessageNode = {
    key: messageKey(sessionKey('opencode', session), id),
    message,
    parts,
    damagedParts,
    signature: 's',
    changed: NOW - quiet,
    ...(log && { log }),
  }
  return settlement(node, { later, now: NOW, seen: NOW, sessionUpdated: NOW - idle }, OPTIONS)
}

describe('a message is final', () => {
  it.each<[string, Case, string]>([
    ['user, the last, just written', { message: user }, 'volatile'],
    ['user, the last, quiet', { message: user, quiet: 10_000 }, 'settled'],
    ['user, followed', { message: user, later: true }, 'settled'],
    ['user, followed, a part unreadable', { message: user, later: true, damagedParts: 1 }, 'volatile'],
    ['a damaged line of a log, the last', { message: undefined, parts: [], log: LINE }, 'volatile'],
    ['a damaged line of a log, followed', { message: undefined, parts: [], later: true, log: LINE }, 'partial'],
    ['of a log, a part unreadable, followed', { message: user, later: true, damagedParts: 1, log: { ...LINE, trait: undefined } }, 'partial'],
    ['of a log, a part unreadable, to be continued', { message: writing, later: true, damagedParts: 1, log: OPEN }, 'volatile'],
    ['user, a part unreadable for long', { message: user, later: true, damagedParts: 1, quiet: 900_000 }, 'partial'],
    ['assistant, still writing', { message: writing, later: true, quiet: 60_000 }, 'volatile'],
    ['assistant, completed', { message: done }, 'settled'],
    ['assistant, ended by an error', { message: failed }, 'settled'],
    ['assistant, completed, a tool pending', { message: done, parts: [tool({ status: 'pending' })] }, 'volatile'],
    ['assistant, completed, a tool running', { message: done, parts: [text, tool({ status: 'running' })] }, 'volatile'],
    [
      'assistant, completed, tools ended',
      { message: done, parts: [tool({ status: 'completed', output: '' }), tool({ status: 'error', error: 'no' })] },
      'settled',
    ],
    ['assistant, completed, a text open', { message: done, parts: [{ ...text, time: { start: 1 } }] }, 'volatile'],
    ['assistant, completed, a text closed', { message: done, parts: [{ ...text, time: { start: 1, end: 2 } }] }, 'settled'],
    ['assistant, completed, reasoning open', { message: done, parts: [{ type: 'reasoning', text: 'x', time: { start: 1 }, ...ids }] }, 'volatile'],
    ['assistant, abandoned and followed', { message: writing, later: true, quiet: 900_000 }, 'partial'],
    ['assistant, abandoned, the session idle', { message: writing, quiet: 900_000, idle: 900_000 }, 'partial'],
    ['assistant, quiet but the session is busy', { message: writing, quiet: 900_000, idle: 1000 }, 'volatile'],
    ['unknown role, just written', { message: unknown, later: true }, 'volatile'],
    ['unknown role, quiet', { message: unknown, quiet: 10_000 }, 'settled'],
    ['its record damaged', { message: undefined, later: true, quiet: 60_000 }, 'volatile'],
    ['its record damaged for long', { message: undefined, later: true, quiet: 900_000 }, 'partial'],
  ])('%s: %#', (_name, given, expected) => {
    expect(verdict(given)).toBe(expected)
  })

  it('by what was seen, when the last change lies in the future or is not known', () => {
    const node: MessageNode = {
      key: messageKey(sessionKey('opencode', session), id),
      message: user,
      parts: [],
      damagedParts: 0,
      signature: 's',
      changed: NOW + 5000,
    }
    const around = { later: false, now: NOW, seen: NOW - 10_000, sessionUpdated: NOW }
    expect(settlement(node, around, OPTIONS)).toBe('settled')
    expect(settlement({ ...node, changed: undefined }, around, OPTIONS)).toBe('settled')
    expect(settlement({ ...node, changed: undefined }, { ...around, seen: NOW }, OPTIONS)).toBe('volatile')
  })

  it('by what was seen, when the session was updated in the future', () => {
    const node: MessageNode = {
      key: messageKey(sessionKey('opencode', session), id),
      message: writing,
      parts: [],
      damagedParts: 0,
      signature: 's',
      changed: NOW + 5000,
    }
    const around = { later: false, now: NOW, seen: NOW - 900_000, sessionUpdated: NOW + 3_600_000 }
    expect(settlement(node, around, OPTIONS)).toBe('partial')
    expect(settlement(node, { ...around, seen: NOW - 899_999 }, OPTIONS)).toBe('volatile')
  })
})
