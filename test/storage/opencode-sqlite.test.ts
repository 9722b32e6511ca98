/** V1 databases in every bad state: half made, busy, damaged, foreign. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { openSessions } from '../../src/open.js'
import { Slab } from '../../src/storage/slab.js'
import { openSqlite } from '../../src/storage/sqlite/driver.js'
import { storeError } from '../../src/storage/sqlite/open.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { loadTodos } from '../../src/tree/loader.js'
import { verifyStores } from '../../src/tree/verify.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { databaseWith, tamper } from '../support/databases.js'
import { manifestOf } from '../support/manifest.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { firstOf, keyOf, plain, resultOf, setOf, treeOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3), { todos: [{ content: 'a', status: 'pending', priority: 'low' }] })
const KEY = keyOf(SESSION.id)
const make = sqliteFixture('1.18')

const GO_OPENCODE = `
  CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id integer NOT NULL, is_applied integer NOT NULL, tstamp text);
  CREATE TABLE sessions (id text PRIMARY KEY, parent_session_id text, title text NOT NULL, message_count integer NOT NULL, cost real NOT NULL);
  CREATE TABLE files (id text PRIMARY KEY, session_id text NOT NULL, path text NOT NULL, content text NOT NULL, version text NOT NULL);
  CREATE TABLE messages (id text PRIMARY KEY, session_id text NOT NULL, role text NOT NULL, parts text NOT NULL DEFAULT '[]', model text);`

describe('a database that is not there yet', () => {
  it('is read from the -wal alone', async () => {
    using fixture = make([SESSION])
    expect(statSync(fixture.path).size).toBeLessThanOrEqual(4096)
    await using sessions = await setOf(await fixture.open())
    expect((await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })

  it.each(['by its name', 'by a link'])(
    'is left as it is where an empty file stands beside its -wal, which SQLite would delete (%s)',
    async (how) => {
      using fixture = make([SESSION])
      using folder = tempFolder()
      const path = join(folder.path, 'opencode.db')
      writeFileSync(path, '')
      copyFileSync(`${fixture.path}-wal`, `${path}-wal`)
      const asked = how === 'by a link' ? join(folder.path, 'link.db') : path
      if (asked !== path) symlinkSync(path, asked)
      const before = manifestOf(folder.path)
      expect(statSync(`${path}-wal`).size).toBeGreaterThan(0)
      await expect(openSessions({ data: asked })).rejects.toMatchObject({ code: 'STORE_DAMAGED', path: asked })
      expect(manifestOf(folder.path)).toEqual(before)
    },
  )

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
      for (const row of source.prepare(`SELECT * FROM ${table}`).raw().all() as unknown[][])
        database.prepare(`INSERT INTO ${table} VALUES (${row.map(() => '?').join(', ')})`).run(...row)
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
    expect(plain(resultOf(await firstOf(runSessionFlow(sessions, { session: KEY }))))).toEqual(plain(tree))
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
    await expect(openSessions({ data: many.path })).rejects.toMatchObject({
      reason: 'this is a database of another program (tables a, b, c, d, e and 2 more)',
    })
  })

  it('is unsupported when it is of the OpenCode that is written in Go', async () => {
    using go = databaseWith((database) => database.exec(GO_OPENCODE))
    await expect(openSessions({ data: go.path })).rejects.toMatchObject({
      code: 'STORE_UNSUPPORTED',
      reason: expect.stringContaining('the OpenCode that is written in Go'),
    })
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

  it('fails the stage, and the next one succeeds', async () => {
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
  it('are found by thousands at once', async () => {
    using fixture = make([corpusSession(START, conversation(START, 1500, 10), { id: 'ses_long' })])
    await using sessions = await setOf(await fixture.open())
    const ids = new Set<MessageId>((await treeOf(sessions, { session: keyOf('ses_long') })).messages.map(({ key }) => key.message))
    expect(ids.size).toBe(3000)
  })
})
