/** Databases with every kind of message of OpenCode 2, through all its orders of columns: nothing that was stored is lost on the way. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { loadMessages } from '../../src/tree/loader.js'
import { readMessageSpan } from '../../src/tree/read-span.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { MessageNode, SessionHydratedTree } from '../../src/tree/types.js'
import { verifyStores } from '../../src/tree/verify.js'
import { corpusSession } from '../support/corpus.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import { tempFolder } from '../support/temp.js'
import { firstOf, issuesIn, keyOf, plain, resultOf, treeOf } from '../support/trees.js'
import { freshTables } from '../support/v1-history.js'
import { openCode2OtherTables, openCode2Tables, openCodeNextTables, upgradedOpenCode2Tables } from '../support/v2-ddl.js'
import { insertV2Session, writeV2Row } from '../support/v2-fixture.js'
import { leavesOf, V2_KINDS } from '../support/v2-kinds.js'

const START = Date.parse('2026-10-01T10:00:00Z')
const SESSION = corpusSession(START, [], { id: 'ses_1' })
const KEY = keyOf('ses_1')

const DATABASES = [
  { name: 'opencode.db, fresh', tables: openCode2Tables() + openCode2OtherTables(), session: 'session_v2', file: 'opencode.db' },
  { name: 'opencode.db, upgraded', tables: upgradedOpenCode2Tables() + openCode2OtherTables(), session: 'session_v2', file: 'opencode.db' },
  { name: 'opencode.db beside the tables of 1.18', tables: withV1(), session: 'session_v2', file: 'opencode.db' },
  { name: 'opencode-next.db', tables: openCodeNextTables(), session: 'session', file: 'opencode-next.db' },
]

describe.each(DATABASES)('$name', ({ tables, session, file }) => {
  const folder = tempFolder()
  let sessions: Sessions
  let tree: SessionHydratedTree
  beforeAll(async () => {
    const database = new Database(join(folder.path, file))
    database.exec(tables)
    insertV2Session(database, SESSION, session)
    for (const [at, { type, document }] of V2_KINDS.entries()) {
      // Places have gaps, and times run backwards: neither says what comes next.
      const time = { created: START - at, ...(document.time as object | undefined) }
      writeV2Row(database, { session: 'ses_1', message: idOf(at) }, JSON.stringify({ ...document, type, time }), START - at, at * 5 + 4)
    }
    database.close()
    sessions = await openSessions({ data: folder.path })
    const result = await firstOf(runSessionFlow(sessions, { session: KEY }))
    expect(issuesIn(result)).toEqual([])
    tree = resultOf(result)
  })
  afterAll(async () => {
    await sessions.close()
    folder[Symbol.dispose]()
  })

  it('gives every message in its place, by every way of reading', async () => {
    const ids = V2_KINDS.map((_, at) => idOf(at))
    expect(tree.messages.map(({ key }) => key.message)).toEqual(ids)
    expect(plain(await treeOf(sessions, { session: KEY }))).toEqual(plain(tree))
    expect((await loadMessages(sessions, KEY)).map(({ message, parts }) => ({ message, parts }))).toEqual(
      tree.messages.map(({ message, parts }) => ({ message, parts })),
    )
    expect((await sessions.index.messages(KEY)).map(({ id, created }) => [id, created])).toEqual(ids.map((id, at) => [id, START - at]))
  })

  it.each(V2_KINDS.map(({ type, name }, at) => ({ type, name, at })))('$type ($name) is what it must be, and loses nothing', async ({ at }) => {
    const { type, document, role, parts } = sample(at)
    const node = message(tree, at)
    expect(node.message).toMatchObject(role === 'unknown' ? { role, raw: { type } } : { role, type, time: { created: START - at } })
    expect(node.parts.map((part) => (part.type === 'tool' ? `tool ${part.state.status}` : part.type))).toEqual(parts)
    expect(node.parts.map(({ id }) => id)).toEqual(parts.map((_, place) => `${idOf(at)}_${place}`))
    expect(lost(document, node)).toEqual([])
    using span = await readMessageSpan(sessions, node.key)
    expect(JSON.parse(span.text())).toMatchObject(document)
  })

  it('is accounted for', async () => {
    const { total } = await verifyStores(sessions)
    const parts = V2_KINDS.reduce((sum, kind) => sum + kind.parts.length, 0)
    expect(total).toMatchObject({ sessions: 1, messages: V2_KINDS.length, parts, damaged: 0, orphans: NO_ORPHANS, superseded: 0 })
  })
})

/** Leaves of the document that stand nowhere in the message or its parts: what words say in another way is left out. */
function lost(document: object, { message, parts }: MessageNode): readonly (string | number)[] {
  const given = leavesOf([message, parts])
  const numbers = new Set(given)
  const texts = given.filter((leaf) => typeof leaf === 'string').join('\n')
  const renamed = new Set(['streaming', 'auto', 'manual', 'text', 'reasoning', 'tool', 'file', 'ses_1'])
  return leavesOf(document).filter((leaf) => (typeof leaf === 'number' ? !numbers.has(leaf) : !renamed.has(leaf) && !texts.includes(leaf)))
}

function idOf(at: number): string {
  return `msg_${String(at).padStart(3, '0')}`
}

function sample(at: number): (typeof V2_KINDS)[number] {
  const kind = V2_KINDS[at]
  if (kind === undefined) throw new Error(`there is no kind ${at}`)
  return kind
}

function message(tree: SessionHydratedTree, at: number): MessageNode {
  const node = tree.messages[at]
  if (node === undefined) throw new Error(`there is no message ${at}`)
  return node
}

/** V1's tables first, as in an upgraded database; V2's need not make those that are there. */
function withV1(): string {
  const once = (tables: string): string => tables.replaceAll(/CREATE (TABLE|INDEX) (?!IF)/g, 'CREATE $1 IF NOT EXISTS ')
  return `${freshTables('1.17.18')} DROP TABLE session_message; ${once(upgradedOpenCode2Tables() + openCode2OtherTables())}`
}

describe('a database whose import from V1 is not over', () => {
  it('shows what is imported from V2, and what is not yet from V1', async () => {
    using folder = tempFolder()
    const database = new Database(join(folder.path, 'opencode.db'))
    database.exec(withV1())
    const put = database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)')
    for (const id of ['ses_a', 'ses_b', 'ses_c']) {
      insertV2Session(database, { ...SESSION, id }, 'session')
      put.run(`msg_${id}`, id, START, START, JSON.stringify({ role: 'user', time: { created: START } }))
    }
    insertV2Session(database, { ...SESSION, id: 'ses_c' })
    writeV2Row(database, { session: 'ses_c', message: 'msg_ses_c' }, JSON.stringify({ type: 'user', text: '', time: { created: START } }), START, 0)
    const phase = database.prepare("INSERT INTO kv VALUES ('migration.v1-v2', ?, 1, 1) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
    const kinds = async (): Promise<unknown> => {
      await using sessions = await openSessions({ data: folder.path })
      return sessions.index
        .sessionsByTime()
        .map(({ id, source }) => `${id} ${source.kind}`)
        .sort()
    }
    for (const state of ['{"phase":"sessions","cursor":"ses_c"}', '{"phase":"completed"}']) {
      phase.run(state)
      expect(await kinds()).toEqual(['ses_a opencode-sqlite', 'ses_b opencode-sqlite', 'ses_c opencode-v2'])
    }
    insertV2Session(database, { ...SESSION, id: 'ses_b' })
    writeV2Row(database, { session: 'ses_b', message: 'msg_ses_b' }, JSON.stringify({ type: 'user', text: '', time: { created: START } }), START, 0)
    expect(await kinds()).toEqual(['ses_a opencode-sqlite', 'ses_b opencode-v2', 'ses_c opencode-v2'])
    database.close()
  })
})
