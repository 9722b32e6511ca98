/** Parsed documents as records: every kind, every version's gaps, and what is kept raw. */
import { describe, expect, it } from 'vitest'
import { type Document, isDocument, missingField } from '../../src/core/documents.js'
import { parseMessageId, parsePartId, parseProjectId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, partKey, sessionKey } from '../../src/core/keys.js'
import { PART_KINDS, toPart } from '../../src/core/parts.js'
import { toDiffs, toMessage, toProject, toSession, toTodos } from '../../src/core/records.js'
import { toV2Message } from '../../src/core/v2.js'

const SESSION = sessionKey('opencode', parseSessionId('ses_1'))
const MESSAGE = messageKey(SESSION, parseMessageId('msg_1'))
const PART = partKey(MESSAGE, parsePartId('prt_1'))
const IDS = { id: 'prt_1', sessionID: 'ses_1', messageID: 'msg_1' }

const TOKENS = { input: 1, output: 2, reasoning: 3, cache: { read: 4, write: 5 } }
/** One of each kind, as the format describes it; the fewest fields first. */
const PARTS: Readonly<Record<string, readonly Document[]>> = {
  text: [{ text: '' }, { text: 'a', synthetic: true, ignored: true, time: { start: 1 }, metadata: {} }],
  reasoning: [{ text: '' }, { text: 'hm', time: { start: 1, end: 2 } }],
  tool: [
    { tool: 'bash', callID: 'c', state: { status: 'pending', input: {} } },
    { tool: 'bash', callID: 'c', state: { status: 'pending', input: {}, raw: '' } },
    { tool: 'bash', callID: 'c', state: { status: 'running', input: {}, title: 't', metadata: { output: 'so far' }, time: { start: 1 } } },
    {
      tool: 'bash',
      callID: 'c',
      state: { status: 'completed', input: {}, output: '', title: '', metadata: {}, time: { start: 1, end: 2, compacted: 3 }, attachments: [] },
    },
    { tool: 'bash', callID: 'c', state: { status: 'error', input: {}, error: 'no', metadata: { interrupted: true }, time: { start: 1, end: 2 } } },
  ],
  file: [
    { mime: 'text/plain', url: 'file:///a' },
    { mime: 'image/png', url: 'data:', filename: 'a.png', source: { type: 'file' } },
  ],
  'step-start': [{}, { snapshot: 'abc' }],
  'step-finish': [{ reason: 'stop', cost: 0, tokens: TOKENS }],
  snapshot: [{ snapshot: 'abc' }],
  patch: [{ hash: 'abc', files: [] }],
  agent: [{ name: 'plan' }, { name: 'plan', source: { value: '@plan', start: 0, end: 5 } }],
  subtask: [{ prompt: 'p', description: 'd', agent: 'a', model: {}, command: 'c' }],
  retry: [{ attempt: 1, error: { name: 'APIError' }, time: { created: 1 } }],
  compaction: [{}, { auto: true, overflow: false, tail_start_id: 'msg_0' }],
}

describe('parts', () => {
  it('are of twelve kinds and one for the rest', () => {
    expect([...PART_KINDS].sort()).toEqual([...Object.keys(PARTS), 'unknown'].sort())
    expect(Object.keys(PARTS).length).toBe(12)
  })

  it.each(Object.entries(PARTS))('of kind %s are typed as they stand, their ids from the key', (type, documents) => {
    for (const document of documents) {
      expect(toPart({ type, ...document }, PART)).toEqual({ record: { type, ...document, ...IDS } })
      expect(toPart({ type, ...document, id: 'wrong', sessionID: 'wrong', messageID: 'wrong' }, PART)).toEqual({
        record: { type, ...document, ...IDS },
      })
    }
  })

  it.each(['hologram', 'constructor', '__proto__', 'toString', ''])('of the unknown kind %j are kept raw, without an issue', (type) => {
    expect(toPart({ type, depth: 3 }, PART)).toEqual({ record: { type: 'unknown', ...IDS, raw: { type, depth: 3, ...IDS } } })
  })

  it.each([
    [{ type: 'text' }, 'a text part without its text'],
    [{ type: 'text', text: 7 }, 'a text part without its text'],
    [{ type: 'tool', tool: 'bash' }, 'a tool part without its state'],
    [{ type: 'tool', tool: 'bash', state: [] }, 'a tool part without its state'],
    [{ type: 'tool', tool: 'bash', state: { status: 'streaming' } }, 'a tool part in the unknown state "streaming"'],
    [{ type: 'tool', tool: 'bash', state: { status: 'constructor' } }, 'a tool part in the unknown state "constructor"'],
    [{ type: 'tool', tool: 'bash', state: {} }, 'a tool part in the unknown state undefined'],
    [{ type: 'tool', tool: 'bash', state: { status: 'completed' } }, 'a completed tool part without its output'],
    [{ type: 'tool', tool: 'bash', state: { status: 'error', error: {} } }, 'a error tool part without its error'],
    [{ type: 'patch', hash: 'a', files: {} }, 'a patch part without its files'],
    [{ type: 'retry', attempt: '1' }, 'a retry part without its attempt'],
    [{ type: 'file', mime: 'a' }, 'a file part without its url'],
  ])('in an odd shape are kept raw, the oddity named: %j', (document, odd) => {
    expect(toPart({ ...document }, PART)).toEqual({ record: { type: 'unknown', ...IDS, raw: { ...document, ...IDS } }, odd })
  })

  it.each([null, [], 'text', 7, {}, { type: 7 }, { text: 'no type' }])('are damage when they are %j', (document) => {
    expect(toPart(document, PART)).toHaveProperty('damage')
  })

  it('may share their id with a part of another message', () => {
    const other = partKey(messageKey(SESSION, parseMessageId('msg_2')), PART.part)
    expect(toPart({ type: 'text', text: '' }, PART)).not.toEqual(toPart({ type: 'text', text: '' }, other))
  })
})

describe('messages', () => {
  it.each([
    { role: 'user', time: { created: 1 } },
    { role: 'assistant', time: { created: 1 } },
    {
      role: 'assistant',
      time: { created: 1, completed: 2 },
      parentID: 'msg_0',
      error: { name: 'APIError', data: {} },
      tokens: TOKENS,
      extra: 'kept',
    },
  ])('of every version are typed as they stand: %j', (document) => {
    expect(toMessage({ ...document }, MESSAGE)).toEqual({ record: { ...document, id: 'msg_1', sessionID: 'ses_1' } })
  })

  it('of an unknown role are kept raw; of a known one without a time too, named', () => {
    const ids = { id: 'msg_1', sessionID: 'ses_1' }
    expect(toMessage({ role: 'system', text: 'x' }, MESSAGE)).toEqual({
      record: { role: 'unknown', ...ids, raw: { role: 'system', text: 'x', ...ids } },
    })
    for (const [time, missing] of [
      [undefined, 'time'],
      [null, 'time'],
      [{}, 'time.created'],
      [{ created: '1' }, 'time.created'],
    ]) {
      expect(toMessage({ role: 'user', time }, MESSAGE)).toEqual({
        record: { role: 'unknown', ...ids, raw: { role: 'user', time, ...ids } },
        odd: `a user message without its ${missing}`,
      })
    }
    for (const document of [null, [], 'x', {}, { role: 7 }]) expect(toMessage(document, MESSAGE)).toHaveProperty('damage')
  })
})

describe('sessions', () => {
  const time = { created: 1, updated: 2 }

  it('take their id from the key, and what old versions lack from the path', () => {
    expect(toSession({ id: 'wrong', time, title: 't' }, SESSION, 'p')).toEqual({
      record: { id: 'ses_1', projectID: 'p', directory: '', title: 't', version: '', time },
    })
    expect(toSession({ projectID: 'own', time }, SESSION, 'p')).toMatchObject({ record: { projectID: 'own' } })
  })

  it.each([
    [undefined, { created: 0, updated: 0 }],
    [{}, { created: 0, updated: 0 }],
    [{ created: 5 }, { created: 5, updated: 5 }],
    [
      { updated: 5, archived: 6 },
      { created: 0, updated: 5, archived: 6 },
    ],
    ['x', { created: 0, updated: 0 }],
  ])('without whole times (%j) are odd, not lost', (given, whole) => {
    expect(toSession({ time: given }, SESSION, 'p')).toMatchObject({ record: { time: whole }, odd: 'an odd session: its times are no numbers' })
  })

  it('are damage when they are no object', () => {
    for (const document of [null, [], 'x', 7]) expect(toSession(document, SESSION, 'p')).toHaveProperty('damage')
  })
})

describe('lists and projects', () => {
  it('are lists, or damage', () => {
    expect([toTodos([]), toDiffs([])]).toEqual([{ record: [] }, { record: [] }])
    for (const document of [null, {}, 'x']) for (const type of [toTodos, toDiffs]) expect(type(document)).toHaveProperty('damage')
    expect(toProject({ worktree: '/' }, parseProjectId('global'))).toEqual({ record: { id: 'global', worktree: '/' } })
    expect(toProject([], parseProjectId('global'))).toHaveProperty('damage')
  })

  it('say which field is missing', () => {
    expect(missingField({ a: 1, b: [], c: {} }, { a: 'number', b: 'array', c: 'object' })).toBeUndefined()
    expect(missingField({ a: 1, b: {} }, { a: 'number', b: 'array' })).toBe('b')
    expect([isDocument({}), isDocument([]), isDocument(null)]).toEqual([true, false, false])
  })
})

describe('optional fields', () => {
  const time = { created: 1, updated: 2 }
  const session = (document: Document): unknown =>
    toSession({ projectID: 'p', directory: '/', title: 't', version: '1', time, ...document }, SESSION, 'p')
  const bare = { id: 'ses_1', projectID: 'p', directory: '/', title: 't', version: '1', time }

  it('that are null are as if absent', () => {
    const none = { model: null, tokens: null, cost: null, revert: null, parentID: null, summary: null, label: null, permission: null }
    expect(session({ ...none, time: { ...time, archived: null } })).toStrictEqual({ record: bare })
    const ids = { id: 'msg_1', sessionID: 'ses_1' }
    const asked = { role: 'assistant', time: { created: 1, completed: null }, error: null, path: null, finish: null }
    expect(toMessage(asked, MESSAGE)).toStrictEqual({ record: { role: 'assistant', time: { created: 1 }, ...ids } })
    const given = { type: 'tool', tool: 'bash', callID: null, state: { status: 'completed', output: '', title: null, time: { start: 1, end: null } } }
    const state = { status: 'completed', output: '', time: { start: 1 } }
    expect(toPart(given, PART)).toStrictEqual({ record: { type: 'tool', tool: 'bash', state, ...IDS } })
    const now = { type: 'assistant', time: { created: 1 }, content: [], error: null, tokens: null }
    const { type } = now
    expect(toV2Message(now, MESSAGE, undefined)).toStrictEqual({
      record: { message: { role: 'assistant', type, time: { created: 1 }, ...ids }, parts: [] },
    })
  })

  it.each([
    ['model', { id: 'gpt-5' }],
    ['model', 'gpt-5'],
    ['label', 5],
    ['tag', {}],
    ['prompt', 5],
    ['entries', 'x'],
    ['cost', '1'],
    ['cost', Number.POSITIVE_INFINITY],
    ['tokens', []],
    ['revert', {}],
    ['summary', true],
    ['share', 'url'],
  ])('of a session that are of another type are put aside, and told: %s %j', (name, value) => {
    expect(session({ [name]: value })).toStrictEqual({
      record: { ...bare, odd: { [name]: value } },
      odd: `an odd session: its ${name} is of another type`,
    })
  })

  it('inside others are put aside alone; tokens, and lines of a diff, that are missing count 0', () => {
    expect(
      session({ time: { ...time, archived: 'x' }, tokens: { input: 3, output: 'x' }, summary: { diffs: [null, 3, { file: 'a' }] } }),
    ).toStrictEqual({
      record: {
        ...bare,
        tokens: { input: 3, output: 0, reasoning: 0, cache: { read: 0, write: 0 } },
        summary: { diffs: [{ file: 'a', additions: 0, deletions: 0 }] },
        odd: { 'time.archived': 'x', 'tokens.output': 'x', 'summary.diffs.0': null, 'summary.diffs.1': 3 },
      },
      odd: 'an odd session: its time.archived is of another type, its tokens.output is of another type, its summary.diffs.0 is of another type, its summary.diffs.1 is of another type',
    })
  })

  it('are told again when a document is typed again', () => {
    const document = { ...bare, label: 5 }
    const first = toSession(document, SESSION, 'p')
    expect(toSession(document, SESSION, 'p')).toEqual(first)
  })

  it.each(['mine', { model: 5 }, []])('that have the name of what is put aside make nothing odd: %j', (own) => {
    expect(session({ odd: own })).toStrictEqual({ record: { ...bare, odd: { odd: own } } })
    const document = { ...bare, odd: own, label: 5 }
    const first = toSession(document, SESSION, 'p')
    expect(first).toStrictEqual({ record: { ...bare, odd: { odd: own, label: 5 } }, odd: 'an odd session: its label is of another type' })
    expect(toSession(document, SESSION, 'p')).toStrictEqual(first)
  })

  it.each([
    ['user', 'model', 'gpt-5'],
    ['user', 'tools', 'x'],
    ['assistant', 'error', 'x'],
    ['assistant', 'error', {}],
    ['assistant', 'summary', 5],
    ['assistant', 'path', {}],
    ['assistant', 'parentID', []],
  ])('of a message of a %s likewise: %s %j', (role, name, value) => {
    expect(toMessage({ role, time: { created: 1 }, [name]: value }, MESSAGE)).toStrictEqual({
      record: { role, time: { created: 1 }, id: 'msg_1', sessionID: 'ses_1', odd: { [name]: value } },
      odd: `an odd ${role} message: its ${name} is of another type`,
    })
  })

  it('of parts, and of parts inside a message, likewise', () => {
    expect(toPart({ type: 'patch', hash: 'a', files: ['x', null, 3] }, PART)).toStrictEqual({
      record: { type: 'patch', hash: 'a', files: ['x'], ...IDS, odd: { 'files.1': null, 'files.2': 3 } },
      odd: 'an odd patch part: its files.1 is of another type, its files.2 is of another type',
    })
    const state = { status: 'running', title: 7 }
    expect(toPart({ type: 'tool', tool: 'bash', state }, PART)).toStrictEqual({
      record: { type: 'tool', tool: 'bash', state: { status: 'running' }, ...IDS, odd: { 'state.title': 7 } },
      odd: 'an odd tool part: its state.title is of another type',
    })
    expect(
      toV2Message({ type: 'assistant', time: { created: 1 }, content: [{ type: 'text', text: '', metadata: 5 }], cost: 'x' }, MESSAGE, undefined),
    ).toMatchObject({
      record: { message: { odd: { cost: 'x' } }, parts: [{ odd: { metadata: 5 } }] },
      odd: 'an odd assistant message: its cost is of another type, an odd text part: its metadata is of another type',
    })
  })

  it('of lists: items that are none are left out', () => {
    const todo = { content: 'a', status: 'pending', priority: 'high' }
    expect(toTodos([null, 3, todo, { content: 'b', id: 5 }])).toStrictEqual({
      record: [todo, { content: 'b', status: '', priority: '' }],
      odd: 'an odd todo list: its 0 is of another type, its 1 is of another type, its 3.id is of another type',
    })
    expect(toDiffs([null, { file: 'a', additions: 1, deletions: 2, patch: 5 }])).toStrictEqual({
      record: [{ file: 'a', additions: 1, deletions: 2 }],
      odd: 'an odd diff list: its 0 is of another type, its 1.patch is of another type',
    })
    const project = parseProjectId('global')
    expect(toProject({ worktree: '/', vcs: null, name: 5 }, project)).toStrictEqual({
      record: { id: 'global', worktree: '/', odd: { name: 5 } },
      odd: 'an odd project: its name is of another type',
    })
  })
})
