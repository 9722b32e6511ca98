/** Databases of OpenCode 2: what stands in them beside V1's tables, the order of messages, forks, and rows that nobody expected. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { Slab } from '../../src/storage/slab.js'
import type { SqlRow } from '../../src/storage/sqlite/driver.js'
import { layoutsIn } from '../../src/storage/sqlite/layouts.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import { packRows } from '../../src/storage/sqlite/pack.js'
import type { Store } from '../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { loadDiffs, loadMessageWithParts, loadTodos } from '../../src/tree/loader.js'
import { planSessionTree } from '../../src/tree/plan.js'
import { readSpan } from '../../src/tree/read-span.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusSession, conversation, corpusSession } from '../support/corpus.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { onlyStore, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { type TempFolder, tempFolder } from '../support/temp.js'
import { issuesIn, keyOf, resultOf, setOf, treeOf } from '../support/trees.js'
import { openCode2Tables, openCodeNextTables } from '../support/v2-ddl.js'
import { insertV2Session, V2_SUBJECT, v2Fixture, writeV2Row } from '../support/v2-fixture.js'

const START = Date.parse('2026-10-01T10:00:00Z')
const SESSION = corpusSession(START, [], { id: 'ses_1' })
const KEY = keyOf('ses_1')

interface World extends Disposable {
  readonly path: string
  readonly database: Database.Database
  /** Writes a message; `document` names its type, its time is `at`, its place `seq`. */
  say(id: string, document: object, at: number, seq: number): void
}

/** A database with one session, to be filled by hand. */
function world(tables: string = openCode2Tables(), table = 'session_v2', session: CorpusSession = SESSION): World {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode.db')
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec(tables)
  insertV2Session(database, session, table)
  return {
    path,
    database,
    say: (id, document, at, seq) =>
      writeV2Row(database, { session: session.id, message: id }, JSON.stringify({ ...document, time: { created: at } }), at, seq),
    [Symbol.dispose]: () => {
      database.close()
      folder[Symbol.dispose]()
    },
  }
}

const asked = (text: string): object => ({ type: 'user', text })

async function idsIn(sessions: Sessions): Promise<readonly string[]> {
  return (await treeOf(sessions, { session: KEY })).messages.map(({ key }) => key.message)
}

describe('the generations of a database', () => {
  const names = (...tables: readonly string[]): readonly string[] => layoutsIn(new Set(tables)).map(({ kind, session }) => `${kind} ${session}`)
  const V1 = ['session', 'message', 'part']

  it('are told by its tables', () => {
    expect(names()).toEqual(['opencode-sqlite session'])
    expect(names(...V1)).toEqual(['opencode-sqlite session'])
    expect(names('session_v2', 'session_message')).toEqual(['opencode-v2 session_v2'])
    expect(names(...V1, 'session_v2', 'session_message')).toEqual(['opencode-v2 session_v2', 'opencode-sqlite session'])
    expect(names('session', 'session_message', 'project')).toEqual(['opencode-v2 session'])
    expect(names('sessions', 'messages', 'files', 'goose_db_version')).toEqual([])
  })

  it('are not V2 where session_message alone is there, as from 1.14 to 1.18', () => {
    expect(names(...V1, 'session_message')).toEqual(['opencode-sqlite session'])
    expect(names('message', 'session_message')).toEqual(['opencode-sqlite session'])
    expect(names(...V1, 'session_v2')).toEqual(['opencode-sqlite session'])
  })

  it('are V2 while its tables are still made', () => {
    expect(names('session_v2', 'project')).toEqual(['opencode-v2 session_v2'])
  })

  it('are both read: V2 first, then the sessions that only V1 has', async () => {
    using w = world(openCode2Tables() + v1Tables())
    w.say('msg_1', asked('in V2'), START, 0)
    const insert = w.database.prepare(
      "INSERT INTO session (id, project_id, slug, directory, title, version, time_created, time_updated) VALUES (?, 'p', '', '/srv', ?, '1.18.3', ?, ?)",
    )
    for (const [at, id] of ['ses_1', 'ses_only_v1'].entries()) {
      insert.run(id, `V1 ${id}`, START + at, START + at)
      w.database
        .prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)')
        .run(`msg_v1_${at}`, id, START, START, JSON.stringify({ role: 'user', time: { created: START } }))
    }
    await using sessions = await openSessions({ data: w.path })
    expect(sessions.stores.map(({ kind }) => kind)).toEqual(['opencode-v2', 'opencode-sqlite'])
    expect(
      sessions.index
        .sessionsByTime()
        .map(({ id, title, source }) => [id, title, source.kind])
        .sort(),
    ).toEqual([
      ['ses_1', 'The sky', 'opencode-v2'],
      ['ses_only_v1', 'V1 ses_only_v1', 'opencode-sqlite'],
    ])
    expect(await idsIn(sessions)).toEqual(['msg_1'])
    const { stores } = await verifyStores(sessions)
    expect(stores.map(({ kind, sessions, messages, projects, superseded }) => [kind, sessions, messages, projects, superseded])).toEqual([
      ['opencode-v2', 1, 1, 1, 0],
      ['opencode-sqlite', 1, 1, 0, 2],
    ])
  })

  it('are each closed with the set, and a file that is none of them is let go', async () => {
    using w = world(openCode2Tables() + v1Tables())
    const [upper, lower] = await openSqliteStores(w.path)
    await upper?.[Symbol.asyncDispose]()
    await expect(upper?.sessions()).rejects.toThrow()
    expect((await lower?.sessions())?.entries).toEqual([])
    await lower?.[Symbol.asyncDispose]()
  })

  it('are V1 alone in a database of 1.18 whose session_message has rows, which are counted', async () => {
    using fixture = sqliteFixture('1.18')([corpusSession(START, conversation(START + 1, 1))])
    const database = new Database(fixture.path)
    database.exec(
      "CREATE TABLE session_message (id text, session_id text, type text, data text); INSERT INTO session_message VALUES ('m', 's', 'agent-switched', '{}')",
    )
    database.close()
    await using sessions = await setOf(await onlyStore(fixture.path))
    const { stores } = await verifyStores(sessions)
    expect([stores[0]?.kind, stores[0]?.messages, stores[0]?.ignored]).toEqual([
      'opencode-sqlite',
      2,
      [{ reason: 'message event of a newer kind', count: 1 }],
    ])
  })
})

/** Those that V2's own do not have. */
function v1Tables(): string {
  return openCodeTables('1.18').replace('CREATE TABLE project', 'CREATE TABLE IF NOT EXISTS project')
}

describe('messages of OpenCode 2', () => {
  it('go by seq, whatever their times and ids say', async () => {
    using w = world()
    w.say('msg_d', asked('first'), START + 500, 4)
    w.say('msg_c', asked('second'), START + 100, 5)
    w.say('msg_b', asked('third'), START + 100, 14)
    w.say('msg_a', { type: 'idle', outcome: 'succeeded' }, START - 900, 15)
    const order = ['msg_d', 'msg_c', 'msg_b', 'msg_a']
    await using sessions = await setOf(await onlyStore(w.path))
    expect(await idsIn(sessions)).toEqual(order)
    expect((await sessions.index.messages(KEY)).map(({ id }) => id)).toEqual(order)
    for await (const result of runSessionFlow(sessions, { session: KEY }))
      expect(resultOf(result).messages.map(({ key }) => key.message)).toEqual(order)
    const last = await treeOf(sessions, { session: KEY, messages: { last: 2 } })
    expect(last.messages.map(({ key }) => key.message)).toEqual(['msg_b', 'msg_a'])
    const { message } = await loadMessageWithParts(sessions, KEY, last.messages[0]?.key.message ?? never())
    expect(message?.id).toBe('msg_b')
  })

  it('that come later are found at the end, though their clock runs behind', async () => {
    using w = world()
    for (let at = 0; at < 3; at++) w.say(`msg_${at}`, asked('x'), START + at, at)
    const store = await onlyStore(w.path)
    const { entries: previous } = await store.messages(KEY)
    w.say('msg_late', asked('y'), START - 5000, 9)
    const { entries } = await store.messages(KEY, { previous })
    expect(entries).toEqual([...previous, { id: 'msg_late', created: START - 5000, order: 9 }])
    w.database.prepare('DELETE FROM session_message WHERE seq >= 1').run()
    w.say('msg_again', asked('z'), START + 9, 10)
    expect((await store.messages(KEY, { previous: entries })).entries.map(({ id }) => id)).toEqual(['msg_0', 'msg_again'])
    await store[Symbol.asyncDispose]()
  })

  it('are hot by their place: the last eight are looked at again, however old they say they are', async () => {
    using w = world()
    const step = { type: 'assistant', content: [{ type: 'text', text: 'x' }] }
    for (let at = 0; at < 12; at++) w.say(`msg_${at}`, step, START - at * 1000, at)
    w.database.prepare(`UPDATE session_message SET data = json_set(data, '$.time.completed', 5)`).run()
    await using sessions = await setOf(await onlyStore(w.path))
    const held = new Map((await treeOf(sessions, { session: KEY })).messages.map(({ key, signature }) => [key.message as string, signature]))
    w.database.prepare('UPDATE session_message SET time_updated = time_updated + 1 WHERE seq IN (3, 4, 11)').run()
    const plan = await planSessionTree(sessions, { session: KEY, known: ({ message }) => held.get(message) })
    expect(plan.status === 'ok' && plan.value.messages.map(({ key }) => key.message)).toEqual(['msg_4', 'msg_11'])
  })

  it('that are rewritten in place move the revision, and so does a removal', async () => {
    using w = world()
    for (let at = 0; at < 3; at++) w.say(`msg_${at}`, asked('x'), START + at, at)
    const store = await onlyStore(w.path)
    const seen = [await store.revision(KEY)]
    for (const sql of [
      "UPDATE session_message SET data = '{}', time_updated = time_updated + 9 WHERE seq = 0",
      'DELETE FROM session_message WHERE seq = 1',
      "UPDATE session_v2 SET title = 'new'",
    ]) {
      w.database.exec(sql)
      seen.push(await store.revision(KEY))
    }
    expect(new Set(seen).size).toBe(4)
    w.database.exec("INSERT INTO kv VALUES ('k', '{}', 1, 1)")
    expect(await store.revision(KEY)).toBe(seen.at(-1))
    await store[Symbol.asyncDispose]()
  })

  it('have no part of their own to be read as a span', async () => {
    using fixture = v2Fixture(V2_SUBJECT.corpus)
    await using sessions = await setOf(await fixture.open())
    const [first] = V2_SUBJECT.corpus
    const { messages } = await treeOf(sessions, { session: keyOf(first.id) })
    const [part] = messages[0]?.parts ?? []
    const key = { ...keyOf(first.id), kind: 'part' as const, message: messages[0]?.key.message ?? never(), part: part?.id ?? never() }
    expect(part?.id).toBe(`${messages[0]?.key.message}_0`)
    await expect(readSpan(sessions, key)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    using span = await readSpan(sessions, messages[0]?.key ?? never())
    expect([span.source.type, JSON.parse(span.text()).text]).toEqual(['user', 'question 0\n\nand more'])
  })

  it('have no todos, and diffs only where a file of 1.x was left', async () => {
    using w = world()
    writeFileAt(join(w.path, '..', 'storage', 'session_diff', 'ses_1.json'), '[{"file":"a","additions":1,"deletions":0}]', START)
    await using sessions = await setOf(await onlyStore(w.path))
    expect([await loadTodos(sessions, KEY), await loadDiffs(sessions, KEY)]).toEqual([[], [{ file: 'a', additions: 1, deletions: 0 }]])
    expect((await verifyStores(sessions)).total.diffs).toBe(1)
  })
})

describe('sessions of OpenCode 2', () => {
  it('may have no title, be forks, and say when and how they stopped', async () => {
    using w = world()
    w.database
      .prepare(
        `UPDATE session_v2 SET title = NULL, fork_session_id = 'ses_0', fork_boundary = 'msg_5', time_idle = 7, time_viewed = 8, time_suspended = 9,
        idle_outcome = 'interrupted', resume_attempts = 2, model = '{"id":"m","providerID":"p"}', summary_additions = 1, summary_deletions = 2, summary_files = 3,
        summary_diffs = '[{"path":"a","additions":1,"deletions":2}]', revert = '{"messageID":"msg_5"}', time_archived = 6, share_url = 'https://s', workspace_id = 'wrk_1'`,
      )
      .run()
    await using sessions = await setOf(await onlyStore(w.path))
    const { session } = await treeOf(sessions, { session: KEY })
    expect(session).toMatchObject({
      title: '',
      forkSessionID: 'ses_0',
      forkBoundary: 'msg_5',
      idleOutcome: 'interrupted',
      resumeAttempts: 2,
      workspaceID: 'wrk_1',
      model: { id: 'm', providerID: 'p' },
      share: { url: 'https://s' },
      revert: { messageID: 'msg_5' },
      summary: { additions: 1, deletions: 2, files: 3, diffs: [{ path: 'a', additions: 1, deletions: 2 }] },
      time: { created: START, updated: START, archived: 6, idle: 7, viewed: 8, suspended: 9 },
    })
    expect(session).not.toHaveProperty('parentID')
    expect(sessions.index.session(KEY)).toMatchObject({ title: '', parent: undefined, archived: 6, revert: 'msg_5', damaged: false })
  })

  it('are linked to their parent', async () => {
    using w = world()
    insertV2Session(
      w.database,
      corpusSession(START + 1, [], { id: 'ses_child', info: { slug: 's', directory: '', title: 'child', version: '2.0.25', parentID: 'ses_1' } }),
    )
    await using sessions = await setOf(await onlyStore(w.path))
    expect(sessions.index.children(KEY).map(({ id }) => id)).toEqual(['ses_child'])
  })
})

describe('rows of OpenCode 2', () => {
  it('that are damaged are named, and everything else is intact', async () => {
    using w = world()
    w.say('msg_0', asked('whole'), START, 0)
    const broken: Readonly<Record<string, string>> = {
      empty: '',
      truncated: '{"text":"half',
      'NUL-filled': '\0\0',
      'not JSON': '{} x',
      'the document is no object': '[]',
    }
    for (const [at, text] of Object.values(broken).entries())
      writeV2Row(w.database, { session: 'ses_1', message: `msg_b${at}` }, text, START + at, at + 1)
    w.say('msg_9', { type: 'assistant', content: [{ type: 'text', text: 'whole too' }] }, START + 9, 90)
    await using sessions = await setOf(await onlyStore(w.path))
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result).map(({ code, reason }) => [code, reason])).toEqual(Object.keys(broken).map((reason) => ['CORRUPT_RECORD', reason]))
    const { messages } = resultOf(result)
    expect(messages.map(({ message, parts }) => message && parts.length)).toEqual([1, ...Object.keys(broken).map(() => undefined), 1])
    const { stores } = await verifyStores(sessions)
    expect(stores[0]?.damaged.map(({ key, reason }) => [key, reason])).toEqual(Object.keys(broken).map((reason, at) => [`ses_1/msg_b${at}`, reason]))
  })

  it('of kinds that nobody knows are kept raw', async () => {
    using w = world()
    w.say('msg_0', { type: 'telepathy', thought: { deep: true } }, START, 0)
    w.say('msg_1', { type: 'agent-switched', agent: 'plan' }, START + 1, 1)
    await using sessions = await setOf(await onlyStore(w.path))
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toEqual([])
    expect(resultOf(result).messages.map(({ message }) => message?.role === 'unknown' && message.raw)).toEqual([
      { type: 'telepathy', thought: { deep: true }, id: 'msg_0', sessionID: 'ses_1', time: { created: START } },
      { type: 'agent-switched', agent: 'plan', id: 'msg_1', sessionID: 'ses_1', time: { created: START + 1 } },
    ])
  })

  it('with ids that are none are named', async () => {
    using w = world()
    w.say('msg_0', asked('x'), START, 0)
    w.say('../../etc/passwd', asked('x'), START, 1)
    await using sessions = await setOf(await onlyStore(w.path))
    expect(await idsIn(sessions)).toEqual(['msg_0'])
    expect((await verifyStores(sessions)).stores[0]?.ignored).toEqual([{ reason: 'unsafe id', count: 1 }])
  })

  it('say their type packed as well as one by one', () => {
    using w = world()
    w.say('msg_0', asked('x'), START, 0)
    w.say('msg_1', { type: 'idle', outcome: 'failed' }, START, 1)
    const run = (sql: string, ...parameters: string[]) =>
      w.database
        .prepare(sql)
        .raw()
        .all(...parameters) as SqlRow[]
    const alone = (sql: string, ...parameters: string[]): SqlRow[] => {
      if (sql.includes('group_concat')) throw Object.assign(new Error('string or blob too big'), { code: 'SQLITE_TOOBIG' })
      return run(sql, ...parameters)
    }
    const ids = ['msg_1', 'msg_0']
    expect(packRows(run, 'session-messages', ids)).toMatchObject([{ ids, types: ['idle', 'user'] }])
    expect(packRows(alone, 'session-messages', ids)).toMatchObject([
      { ids: ['msg_1'], types: ['idle'] },
      { ids: ['msg_0'], types: ['user'] },
    ])
  })

  it('are counted to the last: orphans, queues, settings, events, secrets', async () => {
    using w = world()
    w.say('msg_0', asked('x'), START, 0)
    writeV2Row(w.database, { session: 'ses_gone', message: 'msg_orphan' }, JSON.stringify({ ...asked('x'), time: { created: 1 } }), 1, 1)
    w.database.exec(`
      CREATE TABLE credential (id text); INSERT INTO credential VALUES ('secret');
      INSERT INTO session_inbox VALUES ('i', 'ses_1', 'user', '{}', 'queue', 1, 1); INSERT INTO session_pending VALUES ('p', 'ses_1', 'user', '{}', 'queue', 1, 1);
      INSERT INTO kv VALUES ('migration.v1-v2', '{"phase":"completed"}', 1, 1); INSERT INTO event VALUES ('e1', 'ses_1', 0, 't', '{}', 1), ('e2', 'ses_1', 1, 't', '{}', 1)`)
    await using sessions = await setOf(await onlyStore(w.path))
    const { stores, total } = await verifyStores(sessions)
    expect([total.sessions, total.messages, total.parts, total.orphans.messages, total.projects, total.superseded]).toEqual([1, 1, 1, 1, 1, 0])
    expect(stores[0]?.ignored).toEqual([
      { reason: 'event log', count: 2 },
      { reason: 'queued input', count: 2 },
      { reason: 'setting', count: 1 },
      { reason: 'secret', count: 1 },
    ])
  })
})

describe('opencode-next.db', () => {
  it('is read as V2, its sessions from the table of the old name', async () => {
    using w = world(openCodeNextTables(), 'session')
    w.database.exec("UPDATE session SET fork_session_id = 'ses_0', fork_message_id = 'msg_x'")
    w.say('msg_b', asked('first'), START + 5, 1)
    w.say(
      'msg_a',
      { type: 'assistant', content: [{ type: 'tool', id: 'c', name: 'shell', state: { status: 'pending', input: '{' }, time: { created: 1 } }] },
      START,
      2,
    )
    await using sessions = await openSessions({ data: w.path })
    expect(sessions.stores.map(({ kind }) => kind)).toEqual(['opencode-v2'])
    expect(await idsIn(sessions)).toEqual(['msg_b', 'msg_a'])
    const { session, messages } = await treeOf(sessions, { session: KEY })
    expect(session).toMatchObject({ title: 'The sky', forkSessionID: 'ses_0', forkMessageID: 'msg_x' })
    expect(messages[1]?.parts).toMatchObject([{ type: 'tool', state: { status: 'pending', raw: '{' } }])
    expect((await verifyStores(sessions)).total).toMatchObject({ sessions: 1, messages: 2, projects: 1, ignored: 0 })
  })

  it('stands beside opencode.db, which comes first', async () => {
    using folder: TempFolder = tempFolder()
    for (const [name, tables, table] of [
      ['opencode.db', openCode2Tables(), 'session_v2'],
      ['opencode-next.db', openCodeNextTables(), 'session'],
    ] as const) {
      const database = new Database(join(folder.path, name))
      database.exec(tables)
      insertV2Session(database, { ...SESSION, info: { ...SESSION.info, title: name } }, table)
      insertV2Session(database, { ...SESSION, id: `ses_${table}` }, table)
      database.close()
    }
    await using sessions = await openSessions({ data: folder.path })
    expect(
      sessions.index
        .sessionsByTime()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['ses_1', 'ses_session', 'ses_session_v2'])
    expect(sessions.index.session(KEY)?.title).toBe('opencode.db')
  })
})

describe('a store of OpenCode 2', () => {
  it('shows a session and its messages as they come, without being opened again', async () => {
    using w = world()
    const store: Store = await onlyStore(w.path)
    await using sessions = await setOf(store)
    expect(await idsIn(sessions)).toEqual([])
    w.say('msg_0', { type: 'assistant', content: [] }, START, 0)
    expect(await idsIn(sessions)).toEqual(['msg_0'])
    w.say('msg_0', { type: 'assistant', content: [{ type: 'text', text: 'now' }] }, START, 0)
    expect((await treeOf(sessions, { session: KEY })).messages[0]?.parts).toMatchObject([{ text: 'now' }])
  })

  it('opens nothing but what it is asked for', async () => {
    using w = world()
    w.say('msg_0', asked('x'), START, 0)
    w.say('msg_1', asked('y'), START + 1, 1)
    const store = await onlyStore(w.path)
    const { entries } = await store.messages(KEY)
    const { rows, bytes } = store.work
    const [leaf] = await store.open([{ kind: 'message', key: { ...KEY, kind: 'message', message: entries[1]?.id ?? never() } }], new Slab())
    expect([store.work.rows - rows, store.work.bytes - bytes]).toEqual([1, leaf?.span?.length])
    await store[Symbol.asyncDispose]()
  })
})

function never(): never {
  throw new Error('the store lacks what this test needs')
}
