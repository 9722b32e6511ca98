/** What a search reads of answers, attachments and calls: every text that stands in them, and nothing that is encoded or encrypted. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { openSessions } from '../../src/open.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { grepSessions } from '../../src/tree/grep/grep.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { corpusSession } from '../support/corpus.js'
import { tempFolder } from '../support/temp.js'
import { openCode2Tables } from '../support/v2-ddl.js'
import { insertV2Session, writeV2Row } from '../support/v2-fixture.js'

const START = Date.parse('2026-04-05T00:00:00Z')
const base64 = (text: string): string => Buffer.from(text).toString('base64')

async function foundIn(set: Sessions, pattern: string | RegExp): Promise<readonly string[]> {
  const hits: string[] = []
  for await (const { kind, field, line, text } of grepSessions(set, pattern)) hits.push(`${kind} ${field}:${line} ${text}`)
  return hits
}

/** By a text the bytes are looked at first, by an expression everything is parsed. */
async function bothIn(set: Sessions, text: string): Promise<readonly string[]> {
  const hits = await foundIn(set, text)
  expect(await foundIn(set, new RegExp(text))).toEqual(hits)
  return hits
}

interface Opened extends AsyncDisposable {
  readonly set: Sessions
}

/** A log of Claude Code; each content is a message. */
async function claudeLog(contents: readonly (readonly ['user' | 'assistant', readonly Document[]])[]): Promise<Opened> {
  const folder = tempFolder()
  const lines = contents.map(([role, content], at) => ({
    type: role,
    uuid: `u${at}`,
    parentUuid: at === 0 ? null : `u${at - 1}`,
    sessionId: 's',
    timestamp: new Date(START + at * 1000).toISOString(),
    message: { role, content, ...(role === 'assistant' && { id: `msg_${at}`, type: 'message', model: 'm' }) },
  }))
  const path = join(folder.path, '11111111-1111-4111-a111-111111111111.jsonl')
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return opened(await openSessions({ data: path }), folder)
}

function opened(set: Sessions, folder?: Disposable): Opened {
  return {
    set,
    async [Symbol.asyncDispose]() {
      await set.close()
      folder?.[Symbol.dispose]()
    },
  }
}

/** A database of OpenCode 2 with one message. */
async function openCode2(type: string, document: Document): Promise<Opened> {
  const folder = tempFolder()
  const database = new Database(join(folder.path, 'opencode.db'))
  database.exec(openCode2Tables())
  insertV2Session(database, corpusSession(START, [], { id: 'ses_1' }))
  writeV2Row(database, { session: 'ses_1', message: 'msg_1' }, JSON.stringify({ ...document, type, time: { created: START } }), START, 1)
  database.close()
  return opened(await openSessions({ data: folder.path }), folder)
}

/** A store of OpenCode 1 with parts of one message. */
async function openCode1(parts: readonly Document[]): Promise<Opened> {
  const store = new MemoryStore()
  store.put({ session: 's' }, { title: 't', directory: '/a', time: { created: 1, updated: 1 } }, 1)
  store.put({ session: 's', message: 'm' }, { role: 'user', time: { created: 1 } }, 1)
  for (const [at, part] of parts.entries()) store.put({ session: 's', message: 'm', part: `p${at}` }, part, 1)
  return opened(await createSessionSet([store]))
}

describe('a search finds in answers', () => {
  it('what the web was searched for and gave', async () => {
    await using at = await claudeLog([
      [
        'assistant',
        [
          { type: 'server_tool_use', id: 'c1', name: 'web_search', input: { query: 'a marmot' } },
          {
            type: 'web_search_tool_result',
            tool_use_id: 'c1',
            content: [{ type: 'web_search_result', title: 'marmot title', url: 'https://marmot.example', encrypted_content: 'marmotmarmot' }],
          },
        ],
      ],
    ])
    expect(await bothIn(at.set, 'marmot')).toEqual(['tool input:1 a marmot', 'tool output:1 marmot title', 'tool output:1 https://marmot.example'])
  })

  it('resources, search results and documents, but no picture', async () => {
    const answer = [
      { type: 'text', text: 'marmot text' },
      { type: 'resource', resource: { uri: 'file:///marmot', mimeType: 'text/marmot', text: 'marmot resource', blob: 'marmot' } },
      { type: 'search_result', source: 's', title: 'marmot result', content: [{ type: 'text', text: 'marmot found' }] },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAmarmotAA==' } },
      { type: 'audio', data: 'AAmarmotAA==', mimeType: 'audio/wav' },
      { type: 'document', title: 'marmot.txt', source: { type: 'text', media_type: 'text/plain', data: 'the\nmarmot 100% document' } },
      { type: 'document', source: { type: 'base64', media_type: 'text/plain', data: base64('a marmot encoded') } },
    ]
    await using at = await claudeLog([
      ['assistant', [{ type: 'tool_use', id: 'c1', name: 'x', input: {} }]],
      ['user', [{ type: 'tool_result', tool_use_id: 'c1', content: answer }]],
    ])
    expect(await bothIn(at.set, 'marmot')).toEqual([
      'tool output:1 marmot text',
      'tool output:1 file:///marmot',
      'tool output:1 marmot resource',
      'tool output:1 marmot result',
      'tool output:1 marmot found',
      'tool output:1 marmot.txt',
      'tool output:2 marmot 100% document',
      'tool output:1 a marmot encoded',
    ])
  })

  it('of OpenCode 2 what is no text block', async () => {
    const content = [
      { type: 'text', text: 'a marmot' },
      { type: 'table', rows: [['marmot row']] },
    ]
    const tool = (state: Document): Document => ({ type: 'tool', id: 'c', name: 'x', time: { created: 1, ran: 2 }, state: { input: {}, ...state } })
    await using at = await openCode2('assistant', {
      content: [
        tool({ status: 'completed', content }),
        tool({ status: 'error', error: { type: 'e', message: 'marmot error' }, metadata: { output: 'taken' }, content }),
      ],
    })
    expect(await bothIn(at.set, 'marmot')).toEqual([
      'tool output:1 a marmot',
      'tool output:1 marmot row',
      'tool error:1 marmot error',
      'tool output:1 a marmot',
      'tool output:1 marmot row',
    ])
  })
})

describe('a search finds in what has the name of something encoded', () => {
  const raw = {
    data: { text: 'marmot data', list: ['marmot listed'] },
    id: { note: 'marmot id' },
    type: [{ note: 'marmot type' }],
    signature: { by: 'marmot signed' },
    blob: [{ note: 'marmot blob' }],
    encrypted_note: { note: 'marmot note' },
    more: { data: 'a plain marmot', id: 'marmot', signature: 'marmot', blob: 'marmot', encrypted_x: 'marmot' },
    word: { data: 'marmot' },
    coded: [{ data: 'AAmarmotAA==' }, { data: `${'AA'.repeat(30)}\nmarmot12` }, { type: 'base64', data: 'a marmot' }],
  }
  const hits = ['data', 'listed', 'id', 'type', 'signed', 'blob', 'note'].map((word) => `marmot ${word}`).concat('a plain marmot', 'marmot')

  it('objects, lists and plain texts, of a record of an unknown kind', async () => {
    await using at = await openCode1([{ ...raw, type: 'new-kind', id: 'p0', kind: raw.type, ids: raw.id }])
    const found = hits.filter((hit) => hit !== 'marmot id' && hit !== 'marmot type')
    expect((await bothIn(at.set, 'marmot')).toSorted()).toEqual(
      [...found, 'marmot type', 'marmot id'].map((hit) => `unknown raw:1 ${hit}`).toSorted(),
    )
  })

  it('and of an answer', async () => {
    await using at = await claudeLog([
      ['assistant', [{ type: 'tool_use', id: 'c1', name: 'x', input: {} }]],
      ['user', [{ type: 'tool_result', tool_use_id: 'c1', content: [{ type: 'new', value: raw }] }]],
    ])
    expect(await bothIn(at.set, 'marmot')).toEqual(hits.map((hit) => `tool output:1 ${hit}`))
  })
})

describe('a search finds in attachments', () => {
  it('their text, however it is encoded, and no picture', async () => {
    await using at = await openCode1([
      { type: 'file', mime: 'text/plain', filename: 'marmot.txt', url: `data:text/plain;base64,${base64('one\na marmot')}` },
      { type: 'file', mime: 'text/markdown', url: `data:text/markdown;charset=utf-8,${encodeURIComponent('# marmot é')}` },
      { type: 'file', mime: 'text/plain', url: 'data:text/plain,100% marmot' },
      { type: 'file', mime: 'image/png', url: 'data:image/png;base64,AAmarmotAA==' },
      {
        type: 'tool',
        tool: 'x',
        state: {
          status: 'completed',
          input: {},
          output: '',
          attachments: [{ type: 'file', mime: 'text/x', url: `data:text/x;base64,${base64('marmot attached')}` }],
        },
      },
    ])
    expect(await bothIn(at.set, 'marmot')).toEqual([
      'file filename:1 marmot.txt',
      'file content:2 a marmot',
      'file content:1 # marmot é',
      'file content:1 100% marmot',
      'tool output:1 marmot attached',
    ])
    expect(await bothIn(at.set, 'marmot é')).toEqual(['file content:1 # marmot é'])
  })

  it('of a user of Claude Code and of OpenCode 2', async () => {
    await using claude = await claudeLog([
      ['user', [{ type: 'document', title: 'a.txt', source: { type: 'text', media_type: 'text/plain', data: 'a marmot' } }]],
    ])
    expect(await bothIn(claude.set, 'marmot')).toEqual(['file content:1 a marmot'])
    const files = [
      { data: base64('marmot 2'), mime: 'text/plain', name: 'b.txt' },
      { data: base64('marmot 3'), mime: 'image/png' },
    ]
    await using two = await openCode2('user', { text: 'see', files })
    expect(await bothIn(two.set, 'marmot')).toEqual(['file content:1 marmot 2'])
  })

  it('without parsing pictures, and logs of programs, for it', async () => {
    await using at = await openCode1([
      `{"type":"file","mime":"image/png","url":"data:image/png;base64,AAAA`,
      `{"type":"text","text":"text/plain`,
    ] as unknown as Document[])
    const issues: string[] = []
    for await (const { text } of grepSessions(at.set, 'marmot', { onIssue: ({ code }) => issues.push(code) })) issues.push(text)
    expect(issues).toEqual([])
  })
})

describe('a search finds in calls', () => {
  it('names that are data, and no names of parameters', async () => {
    const input = { marmot: 'x', files: { 'src/marmot.ts': { marmot: 1 } }, edits: [{ marmot: 'y', env: { MARMOT: '' } }], text: 'a marmot' }
    await using at = await openCode1([{ type: 'tool', tool: 'x', state: { status: 'pending', input } }])
    expect(await bothIn(at.set, 'marmot')).toEqual(['tool input:1 src/marmot.ts', 'tool input:1 marmot', 'tool input:1 a marmot'])
    expect(await bothIn(at.set, 'MARMOT')).toEqual(['tool input:1 MARMOT'])
  })
})

describe('a match of several lines', () => {
  const TEXT = 'one end\ntwo end\nthree end\nfour end\nfive'
  it.each([
    ['end\n', ['1 one end\n', '2 two end\n', '3 three end\n', '4 four end\n']],
    [/end\n/, ['1 one end\n', '2 two end\n', '3 three end\n', '4 four end\n']],
    [/end$/m, ['1 one end', '2 two end', '3 three end', '4 four end']],
    [/end\n(?=\w)/, ['1 one end\n', '2 two end\n', '3 three end\n', '4 four end\n']],
    ['end\nt', ['1 one end\ntwo end', '2 two end\nthree end']],
    [/\n/, ['1 one end\n', '2 two end\n', '3 three end\n', '4 four end\n']],
    [/end\n.*\n/, ['1 one end\ntwo end\n', '3 three end\nfour end\n']],
    [/$/, ['5 five']],
  ] as const)('%s is a hit for each line that one begins in', async (pattern, hits) => {
    await using at = await openCode1([{ type: 'text', text: TEXT }])
    const found: string[] = []
    for await (const { line, text } of grepSessions(at.set, pattern)) found.push(`${line} ${text}`)
    expect(found).toEqual(hits)
  })
})
