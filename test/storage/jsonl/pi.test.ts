/** pi's logs: entries to messages, the tree, light fields, and where the files stand. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { piFormat } from '../../../src/core/agents/pi.js'
import type { Document } from '../../../src/core/documents.js'
import type { LogIndex } from '../../../src/storage/jsonl/log-index.js'
import { piAdapter } from '../../../src/storage/jsonl/pi-log.js'
import { growthOf } from '../../support/growth.js'
import { assembleAll, describeAll, feed, linesOf, rangesOf, resumeAt } from '../../support/log-lines.js'
import { SETS_ARE_HERE, unpackSets } from '../../support/real-sets.js'
import { tempFolder } from '../../support/temp.js'

const AT = Date.parse('2026-01-01T00:00:00.000Z')
const iso = (seconds: number): string => new Date(AT + seconds * 1000).toISOString()
const header = (more: Document = {}): Document => ({ type: 'session', version: 3, id: 'ses', timestamp: iso(0), cwd: '/w', ...more })

function entry(type: string, id: string, parentId: string | null, seconds: number, more: Document = {}): Document {
  return { type, id, parentId, timestamp: iso(seconds), ...more }
}

function message(id: string, parentId: string | null, seconds: number, role: string, more: Document = {}): Document {
  return entry('message', id, parentId, seconds, { message: { role, content: [{ type: 'text', text: id }], ...more } })
}

const calling = (id: string, parentId: string | null, seconds: number, ...calls: readonly string[]): Document =>
  message(id, parentId, seconds, 'assistant', { content: calls.map((call) => ({ type: 'toolCall', id: call, name: 'bash', arguments: {} })) })
const result = (id: string, parentId: string | null, seconds: number, toolCallId: string): Document =>
  message(id, parentId, seconds, 'toolResult', { toolCallId, toolName: 'bash' })

function messagesOf(log: LogIndex): string[] {
  return log.messages.map(
    ({ id, parent, lines }) => `${id} < ${parent ?? '-'}: ${lines.map(({ use, line }) => (use === 'own' ? '' : 'a') + line).join(' ')}`,
  )
}

const readLines = (...documents: readonly unknown[]): string[] => messagesOf(feed(piAdapter, linesOf(...documents)))

describe('the tree', () => {
  it('goes through entries that say nothing, and a result belongs to its call', () => {
    const log = linesOf(
      header(),
      entry('model_change', 'm1', null, 1),
      message('u1', 'm1', 2, 'user'),
      entry('custom', 'x1', 'u1', 3),
      calling('a1', 'x1', 4, 'c1', 'c2'),
      result('r2', 'a1', 5, 'c2'),
      result('r1', 'r2', 6, 'c1'),
      entry('label', 'l1', 'r1', 7, { targetId: 'u1', label: 'here' }),
      entry('session_info', 'i1', 'l1', 7, { name: 'A name' }),
      message('a2', 'i1', 8, 'assistant'),
      message('u2', 'u1', 9, 'user'),
    )
    const index = feed(piAdapter, log)
    expect(messagesOf(index)).toEqual(['u1 < -: 3', 'a1 < u1: 5 a6 a7', 'a2 < a1: 10', 'u2 < u1: 11'])
    expect(Object.fromEntries(index.ignored)).toEqual({
      'headers of the session': 1,
      'changes of the model': 1,
      'data of extensions': 1,
      labels: 1,
      'names of the session': 1,
    })
    expect(index.messages.some(({ open }) => open)).toBe(false)
  })

  it('takes parents that are not there, or that go in circles, for none', () => {
    expect(
      readLines(message('a', 'gone', 1, 'user'), message('b', 'b', 2, 'user'), message('c', 'd', 3, 'user'), message('d', 'c', 4, 'user')),
    ).toEqual(['a < -: 1', 'b < -: 2', 'c < -: 3', 'd < c: 4'])
  })

  it('is a line where entries have no ids (version 1)', () => {
    const bare = ({ id: _, parentId: __, ...rest }: Document): Document => rest
    const documents = [{ ...header(), version: undefined }, message('u', null, 1, 'user'), calling('a', null, 2, 'c1'), result('r', null, 3, 'c1')]
    const log = linesOf(...documents.map(bare), bare(message('b', null, 4, 'assistant')))
    const index = feed(piAdapter, log)
    const [first, second, third] = index.messages
    expect(index.messages.map(({ parent, lines }) => [parent, lines.length])).toEqual([
      [undefined, 1],
      [first?.id, 2],
      [second?.id, 1],
    ])
    expect(third?.id).toMatch(/^@\d+$/)
  })

  it('has results without a call, compactions and summaries as messages, and unknown entries too', () => {
    expect(
      readLines(
        result('r1', null, 1, 'c1'),
        entry('compaction', 'k1', 'r1', 2, { summary: 's' }),
        entry('branchSummary', 'b1', 'k1', 3),
        entry('next', 'n1', 'b1', 4),
        '{"torn',
      ),
    ).toEqual(['r1 < -: 1', 'k1 < r1: 2', 'b1 < k1: 3', 'n1 < b1: 4', expect.stringMatching(/^@\d+ < -: 5$/)])
  })

  it('tells what a fork copied', () => {
    const traits = (more: Document): unknown[] =>
      feed(piAdapter, linesOf(header({ timestamp: iso(5), ...more }), message('u1', null, 1, 'user'), message('u2', 'u1', 6, 'user'))).messages.map(
        ({ trait }) => trait,
      )
    expect(traits({ parentSession: '/s/x_y.jsonl' })).toEqual(['inherited', undefined])
    expect(traits({ branchedFrom: '/s/x_y.jsonl' })).toEqual(['inherited', undefined])
    expect(traits({})).toEqual([undefined, undefined])
  })

  it('leaves copies out, and keeps another entry of the same id', () => {
    expect(readLines(message('u1', null, 1, 'user'), message('u1', null, 1, 'user'), message('u1', null, 1, 'assistant'))).toEqual([
      'u1 < -: 1',
      expect.stringMatching(/^u1@\d+ < -: 3$/),
    ])
  })
})

describe('the active leaf', () => {
  const branch = [header(), message('a', null, 1, 'user'), message('b', 'a', 2, 'assistant'), message('c', 'b', 3, 'user')]
  const leafAfter = (...more: readonly Document[]): unknown => feed(piAdapter, linesOf(...branch, ...more)).last?.leaf

  it('is the entry that was appended last, also one that says nothing', () => {
    expect(leafAfter()).toBeUndefined()
    expect(leafAfter(entry('label', 'l', 'c', 4))).toBeUndefined()
    for (const type of ['model_change', 'thinking_level_change', 'custom', 'label', 'session_info']) {
      expect([type, leafAfter(entry(type, 'x', 'a', 4))]).toEqual([type, 'a'])
    }
    expect(leafAfter(entry('custom', 'x', 'a', 4), entry('label', 'y', 'x', 5))).toBe('a')
    expect(leafAfter(entry('custom', 'x', 'a', 4), entry('custom', 'y', 'c', 5))).toBeUndefined()
    expect(leafAfter(entry('custom', 'x', null, 4))).toBeNull()
    expect(leafAfter(entry('custom', 'x', 'gone', 4))).toBeUndefined()
    expect(leafAfter(entry('custom', 'x', 'a', 4), message('d', 'x', 5, 'user'))).toBeUndefined()
  })

  it('goes through results of tools', () => {
    const called = [header(), calling('a', null, 1, 'c1', 'c2'), result('r1', 'a', 2, 'c1')]
    const leafOf = (...more: readonly Document[]): unknown => feed(piAdapter, linesOf(...called, ...more)).last?.leaf
    expect(leafOf()).toBeUndefined()
    expect(leafOf(message('u', 'a', 3, 'user'), result('r2', 'r1', 4, 'c2'))).toBe('a')
  })

  it('is no damaged line, and moves from what stands before one', () => {
    const { messages } = feed(piAdapter, linesOf(...branch, '{"type":"mess', entry('custom', 'x', 'a', 4)))
    expect(messages.map(({ leaf }) => leaf)).toEqual([undefined, undefined, 'a', undefined])
  })

  it('costs the same to move behind few damaged lines and behind many', () => {
    const work = (size: number): (() => unknown) => {
      const log = linesOf(...branch, ...Array.from({ length: size }, (_, n) => ['{"type":"mess', entry('label', `l${n}`, 'a', 4)]).flat())
      return () => feed(piAdapter, log)
    }
    expect(growthOf(work, 500, 32)).toBeLessThan(130)
  })

  it('is told by the next reading too', () => {
    const log = linesOf(...branch, entry('custom', 'x', 'a', 4), entry('custom', 'y', 'c', 5), entry('custom', 'z', null, 6))
    for (const { start } of rangesOf(Buffer.from(log))) expect(resumeAt(piAdapter, log, start)).toEqual({ lost: undefined, differences: [] })
  })
})

describe('a resumed index', () => {
  it('says of new lines what a whole one says, or gives up', () => {
    let kept = 0
    let lost = 0
    const cuts = fc.array(fc.tuple(fc.nat(199), fc.integer({ min: 1, max: 12 })), { minLength: 4, maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.nat(999), { minLength: 80, maxLength: 200 }), cuts, (seed, places) => {
        const log = Buffer.from(linesOf(...randomLog(seed)))
        const starts = rangesOf(log).map(({ start }) => start)
        for (const [place, length] of places) {
          const at = place % starts.length
          const found = resumeAt(piAdapter, log, starts[at] ?? 0, starts[at + length])
          expect(found.differences).toEqual([])
          if (found.lost === undefined) kept++
          else lost++
        }
      }),
      { numRuns: 100, endOnFailure: true },
    )
    expect(Math.min(kept, lost)).toBeGreaterThan(30)
  })
})

/** A log in which everything happens that may: each number is what happens next. */
function randomLog(seed: readonly number[]): unknown[] {
  const lines: unknown[] = [header({ timestamp: iso(20), parentSession: '/s/x_y.jsonl' })]
  const documents: Document[] = []
  const calls: string[] = []
  let parent: string | null = null
  let seconds = 0
  const add = (document: Document): void => {
    documents.push(document)
    lines.push(document)
    parent = String(document.id)
  }
  for (const [at, number] of seed.entries()) {
    const pick = Math.floor(number / 12)
    seconds += pick % 9 === 0 ? -2 : pick % 3 === 0 ? 0 : 1
    const earlier = documents[Math.max(0, documents.length - 1 - (pick % 4 === 0 ? pick : pick % 8))]
    switch (number % 12) {
      case 0:
      case 1:
        add(message(`u${at}`, parent, seconds, 'user'))
        break
      case 2:
      case 3:
        calls.push(`c${at}`)
        add(calling(`a${at}`, parent, seconds, `c${at}`))
        break
      case 4:
      case 5:
      case 6:
        add(result(`r${at}`, parent, seconds, calls.splice(pick % 5 === 0 ? 0 : -1, 1)[0] ?? 'none'))
        break
      case 7:
        add(entry('label', `l${at}`, parent, seconds))
        break
      case 8:
        if (earlier !== undefined) lines.push(pick % 3 === 0 ? { ...earlier, other: at } : earlier)
        break
      case 9:
        if (earlier !== undefined) parent = String(earlier.id)
        break
      case 10:
        lines.push(pick % 2 === 0 ? '{"torn' : { type: 'message', timestamp: iso(seconds), message: { role: 'user', content: 'bare' } })
        break
      default:
        add(message(`u${at}`, pick % 3 === 0 ? 'gone' : null, seconds, 'user'))
    }
  }
  return lines
}

describe('light fields', () => {
  it('come from the header, names, labels, changes of the model and the first messages', () => {
    const log = linesOf(
      header({ parentSession: '/s/--w--/2026-01-01T00-00-00-000Z_0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55.jsonl' }),
      message('u1', null, 1, 'user', { content: 'Why is the sky blue?' }),
      message('a1', 'u1', 2, 'assistant', { model: 'm0', provider: 'p' }),
      entry('model_change', 'c1', 'a1', 3, { modelId: 'm1', provider: 'p' }),
      entry('session_info', 'i1', 'c1', 4, { name: 'First' }),
      entry('session_info', 'i2', 'i1', 5, { name: 'Second' }),
      entry('label', 'l1', 'i2', 6, { targetId: 'u1', label: 'here' }),
      entry('label', 'l2', 'l1', 7, { targetId: 'a1', label: 'there' }),
      entry('label', 'l3', 'l2', 8, { targetId: 'a1' }),
    )
    expect(describeAll(piAdapter, log)).toMatchObject({
      id: 'ses',
      title: 'Second',
      prompt: 'Why is the sky blue?',
      directory: '/w',
      version: '3',
      model: { id: 'm1', providerID: 'p' },
      fork: '0b9f4c1e-6d57-4f9e-8f7a-2f8c1e0d9a55',
      label: 'here',
      created: AT,
      entries: 9,
    })
  })

  it('may be missing or of any shape', () => {
    expect(describeAll(piAdapter, linesOf({ type: 'session', id: '../x', cwd: 3, timestamp: null, branchedFrom: 5 }))).toEqual({
      entries: 1,
      version: '1',
    })
    expect(describeAll(piAdapter, linesOf({ id: 'x', type: 'session_info', name: 'Last' }, { type: 'session_info' })).title).toBeUndefined()
    const shape = fc.anything({ withNullPrototype: false })
    const any = fc.record(
      {
        type: fc.constantFrom('session', 'session_info', 'label', 'model_change', 'message', 'x'),
        id: shape,
        parentId: shape,
        message: shape,
        label: shape,
        targetId: fc.oneof(fc.constant('x'), shape),
      },
      { requiredKeys: ['type'] },
    )
    fc.assert(
      fc.property(fc.array(any), (documents) => {
        const log = linesOf(...documents)
        describeAll(piAdapter, log)
        assembleAll(piFormat, log, feed(piAdapter, log), 'pi')
      }),
    )
  })
})

describe('the files', () => {
  const folder = tempFolder()
  afterAll(() => folder[Symbol.dispose]())
  const root = join(folder.path, 'sessions')

  beforeAll(() => {
    for (const path of [
      '--w--/2026-01-01T00-00-00-000Z_0b9f4c1e.jsonl',
      '--w--/small.jsonl',
      '--w--/2026-01-01T00-00-00-000Z_0b9f4c1e.v2/manifest.json',
      '--w--/2026-01-01T00-00-00-000Z_1.sqlite',
      '--w--/notes.txt',
      'session-index.sqlite',
      'session-index.lock',
    ]) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), '')
    }
  })

  it('are sessions, and others with a reason', () => {
    const { sessions, leftOut, issues } = piAdapter.list(root)
    expect(sessions.map(({ id, project }) => [id, project])).toEqual([
      ['0b9f4c1e', '--w--'],
      ['small', '--w--'],
    ])
    expect(issues).toEqual([])
    expect(Object.fromEntries(leftOut.map(({ path, reason }) => [path.slice(root.length + 1), reason]))).toEqual({
      '--w--/2026-01-01T00-00-00-000Z_0b9f4c1e.v2': 'a session store of another version',
      '--w--/2026-01-01T00-00-00-000Z_1.sqlite': 'a session store of another version',
      '--w--/notes.txt': 'no log of a session',
      'session-index.sqlite': 'an index of sessions',
      'session-index.lock': 'an index of sessions',
    })
    expect(piAdapter.list(join(root, '--w--')).sessions.map(({ project }) => project)).toEqual(['--w--', '--w--'])
  })
})

const here = SETS_ARE_HERE ? describe : describe.skip

here('samples from public repositories (../shared/data/samples.tar.gz)', () => {
  const folder = tempFolder()
  const samples = join(folder.path, 'samples')
  beforeAll(() => unpackSets(folder.path))
  afterAll(() => folder[Symbol.dispose]())

  it.each([
    ['badlogic+pi-mono/before-compaction.jsonl', 544],
    ['git-ai-project+git-ai/pi-session-ignorable.jsonl', 4],
    ['git-ai-project+git-ai/pi-session-simple.jsonl', 2],
    ['git-ai-project+git-ai/pi-session-tool.jsonl', 2],
    ['jazzyalex+agent-sessions/pi/small.jsonl', 6],
  ])('%s: every line is in a message or left out, every message reads', (path, messages) => {
    const bytes = readFileSync(join(samples, path))
    const facts = JSON.parse(readFileSync(join(samples, 'FACTS.json'), 'utf8')).jsonl[path]
    const index = feed(piAdapter, bytes)
    const used = new Set(index.messages.flatMap(({ lines }) => lines.map(({ offset }) => offset)))
    expect(used.size + [...index.ignored.values()].reduce((sum, count) => sum + count, 0)).toBe(facts.nonempty_lines)
    expect(index.count).toBe(messages)
    for (const { reading } of assembleAll(piFormat, bytes, index, 'pi')) {
      expect('record' in reading && reading.odd === undefined && reading.record.message.role !== 'unknown').toBe(true)
    }
    const starts = rangesOf(bytes).map(({ start }) => start)
    for (let at = 0; at < starts.length; at += 1 + Math.floor(starts.length / 20)) {
      expect(resumeAt(piAdapter, bytes, starts[at] ?? 0)).toEqual({ lost: undefined, differences: [] })
    }
  })
})

describe('times that no calendar has', () => {
  it('are those that the record has, or none', () => {
    const odd = [`"2026-13-01T00:00:00.000Z"`, `"2026-01-01T25:00:00.000Z"`, `"2026-02-31T00:00:00.000Z"`, '1e300']
    const log = linesOf(
      header(),
      ...odd.map((time, at) => JSON.stringify(message(`u${at}`, null, at, 'user')).replace(/"timestamp":"[^"]*"/, `"timestamp":${time}`)),
    )
    const index = feed(piAdapter, log)
    expect(
      assembleAll(piFormat, log, index, 'pi').map(
        ({ message: { created }, reading }) =>
          'record' in reading && [created, (reading.record.message as { time?: { created: number } }).time?.created],
      ),
    ).toEqual([
      [0, 0],
      [0, 0],
      [Date.parse('2026-03-03T00:00:00.000Z'), Date.parse('2026-03-03T00:00:00.000Z')],
      [Date.parse('2026-03-03T00:00:00.000Z'), 0],
    ])
  })
})

describe('ids of any length', () => {
  it('name nothing where they are too long to be one', () => {
    const long = 'x'.repeat(2000)
    expect(readLines(header(), message(long, null, 1, 'user'), message('u2', long, 2, 'user'))).toMatchObject([
      expect.stringMatching(/^@\d+ < -: 2$/),
      'u2 < -: 3',
    ])
  })
})

describe('labels', () => {
  it('may mark what is no text', () => {
    expect(describeAll(piAdapter, linesOf(header(), entry('label', 'l1', null, 1, { targetId: { toString: 1 }, label: 'here' }))).label).toBe('here')
  })
})

describe('a damaged entry of a log without ids', () => {
  it('does not cut the chain', () => {
    const [one, two] = ['a', 'b'].map((content) => ({ type: 'message', message: { role: 'user', content } }))
    expect(readLines(one, '{"type":"mess', two).map((text) => text.split(':')[0])).toEqual(['@0 < -', '@59 < -', '@73 < @0'])
  })
})
