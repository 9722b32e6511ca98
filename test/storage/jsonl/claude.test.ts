/** Claude Code's logs: lines to messages, the tree, light fields, and where the files stand. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claudeFormat } from '../../../src/core/agents/claude.js'
import { systemClock } from '../../../src/core/clock.js'
import type { Document } from '../../../src/core/documents.js'
import { claudeAdapter } from '../../../src/storage/jsonl/claude-log.js'
import { LIGHT, type LogMeta } from '../../../src/storage/jsonl/log-adapter.js'
import { LogIndex } from '../../../src/storage/jsonl/log-index.js'
import { parsed } from '../../../src/storage/jsonl/log-record.js'
import { LogStore } from '../../../src/storage/jsonl/log-store.js'
import { createFileMaps } from '../../../src/storage/maps/file-maps.js'
import { assembleAll, describeAll, feed, linesOf, rangesOf, resumeAt } from '../../support/log-lines.js'
import { SETS_ARE_HERE, unpackSets } from '../../support/real-sets.js'
import { tempFolder } from '../../support/temp.js'

const AT = Date.parse('2026-01-01T00:00:00.000Z')
const iso = (seconds: number): string => new Date(AT + seconds * 1000).toISOString()

function line(type: string, uuid: string, parentUuid: string | null, seconds: number, more: Document = {}): Document {
  const about = { isSidechain: false, cwd: '/w', sessionId: 'ses', version: '2.1.0', gitBranch: 'main' }
  return { parentUuid, ...about, type, uuid, timestamp: iso(seconds), ...more }
}

function asked(uuid: string, parent: string | null, seconds: number, content: unknown, more: Document = {}): Document {
  return line('user', uuid, parent, seconds, { message: { role: 'user', content }, ...more })
}

function said(
  uuid: string,
  parent: string | null,
  seconds: number,
  id: string,
  block: unknown,
  more: Document = {},
  stop: string | null = null,
): Document {
  const message = { id, type: 'message', role: 'assistant', model: 'claude-x', content: [block], stop_reason: stop, usage: { output_tokens: 1 } }
  return line('assistant', uuid, parent, seconds, { message, ...more })
}

const text = (of: string): Document => ({ type: 'text', text: of })
const call = (id: string): Document => ({ type: 'tool_use', id, name: 'Bash', input: {} })
const result = (id: string): Document => ({ type: 'tool_result', tool_use_id: id, content: `of ${id}` })

/** Each message as its id, its parent, and the lines it is made of: `2`, or `a3` where line 3 answers. */
function messagesOf(log: LogIndex): string[] {
  return log.messages.map(
    ({ id, parent, lines }) => `${id} < ${parent ?? '-'}: ${lines.map(({ use, line }) => (use === 'own' ? '' : 'a') + line).join(' ')}`,
  )
}

function readLines(...documents: readonly unknown[]): string[] {
  return messagesOf(feed(claudeAdapter, linesOf(...documents)))
}

const reasons = (...documents: readonly unknown[]): unknown => Object.fromEntries(feed(claudeAdapter, linesOf(...documents)).ignored)

describe('lines of one message', () => {
  it('are put together by the id of the API, across answers and attachments between them', () => {
    const log = linesOf(
      asked('u1', null, 0, 'Hi'),
      said('a1', 'u1', 1, 'm1', text('Yes')),
      said('a2', 'a1', 2, 'm1', call('c1')),
      asked('r1', 'a2', 3, [result('c1')]),
      line('attachment', 't1', 'r1', 3, { attachment: { type: 'todo_reminder' } }),
      said('a3', 't1', 4, 'm1', call('c2')),
      asked('r2', 'a3', 5, [result('c2')]),
      said('a4', 'r2', 6, 'm2', text('Done'), {}, 'end_turn'),
    )
    const index = feed(claudeAdapter, log)
    expect(messagesOf(index)).toEqual(['u1 < -: 1', 'a1 < u1: 2 3 a4 6 a7', 't1 < a1: 5', 'a4 < a1: 8'])
    const [, first] = assembleAll(claudeFormat, log, index)
    expect(
      first !== undefined && 'record' in first.reading && first.reading.record.parts.map((part) => part.type === 'tool' && part.state.status),
    ).toEqual([false, 'completed', 'completed'])
  })

  it('answer parallel calls out of order, and only their own message', () => {
    expect(
      readLines(
        said('a1', null, 1, 'm1', call('c1')),
        said('a2', 'a1', 1, 'm1', call('c2')),
        asked('r2', 'a2', 2, [result('c2')]),
        asked('r1', 'a1', 3, [result('c1')]),
        said('a3', 'r1', 4, 'm2', call('c3')),
        asked('r3', 'a3', 5, [result('c3'), text('stop')]),
      ),
    ).toEqual(['a1 < -: 1 2 a3 a4', 'a3 < a1: 5 a6', 'r3 < a3: 6'])
  })

  it('of an answer whose call is not in the log stand alone; beside a text the line answers itself', () => {
    expect(readLines(asked('r1', null, 1, [result('c1')]), asked('r2', 'r1', 2, [result('c2'), text('x')]))).toEqual(['r1 < -: 1', 'r2 < r1: 2 a2'])
  })

  it('are told apart by the request, where there is one', () => {
    expect(
      readLines(said('a1', null, 1, 'm1', text('a'), { requestId: 'q1' }), said('a2', 'a1', 2, 'm1', text('b'), { requestId: 'q2' })),
    ).toHaveLength(2)
  })

  it('are no message of their own where they have no id', () => {
    const log = linesOf(
      { type: 'user', message: {} },
      { type: 'assistant', message: { usage: {} } },
      { timestamp: iso(3), message: { role: 'assistant', id: 'x' } },
    )
    expect(messagesOf(feed(claudeAdapter, log))).toEqual(['@0 < -: 1', '@29 < @0: 2', '@73 < @29: 3'])
  })
})

describe('a message whose lines stand far apart', () => {
  const first = said('a1', null, 1, 'm1', call('c1'))
  const aside = Array.from({ length: 20 }, (_, at) => asked(`s${at}`, at === 0 ? null : `s${at - 1}`, 2, 'aside', { isSidechain: true }))
  const countOf = (...more: readonly unknown[]): number => feed(claudeAdapter, linesOf(first, ...aside, ...more)).count

  it('is one where a line follows one of its own, through lines that say nothing too', () => {
    expect(countOf(said('a2', 'a1', 3, 'm1', call('c2')))).toBe(21)
    expect(countOf(line('progress', 'p', 'a1', 3), said('a2', 'p', 3, 'm1', call('c2')))).toBe(21)
    expect(countOf(asked('r1', 'a1', 3, [result('c1')]), said('a2', 'r1', 3, 'm1', call('c2')))).toBe(21)
    expect(countOf(said('a2', 's19', 3, 'm1', call('c2')))).toBe(22)
  })

  it('goes on after a cursor, or the cursor is lost', () => {
    const log = linesOf(first, ...aside, said('a2', 'a1', 3, 'm1', call('c2')), said('a3', 'a2', 4, 'm1', text('x'), {}, 'end_turn'))
    for (const { start } of rangesOf(Buffer.from(log))) expect(resumeAt(claudeAdapter, log, start).differences).toEqual([])
  })
})

describe('whose a line is', () => {
  const own = '0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55'
  const traitsIn = (session: string | undefined, ...documents: readonly unknown[]): readonly (string | undefined)[] => {
    const index = new LogIndex()
    index.session = session
    return feed(claudeAdapter, linesOf(...documents), index).messages.map(({ trait }) => trait)
  }

  it('is told by the log: of a subagent in the log of its session, also of one that has a name', () => {
    const aside = asked('s1', null, 1, 'x', { isSidechain: true, agentId: 'abc', sessionId: own })
    expect(traitsIn(own, aside)).toEqual(['sidechain'])
    expect(traitsIn('agent-abc', aside)).toEqual([undefined])
    expect(traitsIn(`${own}.agent-abc`, aside)).toEqual([undefined])
  })

  it('is another session where the log begins with a copy of that one', () => {
    const copied = [asked('u1', null, 1, 'one'), asked('u2', 'u1', 2, 'two')]
    const added = [asked('u3', 'u2', 3, 'three', { sessionId: own }), asked('u4', 'u3', 4, 'a stray')]
    expect(traitsIn(own, { type: 'mode', sessionId: own }, ...copied, ...added)).toEqual(['inherited', 'inherited', undefined, undefined])
    expect(traitsIn(own.toUpperCase(), ...added)).toEqual([undefined, undefined])
    expect(describeAll(claudeAdapter, linesOf(...added), `/r/p/${own.toUpperCase()}.jsonl`)).not.toHaveProperty('fork')
    expect(traitsIn('some-name', ...copied)).toEqual([undefined, undefined])
    expect(traitsIn(undefined, ...copied)).toEqual([undefined, undefined])
    expect(describeAll(claudeAdapter, linesOf(...copied, ...added), `/r/p/${own}.jsonl`).fork).toBe('ses')
    expect(describeAll(claudeAdapter, linesOf(...added), `/r/p/${own}.jsonl`)).not.toHaveProperty('fork')
  })
})

describe('an error of the API', () => {
  it('that the program tries to get over is a message', () => {
    const error = { status: 529, error: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } } }
    const log = linesOf(asked('u1', null, 0, 'Hi'), line('system', 's1', 'u1', 1, { subtype: 'api_error', level: 'error', error, retryAttempt: 1 }))
    const [, told] = assembleAll(claudeFormat, log, feed(claudeAdapter, log))
    expect(told?.reading).toMatchObject({
      record: {
        message: { role: 'user', type: 'system', metadata: { subtype: 'api_error', error, retryAttempt: 1 } },
        parts: [{ type: 'text', text: 'Overloaded', synthetic: true }],
      },
    })
  })
})

describe('a message is open', () => {
  const opens = (...documents: readonly unknown[]): boolean[] => feed(claudeAdapter, linesOf(...documents)).messages.map(({ open }) => open)

  it('until its stop reason, or a line of another', () => {
    const first = said('a1', null, 1, 'm1', call('c1'))
    expect(opens(first)).toEqual([true])
    expect(opens(first, asked('r1', 'a1', 2, [result('c1')]))).toEqual([true])
    expect(opens(first, line('attachment', 't', 'a1', 2, { attachment: {} }))).toEqual([true, false])
    expect(opens(first, said('a2', 'a1', 2, 'm1', text('x'), {}, 'end_turn'))).toEqual([false])
    expect(opens(first, said('a2', 'a1', 2, 'm2', text('x')))).toEqual([false, true])
    expect(opens(first, asked('u2', 'a1', 2, 'Hi'))).toEqual([false, false])
  })
})

describe('the tree', () => {
  it('goes through lines that say nothing', () => {
    const log = linesOf(
      asked('u1', null, 0, 'Hi'),
      line('progress', 'p1', 'u1', 1, { data: {} }),
      line('system', 's1', 'p1', 1, { subtype: 'turn_duration' }),
      said('a1', 's1', 2, 'm1', text('x')),
      asked('u2', 'u1', 3, 'Again'),
    )
    expect(messagesOf(feed(claudeAdapter, log))).toEqual(['u1 < -: 1', 'a1 < u1: 4', 'u2 < u1: 5'])
    expect(Object.fromEntries(feed(claudeAdapter, log).ignored)).toEqual({ 'progress notes': 1, 'system notes without a text': 1 })
  })

  it('takes parents that are not there, that come later or that go in circles for none', () => {
    expect(
      readLines(
        asked('u1', 'gone', 0, 'a'),
        asked('u2', 'u2', 1, 'b'),
        asked('u3', 'u4', 2, 'c'),
        asked('u4', 'u3', 3, 'd'),
        asked('u5', 7 as never, 4, 'e'),
      ),
    ).toEqual(['u1 < -: 1', 'u2 < -: 2', 'u3 < -: 3', 'u4 < u3: 4', 'u5 < -: 5'])
  })

  it('begins anew after a compaction, and tells side chains and copies of a fork apart', () => {
    const log = linesOf(
      asked('u1', null, 0, 'Hi'),
      line('system', 'b1', null, 1, { subtype: 'compact_boundary', content: 'Conversation compacted', logicalParentUuid: 'u1' }),
      asked('u2', 'b1', 1, 'In short', { isCompactSummary: true }),
      asked('u3', 'u2', 2, 'Go', { isSidechain: true }),
      asked('u4', 'u2', 2, 'Go', { isSidechain: true, agentId: 'x' }),
      asked('u5', 'u2', 2, 'Go', { forkedFrom: { sessionId: 'other', messageUuid: 'y' } }),
    )
    const index = feed(claudeAdapter, log)
    expect(messagesOf(index)).toEqual(['u1 < -: 1', 'b1 < -: 2', 'u2 < b1: 3', 'u3 < u2: 4', 'u4 < u2: 5', 'u5 < u2: 6'])
    expect(index.messages.map(({ trait }) => trait)).toEqual([undefined, undefined, undefined, 'sidechain', undefined, 'inherited'])
  })
})

describe('lines that say nothing', () => {
  it('are left out, each with a reason', () => {
    expect(
      reasons(
        { type: 'summary', summary: 'A title', leafUuid: 'x' },
        { type: 'file-history-snapshot', messageId: 'x', snapshot: { timestamp: iso(0) } },
        { type: 'queue-operation', operation: 'dequeue' },
        { type: 'last-prompt', lastPrompt: 'x' },
        { type: 'pr-link', url: 'x' },
      ),
    ).toEqual({
      titles: 1,
      'snapshots of files': 1,
      'notes of the queue': 1,
      'copies of the last prompt': 1,
      'links of pull requests': 1,
    })
  })

  it('are copies when they say the same under the same id, whatever else changed', () => {
    const first = [asked('u1', null, 0, 'Hi'), said('a1', 'u1', 1, 'm1', text('x')), line('progress', 'p1', 'a1', 2, { data: {} })]
    const again = first.map((document) => ({ ...document, version: '9', gitBranch: 'other', parentUuid: null }))
    expect(reasons(...first, ...again)).toEqual({ 'copies of earlier lines': 3, 'progress notes': 1 })
    expect(readLines(...first, ...again, asked('u1', null, 0, 'Something else'))).toEqual([
      'u1 < -: 1',
      'a1 < u1: 2',
      expect.stringMatching(/^u1@\d+ < -: 7$/),
    ])
  })
})

describe('odd lines', () => {
  it('are messages: damaged ones, and those of unknown types', () => {
    const log = linesOf(
      '{"type":"user","uuid":"u0',
      '[1]',
      '42',
      asked('u1', null, 0, 'Hi'),
      { silly: 'this' },
      { type: 'next-year', uuid: 'n1', parentUuid: 'u1' },
    )
    const index = feed(claudeAdapter, log)
    expect(index.messages.map(({ id }) => id)).toEqual(['@0', '@26', '@30', 'u1', expect.stringMatching(/^@\d+$/), 'n1'])
    expect(assembleAll(claudeFormat, log, index).map(({ reading }) => ('damage' in reading ? reading.damage : reading.record.message.role))).toEqual([
      'no line of it can be parsed',
      'the document is no object',
      'the document is no object',
      'user',
      'unknown',
      'unknown',
    ])
  })

  it('may have fields of any shape', () => {
    const shape = fc.oneof(
      fc.constant(null),
      fc.constant(3),
      fc.constant('../x'),
      fc.constant('a\u0001'),
      fc.constant({ a: 1 }),
      fc.constant([[]]),
      fc.constant('id'),
    )
    const message = fc.oneof(
      shape,
      fc.record(
        {
          id: shape,
          role: shape,
          content: fc.oneof(shape, fc.array(fc.record({ type: fc.constantFrom('tool_use', 'tool_result', 'text'), id: shape, tool_use_id: shape }))),
        },
        { requiredKeys: [] },
      ),
    )
    const odd = fc.record(
      {
        type: fc.oneof(fc.constantFrom('user', 'assistant', 'system', 'progress', 'attachment', 'x'), shape),
        uuid: shape,
        parentUuid: shape,
        timestamp: shape,
        message,
        content: shape,
        isSidechain: shape,
        agentId: shape,
        attachment: shape,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(odd, { maxLength: 20 }), (documents) => {
        const log = linesOf(...documents)
        const index = feed(claudeAdapter, log)
        assembleAll(claudeFormat, log, index)
        describeAll(claudeAdapter, log)
        const used = new Set(index.messages.flatMap(({ lines }) => lines.map(({ offset }) => offset)))
        expect(used.size + [...index.ignored.values()].reduce((sum, count) => sum + count, 0)).toBe(documents.length)
      }),
    )
  })
})

describe('a resumed index', () => {
  it('says of new lines what a whole one says, or gives up', () => {
    let kept = 0
    let lost = 0
    const cuts = fc.array(fc.tuple(fc.nat(259), fc.integer({ min: 1, max: 12 })), { minLength: 4, maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.nat(1999), { minLength: 100, maxLength: 260 }), cuts, (seed, places) => {
        const log = Buffer.from(linesOf(...randomLog(seed)))
        const starts = rangesOf(log).map(({ start }) => start)
        for (const [place, length] of places) {
          const at = place % starts.length
          const found = resumeAt(claudeAdapter, log, starts[at] ?? 0, starts[at + length])
          expect(found.differences).toEqual([])
          if (found.lost === undefined) kept++
          else lost++
        }
      }),
      { numRuns: 100, endOnFailure: true },
    )
    expect(Math.min(kept, lost)).toBeGreaterThan(50)
  })

  it('does not give up while a session goes on as usual', () => {
    const documents = usualLog(400)
    const log = Buffer.from(linesOf(...documents))
    const starts = rangesOf(log).map(({ start }) => start)
    for (let at = 1; at < starts.length; at += 7) expect(resumeAt(claudeAdapter, log, starts[at] ?? 0)).toEqual({ lost: undefined, differences: [] })
  })
})

/** Prompts, steps with calls and their answers, progress notes; one second each. */
function usualLog(length: number): Document[] {
  const documents: Document[] = []
  let parent: string | null = null
  for (let at = 0; documents.length < length; at++) {
    const add = (document: Document): void => {
      documents.push(document)
      parent = String(document.uuid)
    }
    const seconds = (): number => documents.length
    if (at % 9 === 0) add(asked(`u${at}`, parent, seconds(), 'Go on'))
    add(said(`a${at}`, parent, seconds(), `m${at}`, text('x')))
    add(said(`b${at}`, parent, seconds(), `m${at}`, call(`c${at}`)))
    add(line('progress', `p${at}`, parent, seconds()))
    add(asked(`r${at}`, parent, seconds(), [result(`c${at}`)]))
  }
  return documents
}

/** A log in which everything happens that may: each number is what happens next. */
function randomLog(seed: readonly number[]): unknown[] {
  const documents: Document[] = []
  const lines: unknown[] = []
  let seconds = 0
  let parent: string | null = null
  let step = 0
  const calls: string[] = []
  const add = (document: Document): void => {
    documents.push(document)
    lines.push(document)
    parent = String(document.uuid)
  }
  for (const [at, number] of seed.entries()) {
    const pick = Math.floor(number / 20)
    seconds += pick % 11 === 0 ? -3 : pick % 3 === 0 ? 0 : 1
    const earlier = documents[Math.max(0, documents.length - 1 - (pick % 5 === 0 ? pick * 3 : pick % 12))]
    switch (number % 20) {
      case 0:
        add(asked(`u${at}`, parent, seconds, `prompt ${at}`))
        break
      case 1:
      case 2:
        step++
        add(said(`a${at}`, parent, seconds, `m${step}`, text(`text ${at}`)))
        break
      case 3:
      case 4:
      case 5:
        calls.push(`c${at}`)
        add(said(`a${at}`, parent, seconds, `m${step}`, call(`c${at}`), {}, pick % 4 === 0 ? 'tool_use' : null))
        break
      case 6:
      case 7:
      case 8: {
        const answered = calls.splice(pick % 7 === 0 ? 0 : -1, 1)
        add(asked(`r${at}`, parent, seconds, [...answered.map(result), ...(pick % 6 === 0 ? [text('and')] : [])]))
        break
      }
      case 9:
        add(line('progress', `p${at}`, parent, seconds))
        break
      case 10:
        add(line('attachment', `t${at}`, parent, seconds, { attachment: { type: 'x', at } }))
        break
      case 11:
        if (pick % 3 === 0) add(line('system', `s${at}`, null, seconds, { subtype: 'compact_boundary', content: 'compacted' }))
        else add(line('system', `s${at}`, parent, seconds, { subtype: 'turn_duration' }))
        break
      case 12:
        if (earlier !== undefined) lines.push({ ...earlier, version: '9', ...(pick % 2 === 0 && { parentUuid: pick % 4 === 0 ? null : parent }) })
        break
      case 13:
        if (earlier !== undefined) lines.push({ ...earlier, message: { role: 'user', content: `other ${at}` } })
        break
      case 14:
        if (earlier !== undefined) parent = String(earlier.uuid)
        break
      case 15:
        add(asked(`u${at}`, pick % 2 === 0 ? 'gone' : null, seconds, 'root'))
        break
      case 16:
        lines.push({ type: 'queue-operation' }, '{"torn')
        break
      case 17:
        lines.push({ type: 'user', message: { content: `bare ${at}` } })
        break
      case 18:
        add(said(`a${at}`, parent, seconds, `m${Math.max(0, step - (pick % 20))}`, text(`late ${at}`)))
        break
      default:
        add(asked(`u${at}`, parent, seconds, [result('never called')], { isSidechain: true }))
    }
  }
  return lines
}

describe('light fields', () => {
  it('come from the first lines and from those of titles', () => {
    const log = linesOf(
      { type: 'summary', summary: 'Of a branch', leafUuid: 'x' },
      asked('u0', null, 0, 'Caveat: The messages below were generated', { isMeta: true }),
      asked('u1', 'u0', 1, [text('<command-name>/init</command-name>'), text('  Why is\nthe sky blue? ')]),
      said('a1', 'u1', 2, 'm0', text('x'), { message: { id: 'm0', role: 'assistant', model: '<synthetic>', content: [] } }),
      said('a2', 'a1', 2, 'm1', text('x')),
      asked('u2', 'a2', 3, 'Another', { cwd: '/elsewhere', version: '3' }),
      { type: 'ai-title', aiTitle: 'Made up', sessionId: 'ses' },
      { type: 'custom-title', customTitle: 'Given', sessionId: 'ses' },
      { type: 'ai-title', aiTitle: 'Made up later', sessionId: 'ses' },
      { type: 'summary', summary: 'Last', leafUuid: 'y' },
      { type: 'tag', tag: 'mine', sessionId: 'ses' },
    )
    expect(describeAll(claudeAdapter, log, '/r/p/0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55.jsonl')).toMatchObject({
      title: 'Given',
      prompt: 'Why is the sky blue?',
      directory: '/w',
      version: '2.1.0',
      model: { id: 'claude-x', providerID: 'anthropic' },
      tag: 'mine',
      created: AT,
      entries: 11,
    })
    expect(describeAll(claudeAdapter, log, '/r/p/0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55.jsonl').id).toBeUndefined()
  })

  it('take the newest title of a kind', () => {
    const titled = (...lines: readonly unknown[]): unknown => describeAll(claudeAdapter, linesOf(...lines)).title
    expect(titled({ type: 'summary', summary: 'a' }, { type: 'summary', summary: 'b' })).toBe('b')
    expect(titled({ sessionId: 'x', type: 'custom-title', customTitle: 'a' }, { type: 'custom-title', customTitle: ' ' })).toBe('a')
  })

  it('name the session where its file does not, and the parent of a subagent', () => {
    const log = linesOf(asked('u1', null, 0, 'Hi', { agentId: 'x', isSidechain: true }))
    expect(describeAll(claudeAdapter, log, '/r/p/s/chat.jsonl')).toMatchObject({ id: 'ses' })
    expect(describeAll(claudeAdapter, log, '/r/p/agent-x.jsonl')).toMatchObject({ id: 'ses.agent-x', parent: 'ses', prompt: 'Hi' })
    expect(describeAll(claudeAdapter, log, '/r/p/ses/subagents/agent-x.jsonl').id).toBeUndefined()
    expect(describeAll(claudeAdapter, linesOf(asked('u1', null, 0, 'Hi', { sessionId: '../x' })), '/r/chat.jsonl').id).toBeUndefined()
  })

  it('have the prompt that comes after a command and all that it did', () => {
    const command = asked('u0', null, 0, '<command-name>/review</command-name>')
    const calls = Array.from({ length: 200 }, (_, at) => [
      said(`a${at}`, 'u0', at, `m${at}`, call(`c${at}`)),
      asked(`r${at}`, `a${at}`, at, [result(`c${at}`)]),
    ]).flat()
    const meta = describeAll(claudeAdapter, linesOf(command, ...calls, asked('u1', 'r199', 300, 'Now fix it')))
    expect(meta.prompt).toBe('Now fix it')
    expect(meta.notes?.looked).toBe(3)
    expect(describeAll(claudeAdapter, linesOf(command, ...calls, asked('u1', 'r199', 300, [text('Now this')]))).prompt).toBe('Now this')
  })

  it('are not looked for for ever', () => {
    const lines = Array.from({ length: 300 }, (_, at) => asked(`u${at}`, null, at, 'x', { version: undefined, isMeta: true }))
    expect(describeAll(claudeAdapter, linesOf(...lines)).notes).toEqual({ looked: 100 })
  })

  it('have the time of the last line that says one', () => {
    const bytes = Buffer.from(JSON.stringify({ type: 'x', snapshot: { timestamp: iso(9) }, timestamp: iso(5) }))
    expect(claudeAdapter.timeOf(bytes, 0, bytes.length)).toBe(AT + 5000)
    const none = Buffer.from(JSON.stringify({ type: 'x', snapshot: { timestamp: iso(9) } }))
    expect(claudeAdapter.timeOf(none, 0, none.length)).toBeUndefined()
  })
})

describe('the files', () => {
  const folder = tempFolder()
  afterAll(() => folder[Symbol.dispose]())
  const UUID = '0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55'
  const root = join(folder.path, 'projects')

  beforeAll(() => {
    for (const path of [
      `-w/${UUID}.jsonl`,
      '-w/agent-old.jsonl',
      `-w/${UUID}/subagents/agent-a1.jsonl`,
      `-w/${UUID}/subagents/agent-a1.meta.json`,
      `-w/${UUID}/subagents/workflows/run/agent-a2.jsonl`,
      `-w/${UUID}/tool-results/big.txt`,
      '-w/memory/MEMORY.md',
      '-w/sessions-index.json',
      '-w/notes.txt',
      'alpha/session-alpha/chat.jsonl',
    ]) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), '')
    }
    symlinkSync(root, join(root, 'alpha', 'around'))
    symlinkSync(join(root, 'nowhere'), join(root, 'alpha', 'broken.jsonl'))
  })

  it('are sessions, subagents, and others with a reason', () => {
    const { sessions, leftOut, issues } = claudeAdapter.list(root)
    expect(sessions.map(({ id, project, parent }) => [id, project, parent])).toEqual([
      [`${UUID}.agent-a1`, '-w', UUID],
      [`${UUID}.agent-a2`, '-w', UUID],
      [UUID, '-w', undefined],
      ['agent-old', '-w', undefined],
      ['chat', 'alpha', undefined],
    ])
    // It may lead to a disk that is away.
    expect(issues).toEqual([{ code: 'UNREADABLE_RECORD', path: join(root, 'alpha', 'broken.jsonl'), reason: 'a link that leads nowhere' }])
    expect(Object.fromEntries(leftOut.map(({ path, reason }) => [path.slice(root.length + 1), reason]))).toEqual({
      [`-w/${UUID}/subagents/agent-a1.meta.json`]: 'notes on a subagent',
      [`-w/${UUID}/tool-results`]: 'outputs of tools beside their log',
      '-w/memory': 'notes of the memory',
      '-w/sessions-index.json': 'an index of sessions',
      '-w/notes.txt': 'no log of a session',
      'alpha/around': 'a link to a folder around it',
    })
  })

  it('may be those of one project', () => {
    expect(claudeAdapter.list(join(root, '-w')).sessions.map(({ project }) => project)).toEqual(['-w', '-w', '-w', '-w'])
    expect(() => claudeAdapter.list(join(root, 'nowhere'))).toThrow(expect.objectContaining({ code: 'STORE_UNREADABLE' }))
  })
})

const here = SETS_ARE_HERE ? describe : describe.skip

here('samples from public repositories (../shared/data/samples.tar.gz)', () => {
  const folder = tempFolder()
  const samples = join(folder.path, 'samples')
  beforeAll(() => unpackSets(folder.path))
  afterAll(() => folder[Symbol.dispose]())

  it.each([
    'daaain+claude-code-log/edge_cases.jsonl',
    'daaain+claude-code-log/representative_messages.jsonl',
    'daaain+claude-code-log/session_b.jsonl',
    'daaain+claude-code-log/todowrite_examples.jsonl',
    'entireio+cli/03_82579310fc_0.jsonl',
    'entireio+cli/37_995ebed6e4_2.jsonl',
    'entireio+cli/4c_02af2759b6_0.jsonl',
    'git-ai-project+git-ai/example-claude-code.jsonl',
    'junhoyeo+tokscale/.claude/projects/test-project/conversation.jsonl',
    'ryoppippi+ccusage/test-transcript.jsonl',
    'ryoppippi+ccusage/fixtures/claude/projects/project-alpha/session-alpha/chat.jsonl',
  ])('%s: every line is in a message or left out, every message reads, every cut resumes', (path) => {
    const bytes = readFileSync(join(samples, path))
    const facts = JSON.parse(readFileSync(join(samples, 'FACTS.json'), 'utf8')).jsonl[path]
    const index = feed(claudeAdapter, bytes)
    const used = new Set(index.messages.flatMap(({ lines }) => lines.map(({ offset }) => offset)))
    expect(used.size + [...index.ignored.values()].reduce((sum, count) => sum + count, 0)).toBe(facts.nonempty_lines)
    const damaged = assembleAll(claudeFormat, bytes, index).filter(({ reading }) => 'damage' in reading)
    expect(damaged).toHaveLength(facts.bad_line_count + facts.non_object_lines)
    for (const { start } of rangesOf(bytes)) expect(resumeAt(claudeAdapter, bytes, start).differences).toEqual([])
  })
})

describe('logs through other programs', () => {
  it('may have empty ids of the API, which tie no lines together', () => {
    expect(readLines(said('a1', null, 1, '', text('a')), asked('u1', 'a1', 2, 'and?'), said('a2', 'u1', 3, '', text('b')))).toEqual([
      'a1 < -: 1',
      'u1 < a1: 2',
      'a2 < u1: 3',
    ])
  })

  it('may have ids of any length, which then name nothing', () => {
    const long = 'x'.repeat(2000)
    const index = feed(claudeAdapter, linesOf(asked(long, null, 1, 'a'), asked('u2', long, 2, 'b')))
    expect(index.messages.map(({ id }) => id)).toEqual(['@0', 'u2'])
  })
})

describe('a title of another session', () => {
  it('is not taken from before the conversation, when its leaf is not in the log', () => {
    const summary = (leafUuid: string, title: string): Document => ({ type: 'summary', summary: title, leafUuid })
    expect(describeAll(claudeAdapter, linesOf(summary('other', 'Not mine'), asked('u1', null, 1, 'Hi'))).title).toBeUndefined()
    expect(describeAll(claudeAdapter, linesOf(summary('u1', 'Mine'), asked('u1', null, 1, 'Hi'))).title).toBe('Mine')
    expect(describeAll(claudeAdapter, linesOf(asked('u1', null, 1, 'Hi'), summary('u1', 'Mine'))).title).toBe('Mine')
    const many = Array.from({ length: 200 }, (_, at) => said(`a${at}`, null, at, `m${at}`, text('x')))
    expect(describeAll(claudeAdapter, linesOf(summary('a199', 'Late'), asked('u1', null, 1, 'Hi'), ...many)).title).toBe('Late')
  })

  it('is not taken from later on either', () => {
    const titled = (...lines: readonly unknown[]): unknown => describeAll(claudeAdapter, linesOf(...lines)).title
    const [first, second] = [asked('u1', null, 1, 'Hi'), asked('u2', 'u1', 2, 'Then "other"')]
    expect(titled(first, second, summary('other', 'Not mine'))).toBeUndefined()
    expect(titled(first, second, summary('u1', 'Mine'), summary('other', 'Not mine'))).toBe('Mine')
    expect(titled(first, summary('u2', 'Of what comes'), second)).toBe('Of what comes')
    expect(titled(first, { type: 'x', note: 'u9"', uuid: 'u9' }, summary('u9', 'Of what nobody said'))).toBeUndefined()
  })

  it('is looked for in what stands before it in the file', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'p', 'log.jsonl')
    mkdirSync(dirname(path))
    const padding = Array.from({ length: 300 }, (_, at) => said(`a${at}`, 'u1', at, `m${at}`, text('x'.repeat(6000))))
    const titleOf = async (...lines: readonly unknown[]): Promise<unknown> => {
      writeFileSync(path, linesOf(...lines))
      const store = new LogStore(claudeAdapter, folder.path, { clock: systemClock, maps: createFileMaps({ map: 'never', clock: systemClock }) })
      return (await store.sessions()).entries[0]?.record?.title
    }
    const start = asked('u1', null, 1, 'Hi')
    expect(await titleOf(start, ...padding, summary('u1', 'Far'), summary('other', 'Not mine'))).toBe('Far')
    expect(await titleOf(start, ...padding, summary('a299', 'Near'), summary('other', 'Not mine'))).toBe('Near')
    expect(await titleOf(start, ...padding, summary('other', 'Not mine'))).toBe('Hi')
    // A log that is full of other sessions' titles is looked through a few times, and from then on near its end.
    const others = Array.from({ length: 16 }, (_, at) => summary(`other-${at}`, 'Not mine'))
    expect(await titleOf(start, ...padding, ...others, summary('u1', 'Far'))).toBe('Hi')
    expect(await titleOf(start, ...padding, ...others, summary('a299', 'Near'))).toBe('Near')
    expect(await titleOf(start, ...padding, ...others.slice(1), summary('u1', 'Far'))).toBe('Far')
  })

  it('is waited for on the line of its leaf, and not on the one that follows that', () => {
    const known = { directory: '/w', version: '2', prompt: 'Hi', model: { id: 'm', providerID: 'anthropic' }, notes: { looked: 1 } }
    const meta: LogMeta = { entries: 9, ...known, notes: { ...known.notes, waiting: [['u1', 'Mine']] } }
    const bytes = Buffer.from(linesOf(asked('u0', null, 1, 'before'), asked('u1', 'u0', 2, 'leaf'), asked('u2', 'u1', 3, 'after')))
    expect(rangesOf(bytes).map(({ start, end }) => claudeAdapter.tells(bytes, start, end, meta, start, bytes.length))).toEqual([false, true, false])
  })

  const summary = (leafUuid: string, title: string): Document => ({ type: 'summary', summary: title, leafUuid })
  const start = asked('u1', null, 1, 'Hi')
  const answer = said('a1', 'u1', 2, 'm1', text('x'))

  it('is that of the last leaf which can be read and has one', () => {
    const leaves = [asked('u2', 'a1', 3, 'x'), asked('u3', 'u2', 4, 'y'), `${JSON.stringify(asked('u3', 'u2', 4, 'z')).slice(0, -1)},"n":01}`]
    for (const other of ['Other', ' ']) {
      const log = linesOf(summary('u2', 'Mine'), summary('u3', other), start, answer, ...leaves)
      expect(describedIn(log, 1).title).toBe(other.trim() || 'Mine')
      expect(describedIn(log, 100)).toEqual(describedIn(log, 1))
    }
    const long = linesOf(
      summary('u2', 'Mine'),
      summary('u3', 'Long'),
      start,
      answer,
      asked('u2', 'a1', 3, 'x'),
      asked('u3', 'u2', 4, 'x'.repeat(LIGHT)),
    )
    expect([describedIn(long, 1).title, describedIn(long, 100).title]).toEqual(['Mine', 'Mine'])
  })

  it('is all that its leaf tells, since not every leaf is asked', () => {
    const many = Array.from({ length: 100 }, (_, at) => said(`b${at}`, null, at, `m${at}`, text('x'), { version: undefined }))
    const asks = ['u2', 'u3'].map((id) => asked(id, 'b99', 200, `of ${id}`))
    const log = linesOf(summary('u2', 'Two'), summary('u3', 'Three'), ...many, ...asks)
    expect(describedIn(log, 1)).toEqual(describedIn(log, 200))
    expect(describedIn(log, 200)).toMatchObject({ title: 'Three', entries: 104 })
  })
})

/** As a listing reads a log that comes in pieces of so many lines. */
function describedIn(log: string, held: number): LogMeta {
  const bytes = Buffer.from(log)
  const ranges = rangesOf(bytes)
  const meta: LogMeta = { entries: 0 }
  for (const [at, { start, end }] of ranges.entries()) {
    meta.entries++
    const until = ranges[Math.min(at - (at % held) + held, ranges.length) - 1]?.end ?? end
    if (end - start > LIGHT || !claudeAdapter.tells(bytes, start, end, meta, start, until + 1)) continue
    const document = parsed(bytes, start, end)
    if (document !== undefined) claudeAdapter.describe(document, meta, { path: '/root/project/session.jsonl', form: 'lines', packed: false })
  }
  return meta
}

describe('a stray log beside the projects', () => {
  it('changes the project of no other', () => {
    using folder = tempFolder()
    for (const path of ['stray.jsonl', '-w/a.jsonl', '-w/a/subagents/agent-b.jsonl']) {
      mkdirSync(dirname(join(folder.path, path)), { recursive: true })
      writeFileSync(join(folder.path, path), '')
    }
    const { sessions } = claudeAdapter.list(folder.path)
    expect(Object.fromEntries(sessions.map(({ id, project }) => [id, project]))).toMatchObject({ a: '-w', 'a.agent-b': '-w' })
  })
})

describe('links between folders', () => {
  it('lead into each folder once', () => {
    using folder = tempFolder()
    for (const name of ['a', 'b']) {
      mkdirSync(join(folder.path, name))
      writeFileSync(join(folder.path, name, `${name}.jsonl`), '')
    }
    for (let at = 0; at < 6; at++) {
      symlinkSync(join(folder.path, 'b'), join(folder.path, 'a', `l${at}`))
      symlinkSync(join(folder.path, 'a'), join(folder.path, 'b', `l${at}`))
    }
    const { sessions, leftOut } = claudeAdapter.list(folder.path)
    expect(sessions.length).toBeLessThan(10)
    expect(leftOut.length).toBeLessThan(100)
    expect(new Set(leftOut.map(({ reason }) => reason))).toEqual(new Set(['a link to a folder that is read already']))
  })
})

describe('a damaged line of a log without ids', () => {
  it('does not cut the chain', () => {
    const [one, two] = ['a', 'b'].map((content) => ({ type: 'user', message: { role: 'user', content } }))
    expect(readLines(one, '{"type":"us', two).map((text) => text.split(':')[0])).toEqual(['@0 < -', '@56 < -', '@68 < @0'])
  })
})
