/** V1 databases in every bad state: half made, busy, damaged, foreign, and with rows that nobody expected. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { type MessageId, parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import { openSqliteStores } from '../../src/storage/opencode-database.js'
import { Slab } from '../../src/storage/slab.js'
import { openSqlite } from '../../src/storage/sqlite-driver.js'
import { storeError } from '../../src/storage/sqlite-open.js'
import { packRows } from '../../src/storage/sqlite-pack.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { loadTodos } from '../../src/tree/loader.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusMessage, conversation, corpusSession, userMessage } from '../support/corpus.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { issuesIn, keyOf, plain, setOf, treeOf, valueOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3), { todos: [{ content: 'a', status: 'pending', priority: 'low' }] })
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)
const make = sqliteFixture('1.18')

const GO_OPENCODE = `
  CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id integer NOT NULL, is_applied integer NOT NULL, tstamp text);
  CREATE TABLE sessions (id text PRIMARY KEY, parent_session_id text, title text NOT NULL, message_count integer NOT NULL, cost real NOT NULL, updated_at integer, created_at integer);
  CREATE TABLE files (id text PRIMARY KEY, session_id text NOT NULL, path text NOT NULL, content text NOT NULL, version text NOT NULL);
  CREATE TABLE messages (id text PRIMARY KEY, session_id text NOT NULL, role text NOT NULL, parts text NOT NULL DEFAULT '[]', model text);`

/** A folder with a database that is filled by hand. */
function databaseWith(fill: (database: Database.Database) => void): Disposable & { readonly path: string; readonly database: Database.Database } {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode.db')
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  fill(database)
  const close = (): void => {
    database.close()
    folder[Symbol.dispose]()
  }
  return { path, database, [Symbol.dispose]: close }
}

/** Writes around the fixture: rows that OpenCode does not make. */
function tamper(path: string, act: (database: Database.Database) => void): void {
  const database = new Database(path)
  act(database)
  database.close()
}

describe('a database that is not there yet', () => {
  it('is read from the -wal alone', async () => {
    using fixture = make([SESSION])
    expect(statSync(fixture.path).size).toBeLessThanOrEqual(4096)
    await using sessions = await setOf(await fixture.open())
    expect((await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })

  it('is empty while it has no tables, and whole once it has them, without being opened again', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    using fixture = make([SESSION])
    writeFileSync(path, '')
    await using sessions = await openSessions({ data: path })
    expect([sessions.index.sessionsByTime(), sessions.issues]).toEqual([[], []])
    const database = new Database(path)
    database.pragma('journal_mode = WAL')
    database.exec(openCodeTables('1.18'))
    const source = new Database(fixture.path, { readonly: true })
    for (const table of ['project', 'session', 'message', 'part', 'todo']) {
      for (const row of source.prepare(`SELECT * FROM ${table}`).raw().all() as unknown[][]) database.prepare(`INSERT INTO ${table} VALUES (${row.map(() => '?').join(', ')})`).run(...row)
    }
    source.close()
    await sessions.refresh()
    const tree = await treeOf(sessions, { session: KEY })
    expect(plain(tree).session).toEqual(fixture.sessionRecord(SESSION))
    expect(tree.messages.length).toBe(SESSION.messages.length)
    expect(await loadTodos(sessions, KEY)).toEqual(SESSION.todos)
    database.close()
  })

  it('shows the columns of an upgrade that came while it was open', async () => {
    using fixture = sqliteFixture('1.2.1')([SESSION])
    await using sessions = await setOf(await fixture.open())
    tamper(fixture.path, (database) => {
      database.exec('ALTER TABLE session ADD COLUMN agent text')
      database.prepare("UPDATE session SET agent = 'plan', time_updated = time_updated + 1").run()
    })
    await sessions.refresh()
    expect((await treeOf(sessions, { session: KEY })).session?.agent).toBe('plan')
  })

  it.each(['message', 'part', 'todo', 'project'])('is read without its table %s', async (table) => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => database.exec(`DROP TABLE ${table}`))
    await using sessions = await setOf(await fixture.open())
    const tree = await treeOf(sessions, { session: KEY })
    expect(tree.messages.length).toBe(table === 'message' ? 0 : SESSION.messages.length)
    expect(tree.messages.flatMap(({ parts }) => parts).length > 0).toBe(table !== 'message' && table !== 'part')
    expect(await loadTodos(sessions, KEY)).toEqual(table === 'todo' ? [] : SESSION.todos)
    expect((await verifyStores(sessions)).total.sessions).toBe(1)
  })
})

describe('what is no database of OpenCode 1', () => {
  it('is damaged when its bytes are no database', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    writeFileSync(path, 'this is no database, and long enough to be looked at twice'.repeat(100))
    await expect(openSessions({ data: path })).rejects.toMatchObject({ code: 'STORE_DAMAGED', path })
  })

  it('is damaged, or gives what is left, when pages are overwritten', async () => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => database.pragma('wal_checkpoint(TRUNCATE)'))
    const bytes = readFileSync(fixture.path)
    using folder = tempFolder()
    const outcomes = new Set<string>()
    for (let page = 0; page * 4096 < bytes.length; page++) {
      const copy = Buffer.from(bytes)
      copy.fill(0x5a, page * 4096, page * 4096 + 4096)
      const path = join(folder.path, `opencode-${page}.db`)
      writeFileSync(path, copy)
      outcomes.add(await outcomeOf(path))
    }
    // whatever page is gone, it ends in one of the words for it, and never in an error of the driver
    expect([...outcomes].filter((word) => !['read', 'STORE_DAMAGED', 'STORE_UNREADABLE'].includes(word))).toEqual([])
    expect(outcomes).toContain('STORE_DAMAGED')
  })

  it('is unsupported when its tables are of another program, and says which', async () => {
    using other = databaseWith((database) => database.exec('CREATE TABLE urls (id integer); CREATE TABLE visits (id integer)'))
    const reason = 'this is a database of another program (tables urls, visits)'
    await expect(openSessions({ data: other.path })).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED', path: other.path, reason })
    using many = databaseWith((database) => database.exec([...'gfedcba'].map((name) => `CREATE TABLE ${name} (id integer)`).join(';')))
    await expect(openSessions({ data: many.path })).rejects.toMatchObject({ reason: 'this is a database of another program (tables a, b, c, d, e and 2 more)' })
  })

  it('is unsupported when it is of the OpenCode that is written in Go', async () => {
    using go = databaseWith((database) => database.exec(GO_OPENCODE))
    await expect(openSessions({ data: go.path })).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED', reason: expect.stringContaining('written in Go') })
  })

  it('is one issue, and no error, when it stands beside a store that can be read', async () => {
    using fixture = make([SESSION])
    const broken = join(fixture.path, '..', 'opencode-dev.db')
    writeFileSync(broken, 'x'.repeat(5000))
    await using sessions = await openSessions({ data: join(fixture.path, '..') })
    expect(sessions.issues).toMatchObject([{ code: 'STORE_DAMAGED', path: broken }])
    expect(sessions.index.stats().sessions).toBe(1)
  })
})

async function outcomeOf(path: string): Promise<string> {
  try {
    await using sessions = await openSessions({ data: path })
    for await (const result of runSessionFlow(sessions, { all: true })) if (result.status === 'failed') return result.error.code
    await verifyStores(sessions)
    return 'read'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

describe('a database that is busy', () => {
  it('is STORE_BUSY, to be tried again', async () => {
    using world = databaseWith((database) => {
      database.pragma('journal_mode = DELETE')
      database.exec(openCodeTables('1.18'))
      database.pragma('locking_mode = EXCLUSIVE')
      database.exec('BEGIN EXCLUSIVE')
    })
    using reader = await openSqlite(world.path, { readOnly: true, busyTimeoutMs: 30 })
    const error = thrownBy(() => reader.prepare('SELECT count(*) FROM session').get())
    expect(storeError(error, world.path)).toMatchObject({ code: 'STORE_BUSY', retryable: true, path: world.path })
  })

  it('fails the stage, not the set, and what was listed stays', async () => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => database.pragma('wal_checkpoint(TRUNCATE)'))
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    copyFileSync(fixture.path, path)
    const writer = new Database(path)
    writer.pragma('journal_mode = DELETE')
    await using sessions = await openSessions({ data: path })
    writer.exec('BEGIN EXCLUSIVE')
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(result.status === 'failed' && [result.stage, result.error.code, result.error.retryable]).toEqual(['plan', 'STORE_BUSY', true])
    await sessions.refresh()
    expect(sessions.issues).toMatchObject([{ code: 'STORE_BUSY', transient: true }])
    expect(sessions.index.stats().sessions).toBe(1)
    writer.exec('ROLLBACK')
    writer.close()
    expect((await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })

  it('is never held: a writer may write and checkpoint while a tree is open', async () => {
    using fixture = make([SESSION])
    await using sessions = await setOf(await fixture.open())
    await sessions.index.messages(KEY)
    const census = sessions.stores[0]?.census(() => new Slab())[Symbol.asyncIterator]()
    await census?.next()
    tamper(fixture.path, (database) => {
      database.pragma('busy_timeout = 0')
      database.prepare('UPDATE session SET title = title').run()
      expect(database.pragma('wal_checkpoint(TRUNCATE)')).toEqual([{ busy: 0, log: 0, checkpointed: 0 }])
    })
    await census?.return?.()
  })
})

function thrownBy(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('data columns', () => {
  /** `data text NOT NULL` keeps a BLOB a BLOB; other databases have no NOT NULL. */
  const rows: Readonly<Record<string, readonly [value: unknown, reason: string | undefined]>> = {
    'invalid JSON': ['{"type":', 'truncated'],
    'a lone surrogate, escaped': ['{"type":"text","text":"\\ud83d"}', undefined],
    'a BLOB of JSON': [Buffer.from('{"type":"text","text":"blob"}'), undefined],
    'a BLOB of invalid UTF-8': [Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'invalid UTF-8'],
    'NUL characters': ['\0\0\0\0', 'NUL-filled'],
    'a NUL inside': ['{"type":"text","text":"a\0b"}', 'not JSON'],
    'a number': [17, undefined],
    'many bytes': [JSON.stringify({ type: 'text', text: 'ü'.repeat(3_000_000) }), undefined],
  }

  it.each(Object.entries(rows))('may hold %s', async (name, [value, reason]) => {
    using fixture = make([SESSION])
    const part = FIRST.parts[0]?.id
    tamper(fixture.path, (database) => database.prepare('UPDATE part SET data = ? WHERE id = ?').run(value, part))
    await using sessions = await setOf(await fixture.open())
    const expected = name === 'a number' ? ['the document is no object'] : reason === undefined ? [] : [reason]
    for (const result of [await runSessionTreeFlow(sessions, { session: KEY }), await firstOf(runSessionFlow(sessions, { session: KEY }))]) {
      expect(issuesIn(result).map((issue) => issue.reason)).toEqual(expected)
      const tree = valueOf(result)
      expect(tree.messages.map(({ parts, damagedParts }) => parts.length + damagedParts)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
      expect(plain(tree).messages.slice(1)).toEqual(plain(await treeOf(sessions, { session: KEY })).messages.slice(1))
    }
    expect((await verifyStores(sessions)).total).toMatchObject({ damaged: expected.length, messages: SESSION.messages.length })
  })

  it('may be NULL, and without a time', async () => {
    using world = databaseWith((database) => {
      database.exec(openCodeTables('1.18').replaceAll('data text NOT NULL', 'data text').replaceAll('time_updated integer NOT NULL', 'time_updated integer'))
      database.prepare("INSERT INTO session (id, project_id, slug, directory, title, version, time_created) VALUES ('s', 'p', '', '', '', '', 5)").run()
      database.prepare("INSERT INTO message VALUES ('m1', 's', 1, NULL, NULL), ('m2', 's', 2, 2, ?)").run(JSON.stringify(SECOND.data))
      database.prepare("INSERT INTO part VALUES ('p1', 'm2', 's', 1, NULL, NULL), ('p2', 'm2', 's', 1, 1, ?)").run('{"type":"text","text":"here"}')
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    const result = await runSessionTreeFlow(sessions, { session: keyOf('s') })
    expect(issuesIn(result).map(({ code, reason }) => [code, reason])).toEqual([['CORRUPT_RECORD', 'empty'], ['CORRUPT_RECORD', 'empty']])
    expect(valueOf(result).messages.map(({ key, parts }) => [key.message, parts.map(({ id }) => id)])).toEqual([['m1', []], ['m2', ['p2']]])
    expect(valueOf(await firstOf(runSessionFlow(sessions, { session: keyOf('s') }))).messages.length).toBe(2)
  })

  it('of session columns that are no JSON do not hide the session', async () => {
    using fixture = make([{ ...SESSION, info: { ...SESSION.info, agent: 'plan' } }])
    tamper(fixture.path, (database) => database.prepare("UPDATE session SET model = '{cut', permission = 'x', metadata = '', revert = '{\"messageID\":\"m\"}'").run())
    await using sessions = await setOf(await fixture.open())
    const { session } = await treeOf(sessions, { session: KEY })
    expect(session).toMatchObject({ agent: 'plan', model: '{cut', permission: 'x', metadata: '', revert: { messageID: 'm' } })
    expect(sessions.index.session(KEY)?.damaged).toBe(false)
  })
})

async function firstOf<T>(items: AsyncIterable<T>): Promise<T> {
  for await (const item of items) return item
  throw new Error('the stream is empty')
}

describe('rows with ids that are none', () => {
  it.each([['a\u0001b'], ['../../etc/passwd'], [''], [Buffer.from('blob')], [Buffer.from([0xff])]])('names %j, and reads everything else', async (id) => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => {
      database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)').run(id, SESSION.id, START, START, JSON.stringify(FIRST.data))
      database.prepare('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)').run(id, FIRST.id, SESSION.id, START, START, '{"type":"text","text":"x"}')
      database.prepare("INSERT INTO session (id, project_id, slug, directory, title, version, time_created, time_updated) VALUES (?, '', '', '', '', '', 1, 1)").run(id)
    })
    await using sessions = await setOf(await fixture.open())
    expect(sessions.issues.map(({ code }) => code)).toEqual(['INVALID_ID'])
    for (const result of [await runSessionTreeFlow(sessions, { session: KEY }), await firstOf(runSessionFlow(sessions, { session: KEY }))]) {
      expect(issuesIn(result).map(({ code }) => code)).toEqual(['INVALID_ID', 'INVALID_ID'])
      expect(valueOf(result).messages.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
    }
    const { total } = await verifyStores(sessions)
    expect([total.sessions, total.messages, total.ignored, total.damaged]).toEqual([1, SESSION.messages.length, 3, 0])
  })

  it('reads ids of other alphabets, with quotes and line separators', async () => {
    const strange = ['мир', '消息', 'a"b', "a'b", 'a b', '%_', '\u2028', '\u{1F600}']
    const messages = strange.map((id, at) => ({ ...userMessage(START + at), id: `m${id}`, parts: [{ id: `p${id}`, data: { type: 'text', text: id }, time: START + at }] }))
    using fixture = make([{ ...SESSION, id: 'сессия "1"', messages }])
    await using sessions = await setOf(await fixture.open())
    const tree = await treeOf(sessions, { session: keyOf('сессия "1"') })
    expect(tree.messages.map(({ key, parts }) => [key.message, parts[0]?.type === 'text' ? parts[0].text : undefined])).toEqual(strange.map((id) => [`m${id}`, id]))
  })
})

describe('packed rows', () => {
  it('are halved when they are too big to be joined, and read one by one when a single list is', async () => {
    using fixture = make([SESSION])
    using database = await openSqlite(fixture.path, { readOnly: true })
    const ids = SESSION.messages.map(({ id }) => id)
    const run = (sql: string, parameters: readonly string[]) => database.prepare(sql).all(...parameters)
    const whole = packRows((sql, ...parameters) => run(sql, parameters), 'parts-of-messages', ids)
    for (const most of [4, 2, 1, 0]) {
      let refused = 0
      const limited = packRows(
        (sql, ...parameters) => {
          const asked = (JSON.parse(parameters[0] ?? '[]') as unknown[]).length
          if (!sql.includes('group_concat') || asked <= most) return run(sql, parameters)
          refused++
          throw Object.assign(new Error('string or blob too big'), { code: 'SQLITE_TOOBIG' })
        },
        'parts-of-messages',
        ids,
      )
      expect(refused).toBeGreaterThan(0)
      expect(limited.flatMap(({ rows }) => rows)).toEqual(whole.flatMap(({ rows }) => rows))
      expect(Buffer.concat(limited.map(({ bytes }) => bytes))).toEqual(Buffer.concat(whole.map(({ bytes }) => bytes)))
    }
  })

  it('pass every other error on', () => {
    const refuse = (): never => {
      throw Object.assign(new Error('database disk image is malformed'), { code: 'SQLITE_CORRUPT' })
    }
    expect(() => packRows(refuse, 'parts', ['a', 'b'])).toThrow('malformed')
  })
})

describe('a census of a database', () => {
  it('names orphans, rows of deleted sessions, and what is left alone', async () => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => {
      database.exec('CREATE TABLE session_share (session_id text, secret text); CREATE TABLE event (id text); CREATE TABLE permission (id text)')
      database.exec("INSERT INTO session_share VALUES ('s', 'secret'); INSERT INTO event VALUES ('e1'), ('e2')")
      database.prepare("INSERT INTO todo VALUES ('ses_gone', 'x', 'pending', 'low', 0, 1, 1)").run()
      database.prepare("INSERT INTO message VALUES ('msg_lost', 'ses_gone', 1, 1, ?)").run(JSON.stringify(FIRST.data))
      database.prepare(`INSERT INTO part VALUES ('prt_1', 'msg_lost', 'ses_gone', 1, 1, '{"type":"text","text":""}'), ('prt_2', 'msg_none', '${SESSION.id}', 1, 1, '{"type":"text","text":""}')`).run()
    })
    await using sessions = await setOf(await fixture.open())
    const { stores, total } = await verifyStores(sessions)
    const parts = SESSION.messages.flatMap((message) => message.parts).length
    expect([total.sessions, total.messages, total.parts, total.todos, total.orphans, total.superseded]).toEqual([1, SESSION.messages.length, parts, 2, 3, 0])
    expect(stores[0]?.ignored).toEqual([{ reason: 'share secret', count: 1 }, { reason: 'event log', count: 2 }])
  })

  it('names tables that lack the columns a record needs, instead of calling them empty', async () => {
    using world = databaseWith((database) => {
      database.exec('CREATE TABLE message (id text PRIMARY KEY, data text)')
      database.prepare("INSERT INTO message VALUES ('m', '{}')").run()
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    const { total } = await verifyStores(sessions)
    expect(total.ignored + total.damaged).toBeGreaterThan(0)
  })
})

describe('diffs beside a database', () => {
  it('are files, with STALE_SPAN once they are rewritten', async () => {
    using fixture = make([{ ...SESSION, diffs: [{ file: 'a', additions: 1, deletions: 0 }] }])
    const store = await fixture.open()
    await store.sessions()
    const [price] = await store.price([{ kind: 'diff', key: KEY }])
    const path = join(fixture.path, '..', 'storage', 'session_diff', `${SESSION.id}.json`)
    expect(existsSync(path)).toBe(true)
    writeFileAt(path, '[]', START)
    const [leaf] = await store.open([{ kind: 'diff', key: KEY, ...(price && { price }) }], new Slab())
    expect(leaf?.issue?.code).toBe('STALE_SPAN')
    await store[Symbol.asyncDispose]()
  })

  it('are an issue when a folder stands in their place', async () => {
    using fixture = make([SESSION])
    const store = await fixture.open()
    mkdirSync(join(fixture.path, '..', 'storage', 'session_diff', `${SESSION.id}.json`), { recursive: true })
    const [leaf] = await store.open([{ kind: 'diff', key: KEY }], new Slab())
    expect(leaf?.issue?.code).toBe('UNREADABLE_RECORD')
    await store[Symbol.asyncDispose]()
  })
})

describe('messages of a session', () => {
  it('never carry the bytes of another session', async () => {
    const other = corpusSession(START + 9_000_000, conversation(START + 9_000_000, 1))
    using fixture = make([SESSION, other])
    const store = await fixture.open()
    const key = messageKey(KEY, parseMessageId(other.messages[0]?.id ?? ''))
    const [price] = await store.price([{ kind: 'message', key }])
    const [leaf] = await store.open([{ kind: 'message', key }], new Slab())
    expect([price, leaf?.span]).toEqual([undefined, undefined])
    await store[Symbol.asyncDispose]()
  })

  it('are found by thousands at once', async () => {
    using fixture = make([corpusSession(START, conversation(START, 1500, 10), { id: 'ses_long' })])
    await using sessions = await setOf(await fixture.open())
    const ids = new Set<MessageId>((await treeOf(sessions, { session: keyOf('ses_long') })).messages.map(({ key }) => key.message))
    expect(ids.size).toBe(3000)
  })
})
