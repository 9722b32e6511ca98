/** Stores that appear, are replaced, upgraded and go while a set of sessions is open. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { openSessions } from '../../src/open.js'
import { liveStores } from '../../src/storage/live-stores.js'
import { storesAt } from '../../src/storage/paths.js'
import type { Store } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { describeStores } from '../../src/tree/sessions/stores.js'
import { type Corpus, conversation, corpusSession } from '../support/corpus.js'
import { databaseWith, putDatabase, tamper } from '../support/databases.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { eraAFixture, jsonFixture, sqliteFixture, writeEraASessions, writeTreeSessions } from '../support/store-fixtures.js'
import { type TempFolder, tempFolder } from '../support/temp.js'
import { keyOf, treeOf } from '../support/trees.js'
import { openCode2Tables } from '../support/v2-ddl.js'
import { insertV2Session, v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))
const OTHER = corpusSession(START + 1, conversation(START + 500_000, 1))

interface DataFolder extends TempFolder {
  readonly database: string
  /** Puts a database with these sessions into the place of whatever is there. */
  put(corpus: Corpus, name?: string): void
  open(): Promise<Sessions>
}

function dataFolder(): DataFolder {
  const folder = tempFolder()
  const data = join(folder.path, 'opencode')
  mkdirSync(data)
  return {
    path: data,
    database: join(data, 'opencode.db'),
    put: (corpus, name = 'opencode.db') => {
      using fixture = sqliteFixture('1.18')(corpus)
      putDatabase(fixture.path, join(data, name))
    },
    open: () => openSessions({ env: { XDG_DATA_HOME: folder.path, HOME: folder.path } }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

function putV2(path: string, corpus: Corpus): void {
  using fixture = v2Fixture(corpus)
  putDatabase(fixture.path, path)
}

const ids = (set: Sessions): string[] => set.index.sessionsByTime().map(({ id }) => id)
const kinds = (set: Sessions): string[] => set.stores.map(({ kind }) => kind)
const codes = (set: Sessions): unknown[] => set.issues.map(({ code, path, transient }) => [code, path, transient === true])

describe('a store that appears', () => {
  it('is read from the next refresh on, whatever its era; the others stay open', async () => {
    using data = dataFolder()
    await using set = await data.open()
    expect(kinds(set)).toEqual([])
    writeEraASessions(join(data.path, 'project'), [OTHER])
    await set.refresh()
    expect([kinds(set), ids(set)]).toEqual([['opencode-era-a'], [OTHER.id]])
    const [eraA] = set.stores
    writeTreeSessions(join(data.path, 'storage'), [OTHER])
    await set.refresh()
    expect(kinds(set)).toEqual(['opencode-json', 'opencode-era-a'])
    data.put([SESSION])
    await set.refresh()
    expect(kinds(set)).toEqual(['opencode-sqlite', 'opencode-json', 'opencode-era-a'])
    expect(ids(set).sort()).toEqual([SESSION.id, OTHER.id].sort())
    expect(set.stores[2]).toBe(eraA)
    const before = set.stores
    await set.refresh()
    expect(set.stores).toEqual(before)
    for (const [at, store] of set.stores.entries()) expect(store).toBe(before[at])
  })

  it('is opened once by refreshes at the same time', async () => {
    using data = dataFolder()
    await using set = await data.open()
    data.put([SESSION])
    const seen: (Store | undefined)[] = []
    await Promise.all([1, 2, 3].map(() => set.refresh().then(() => seen.push(set.stores[0]))))
    expect(new Set(seen).size).toBe(1)
    expect(seen[0]?.kind).toBe('opencode-sqlite')
  })

  it('is found by the refresh after one that was aborted', async () => {
    using data = dataFolder()
    await using set = await data.open()
    data.put([SESSION])
    const reason = new Error('enough')
    await expect(set.refresh({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await set.refresh()
    expect(ids(set)).toEqual([SESSION.id])
  })
})

describe('a database that is replaced', () => {
  it('is not closed by refreshes that were aborted: the set still has it', async () => {
    using data = dataFolder()
    data.put([SESSION])
    data.put([OTHER], 'opencode-z.db')
    const abort = new AbortController()
    await using source = liveStores({ discover: () => storesAt([data.path]), clock: systemClock })
    await source.refresh()
    data.put([SESSION, OTHER])
    // Between the first database and the second.
    const aborted = source.refresh({ signal: abort.signal })
    await Promise.resolve().then(() => abort.abort(new Error('enough')))
    await expect(aborted).rejects.toThrow('enough')
    await expect(source.refresh({ signal: abort.signal })).rejects.toThrow('enough')
    await expect(source.refresh({ signal: abort.signal })).rejects.toThrow('enough')
    const [old] = source.stores
    expect((await old?.messages(keyOf(SESSION.id)))?.entries).toHaveLength(SESSION.messages.length)
    await source.refresh()
    expect(source.stores[0]).not.toBe(old)
    await source.refresh()
    await expect(old?.messages(keyOf(SESSION.id))).rejects.toMatchObject({ code: 'STORE_NOT_READY' })
  })

  it('is opened anew: the sessions, and the messages of a session that both hold, are those of the new file', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await data.open()
    await set.index.messages(keyOf(SESSION.id))
    // As many messages, the last one the same: a list that went on from the old one would keep the first ones.
    const [, ...rest] = SESSION.messages
    const [first] = conversation(START + 500, 1)
    const edited = { ...SESSION, messages: first === undefined ? rest : [first, ...rest] }
    data.put([edited, OTHER])
    await set.refresh()
    expect(ids(set).sort()).toEqual([SESSION.id, OTHER.id].sort())
    expect(set.issues).toEqual([])
    const { messages } = await treeOf(set, { session: keyOf(SESSION.id) })
    expect(messages.map(({ key }) => key.message)).toEqual(edited.messages.map(({ id }) => id))
  })

  it('may be of the other generation', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await data.open()
    putV2(data.database, [OTHER])
    await set.refresh()
    expect([kinds(set), ids(set), set.issues]).toEqual([['opencode-v2'], [OTHER.id], []])
    data.put([SESSION])
    await set.refresh()
    expect([kinds(set), ids(set)]).toEqual([['opencode-sqlite'], [SESSION.id]])
  })

  it('is noticed when its -wal was taken away around SQLite and the file was overwritten in place', async () => {
    using old = sqliteFixture('1.18')([SESSION])
    await using set = await openSessions({ data: old.path })
    const [before] = set.stores
    using fixture = sqliteFixture('1.18')([OTHER])
    using folder = tempFolder()
    putDatabase(fixture.path, join(folder.path, 'backup.db'))
    for (const ending of ['-wal', '-shm']) rmSync(`${old.path}${ending}`)
    writeFileSync(old.path, readFileSync(join(folder.path, 'backup.db')))
    await set.refresh()
    expect(set.stores[0]).not.toBe(before)
    expect(ids(set)).toEqual([OTHER.id])
  })

  it.each<[string, (path: string) => void, string]>([
    ['a text', (path) => writeFileSync(`${path}.new`, 'this is no database, and long enough to be one'.repeat(200)), 'STORE_DAMAGED'],
    ['the database of another program', (path) => fillDatabase(`${path}.new`, 'CREATE TABLE urls (id integer)'), 'STORE_UNSUPPORTED'],
    ['a folder', (path) => mkdirSync(`${path}.new`), 'STORE_UNREADABLE'],
  ])('by %s is an issue, and read again once it is a database again', async (_name, make, code) => {
    using data = dataFolder()
    data.put([SESSION])
    writeTreeSessions(join(data.path, 'storage'), [OTHER])
    await using set = await data.open()
    rmSync(data.database)
    make(data.database)
    renameSync(`${data.database}.new`, data.database)
    for (let i = 0; i < 2; i++) {
      await set.refresh()
      expect([kinds(set), ids(set), codes(set)]).toEqual([['opencode-json'], [OTHER.id], [[code, data.database, false]]])
    }
    rmSync(data.database, { recursive: true })
    data.put([SESSION])
    await set.refresh()
    expect([ids(set).sort(), set.issues]).toEqual([[SESSION.id, OTHER.id].sort(), []])
  })
})

function fillDatabase(path: string, sql: string): void {
  using filled = databaseWith((database) => database.exec(sql))
  putDatabase(filled.path, path)
}

describe('a store that goes', () => {
  it.each<[string, (data: DataFolder) => string, string]>([
    ['a database', (data) => data.database, 'the database that was open here is gone'],
    ['a tree of files', (data) => join(data.path, 'storage'), 'the tree that was open here is gone'],
    ['the trees of era A', (data) => join(data.path, 'project'), 'the tree that was open here is gone'],
  ])('is an issue until it is back: %s', async (_name, pathIn, reason) => {
    using data = dataFolder()
    data.put([SESSION])
    writeTreeSessions(join(data.path, 'storage'), [OTHER])
    writeEraASessions(join(data.path, 'project'), [corpusSession(START + 2, [])])
    await using set = await data.open()
    const before = ids(set)
    const path = pathIn(data)
    renameSync(path, `${path}.aside`)
    for (let i = 0; i < 2; i++) {
      await set.refresh()
      expect(set.issues).toEqual([{ code: 'STORE_MISSING', path, reason }])
      expect(ids(set)).toHaveLength(before.length - 1)
    }
    renameSync(`${path}.aside`, path)
    await set.refresh()
    expect([ids(set), set.issues]).toEqual([before, []])
  })

  it('is an issue when all of them go with their folder, and they are read when it is back', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await openSessions({ data: data.path })
    renameSync(data.path, `${data.path}.aside`)
    await set.refresh()
    expect([ids(set), codes(set)]).toEqual([
      [],
      [
        ['STORE_MISSING', data.path, false],
        ['STORE_MISSING', data.database, false],
      ],
    ])
    renameSync(`${data.path}.aside`, data.path)
    await set.refresh()
    expect([ids(set), set.issues]).toEqual([[SESSION.id], []])
  })

  it('is none that only got another name', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await data.open()
    renameSync(data.database, join(data.path, 'opencode-old.db'))
    await set.refresh()
    expect([ids(set), set.issues]).toEqual([[SESSION.id], []])
    expect(set.stores.map(({ path }) => path)).toEqual([join(data.path, 'opencode-old.db')])
  })
})

describe('a store that was let go', () => {
  it('is read to the next refresh, and then STORE_NOT_READY', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await data.open()
    const [old] = set.stores
    data.put([OTHER])
    await set.refresh()
    expect((await old?.messages(keyOf(SESSION.id)))?.entries).toHaveLength(SESSION.messages.length)
    await set.refresh()
    await expect(old?.messages(keyOf(SESSION.id))).rejects.toMatchObject({ code: 'STORE_NOT_READY', retryable: true, path: data.database })
    await expect(old?.sessions()).rejects.toMatchObject({ code: 'STORE_NOT_READY' })
    await expect(old?.revision(keyOf(SESSION.id))).rejects.toMatchObject({ code: 'STORE_NOT_READY' })
  })

  it('by closing the set is SET_CLOSED at once, and so is a refresh', async () => {
    using data = dataFolder()
    data.put([SESSION])
    const set = await data.open()
    const [store] = set.stores
    await set.close()
    await set.close()
    const closed = { code: 'SET_CLOSED', retryable: false, reason: 'the set of sessions was closed' }
    await expect(store?.messages(keyOf(SESSION.id))).rejects.toMatchObject({ ...closed, path: data.database })
    await expect(set.refresh()).rejects.toMatchObject(closed)
    await expect(set.locate(keyOf(SESSION.id))).rejects.toMatchObject(closed)
    await expect(describeStores(set)).rejects.toMatchObject(closed)
    await expect(runSessionTreeFlow(set, { session: keyOf(SESSION.id) })).rejects.toMatchObject(closed)
  })
})

describe('a database that is upgraded while it is open', () => {
  it('gets the store of OpenCode 2 beside the one of 1.x, which stays open', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    await using set = await openSessions({ data: fixture.path })
    const [v1] = set.stores
    tamper(fixture.path, (database) => {
      database.exec(openCode2Tables())
      insertV2Session(database, OTHER)
    })
    await set.refresh()
    expect(kinds(set)).toEqual(['opencode-v2', 'opencode-sqlite'])
    expect(set.stores[1]).toBe(v1)
    expect(ids(set).sort()).toEqual([SESSION.id, OTHER.id].sort())
  })

  it('loses the store whose tables it loses', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => {
      database.exec(openCode2Tables())
      insertV2Session(database, OTHER)
    })
    await using set = await openSessions({ data: fixture.path })
    tamper(fixture.path, (database) => database.exec('DROP TABLE session; DROP TABLE message; DROP TABLE part'))
    await set.refresh()
    expect([kinds(set), ids(set), set.issues]).toEqual([['opencode-v2'], [OTHER.id], []])
  })

  it.each<[string, string, string]>([
    ['1.x', openCodeTables('1.18'), 'opencode-sqlite'],
    ['2.x', openCode2Tables(), 'opencode-v2'],
  ])('of a first start becomes one of %s, by way of its bookkeeping', async (_name, tables, kind) => {
    using world = databaseWith((database) => database.pragma('user_version = 0'))
    await using set = await openSessions({ data: world.path })
    expect([kinds(set), set.issues]).toEqual([['opencode-sqlite'], []])
    world.database.exec('CREATE TABLE migration (id text PRIMARY KEY, time_completed integer NOT NULL)')
    await set.refresh()
    expect([kinds(set), set.issues]).toEqual([['opencode-sqlite'], []])
    world.database.exec(tables)
    await set.refresh()
    expect([kinds(set), set.issues]).toEqual([[kind], []])
  })
})

describe('a database that is not whole', () => {
  it('is said not to be ready when it had tables and has none: it may be restored from a copy', async () => {
    using data = dataFolder()
    data.put([SESSION])
    await using set = await data.open()
    rmSync(data.database)
    writeFileSync(data.database, '')
    await set.refresh()
    expect([ids(set), codes(set)]).toEqual([[], [['STORE_NOT_READY', data.database, true]]])
    data.put([SESSION])
    await set.refresh()
    expect([ids(set), set.issues]).toEqual([[SESSION.id], []])
  })

  it('is said not to be ready while it lacks a table of records', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => database.exec('ALTER TABLE message RENAME TO message_old'))
    await using set = await openSessions({ data: fixture.path })
    expect(set.issues).toEqual([{ code: 'STORE_NOT_READY', path: fixture.path, reason: 'the database has no table message', transient: true }])
    tamper(fixture.path, (database) => database.exec('ALTER TABLE message_old RENAME TO message'))
    await set.refresh()
    expect(set.issues).toEqual([])
    expect((await treeOf(set, { session: keyOf(SESSION.id) })).messages).toHaveLength(SESSION.messages.length)
  })

  it.each([
    ['one of its tables', 'DROP TABLE session_message'],
    ['the other one', 'DROP TABLE session_v2'],
    ['both', 'DROP TABLE session_message; DROP TABLE session_v2'],
  ])('is said not to be ready when OpenCode 2 loses %s beside those of 1.x', async (_, drop) => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => {
      database.exec(openCode2Tables())
      insertV2Session(database, OTHER)
    })
    await using set = await openSessions({ data: fixture.path })
    tamper(fixture.path, (database) => database.exec(drop))
    await set.refresh()
    expect([kinds(set), codes(set)]).toEqual([['opencode-sqlite'], [['STORE_NOT_READY', fixture.path, true]]])
    tamper(fixture.path, (database) => database.exec('CREATE TABLE something_else (id text)'))
    await set.refresh()
    expect(codes(set)).toEqual([['STORE_NOT_READY', fixture.path, true]])
  })

  it('is said not to be ready with half of the tables of OpenCode 2 beside those of 1.x', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => database.exec(`${openCode2Tables()}; DROP TABLE session_message`))
    await using set = await openSessions({ data: fixture.path })
    const reason = 'the database has no table session_message'
    expect([ids(set), set.issues]).toEqual([[SESSION.id], [{ code: 'STORE_NOT_READY', path: fixture.path, reason, transient: true }]])
  })

  it('is refused, to be tried again, while OpenCode has made none of the tables of its sessions', async () => {
    using world = databaseWith((database) => database.exec('CREATE TABLE migration (id text); CREATE TABLE project (id text)'))
    await expect(openSessions({ data: world.path })).rejects.toMatchObject({ code: 'STORE_NOT_READY', retryable: true, path: world.path })
  })
})

it('trees of files that are replaced are new stores', async () => {
  using fixture = jsonFixture([SESSION])
  using second = jsonFixture([OTHER])
  using older = eraAFixture()([SESSION])
  await using set = await openSessions({ data: [fixture.path, older.path] })
  const [before, eraA] = set.stores
  renameSync(fixture.path, `${fixture.path}.aside`)
  renameSync(second.path, fixture.path)
  await set.refresh()
  expect(set.stores[0]).not.toBe(before)
  expect(set.stores[1]).toBe(eraA)
  expect(ids(set).sort()).toEqual([SESSION.id, OTHER.id].sort())
})
