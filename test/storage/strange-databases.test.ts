/** Databases by their names: those of other programs, what is no database, and one database by two names. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { databaseWith, putDatabase, tamper } from '../support/databases.js'
import { jsonFixture, type StoreFixture, sqliteFixture, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { openCode2Tables } from '../support/v2-ddl.js'
import { v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))
const OTHER = corpusSession(START + 1, conversation(START + 500_000, 1))
const make = sqliteFixture('1.18')

const GO_OPENCODE = `
  CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id integer NOT NULL, is_applied integer NOT NULL, tstamp text);
  CREATE TABLE sessions (id text PRIMARY KEY, parent_session_id text, title text NOT NULL, message_count integer NOT NULL, cost real NOT NULL);
  CREATE TABLE files (id text PRIMARY KEY, session_id text NOT NULL, path text NOT NULL, content text NOT NULL, version text NOT NULL);
  CREATE TABLE messages (id text PRIMARY KEY, session_id text NOT NULL, role text NOT NULL, parts text NOT NULL DEFAULT '[]', model text);`

const ids = (set: Sessions): string[] => set.index.sessionsByTime().map(({ id }) => id)
const paths = (set: Sessions): string[] => set.stores.map(({ path }) => path)
const dataOf = (fixture: StoreFixture): string => dirname(fixture.path)

function goDatabase(path: string): void {
  using filled = databaseWith((database) => database.exec(GO_OPENCODE))
  putDatabase(filled.path, path)
}

describe('the database of the OpenCode that is written in Go', () => {
  it('is named by the error when it is the only one, and `ls` ends with a failure', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode', 'opencode.db')
    mkdirSync(dirname(path))
    goDatabase(path)
    const expected = { code: 'STORE_UNSUPPORTED', path, reason: expect.stringContaining('written in Go') }
    await expect(openSessions({ env: { XDG_DATA_HOME: folder.path, HOME: folder.path } })).rejects.toMatchObject(expected)
    const said = runCli(['ls', '--data', folder.path])
    expect([said.status, said.stdout]).toEqual([1, ''])
    expect(said.stderr).toContain('written in Go')
  })

  it('is one issue beside a store that can be read', async () => {
    using fixture = make([SESSION])
    const path = join(dataOf(fixture), 'opencode-go.db')
    goDatabase(path)
    await using set = await openSessions({ data: dataOf(fixture) })
    expect(set.issues).toMatchObject([{ code: 'STORE_UNSUPPORTED', path, reason: expect.stringContaining('written in Go') }])
    expect(ids(set)).toEqual([SESSION.id])
  })
})

describe('a database of another program that has tables of the same names', () => {
  it.each([
    ['sessions of a web server', 'CREATE TABLE session (sid text PRIMARY KEY, sess text, expired integer)', 'session'],
    [
      'sessions of users',
      'CREATE TABLE session (id text PRIMARY KEY, user_id text, expires_at integer); CREATE TABLE user (id text)',
      'session, user',
    ],
    ['a chat', 'CREATE TABLE message (id integer PRIMARY KEY, sender text, body text); CREATE TABLE chat (id integer)', 'chat, message'],
    ['parts in stock', 'CREATE TABLE part (number text, price real)', 'part'],
    ['a later generation', 'CREATE TABLE session_v2 (sid text); CREATE TABLE session_message (sid text)', 'session_message, session_v2'],
  ])('is unsupported: %s', async (_name, sql, tables) => {
    using filled = databaseWith((database) => database.exec(sql))
    const reason = `this is a database of another program (tables ${tables})`
    await expect(openSessions({ data: filled.path })).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED', path: filled.path, reason })
    expect(runCli(['ls', '--data', filled.path]).status).toBe(1)
  })
})

describe('what bears the name of a database and is none', () => {
  it.each<[string, (path: string) => void, string, string]>([
    ['a text', (path) => writeFileSync(path, 'no database at all '.repeat(500)), 'STORE_DAMAGED', 'SQLite says'],
    ['a folder', (path) => mkdirSync(path), 'STORE_UNREADABLE', 'this is a folder, not a database'],
    ['a link that leads nowhere', (path) => symlinkSync('/nowhere/opencode.db', path), 'STORE_MISSING', 'a link that leads nowhere'],
    ['a link to itself', (path) => symlinkSync(path, path), 'STORE_UNREADABLE', 'it cannot be looked at (ELOOP)'],
    ['a named pipe', (path) => void execFileSync('mkfifo', [path]), 'STORE_UNREADABLE', 'this is no regular file, not a database'],
  ])('is one issue beside a store that can be read: %s', async (_name, put, code, reason) => {
    using fixture = make([SESSION])
    const path = join(dataOf(fixture), 'opencode-odd.db')
    put(path)
    const expected = { code, path, reason: expect.stringContaining(reason) }
    await using found = await openSessions({ data: dataOf(fixture) })
    expect([found.issues, ids(found)]).toMatchObject([[expected], [SESSION.id]])
    // Named by OPENCODE_DB it is the same.
    await using named = await openSessions({ env: { HOME: '/nowhere', XDG_DATA_HOME: dirname(dataOf(fixture)), OPENCODE_DB: path } })
    expect([named.issues, ids(named)]).toMatchObject([[expected], [SESSION.id]])
    await expect(openSessions({ data: path })).rejects.toMatchObject({ path })
  })
})

describe('a file that is named', () => {
  it.each(['passwd', 'notes.txt'])('is no store, when it is neither a database nor a log: %s', async (name) => {
    using folder = tempFolder()
    const path = join(folder.path, name)
    writeFileSync(path, 'root:x:0:0:root:/root:/bin/sh\n')
    const reason = 'this file is no store: no database of OpenCode, and by its name no log of pi, Claude Code, Codex or jcode'
    await expect(openSessions({ data: path })).rejects.toMatchObject({ code: 'STORE_MISSING', path, reason })
  })

  it('is a database by its first bytes, whatever its name is', async () => {
    using fixture = make([SESSION])
    using folder = tempFolder()
    const path = join(folder.path, 'backup-of-monday')
    putDatabase(join(dataOf(fixture), 'opencode.db'), path)
    await using set = await openSessions({ data: path })
    expect(ids(set)).toEqual([SESSION.id])
  })

  it('is a damaged one by its name', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'copy.db')
    writeFileSync(path, Buffer.alloc(8192))
    await expect(openSessions({ data: path })).rejects.toMatchObject({ code: 'STORE_DAMAGED', path })
  })
})

describe('several data paths', () => {
  it.each<[string, (path: string) => void, string]>([
    ['one that cannot be looked into', (path) => symlinkSync(path, path), 'STORE_UNREADABLE'],
    ['one that is not there', () => undefined, 'STORE_MISSING'],
    ['one that leads nowhere', (path) => symlinkSync('/nowhere', path), 'STORE_MISSING'],
    ['one without a store', (path) => mkdirSync(path), 'STORE_MISSING'],
  ])('are read, and %s is one issue', async (_name, put, code) => {
    using first = make([SESSION])
    using second = jsonFixture([OTHER])
    using folder = tempFolder()
    const odd = join(folder.path, 'odd')
    put(odd)
    await using set = await openSessions({ data: [dataOf(first), odd, second.path] })
    expect(set.issues).toMatchObject([{ code, path: odd }])
    expect(ids(set)).toEqual([OTHER.id, SESSION.id])
  })

  it('gives what can be read beside a `storage` that cannot', async () => {
    using fixture = make([SESSION])
    const storage = join(dataOf(fixture), 'storage')
    symlinkSync(storage, storage)
    await using set = await openSessions({ data: dataOf(fixture) })
    expect(set.issues).toMatchObject([{ code: 'STORE_UNREADABLE' }])
    expect(ids(set)).toEqual([SESSION.id])
  })
})

describe('one database by two names', () => {
  it('is opened once: by OPENCODE_DB through a link, and by its own name', async () => {
    using fixture = make([SESSION])
    using folder = tempFolder()
    const link = join(folder.path, 'mine.db')
    symlinkSync(fixture.path, link)
    await using set = await openSessions({ env: { HOME: '/nowhere', XDG_DATA_HOME: dirname(dataOf(fixture)), OPENCODE_DB: link } })
    // Most of it stands in the -wal, which is beside the file that the link leads to.
    expect([paths(set), ids(set), set.issues]).toEqual([[link], [SESSION.id], []])
  })

  it('is opened once by links within a data folder, by linked data folders, and by several paths', async () => {
    using fixture = make([SESSION])
    writeTreeSessions(join(dataOf(fixture), 'storage'), [OTHER])
    using folder = tempFolder()
    const linked = join(folder.path, 'linked')
    symlinkSync(dataOf(fixture), linked)
    symlinkSync(fixture.path, join(dataOf(fixture), 'opencode-same.db'))
    await using set = await openSessions({ data: [linked, dataOf(fixture), fixture.path] })
    expect(paths(set)).toEqual([join(linked, 'opencode.db'), join(linked, 'storage')])
    expect(set.stores.map(({ path }) => realpathSync(path))).toEqual([fixture.path, join(dataOf(fixture), 'storage')])
    expect([ids(set), set.issues]).toEqual([[OTHER.id, SESSION.id], []])
  })

  it('is followed when the link leads elsewhere', async () => {
    using first = make([SESSION])
    using second = make([OTHER])
    using folder = tempFolder()
    const link = join(folder.path, 'opencode.db')
    symlinkSync(first.path, link)
    await using set = await openSessions({ data: link })
    symlinkSync(second.path, `${link}.new`)
    renameSync(`${link}.new`, link)
    await set.refresh()
    expect([ids(set), set.issues]).toEqual([[OTHER.id], []])
  })
})

describe('the option store', () => {
  /** A data folder with a tree, a database of 1.x, one of 2.x, and one of another program. */
  function everything(): StoreFixture & { readonly data: string } {
    const fixture = make([SESSION])
    const data = dataOf(fixture)
    writeTreeSessions(join(data, 'storage'), [OTHER])
    using second = v2Fixture([corpusSession(START + 2, [])])
    putDatabase(second.path, join(data, 'opencode-next.db'))
    goDatabase(join(data, 'opencode-go.db'))
    return { ...fixture, data }
  }

  it.each([
    ['opencode-json', ['storage']],
    ['opencode-sqlite', ['opencode.db']],
    ['opencode-v2', ['opencode-next.db']],
    [
      ['opencode-v2', 'opencode-json'],
      ['opencode-next.db', 'storage'],
    ],
    ['opencode-era-a', []],
  ])('%j narrows to the stores of these kinds', async (store, expected) => {
    using world = everything()
    await using set = await openSessions({ data: world.data, store })
    expect(paths(set)).toEqual(expected.map((name) => join(world.data, name)))
    expect(ids(set)).toHaveLength(expected.length)
    await set.refresh()
    expect(ids(set)).toHaveLength(expected.length)
  })

  it('narrows to the store at a path: absolute, relative, or through a link; and says nothing of the others', async () => {
    using world = everything()
    using folder = tempFolder()
    const link = join(folder.path, 'link')
    symlinkSync(world.path, link)
    for (const store of [world.path, join('.', '..', '..', '..', '..', '..', '..', world.path), link]) {
      await using set = await openSessions({ data: world.data, store })
      expect([paths(set), set.issues]).toEqual([[world.path], []])
    }
    await using tree = await openSessions({ data: [world.data, '/nowhere'], store: join(world.data, 'storage') })
    expect([paths(tree), tree.issues]).toEqual([[join(world.data, 'storage')], []])
    expect(tree.stores[0]?.work.rows).toBe(0)
  })

  it('opens no database for the trees of files', async () => {
    using fixture = make([SESSION])
    writeTreeSessions(join(dataOf(fixture), 'storage'), [OTHER])
    writeFileSync(join(dataOf(fixture), 'opencode-odd.db'), 'x'.repeat(5000))
    await using set = await openSessions({ data: dataOf(fixture), store: 'opencode-json' })
    expect([ids(set), set.issues]).toEqual([[OTHER.id], []])
  })

  it.each(['opencode-v2', 'opencode-sqlite'] as const)('reads of a database with two generations %s alone', async (store) => {
    using fixture = make([SESSION])
    await using set = await openSessions({ data: fixture.path, store })
    expect(set.stores).toHaveLength(store === 'opencode-v2' ? 0 : 1)
    tamper(fixture.path, (database) => database.exec(openCode2Tables()))
    await set.refresh()
    expect([set.stores.map(({ kind }) => kind), set.issues]).toEqual([[store], []])
    await set.refresh()
    expect(set.stores.map(({ kind }) => kind)).toEqual([store])
  })

  it('tells of a database that cannot be opened, which may hold any generation', async () => {
    using fixture = make([SESSION])
    const path = join(dataOf(fixture), 'opencode-odd.db')
    writeFileSync(path, 'x'.repeat(5000))
    await using set = await openSessions({ data: dataOf(fixture), store: 'opencode-sqlite' })
    expect([ids(set), set.issues]).toMatchObject([[SESSION.id], [{ code: 'STORE_DAMAGED', path }]])
    await expect(openSessions({ data: dataOf(fixture), store: 'opencode-v2' })).rejects.toMatchObject({ code: 'STORE_DAMAGED', path })
  })

  it('refuses what is neither a kind nor a store that is found, and tells the kinds that are', async () => {
    using world = everything()
    const reason = 'there is no store "opencode-v3"; the stores here are of the kinds opencode-sqlite, opencode-v2, opencode-json'
    await expect(openSessions({ data: world.data, store: 'opencode-v3' })).rejects.toMatchObject({ code: 'INVALID_OPTION', reason })
    await expect(openSessions({ data: world.data, store: ['opencode-json', '/nowhere'] })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    using empty = tempFolder()
    const none = { code: 'INVALID_OPTION', reason: 'there is no store "x"; no store can be read here' }
    await expect(openSessions({ env: { HOME: empty.path }, store: 'x' })).rejects.toMatchObject(none)
  })

  it.each([[''], [[]], [['opencode-json', '']], [7]])('refuses %j', async (store) => {
    await expect(openSessions({ env: { HOME: '/nowhere' }, store: store as string })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})
