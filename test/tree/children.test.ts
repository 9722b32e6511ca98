/** Child sessions: named by themselves, by the tools of their parent, or by both. */

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { loadSessionTree, type SessionTree } from '../../src/tree/loader.js'
import { childLinks } from '../../src/tree/sessions/children.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { assistantMessage, type CorpusSession, conversation, corpusSession, userMessage } from '../support/corpus.js'
import { databaseWith } from '../support/databases.js'
import { type FixtureMaker, jsonFixture, memoryFixture, onlyStore, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { keyOf, setOf, treeOf } from '../support/trees.js'
import { openCode2Tables } from '../support/v2-ddl.js'
import { insertV2Session, writeV2Row } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')

function task(metadata: unknown, more: Document = {}): Document {
  const state = { status: 'completed', input: {}, output: 'done', title: '', metadata, time: { start: 1, end: 2 } }
  return { type: 'tool', callID: 'call_1', tool: 'task', state: { ...state, ...more } }
}

function session(id: string, parts: readonly Document[], info: Document = {}): CorpusSession {
  const messages = [userMessage(START), assistantMessage(START + 1000, { parts })].map((message) => ({
    ...message,
    id: `msg_${id}_${message.id.slice(-15)}`,
    parts: message.parts.map((part) => ({ ...part, id: `prt_${id}_${part.id.slice(4)}` })),
  }))
  return corpusSession(START, messages, { id, info: { slug: 's', directory: '/srv', title: id, version: '1.1.65', ...info } })
}

async function linksOf(set: Sessions, id: string): Promise<unknown[]> {
  const links = childLinks(set, await treeOf(set, { session: keyOf(id) }))
  return links.map(({ session, by, part, missing }) => [session, by, part !== undefined, missing])
}

function shape({ meta, children }: SessionTree): unknown {
  return [meta.id, ...children.map(shape)]
}

describe.each<[string, FixtureMaker]>([
  ['memory', memoryFixture],
  ['era B', jsonFixture],
  ['V1 rows', sqliteFixture('1.18')],
])('child links (%s)', (_, make) => {
  it('come from records and from tools, each child once, those that are gone too', async () => {
    const parts = [
      task({ sessionId: 'both' }),
      task({ sessionId: 'orphaned' }),
      task({ sessionId: 'gone' }),
      task({ sessionId: 'both' }),
      task({ sessionId: 'parent' }),
      { ...task({ sessionId: 'no tool that starts sessions' }), tool: 'bash' },
    ]
    const corpus = [
      session('parent', parts),
      session('own', [], { parentID: 'parent' }),
      session('both', [], { parentID: 'parent' }),
      session('orphaned', []),
      session('stranger', []),
    ]
    using fixture = make(corpus)
    await using set = await setOf(await fixture.open())
    expect((await linksOf(set, 'parent')).sort()).toEqual([
      ['both', 'both', true, false],
      ['gone', 'tool', true, true],
      ['orphaned', 'tool', true, false],
      ['own', 'parent', false, false],
    ])
    const [link] = childLinks(set, await treeOf(set, { session: keyOf('parent') })).filter(({ by }) => by === 'both')
    expect(link?.part).toMatchObject({ kind: 'part', session: 'parent', part: corpus[0]?.messages[1]?.parts[0]?.id })
    expect(shape(await loadSessionTree(set, keyOf('parent')))).toEqual(['parent', ...[['both'], ['own']].sort(), ['orphaned']])
  })
})

describe('what a tool names', () => {
  const forms: Readonly<Record<string, readonly [Document, string | undefined]>> = {
    'metadata of V1': [task({ sessionId: 'x' }), 'x'],
    'metadata of OpenCode 2': [{ ...task({ sessionID: 'x' }), tool: 'subagent' }, 'x'],
    'metadata before output': [task({ sessionId: 'x' }, { output: 'task_id: y (for resuming)' }), 'x'],
    'the output of 1.1': [task({}, { output: 'task_id: ses_1 (for resuming to continue this task if needed)\n\n<task_result>' }), 'ses_1'],
    'the output of 1.18': [task(undefined, { output: '<task id="ses_1" state="completed">\n<task_result>' }), 'ses_1'],
    'while it runs': [task({ sessionId: 'x' }, { status: 'running', output: undefined }), 'x'],
    'when it failed': [task({ sessionId: 'x' }, { status: 'error', output: undefined, error: 'stopped' }), 'x'],
    'not before it runs': [task({ sessionId: 'x' }, { status: 'pending' }), undefined],
    'not within its output': [task({}, { output: 'See task_id: ses_1' }), undefined],
    'not by what is no id': [task({ sessionId: '../../etc' }, { output: 'task_id: a/b' }), undefined],
    'not by what is no text': [task({ sessionId: 7, sessionID: null }), undefined],
    'not where metadata is odd': [task(['x']), undefined],
  }

  it.each(Object.entries(forms))('%s', async (_, [part, named]) => {
    using fixture = memoryFixture([session('parent', [part])])
    await using set = await setOf(await fixture.open())
    expect(await linksOf(set, 'parent')).toEqual(named === undefined ? [] : [[named, 'tool', true, true]])
  })

  it('holds for rows of OpenCode 2, where parts have no records', async () => {
    using world = databaseWith((database) => {
      database.exec(openCode2Tables())
      insertV2Session(database, session('parent', []))
      insertV2Session(database, session('child', []))
      const state = { status: 'completed', input: {}, content: [{ type: 'text', text: 'done' }], metadata: { sessionID: 'child' } }
      const content = [
        { type: 'text', text: 'look' },
        { type: 'tool', id: 'call_1', name: 'subagent', state, time: { created: 1 } },
      ]
      const message = { type: 'assistant', agent: 'build', model: { id: 'm', providerID: 'p' }, content, time: { created: START } }
      writeV2Row(database, { session: 'parent', message: 'msg_1' }, JSON.stringify(message), START, 1)
    })
    await using set = await setOf(await onlyStore(world.path))
    const [link, ...others] = childLinks(set, await treeOf(set, { session: keyOf('parent') }))
    expect(link).toMatchObject({ session: 'child', by: 'tool', missing: false, part: { message: 'msg_1', part: 'msg_1_1' } })
    expect(others).toEqual([])
  })
})

describe('a child', () => {
  it('whose own record is damaged is found by the tool of its parent', async () => {
    const child = session('child', [], { parentID: 'parent' })
    using fixture = jsonFixture([session('parent', [task({ sessionId: 'child' })]), child])
    writeFileAt(join(fixture.path, 'session', child.project, 'child.json'), '', START)
    await using set = await setOf(await fixture.open())
    expect(await linksOf(set, 'parent')).toEqual([['child', 'tool', true, false]])
    expect(shape(await loadSessionTree(set, keyOf('parent')))).toEqual(['parent', ['child']])
  })

  it('of a session is not that of its fork, which holds copies of the tools; unless the origin is gone', async () => {
    const child = session('child', [], { parentID: 'origin' })
    const fork = session('fork', [task({ sessionId: 'child' })])
    using whole = memoryFixture([session('origin', [task({ sessionId: 'child' })]), fork, child])
    await using set = await setOf(await whole.open())
    expect([await linksOf(set, 'origin'), await linksOf(set, 'fork')]).toEqual([[['child', 'both', true, false]], []])
    using rest = memoryFixture([fork, child])
    await using left = await setOf(await rest.open())
    expect(await linksOf(left, 'fork')).toEqual([['child', 'tool', true, false]])
  })

  it('is entered once, wherever links run: in circles, and twice to the same', async () => {
    const corpus = [
      session('a', [task({ sessionId: 'b' }), task({ sessionId: 'c' })]),
      session('b', [task({ sessionId: 'c' }), task({ sessionId: 'a' })]),
      session('c', [task({ sessionId: 'a' }), task({ sessionId: 'c' })]),
    ]
    using fixture = memoryFixture(corpus)
    await using set = await setOf(await fixture.open())
    expect(shape(await loadSessionTree(set, keyOf('a')))).toEqual(['a', ['b', ['c']]])
    expect(shape(await loadSessionTree(set, keyOf('c')))).toEqual(['c', ['a', ['b']]])
  })

  it('is named by the messages of a window alone, where one is asked for', async () => {
    const long = { ...session('parent', []), messages: [...session('parent', [task({ sessionId: 'x' })]).messages, ...conversation(START + 5000, 1)] }
    using fixture = memoryFixture([long])
    await using set = await setOf(await fixture.open())
    expect((await linksOf(set, 'parent')).length).toBe(1)
    expect(childLinks(set, await treeOf(set, { session: keyOf('parent'), messages: { last: 2 } }))).toEqual([])
  })
})
