/** Every version of V1's tables (section 5.4 of the format's reference), made fresh and upgraded, is read alike. */
import type Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { loadMessages, loadTodos } from '../../src/tree/loader.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { verifyStores } from '../../src/tree/verify.js'
import { assistantMessage, type CorpusSession, corpusSession, generatedId, userMessage } from '../support/corpus.js'
import { databaseWith } from '../support/databases.js'
import { readDatabase } from '../support/independent-reader.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import { issuesIn, keyOf, plain, resultOf, setOf, treeOf } from '../support/trees.js'
import { freshTables, upgradedTables, V1_STEPS, V1_VERSIONS } from '../support/v1-history.js'

const START = Date.parse('2026-03-01T10:00:00Z')
/** All rows of an import have this time; parts go by their ids. */
const IMPORTED = START + 9_000_000

/** What OpenCode has in every column that it ever had. */
const COLUMNS: Readonly<Record<string, unknown>> = {
  project_id: 'p1',
  parent_id: 'ses_parent',
  slug: 'swift-engine',
  title: 'The sky',
  version: '1.2.1',
  directory: '/srv/sky',
  share_url: 'https://example.org/s/1',
  summary_additions: 3,
  summary_deletions: 0,
  summary_files: 1,
  summary_diffs: '[{"file":"a","additions":3,"deletions":0}]',
  revert: '{"messageID":"msg_9"}',
  permission: '[{"permission":"bash","pattern":"*","action":"ask"}]',
  time_compacting: START + 3,
  time_archived: START + 4,
  workspace_id: 'wrk_1',
  path: 'src',
  agent: 'plan',
  model: '{"id":"m1","providerID":"p1","variant":"high"}',
  cost: 0.25,
  tokens_input: 60,
  tokens_output: 20,
  tokens_reasoning: 3,
  tokens_cache_read: 40,
  tokens_cache_write: 7,
  metadata: '{"from":"cli"}',
}

const SESSION = corpusSession(START, [
  userMessage(START + 10, ['Why?', 'And why not?']),
  assistantMessage(START + 1000, { parts: [{ type: 'step-start' }, { type: 'text', text: 'Rayleigh.' }, { type: 'text', text: 'Mie.' }] }),
])

const SCHEMAS = [
  ...V1_VERSIONS.map((version) => [`${version}, fresh`, freshTables(version)] as const),
  ['1.17.18, upgraded from 1.2.1 step by step', upgradedTables('1.17.18')] as const,
]

describe.each(SCHEMAS)('the tables of %s', (_, tables) => {
  it('are read as V1, every column in its place, imported parts by their ids', async () => {
    using world = databaseWith((database) => {
      database.exec(tables)
      fill(database, SESSION)
      noise(database)
    })
    const stores = await openSqliteStores(world.path)
    expect(stores.map(({ kind }) => kind)).toEqual(['opencode-sqlite'])
    await using sessions = await setOf(...stores)
    await holdAgainstRows(sessions, world.path)
    const [message] = SESSION.messages
    expect((await loadMessages(sessions, keyOf(SESSION.id)))[0]?.parts.map(({ id }) => id)).toEqual(message?.parts.map(({ id }) => id))
    expect(await loadTodos(sessions, keyOf(SESSION.id))).toEqual([{ content: 'look up', status: 'pending', priority: 'high' }])
    expect(sessions.index.session(keyOf(SESSION.id))).toMatchObject({ title: 'The sky', parent: 'ses_parent', archived: START + 4, revert: 'msg_9' })
  })

  it('are accounted for to the last row; a session_message of before 2.0 is no message', async () => {
    using world = databaseWith((database) => {
      database.exec(tables)
      fill(database, SESSION)
      noise(database)
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    const { total, stores } = await verifyStores(sessions)
    expect(total).toMatchObject({ sessions: 1, messages: 2, parts: 5, todos: 1, projects: 1, orphans: NO_ORPHANS, superseded: 0, damaged: 0 })
    const has = (table: string): number => Number(world.database.prepare('SELECT count(*) FROM sqlite_master WHERE name = ?').pluck().get(table))
    const reasons = stores[0]?.ignored.map(({ reason }) => reason)
    expect(reasons?.includes('message event of a newer kind')).toBe(has('session_message') === 1)
    expect(reasons?.includes('event log')).toBe(has('event') === 1)
    expect(reasons).toContain('permission')
    expect(reasons).toContain('share secret')
  })
})

describe('a database that is upgraded while it is open', () => {
  it('is read right at every step from 1.2.1 to 1.17.18, what was there and what is new', async () => {
    using world = databaseWith((database) => {
      database.exec(V1_STEPS['1.2.1'])
      fill(database, SESSION)
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    await holdAgainstRows(sessions, world.path)
    for (const [at, version] of V1_VERSIONS.slice(1).entries()) {
      world.database.exec(V1_STEPS[version])
      const time = START + (at + 1) * 60_000
      const id = generatedId('ses', time)
      fill(world.database, { ...SESSION, id, messages: SESSION.messages.map((message) => renamed(message, String(at))) })
      await sessions.refresh()
      await holdAgainstRows(sessions, world.path)
      expect(sessions.index.sessionsByTime().length).toBe(at + 2)
    }
    expect(sessions.stores.length).toBe(1)
  })
})

/** The session in all columns that the database has, its messages and parts as an import leaves them, and a todo. */
function fill(database: Database.Database, { id, created, messages }: CorpusSession): void {
  const there = new Set(database.prepare("SELECT name FROM pragma_table_info('session')").pluck().all())
  const row = Object.entries({ id, ...COLUMNS, time_created: created, time_updated: created + 1 }).filter(([column]) => there.has(column))
  const names = row.map(([column]) => column).join(', ')
  database.prepare(`INSERT INTO session (${names}) VALUES (${row.map(() => '?').join(', ')})`).run(row.map(([, value]) => value))
  database.prepare("INSERT OR IGNORE INTO project (id, worktree, time_created, time_updated, sandboxes) VALUES ('p1', '/srv/sky', 1, 1, '[]')").run()
  const add = (table: string, columns: string, ...values: unknown[]): void => {
    database.prepare(`INSERT INTO ${table} (${columns}) VALUES (${values.map(() => '?').join(', ')})`).run(values)
  }
  for (const message of messages) {
    add('message', 'id, session_id, time_created, time_updated, data', message.id, id, message.time, IMPORTED, JSON.stringify(message.data))
    for (const part of message.parts.toReversed())
      add(
        'part',
        'id, message_id, session_id, time_created, time_updated, data',
        part.id,
        message.id,
        id,
        IMPORTED,
        IMPORTED,
        JSON.stringify(part.data),
      )
  }
  add('todo', 'session_id, content, status, priority, position, time_created, time_updated', id, 'look up', 'pending', 'high', 0, IMPORTED, IMPORTED)
}

/** A row in tables that hold no records, as far as they are there. */
function noise(database: Database.Database): void {
  const columns = database.prepare("SELECT name, type FROM pragma_table_info(?) WHERE type <> ''")
  for (const table of ['permission', 'session_share', 'event', 'session_message']) {
    const found = columns.raw().all(table) as [string, string][]
    if (found.length === 0) continue
    const values = found.map(([name, type]) => (name === 'type' ? 'agent-switched' : name === 'session_id' ? SESSION.id : type === 'text' ? '{}' : 1))
    database.prepare(`INSERT INTO ${table} VALUES (${values.map(() => '?').join(', ')})`).run(values)
  }
}

/** Holds all sessions, in both ways of reading, against a plain read of the rows. */
async function holdAgainstRows(sessions: Sessions, path: string): Promise<void> {
  const expected = readDatabase(path)
  expect(sessions.index.sessionsByTime().length).toBe(expected.size)
  for await (const result of runSessionFlow(sessions, { all: true })) {
    expect(issuesIn(result)).toEqual([])
    const { session, messages } = plain(resultOf(result))
    const read = { session, messages: messages.map(({ message, parts }) => ({ message, parts })) }
    expect(read).toEqual(expected.get(resultOf(result).key.session))
    expect(plain(await treeOf(sessions, { session: resultOf(result).key }))).toEqual(plain(resultOf(result)))
  }
}

function renamed(message: CorpusSession['messages'][number], tail: string): CorpusSession['messages'][number] {
  return { ...message, id: `${message.id}_${tail}`, parts: message.parts.map((part) => ({ ...part, id: `${part.id}_${tail}` })) }
}
