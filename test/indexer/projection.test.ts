import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, partKey, sessionKey } from '../../src/core/keys.js'
import { type Part, toPart } from '../../src/core/parts.js'
import { projectMessage, sectionsOf } from '../../src/indexer/text/projection.js'
import type { MessageNode } from '../../src/tree/types.js'

const KEY = messageKey(sessionKey('opencode', parseSessionId('ses_1f8b04eb7001wjevIbmMyLckL2')), parseMessageId('msg_1f8b04eb7001wjevIbmMyLckL2'))
const IDS = { id: 'prt_1f8b04eb7001wjevIbmMyLckL2', sessionID: KEY.session, messageID: KEY.message }
const HASH = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
const BASE64 = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 97 + 13) % 256)).toString('base64')

function partOf(document: object): Part {
  const reading = toPart({ ...document }, partKey(KEY, parsePartId(IDS.id)))
  if (!('record' in reading)) throw new Error(reading.damage)
  return reading.record
}

function node(...documents: object[]): MessageNode {
  return { key: KEY, message: undefined, parts: documents.map(partOf), damagedParts: 0, signature: undefined, changed: undefined }
}

function textOf(...documents: object[]): string {
  return projectMessage(node(...documents)).chunks.join('\n\n')
}

const completed = (tool: string, input: object, output: string, more: object = {}) => ({
  type: 'tool',
  tool,
  callID: 'call_abc123',
  state: {
    status: 'completed',
    input,
    output,
    title: '',
    metadata: { output, exit: 0 },
    time: { start: 1_700_000_000_001, end: 1_700_000_000_002 },
    ...more,
  },
})

describe('projection', () => {
  it('has the text of every part that has any, in order', () => {
    const text = textOf(
      { type: 'step-start', snapshot: HASH },
      { type: 'text', text: 'Please fix it.', time: { start: 1_700_000_000_000 } },
      { type: 'reasoning', text: 'It is broken.', time: { start: 1 }, metadata: { signature: 'EqQBCkYIAhgCKkBa' } },
      completed('bash', { command: 'ls -a', description: 'List files' }, 'file.ts\nother.ts', { title: 'List files' }),
      { type: 'agent', name: 'explorer', source: { value: '@explorer', start: 0, end: 9 } },
      {
        type: 'subtask',
        prompt: 'Look into it',
        description: 'Investigation',
        agent: 'general',
        model: { providerID: 'p', modelID: 'm' },
        command: '/look',
      },
      { type: 'patch', hash: HASH, files: ['/w/src/a.ts', '/w/src/b.ts'] },
      { type: 'snapshot', snapshot: HASH },
      { type: 'retry', attempt: 1, error: { name: 'APIError', data: { message: 'overloaded' } }, time: { created: 5 } },
      { type: 'compaction', auto: true },
      {
        type: 'step-finish',
        reason: 'stop',
        snapshot: HASH,
        cost: 0.25,
        tokens: { input: 1234, output: 5, reasoning: 0, cache: { read: 0, write: 0 } },
      },
      { type: 'hologram', text: 'from next year' },
    )
    expect(text).toBe(
      [
        'Please fix it.',
        'It is broken.',
        'bash\nList files\ncommand: ls -a\ndescription: List files\nfile.ts\nother.ts',
        'explorer',
        'general\nInvestigation\n/look\nLook into it',
        '/w/src/a.ts\n/w/src/b.ts',
      ].join('\n\n'),
    )
  })

  it('leaves out ignored text, and the reminders in synthetic text, which it keeps otherwise', () => {
    const reminder = '<system-reminder>\nPlan mode is on.\n</system-reminder>'
    const text = textOf(
      { type: 'text', text: 'never sent', ignored: true },
      { type: 'text', text: `File content. ${reminder} The end. <system-reminder>open`, synthetic: true },
      { type: 'text', text: `What does ${reminder} mean?` },
    )
    expect(text).toBe(`File content.  The end. <system-reminder>open\n\nWhat does ${reminder} mean?`)
  })
})

describe('projection of tools and files', () => {
  it('writes the input of a tool as names and texts, however it is nested', () => {
    const input = { edits: [{ oldString: 'a\nb', newString: 'c' }, 'plain'], limit: 20, dry: true, none: null, deep: { er: { path: '/x' } } }
    expect(textOf(completed('edit', input, 'done'))).toBe('edit\noldString: a\nb\nnewString: c\nedits: plain\npath: /x\ndone')
    let nested: object = { leaf: 'found' }
    for (let depth = 0; depth < 20_000; depth++) nested = { nested }
    expect(textOf(completed('deep', nested, 'ok'))).toBe('deep\nleaf: found\nok')
  })

  it('has the error of a failed tool, and what it had printed', () => {
    const state = {
      status: 'error',
      input: { command: 'sleep 9' },
      error: 'Tool execution aborted',
      metadata: { interrupted: true, output: 'half a line' },
    }
    expect(textOf({ type: 'tool', tool: 'bash', state })).toBe('bash\ncommand: sleep 9\nTool execution aborted\nhalf a line')
    expect(textOf({ type: 'tool', tool: 'bash', state: { status: 'pending', input: {}, raw: '{"comm' } })).toBe('bash')
    expect(textOf({ type: 'tool', tool: 'bash', state: { status: 'running', input: { command: 'x' }, metadata: { output: 'so far' } } })).toBe(
      'bash\ncommand: x\nso far',
    )
  })

  it('has todos as content and status', () => {
    const todos = [
      { id: '1', content: 'Write it', status: 'completed', priority: 'high' },
      { id: '2', content: 'Test it', status: 'pending', priority: 'low' },
      'odd',
    ]
    expect(textOf(completed('todowrite', { todos }, JSON.stringify(todos), { title: '1 todo' }))).toBe(
      'todowrite\n1 todo\nWrite it (completed)\nTest it (pending)',
    )
    expect(textOf(completed('todoread', {}, JSON.stringify(todos)))).toBe('todoread\nWrite it (completed)\nTest it (pending)')
    expect(textOf(completed('todoread', {}, 'No todos'))).toBe('todoread\nNo todos')
  })

  it('has the names of files and never their content', () => {
    const url = `data:image/png;base64,${BASE64}`
    expect(textOf({ type: 'file', mime: 'image/png', url, filename: 'shot.png' })).toBe('shot.png')
    expect(textOf({ type: 'file', mime: 'image/png', url })).toBe('')
    expect(textOf({ type: 'file', mime: 'image/png', url: 'x', filename: url, source: { path: url } })).toBe('')
    const source = { type: 'file', path: 'src/a b.ts', text: { value: '@src/a b.ts', start: 0, end: 10 } }
    expect(textOf({ type: 'file', mime: 'text/plain', url: 'file:///w/src/a%20b.ts?start=1', filename: 'a b.ts', source })).toBe(
      'a b.ts\nsrc/a b.ts\n/w/src/a b.ts',
    )
    const attachments = [{ type: 'file', mime: 'image/png', url, filename: 'page.png' }]
    expect(textOf(completed('browse', { page: 'home' }, 'Seen', { attachments }))).toBe('browse\npage: home\nSeen\npage.png')
  })

  it('has no generated id of a tool, while what people write stays', () => {
    expect(textOf(completed('task', { prompt: 'go', sessionID: IDS.sessionID }, `session_id: ${IDS.sessionID}\nAll done`))).not.toContain(
      IDS.sessionID,
    )
    expect(textOf({ type: 'text', text: `look at ${IDS.sessionID}` })).toContain(IDS.sessionID)
  })
})

describe('projection as a whole', () => {
  it('is the same whatever the bookkeeping of the message says', () => {
    const at = (time: number) => [
      { type: 'text', text: 'Same', time: { start: time, end: time + 1 } },
      completed('bash', { command: 'x' }, 'y', { time: { start: time, end: time + 1, compacted: time + 2 }, metadata: { exit: time } }),
    ]
    expect(projectMessage(node(...at(1)))).toEqual(projectMessage(node(...at(999))))
    expect(projectMessage(node()).chunks).toEqual([])
  })

  it('keeps the budget of bytes, and counts every byte left out', () => {
    const texts = ['a'.repeat(100), 'é'.repeat(100), '🎉'.repeat(100), 'z'.repeat(10)]
    const parts = texts.map((text) => ({ type: 'text', text }))
    const total = 100 + 200 + 400 + 10
    for (const maxBytes of [0, 1, 100, 101, 102, 299, 300, 301, 302, 303, 304, 699, 700, 5000]) {
      const { chunks, truncatedBytes } = projectMessage(node(...parts), { maxBytes, chunkCharacters: 64 })
      const kept = Buffer.byteLength(chunks.join('').replaceAll('\n', ''))
      expect(kept + truncatedBytes, `${maxBytes}`).toBe(total)
      expect(texts.join('').startsWith(chunks.join('').replaceAll('\n', '')), `${maxBytes}`).toBe(true)
      expect(kept).toBeLessThanOrEqual(maxBytes)
      expect(kept).toBeGreaterThan(Math.min(maxBytes, total) - 4)
      expect(chunks.join('')).not.toContain('\ufffd')
    }
    const { truncatedBytes } = projectMessage(node({ type: 'text', text: 'word '.repeat(100_000) }))
    expect(truncatedBytes).toBeGreaterThan(499_999 - 256 * 1024 - 1)
    expect(() => projectMessage(node(), { maxBytes: -1 })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('loses no word and is well-formed, whatever the text', () => {
    const property = fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 5 }), (texts) => {
      const { chunks } = projectMessage(node(...texts.map((text) => ({ type: 'text', text: `${text} needle haystack` }))), { chunkCharacters: 64 })
      const text = chunks.join(' ')
      expect(/\p{Surrogate}/u.test(text)).toBe(false)
      expect(text.match(/needle\s+haystack/g) ?? []).toHaveLength(texts.length)
    })
    fc.assert(property, { numRuns: 200 })
  })

  it('gives one section per part with text', () => {
    expect(sectionsOf([partOf({ type: 'text', text: ' a ' }), partOf({ type: 'text', text: '\n' }), partOf({ type: 'text', text: 'b' })])).toEqual([
      'a',
      'b',
    ])
  })
})

describe('projection of odd documents', () => {
  it.each([
    ['text with odd times', { type: 'text', text: 'kept', time: null, metadata: null, synthetic: 'yes' }, 'kept'],
    [
      'a tool with odd fields',
      completed('read', { a: 'kept' }, 'out', { title: 5, attachments: 'no', metadata: null, time: null }),
      'read\na: kept\nout',
    ],
    ['a tool with odd attachments', completed('read', {}, 'out', { attachments: [null, 'x', 5, { filename: 5, source: [], url: {} }] }), 'read\nout'],
    ['a tool with a list for input', { type: 'tool', tool: 'bash', state: { status: 'running', input: ['a', ['b', 5, null]] } }, 'bash\na\nb'],
    ['a tool with a text for input', { type: 'tool', tool: 'bash', state: { status: 'pending', input: 'all' } }, 'bash\nall'],
    ['a tool with a number for input', { type: 'tool', tool: 'bash', state: { status: 'error', input: 7, error: 'bad', metadata: [] } }, 'bash\nbad'],
    ['todos that are none', completed('todowrite', { todos: [5, null, { content: {}, status: [] }] }, '5'), 'todowrite'],
    ['a file with odd names', { type: 'file', mime: 'text/plain', url: 'file:///%E0%A4%A', filename: 5, source: 'x' }, ''],
    ['a file with no host', { type: 'file', mime: 'text/plain', url: 'file://[', filename: 'kept', source: { path: {}, name: [] } }, 'kept'],
    ['a subtask with odd fields', { type: 'subtask', prompt: 'kept', description: {}, agent: 5, command: [] }, 'kept'],
    ['a patch of odd files', { type: 'patch', hash: HASH, files: [5, 'kept', null, ['x']] }, 'kept'],
  ])('has the text of %s', (_, document, expected) => {
    expect(textOf(document)).toBe(expected)
  })

  it('takes documents that no store would give as a part of a known kind', () => {
    const kinds = ['text', 'reasoning', 'tool', 'file', 'patch', 'agent', 'subtask', 'unknown', 'none']
    for (const type of kinds) {
      const part = { type, text: 5, tool: 5, state: null, files: 5, name: {}, prompt: [], url: 5 } as unknown as Part
      expect(projectMessage({ ...node(), parts: [part] }).chunks, type).toEqual([])
    }
  })

  it('never throws, and gives well-formed text, whatever stands in the fields', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(null, 5, 'no', [5], {}),
    )
    const fields = (names: readonly string[]) => fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] })
    const state = fc
      .tuple(
        fc.constantFrom<unknown>('pending', 'running', 'completed', 'error', 5),
        fields(['input', 'output', 'title', 'error', 'metadata', 'attachments', 'time']),
      )
      .map(([status, rest]) => ({ ...rest, status }))
    const tool = fc.tuple(fc.constantFrom<unknown>('bash', 'todowrite', 'todoread', 5), fc.oneof(state, value))
    const document = fc.oneof(
      fc.tuple(tool, fields(['metadata', 'callID'])).map(([[name, given], rest]) => ({ ...rest, type: 'tool', tool: name, state: given })),
      fc
        .tuple(
          fc.constantFrom('text', 'reasoning', 'file', 'patch', 'agent', 'subtask', 'retry', 'compaction', 'step-start'),
          fields(['text', 'time', 'ignored', 'synthetic', 'files', 'name', 'prompt', 'description', 'command', 'filename', 'url', 'source', 'agent']),
        )
        .map(([type, rest]) => ({ ...rest, type })),
    )
    const property = fc.property(fc.array(document, { maxLength: 4 }), (documents) => {
      const { chunks } = projectMessage({ ...node(), parts: documents as unknown as Part[] }, { chunkCharacters: 64 })
      for (const chunk of chunks) expect(chunk.isWellFormed() && chunk.trim() === chunk && chunk !== '').toBe(true)
    })
    fc.assert(property, { numRuns: 2000 })
  })

  it('takes input of any depth, of objects and of lists', () => {
    let list: unknown = 'found'
    for (let depth = 0; depth < 10_000; depth++) list = depth % 2 === 0 ? [list] : { key: list }
    expect(textOf(completed('deep', [list], 'ok'))).toBe('deep\nkey: found\nok')
    expect(textOf(completed('todoread', {}, '['.repeat(1_000_000)))).toMatch(/^todoread\n\[/)
  })

  it('does not grow with the square of the input', () => {
    const name = 'n'.repeat(100_000)
    const { chunks, truncatedBytes } = projectMessage(node(completed('many', { [name]: new Array(20_000).fill('word') }, '')))
    expect(Buffer.byteLength(chunks.join('\n')) + truncatedBytes).toBeLessThan(2_000_000)
  })
})
