/** An index over stores that come and go: what is only absent, failing or not made yet is never taken for deleted. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openSessions } from '../../src/open.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { type Corpus, conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { databaseWith, putDatabase, tamper } from '../support/databases.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf } from '../support/index-world.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { jsonFixture, sqliteFixture, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { keyOf } from '../support/trees.js'

const TALK = conversation(WRAP - 3 * DAY + 1000, 6)
const SESSION = corpusSession(WRAP - 3 * DAY, TALK)
/** As a store of files kept it: OpenCode went on in its database. */
const OLDER = { ...SESSION, messages: TALK.slice(0, 2) }
const OTHER = corpusSession(WRAP - 2 * DAY, conversation(WRAP - 2 * DAY, 2))

interface Place extends AsyncDisposable {
  readonly data: string
  readonly database: string
  readonly sessions: Sessions
  readonly it: Rig
  /** Another process on the same index, over the stores as they are now. */
  later(): Promise<AsyncDisposable & { readonly indexer: Rig['indexer']; readonly sessions: Sessions }>
}

/** A data folder with a database and, if there is something for it, a tree of files; all of it is indexed. */
async function place(corpus: Corpus, tree: Corpus = []): Promise<Place> {
  const folder = tempFolder()
  const data = join(folder.path, 'opencode')
  const database = join(data, 'opencode.db')
  mkdirSync(data)
  put(database, corpus)
  if (tree.length > 0) putTree(data, tree)
  const open = (): Promise<Sessions> => openSessions({ data })
  const sessions = await open()
  const it = await rig({ sessions: sessionSource(sessions) })
  it.clock.advance(WRAP - it.clock.wall)
  await it.run()
  return {
    data,
    database,
    sessions,
    it,
    later: async () => {
      const own = await open()
      const { indexer } = await it.join(2, { sessions: sessionSource(own) })
      return { indexer, sessions: own, [Symbol.asyncDispose]: () => own.close() }
    },
    async [Symbol.asyncDispose]() {
      await it[Symbol.asyncDispose]()
      await sessions.close()
      folder[Symbol.dispose]()
    },
  }
}

function put(path: string, corpus: Corpus): void {
  using fixture = sqliteFixture('1.18')(corpus)
  putDatabase(fixture.path, path)
}

function putTree(data: string, corpus: Corpus): void {
  using fixture = jsonFixture(corpus)
  renameSync(fixture.path, join(data, 'storage'))
}

const aside = (path: string): string => `${path}.aside`

/** A pass of the index, after as long as an incomplete session waits. */
async function pass({ it }: Place, indexer = it.indexer): Promise<Awaited<ReturnType<Rig['indexer']['observe']>>> {
  it.clock.advance(1_000_000)
  const report = await indexer.observe()
  await indexer.drain()
  return report
}

describe('a database that is gone', () => {
  it('takes no document with it, and what is added beside it is indexed', async () => {
    await using there = await place([SESSION, OTHER])
    const before = contentOf(there.it.sink)
    renameSync(there.database, aside(there.database))
    expect(await pass(there)).toMatchObject({ sessions: 0, removed: 0, elsewhere: 2 })
    const added = corpusSession(WRAP - DAY, conversation(WRAP - DAY, 1))
    putTree(there.data, [added])
    expect(await pass(there)).toMatchObject({ sessions: 1, removed: 0, elsewhere: 2 })
    const now = contentOf(there.it.sink)
    for (const [id, content] of before) expect(now.get(id)).toEqual(content)
    expect(now.size).toBeGreaterThan(before.size)
    const source = sessionSource(there.sessions)
    await expect(source.revision(keyOf(SESSION.id), there.database)).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    await expect(source.revision(keyOf(SESSION.id))).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    renameSync(aside(there.database), there.database)
    expect(await pass(there)).toMatchObject({ changed: 0, removed: 0, elsewhere: 0, complete: true })
  })

  it('does not hand its sessions over to an older copy that is left', async () => {
    await using there = await place([SESSION], [OLDER, OTHER])
    const before = contentOf(there.it.sink)
    renameSync(there.database, aside(there.database))
    expect(await pass(there)).toMatchObject({ sessions: 2, changed: 0, removed: 0, elsewhere: 1 })
    expect(contentOf(there.it.sink)).toEqual(before)
    renameSync(aside(there.database), there.database)
    expect(await pass(there)).toMatchObject({ sessions: 2, changed: 0, elsewhere: 0 })
    expect(contentOf(there.it.sink)).toEqual(before)
  })

  it('does not do so either when the session was queued before, and is read once it is back', async () => {
    await using there = await place([SESSION], [OLDER])
    const before = contentOf(there.it.sink)
    tamper(there.database, (database) => database.exec('UPDATE message SET time_updated = time_updated + 1'))
    there.it.clock.advance(1_000_000)
    expect(await there.it.indexer.observe()).toMatchObject({ changed: 1 })
    renameSync(there.database, aside(there.database))
    await there.sessions.refresh()
    expect(there.sessions.index.session(keyOf(SESSION.id))?.source.kind).toBe('opencode-json')
    expect(await there.it.indexer.drain()).toMatchObject({ failed: 1 })
    expect(contentOf(there.it.sink)).toEqual(before)
    expect(there.it.state.status().lastError?.code).toBe('STORE_NOT_READY')
    renameSync(aside(there.database), there.database)
    await there.sessions.refresh()
    there.it.clock.advance(1_000_000)
    expect(await there.it.indexer.drain()).toMatchObject({ failed: 0 })
    expect(contentOf(there.it.sink)).toEqual(before)
    expect(there.it.state.status().queue.ready).toBe(0)
  })
})

describe('a database that fails', () => {
  it.each<[string, (path: string) => void, string]>([
    ['holds something else', (path) => writeFileSync(path, 'no database at all '.repeat(500)), 'STORE_DAMAGED'],
    ['is of another program', (path) => fill(path, 'CREATE TABLE urls (id integer)'), 'STORE_UNSUPPORTED'],
    ['cannot be looked at', (path) => symlinkSync(path, path), 'STORE_UNREADABLE'],
    ['is not finished', (path) => fill(path, 'CREATE TABLE migration (id text); CREATE TABLE project (id text)'), 'STORE_NOT_READY'],
  ])('keeps its documents, in this process and in the next: it %s', async (_name, spoil, code) => {
    await using there = await place([SESSION], [OLDER, OTHER])
    const before = contentOf(there.it.sink)
    renameSync(there.database, aside(there.database))
    spoil(there.database)
    expect(await pass(there)).toMatchObject({ removed: 0, elsewhere: 1 })
    expect(there.sessions.issues).toMatchObject([{ code, path: there.database }])
    await using next = await there.later()
    expect(await pass(there, next.indexer)).toMatchObject({ sessions: 2, removed: 0, elsewhere: 1 })
    expect(contentOf(there.it.sink)).toEqual(before)
    rmSync(there.database)
    renameSync(aside(there.database), there.database)
    expect(await pass(there, next.indexer)).toMatchObject({ sessions: 2, removed: 0, elsewhere: 0 })
    expect(contentOf(there.it.sink)).toEqual(before)
  })

  it('holds up no other store', async () => {
    await using there = await place([SESSION], [OTHER])
    const before = contentOf(there.it.sink)
    tamper(there.database, (database) => database.exec('ALTER TABLE message RENAME TO aside'))
    const added = corpusSession(WRAP - DAY, conversation(WRAP - DAY, 1))
    writeTreeSessions(join(there.data, 'storage'), [added])
    expect(await pass(there)).toMatchObject({ sessions: 2, changed: 1, removed: 0, complete: false })
    expect(contentOf(there.it.sink)).toEqual(before)
    const { sessions, stores, isUnknown } = await sessionSource(there.sessions).list()
    expect(sessions.map(({ meta }) => meta.id).sort()).toEqual([OTHER.id, added.id].sort())
    expect(stores).toEqual([
      { path: there.database, complete: false },
      { path: join(there.data, 'storage'), complete: true },
    ])
    expect([isUnknown?.(there.database), isUnknown?.(join(there.data, 'storage')), isUnknown?.('/elsewhere'), isUnknown?.('')]).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('keeps its documents while it lacks the table of its messages, in the next process too', async () => {
    await using there = await place([SESSION])
    const before = contentOf(there.it.sink)
    tamper(there.database, (database) => database.exec('ALTER TABLE message RENAME TO aside'))
    await using next = await there.later()
    expect(next.sessions.issues).toMatchObject([{ code: 'STORE_NOT_READY', transient: true }])
    expect(await pass(there, next.indexer)).toMatchObject({ changed: 1, removed: 0, complete: false })
    expect(contentOf(there.it.sink)).toEqual(before)
    expect(there.it.state.sessions()).toMatchObject([{ incomplete: true }])
    tamper(there.database, (database) => database.exec('ALTER TABLE aside RENAME TO message'))
    await pass(there, next.indexer)
    expect(contentOf(there.it.sink)).toEqual(before)
    expect(there.it.state.sessions()).toMatchObject([{ incomplete: false }])
  })

  it('is not the only one that is not known when its folder cannot be looked into', async () => {
    await using there = await place([SESSION])
    const before = contentOf(there.it.sink)
    using second = jsonFixture([OTHER])
    renameSync(there.data, aside(there.data))
    symlinkSync(there.data, there.data)
    await using sessions = await openSessions({ data: [there.data, second.path] })
    const { indexer } = await there.it.join(2, { sessions: sessionSource(sessions) })
    const { isUnknown } = await sessionSource(sessions).list()
    expect([isUnknown?.(there.database), isUnknown?.(second.path), isUnknown?.(`${there.data}-other/opencode.db`)]).toEqual([true, false, false])
    expect(await pass(there, indexer)).toMatchObject({ sessions: 1, removed: 0, elsewhere: 1 })
    for (const [id, content] of before) expect(contentOf(there.it.sink).get(id)).toEqual(content)
    rmSync(there.data)
    renameSync(aside(there.data), there.data)
  })
})

describe('a database that is made anew', () => {
  it.each<[string, (path: string) => void]>([
    ['has no byte yet', (path) => writeFileSync(path, '')],
    ['has no table yet', (path) => fill(path, 'CREATE TABLE a (id integer); DROP TABLE a')],
  ])('deletes nothing while it %s, and what it lacks once it has its tables', async (_name, make) => {
    await using there = await place([SESSION, OTHER])
    const before = contentOf(there.it.sink)
    rmSync(there.database)
    make(there.database)
    expect(await pass(there)).toMatchObject({ sessions: 0, removed: 0, complete: false })
    expect(contentOf(there.it.sink)).toEqual(before)
    const writer = new Database(there.database)
    writer.exec(openCodeTables('1.18'))
    writer.close()
    expect(await pass(there)).toMatchObject({ sessions: 0, removed: 2, complete: true })
    expect(there.it.sink.rows.size).toBe(0)
  })

  it('deletes nothing in the next process while it has no byte', async () => {
    await using there = await place([SESSION])
    const before = contentOf(there.it.sink)
    rmSync(there.database)
    writeFileSync(there.database, '')
    await using next = await there.later()
    expect(await pass(there, next.indexer)).toMatchObject({ sessions: 0, removed: 0, complete: false })
    expect(contentOf(there.it.sink)).toEqual(before)
  })

  it('replaces what it replaces: sessions that it lacks are deleted, others are read from it', async () => {
    await using there = await place([SESSION, OTHER])
    const edited = { ...SESSION, messages: TALK.slice(0, 4) }
    put(there.database, [edited])
    expect(await pass(there)).toMatchObject({ sessions: 1, removed: 1, changed: 1, complete: true })
    await using fresh = await place([edited])
    expect(contentOf(there.it.sink)).toEqual(contentOf(fresh.it.sink))
  })
})

describe('two processes of which one has an older listing', () => {
  const shown = (there: Place, text: string | null): void =>
    tamper(there.database, (database) => database.prepare('UPDATE session SET revert = ?, time_updated = time_updated + 1').run(text))

  it('show what the observation that is answered saw, whoever made it', async () => {
    await using there = await place([SESSION])
    const before = contentOf(there.it.sink)
    shown(there, JSON.stringify({ messageID: TALK[0]?.id }))
    await pass(there)
    expect(there.it.sink.rows.size).toBe(0)
    shown(there, null)
    await using next = await there.later()
    await next.indexer.observe()
    await there.it.indexer.drain()
    expect(contentOf(there.it.sink)).toEqual(before)
    expect(await pass(there)).toMatchObject({ changed: 0 })
  })
})

function fill(path: string, sql: string): void {
  using filled = databaseWith((database) => database.exec(sql))
  putDatabase(filled.path, path)
}
