/** Stores that the reader has no rights to, looked at from a child process without rights. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libraryForOthers, runAsNobody } from '../support/as-nobody.js'
import { type CorpusMessage, conversation, corpusSession } from '../support/corpus.js'
import { manifestOf } from '../support/manifest.js'
import { eraAFixture, jsonFixture, type StoreFixture, sqliteFixture, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))
const OTHER = corpusSession(START + 1, conversation(START + 500_000, 1), { project: 'other' })
const [FIRST] = SESSION.messages as [CorpusMessage]
const folder = tempFolder()
let library = ''
beforeAll(() => {
  library = libraryForOthers(folder.path)
})
afterAll(() => folder[Symbol.dispose]())

/** Reads the session and says what came of it, in few words. */
const READ = `
  const set = await lib.openSessions({ data })
  const id = ${JSON.stringify(SESSION.id)}
  const issues = (list) => list.map(({ code, path, key }) => [code, path?.slice(data.length), key?.kind ?? null])
  const flow = await lib.runSessionTreeFlow(set, { session: id })
  if (flow.status === 'failed') throw flow.error
  const streamed = []
  for await (const result of lib.runSessionFlow(set, { session: id })) streamed.push(result)
  const { total } = await lib.verifyStores(set)
  const revision = typeof (await set.index.revision(set.index.findById(id).key))
  const sessions = set.index.sessionsByTime().length
  await set.close()
  return {
    sessions,
    revision,
    listed: issues(set.issues),
    issues: issues(flow.status === 'partial' ? flow.issues : []),
    streamed: streamed.map((result) => (result.status === 'partial' ? result.issues.length : result.status)),
    messages: flow.value.messages.map(({ message, parts }) => [message?.role ?? null, parts.length]),
    damaged: total.damaged,
  }`

interface Said {
  readonly sessions: number
  readonly listed: readonly unknown[]
  readonly issues: readonly unknown[]
  readonly messages: readonly (readonly [string | null, number])[]
  readonly damaged: number
}

function closed<T>(path: string, mode: number, act: () => T): T {
  chmodSync(path, mode)
  try {
    return act()
  } finally {
    chmodSync(path, 0o755)
  }
}

function readAsNobody(fixture: StoreFixture): Said {
  return runAsNobody(library, fixture.path, READ) as Said
}

const WHOLE = SESSION.messages.map(({ data, parts }) => [data.role, parts.length])

describe('an era B tree without rights', () => {
  it('reads everything when everything may be read', () => {
    using fixture = jsonFixture([SESSION, OTHER])
    expect(readAsNobody(fixture)).toEqual({ sessions: 2, listed: [], issues: [], streamed: ['ok'], messages: WHOLE, damaged: 0, revision: 'string' })
  })

  it('names an unreadable file, and reads everything else', () => {
    using fixture = jsonFixture([SESSION, OTHER])
    const file = join(fixture.path, 'part', FIRST.id, `${FIRST.parts[0]?.id}.json`)
    const said = closed(file, 0o000, () => readAsNobody(fixture))
    expect(said).toMatchObject({
      issues: [['UNREADABLE_RECORD', file.slice(fixture.path.length), 'part']],
      streamed: [1],
      damaged: 1,
      revision: 'string',
    })
    expect(said.messages).toEqual([['user', 1], ...WHOLE.slice(1)])
  })

  it.each([0o000, 0o444, 0o111])('names what a part folder of mode %o hides, and reads everything else', (mode) => {
    using fixture = jsonFixture([SESSION, OTHER])
    const said = closed(join(fixture.path, 'part', FIRST.id), mode, () => readAsNobody(fixture))
    expect(said.issues.length).toBe(mode === 0o444 ? FIRST.parts.length : 1)
    expect(said.issues).toContainEqual(['UNREADABLE_RECORD', expect.stringContaining(FIRST.id), mode === 0o444 ? 'part' : 'message'])
    expect(said.messages).toEqual([['user', 0], ...WHOLE.slice(1)])
    expect(said.damaged).toBeGreaterThan(0)
  })

  it.each([0o000, 0o444, 0o111])('names what a message folder of mode %o hides, and still has the session', (mode) => {
    using fixture = jsonFixture([SESSION, OTHER])
    const said = closed(join(fixture.path, 'message', SESSION.id), mode, () => readAsNobody(fixture))
    expect(said.sessions).toBe(2)
    expect(said.issues.length).toBeGreaterThan(0)
    expect(said.messages.length).toBe(mode === 0o444 ? SESSION.messages.length : 0)
    expect(said.damaged).toBeGreaterThan(0)
  })

  it.each([0o000, 0o444, 0o111])('names a project folder of mode %o, and has the sessions of the other projects', (mode) => {
    using fixture = jsonFixture([SESSION, OTHER])
    const body = `const set = await lib.openSessions({ data })
      return { ids: set.index.sessionsByTime().map(({ id, damaged }) => [id, damaged]), issues: set.issues.map(({ code }) => code) }`
    const said = closed(join(fixture.path, 'session', SESSION.project), mode, () => runAsNobody(library, fixture.path, body))
    const visible = mode === 0o444 ? [[SESSION.id, true]] : []
    // Its names can be listed with 444: then the session is there, rebuilt from its messages.
    expect(said).toEqual({ ids: [[OTHER.id, false], ...visible], issues: [mode === 0o444 ? 'SESSION_RECORD_DAMAGED' : 'UNREADABLE_RECORD'] })
  })

  it('refuses a tree whose session folder, or whole folder, is closed', () => {
    using fixture = jsonFixture([SESSION])
    const body = 'const set = await lib.openSessions({ data }); return set.issues.map(({ code }) => code)'
    expect(closed(join(fixture.path, 'session'), 0o000, () => runAsNobody(library, fixture.path, body))).toEqual(['STORE_UNREADABLE'])
    expect(closed(dirname(fixture.path), 0o000, () => runAsNobody(library, fixture.path, body))).toMatchObject({ code: 'STORE_UNREADABLE' })
    expect(closed(dirname(fixture.path), 0o444, () => runAsNobody(library, fixture.path, body))).toMatchObject({ code: 'STORE_UNREADABLE' })
  })
})

describe('trees of era A without rights', () => {
  const LIST = `const set = await lib.openSessions({ data })
    return { ids: set.index.sessionsByTime().map(({ id }) => id), issues: set.issues.map(({ code, path }) => [code, path.slice(data.length)]) }`

  it.each([0o000, 0o444])('names the closed folder of one project (mode %o), and has the sessions of the others', (mode) => {
    using fixture = eraAFixture()([SESSION, OTHER])
    const said = closed(join(fixture.path, SESSION.project), mode, () => runAsNobody(library, fixture.path, LIST))
    expect(said).toEqual({ ids: [OTHER.id], issues: [['UNREADABLE_RECORD', join('/', SESSION.project, 'storage', 'session', 'info')]] })
  })

  it.each([0o000, 0o444, 0o111])('names a `project` folder of mode %o, and has the sessions of era B', (mode) => {
    using fixture = eraAFixture()([SESSION])
    const data = dirname(fixture.path)
    writeTreeSessions(join(data, 'storage'), [OTHER])
    const said = closed(fixture.path, mode, () => runAsNobody(library, data, LIST))
    expect(said).toMatchObject({
      ids: [OTHER.id],
      issues: [[expect.stringMatching(/^(STORE_UNREADABLE|UNREADABLE_RECORD)$/), expect.stringMatching(/^\/project/)]],
    })
  })
})

/** As OpenCode left it: at rest without a -wal, or still with one. */
function restingDatabase(withWal: boolean): StoreFixture {
  const fixture = sqliteFixture('1.18')([SESSION, OTHER])
  const folder = tempFolder()
  const path = join(folder.path, 'opencode', 'opencode.db')
  mkdirSync(dirname(path))
  copyFileSync(fixture.path, path)
  copyFileSync(`${fixture.path}-wal`, `${path}-wal`)
  fixture[Symbol.dispose]()
  if (!withWal) {
    const writer = new Database(path)
    writer.pragma('wal_checkpoint(TRUNCATE)')
    writer.close()
    for (const ending of ['-wal', '-shm']) rmSync(`${path}${ending}`, { force: true })
  }
  return { ...fixture, path, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

describe('a database in a folder that is not writable', () => {
  it.each([true, false])('is read whole (with a -wal: %s), and nothing is left behind', (withWal) => {
    using fixture = restingDatabase(withWal)
    expect(existsSync(`${fixture.path}-wal`)).toBe(withWal)
    const folder = dirname(fixture.path)
    const before = manifestOf(folder)
    const said = closed(folder, 0o555, () => readAsNobody(fixture))
    expect(said).toMatchObject({ sessions: 2, listed: [], issues: [], messages: WHOLE, damaged: 0 })
    expect(manifestOf(folder)).toEqual(before)
  })

  it('is shown as it is after a refresh, although it is opened as it was', () => {
    using fixture = restingDatabase(false)
    using second = restingDatabase(false)
    const writer = new Database(second.path)
    writer.prepare('DELETE FROM session WHERE id = ?').run(OTHER.id)
    writer.pragma('wal_checkpoint(TRUNCATE)')
    writer.close()
    for (const ending of ['-wal', '-shm']) rmSync(`${second.path}${ending}`, { force: true })
    chmodSync(fixture.path, 0o666)
    const body = `
      const { readFileSync, writeFileSync } = await import('node:fs')
      const set = await lib.openSessions({ data })
      const [store] = set.stores
      await set.refresh()
      const before = [set.index.stats().sessions, set.stores[0] === store]
      writeFileSync(data, readFileSync(${JSON.stringify(second.path)}))
      await set.refresh()
      const after = [set.index.stats().sessions, set.stores[0] === store]
      await set.close()
      return { before, after, issues: set.issues }`
    const said = closed(dirname(fixture.path), 0o555, () => runAsNobody(library, fixture.path, body))
    expect(said).toEqual({ before: [2, true], after: [1, false], issues: [] })
  })

  it('is refused with STORE_UNREADABLE when the file itself, or its folder, is closed', () => {
    using fixture = restingDatabase(false)
    const body = 'const set = await lib.openSessions({ data }); return set.index.stats().sessions'
    expect(closed(fixture.path, 0o000, () => runAsNobody(library, fixture.path, body))).toMatchObject({
      code: 'STORE_UNREADABLE',
      path: fixture.path,
    })
    expect(closed(dirname(fixture.path), 0o000, () => runAsNobody(library, fixture.path, body))).toMatchObject({ code: 'STORE_UNREADABLE' })
  })
})

describe('discovery without rights', () => {
  it('is not blinded by an OPENCODE_DB that may not be looked at', () => {
    using fixture = jsonFixture([SESSION])
    using locked = tempFolder()
    mkdirSync(join(locked.path, 'locked'))
    const env = { HOME: '/nowhere', XDG_DATA_HOME: dirname(dirname(fixture.path)), OPENCODE_DB: join(locked.path, 'locked', 'opencode.db') }
    const body = `const set = await lib.openSessions({ env: ${JSON.stringify(env)} })
      return { sessions: set.index.stats().sessions, issues: set.issues.map(({ code, path }) => [code, path]) }`
    const said = closed(join(locked.path, 'locked'), 0o000, () => runAsNobody(library, '', body))
    expect(said).toEqual({ sessions: 1, issues: [['STORE_UNREADABLE', env.OPENCODE_DB]] })
  })
})
