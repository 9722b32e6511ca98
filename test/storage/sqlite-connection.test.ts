/** A connection while the database changes underneath: its schema, its writers, and its end. */
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { liveStores } from '../../src/storage/live-stores.js'
import { storesAt } from '../../src/storage/paths.js'
import { Slab } from '../../src/storage/slab.js'
import { openDatabase } from '../../src/storage/sqlite/opencode-database.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { verifyStores } from '../../src/tree/verify.js'
import { manualClock } from '../support/clocks.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { databaseWith, tamper } from '../support/databases.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { sqliteFixture } from '../support/store-fixtures.js'
import { firstOf, keyOf, setOf, treeOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const KEY = keyOf(SESSION.id)
const make = sqliteFixture('1.18')

describe('a schema that changes', () => {
  it('gives the new columns, and the queries that were prepared before it go on', async () => {
    using fixture = sqliteFixture('1.2.1')([SESSION])
    await using set = await setOf(await fixture.open())
    const before = await treeOf(set, { session: KEY })
    const counts = await set.index.messageCounts([KEY])
    tamper(fixture.path, (database) => {
      database.exec('ALTER TABLE session ADD COLUMN agent text; ALTER TABLE message ADD COLUMN extra text; ALTER TABLE part ADD COLUMN extra text')
      database.prepare("UPDATE session SET agent = 'plan', time_updated = time_updated + 1").run()
    })
    // Without a refresh: the same statements, on the same connection.
    expect((await treeOf(set, { session: KEY })).messages).toEqual(before.messages)
    expect(await set.index.messageCounts([KEY])).toEqual(counts)
    expect((await treeOf(set, { session: KEY })).session?.agent).toBe('plan')
    await set.refresh()
    expect(set.index.session(KEY)?.title).toBe(SESSION.info.title)
  })

  it('goes on when a table was made anew, as upgrades make them', async () => {
    using fixture = make([SESSION])
    await using set = await setOf(await fixture.open())
    await treeOf(set, { session: KEY })
    tamper(fixture.path, (database) =>
      database.exec(`
        CREATE TABLE __new_message (id text PRIMARY KEY, data text NOT NULL, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL);
        INSERT INTO __new_message (id, data, session_id, time_created, time_updated) SELECT id, data, session_id, time_created, time_updated FROM message;
        DROP TABLE message;
        ALTER TABLE __new_message RENAME TO message;`),
    )
    expect((await treeOf(set, { session: KEY })).messages).toHaveLength(SESSION.messages.length)
  })

  it.each(['message', 'part'])('is STORE_NOT_READY while the table %s is taken away, and read when it is back', async (table) => {
    using fixture = make([SESSION])
    await using set = await setOf(await fixture.open())
    tamper(fixture.path, (database) => database.exec(`ALTER TABLE ${table} RENAME TO aside`))
    expect(await failureOf(set)).toEqual(['STORE_NOT_READY', true])
    tamper(fixture.path, (database) => database.exec(`ALTER TABLE aside RENAME TO ${table}`))
    expect((await treeOf(set, { session: KEY })).messages).toHaveLength(SESSION.messages.length)
  })

  it('keeps the last good listing while the table of the sessions is taken away', async () => {
    using fixture = make([SESSION])
    await using set = await setOf(await fixture.open())
    tamper(fixture.path, (database) => database.exec('ALTER TABLE session RENAME TO aside'))
    await set.refresh()
    expect(set.index.sessionsByTime().map(({ id }) => id)).toEqual([SESSION.id])
    expect(set.issues).toMatchObject([{ code: 'STORE_NOT_READY', path: fixture.path, transient: true }])
    tamper(fixture.path, (database) => database.exec('ALTER TABLE aside RENAME TO session'))
    await set.refresh()
    expect(set.issues).toEqual([])
  })

  it.each([
    ['message', 'time_created', 0],
    ['message', 'data', SESSION.messages.length],
    ['part', 'message_id', SESSION.messages.flatMap(({ parts }) => parts).length],
  ])('is STORE_NOT_READY, and no empty tree, when %s has no column %s', async (table, column, uncounted) => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => database.exec(`ALTER TABLE ${table} RENAME COLUMN ${column} TO renamed`))
    await using set = await setOf(await fixture.open())
    expect(await failureOf(set)).toEqual(['STORE_NOT_READY', true])
    // Counting goes on, and tells the rows that it could not read.
    expect((await verifyStores(set)).total.ignored).toBe(uncounted)
  })

  it('lists no emptiness when the sessions lose a column that all have had', async () => {
    using fixture = make([SESSION])
    await using set = await setOf(await fixture.open())
    tamper(fixture.path, (database) => database.exec('ALTER TABLE session RENAME COLUMN id TO renamed'))
    await set.refresh()
    expect(set.index.sessionsByTime().map(({ id }) => id)).toEqual([SESSION.id])
    expect(set.issues).toMatchObject([{ code: 'STORE_NOT_READY', transient: true }])
  })
})

async function failureOf(set: Sessions): Promise<unknown> {
  const result = await runSessionTreeFlow(set, { session: KEY, deep: true })
  return result.status === 'failed' && [result.error.code, result.error.retryable]
}

describe('a writer that keeps everybody out', () => {
  const BUSY_MS = 20

  /** Not in WAL mode, where nobody is kept out. */
  function exclusive(): Disposable & { readonly path: string; readonly writer: Database.Database } {
    const world = databaseWith((database) => {
      database.pragma('journal_mode = DELETE')
      database.exec(openCodeTables('1.18'))
      database
        .prepare(
          "INSERT INTO session (id, project_id, slug, directory, title, version, time_created, time_updated) VALUES (?, 'p', 's', '/d', 't', '1', 1, 1)",
        )
        .run(SESSION.id)
    })
    return { path: world.path, writer: world.database, [Symbol.dispose]: () => world[Symbol.dispose]() }
  }

  it('makes opening STORE_BUSY, after the time that it may take', async () => {
    using world = exclusive()
    world.writer.exec('BEGIN EXCLUSIVE')
    await expect(openDatabase(world.path, { busyTimeoutMs: BUSY_MS })).rejects.toMatchObject({
      code: 'STORE_BUSY',
      retryable: true,
      path: world.path,
    })
    world.writer.exec('ROLLBACK')
    await using database = await openDatabase(world.path, { busyTimeoutMs: BUSY_MS })
    expect(database.stores).toHaveLength(1)
  })

  it('is an issue while it lasts: what was listed stays, and what could not be opened is opened when it may be', async () => {
    using world = exclusive()
    using second = exclusive()
    const clock = manualClock(START)
    const discover = () => storesAt([world.path, second.path])
    second.writer.exec('BEGIN EXCLUSIVE')
    const source = liveStores({ discover, clock, busyTimeoutMs: BUSY_MS })
    await using set = await createSessionSet(source, { clock })
    expect(set.issues).toMatchObject([{ code: 'STORE_BUSY', path: second.path, transient: true }])
    world.writer.exec('BEGIN EXCLUSIVE')
    await set.refresh()
    expect(set.index.sessionsByTime().map(({ source }) => source.path)).toEqual([world.path])
    expect(set.issues.map(({ code, path }) => [code, path]).sort()).toEqual([world.path, second.path].map((path) => ['STORE_BUSY', path]).sort())
    world.writer.exec('ROLLBACK')
    second.writer.exec('ROLLBACK')
    await set.refresh()
    expect([set.issues, set.stores.length]).toEqual([[], 2])
  })

  it('does not, in WAL mode', async () => {
    using fixture = make([SESSION])
    const writer = new Database(fixture.path)
    writer.exec('BEGIN EXCLUSIVE')
    await using database = await openDatabase(fixture.path, { busyTimeoutMs: BUSY_MS })
    expect((await database.stores[0]?.sessions())?.entries).toHaveLength(1)
    writer.close()
  })
})

describe('a connection that was closed', () => {
  it('is STORE_NOT_READY in every method of the store, and never an error of the driver', async () => {
    using fixture = make([SESSION])
    const store = await fixture.open()
    const [message] = (await store.messages(KEY)).entries
    await store[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    const messages = message === undefined ? [] : [message.id]
    const calls = [
      () => store.sessions(),
      () => store.messageCounts([KEY]),
      () => store.messages(KEY),
      () => store.parts(KEY, messages),
      () => store.price([{ kind: 'session', key: KEY }]),
      () => store.open([{ kind: 'session', key: KEY }], new Slab()),
      () =>
        store.openParts(
          KEY,
          messages.map((id) => ({ ...KEY, kind: 'message' as const, message: id })),
          new Slab(),
        ),
      () => store.revision(KEY),
      () => firstOf(store.census(() => new Slab())),
    ]
    for (const call of calls) await expect(call()).rejects.toMatchObject({ name: 'StorageError', code: 'STORE_NOT_READY' })
  })
})
