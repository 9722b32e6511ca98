/** Databases and trees side by side, the account of everything on disk, and sessions across the wrap of ids. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusMessage, type CorpusSession, conversation, corpusSession, DAY, sampleCorpus, WRAP } from '../support/corpus.js'
import { holdAgainst, readDatabase, readTree } from '../support/independent-reader.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { REPOSITORY, SHARED } from '../support/real-sets.js'
import { jsonFixture, memoryFixture, sqliteFixture, writeEraASessions, writeFileAt, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { keyOf, plain, setOf, treeOf } from '../support/trees.js'
import { insertV2Session, v2Fixture } from '../support/v2-fixture.js'

const CORPUS = sampleCorpus()
const [PARENT, , CHILD] = CORPUS as [CorpusSession, CorpusSession, CorpusSession]
const KEY = keyOf(PARENT.id)
const [FIRST] = PARENT.messages as [CorpusMessage]

/** A data folder with a database and a tree beside it. */
async function merged(inDatabase: readonly CorpusSession[], inTree: readonly CorpusSession[], act: (data: string) => Promise<void>): Promise<void> {
  using database = sqliteFixture('1.18')(inDatabase)
  using tree = jsonFixture(inTree)
  const data = join(database.path, '..')
  mkdirSync(join(data, 'storage'), { recursive: true })
  execFileSync('cp', ['-a', `${tree.path}/.`, join(data, 'storage')])
  await act(data)
}

describe('a data folder with a database and a tree', () => {
  const imported = { ...PARENT, info: { ...PARENT.info, title: 'from the database' } }

  it('reads each session once, the database first; the tree adds what only it has', async () => {
    await merged([imported], CORPUS, async (data) => {
      await using set = await openSessions({ data })
      expect(set.index.sessionsByTime().length).toBe(CORPUS.length)
      const kinds = set.index.sessionsByTime().map(({ id, source }) => [id, source.kind])
      expect(kinds.filter(([, kind]) => kind === 'opencode-sqlite')).toEqual([[PARENT.id, 'opencode-sqlite']])
      expect((await treeOf(set, { session: KEY })).session?.title).toBe('from the database')
      expect((await treeOf(set, { session: keyOf(CHILD.id) })).messages.length).toBe(CHILD.messages.length)
    })
  })

  it('accounts for every record of both, hidden copies as superseded', async () => {
    await merged([imported], CORPUS, async (data) => {
      await using set = await openSessions({ data })
      const { stores, total } = await verifyStores(set)
      const records = (sessions: readonly CorpusSession[]): number =>
        sessions.flatMap((s) => [s, ...s.messages, ...s.messages.flatMap((m) => m.parts)]).length
      const [database, tree] = stores
      expect((database?.sessions ?? 0) + (database?.messages ?? 0) + (database?.parts ?? 0)).toBe(records([imported]))
      expect(tree?.superseded).toBe(records([PARENT]) + 2) // its todo list and its diffs too
      expect((tree?.sessions ?? 0) + (tree?.messages ?? 0) + (tree?.parts ?? 0)).toBe(records(CORPUS) - records([PARENT]))
      expect([total.damaged, total.orphans]).toEqual([0, NO_ORPHANS])
    })
  })
})

describe('a data folder of every era', () => {
  it('reads each session once: OpenCode 2, then V1, then the tree of era B, then era A', async () => {
    const sessions = [0, 1, 2, 3].map((at) => corpusSession(WRAP - at * DAY, conversation(WRAP - at * DAY + 1, 1)))
    const ids = sessions.map(({ id }) => id)
    using fixture = v2Fixture([])
    const database = new Database(fixture.path)
    database.exec(openCodeTables('1.18').replaceAll('CREATE TABLE ', 'CREATE TABLE IF NOT EXISTS '))
    insertV2Session(database, sessions[0] as CorpusSession)
    for (const session of sessions.slice(0, 2)) insertV2Session(database, session, 'session')
    database.close()
    writeTreeSessions(join(fixture.path, '..', 'storage'), sessions.slice(0, 3))
    writeEraASessions(join(fixture.path, '..', 'project'), sessions)
    await using set = await openSessions({ data: join(fixture.path, '..') })
    const kinds = ['opencode-v2', 'opencode-sqlite', 'opencode-json', 'opencode-era-a']
    expect(set.stores.map(({ kind }) => kind)).toEqual(kinds)
    expect(ids.map((id) => set.index.session(keyOf(id))?.source.kind)).toEqual(kinds)
    const { stores } = await verifyStores(set)
    expect(stores.map(({ sessions, superseded, damaged }) => [sessions, superseded, damaged])).toEqual([0, 1, 2, 3].map((at) => [1, at, []]))
  })
})

describe('verify', () => {
  it('sums to what is on disk, whatever was done to it (law 4)', async () => {
    using fixture = jsonFixture(CORPUS)
    writeFileAt(join(fixture.path, 'message', 'ses_gone', 'msg_1.json'), '{"role":"user","time":{"created":1}}', WRAP)
    writeFileAt(join(fixture.path, 'message', PARENT.id, `${FIRST.id}.json`), '{', WRAP)
    writeFileAt(join(fixture.path, 'part', 'msg_gone', 'prt_1.json'), '', WRAP)
    for (const name of ['session_share/x.json', 'permission/x.json', 'part/.DS_Store', 'todo/.tmp', 'message/x/a.json.1.tmp'])
      writeFileAt(join(fixture.path, name), 'x', WRAP)
    await using set = await setOf(await fixture.open())
    const { total, stores } = await verifyStores(set)
    const onDisk = Number(execFileSync('sh', ['-c', `find ${fixture.path} -type f | wc -l`], { encoding: 'utf8' }))
    const { sessions, messages, parts, todos, diffs, projects, orphans, superseded, ignored, damaged } = total
    const lost = orphans.messages + orphans.parts + orphans.todos + orphans.diffs
    expect(sessions + messages + parts + todos + diffs + projects + lost + superseded + ignored + damaged).toBe(onDisk)
    expect([orphans, ignored, damaged]).toEqual([{ ...NO_ORPHANS, messages: 1 }, 5, 2])
    expect(stores[0]?.damaged.map(({ key, code, reason }) => [key, code, reason])).toEqual([
      [`${PARENT.id}/${FIRST.id}`, 'CORRUPT_RECORD', 'truncated'],
      ['unknown/msg_gone/prt_1', 'CORRUPT_RECORD', 'empty'],
    ])
  })

  it('stops when it is aborted', async () => {
    using fixture = jsonFixture(CORPUS)
    await using set = await setOf(await fixture.open())
    await expect(verifyStores(set, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })
})

const generator = join(SHARED, 'tools', 'gen-corpus.mjs')

describe('a session across the wrap of ids', () => {
  it('is in the order of time, not of ids, in every store', async () => {
    const session = corpusSession(WRAP - 4 * DAY, conversation(WRAP - 30 * 60_000, 60))
    const trees = []
    for (const make of [memoryFixture, jsonFixture, sqliteFixture('1.2.1')]) {
      using fixture = make([session])
      await using set = await setOf(await fixture.open())
      trees.push(plain(await treeOf(set, { session: keyOf(session.id) })).messages)
    }
    const ids = session.messages.map(({ id }) => id)
    expect(ids).not.toEqual([...ids].sort())
    for (const messages of trees) expect(messages.map(({ id }) => id)).toEqual(ids)
  })

  it.skipIf(!existsSync(generator))('equals an independent read, as ../shared/tools/gen-corpus.mjs writes it', async () => {
    using folder = tempFolder()
    const data = generatedData(folder.path)
    await using files = await openSessions({ data: join(data, 'storage') })
    await using database = await openSessions({ data: join(data, 'opencode.db') })
    let inverted = 0
    for (const [set, expected] of [
      [files, readTree(join(data, 'storage'))],
      [database, readDatabase(join(data, 'opencode.db'))],
    ] as const) {
      expect(expected.size).toBe(3)
      for (const [id, session] of expected) {
        const messages = session.messages.map(({ message }) => String(message.id))
        if (messages.some((message, at) => at > 0 && message < (messages[at - 1] ?? ''))) inverted++
        await holdAgainst(set, id, session)
        expect((await treeOf(set, { session: keyOf(id), messages: { last: 5 } })).messages.map(({ key }) => key.message)).toEqual(messages.slice(-5))
      }
    }
    expect(inverted).toBe(2)
  })
})

/** Three sessions as files and as rows, one of them astride the wrap. The generator finds SQLite in a node_modules beside it. */
function generatedData(folder: string): string {
  copyFileSync(generator, join(folder, 'gen-corpus.mjs'))
  symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'))
  const options = ['--base', '2026-08-14T00:00:00Z', '--days', '1', '--sessions', '3', '--messages', '300', '--parts', '2', '--layout', 'legacy,db']
  execFileSync(process.execPath, [join(folder, 'gen-corpus.mjs'), '--home', folder, ...options], { stdio: 'pipe' })
  return join(folder, '.local', 'share', 'opencode')
}
