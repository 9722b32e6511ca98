/** What does not belong in an era B tree, records in bad shape, and the count of everything that stands there. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Slab } from '../../src/storage/slab.js'
import type { CensusEntry, Store } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type Corpus, type CorpusMessage, type CorpusSession, conversation, corpusSession, sessionDocument, userMessage } from '../support/corpus.js'
import { jsonFixture, pretty, type StoreFixture, writeFileAt } from '../support/store-fixtures.js'
import { issuesIn, keyOf, plain, resultOf, setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)

const messageFile = (fixture: StoreFixture, message = FIRST.id): string => join(fixture.path, 'message', SESSION.id, `${message}.json`)
const partFile = (fixture: StoreFixture, message = FIRST, at = 0): string => join(fixture.path, 'part', message.id, `${message.parts[at]?.id}.json`)
const sessionFile = (fixture: StoreFixture): string => join(fixture.path, 'session', SESSION.project, `${SESSION.id}.json`)

describe('strangers in the tree', () => {
  it('reads past temporary files, folders of the system and unsafe names, and counts them', async () => {
    using fixture = jsonFixture([SESSION])
    const strangers = ['.DS_Store', 'msg_1.json1700000000000.tmp', 'notes.txt', '..json', '...json', 'a\\b.json', 'a\u0001b.json']
    for (const name of strangers) writeFileAt(join(fixture.path, 'message', SESSION.id, name), '{}', START)
    writeFileAt(join(fixture.path, 'session', '.DS_Store'), 'x', START)
    writeFileAt(join(fixture.path, 'part', FIRST.id, 'prt_x.json.tmp'), '{', START)
    mkdirSync(join(fixture.path, 'message', SESSION.id, 'folder'))
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(result.status).toBe('ok')
    expect(resultOf(result).messages.length).toBe(SESSION.messages.length)
    const [ledger] = (await verifyStores(sessions)).stores
    const ignored = new Map(ledger?.ignored.map(({ reason, count }) => [reason, count]))
    expect(Object.fromEntries(ignored)).toEqual({ 'foreign file': 3, 'temporary file': 2, 'unsafe name': 4, 'foreign folder': 1 })
    expect(ledger?.damaged).toEqual([])
  })

  it('makes an issue, never a throw, of a folder where a file should be, and of links in a circle or to nowhere', async () => {
    using fixture = jsonFixture([SESSION])
    mkdirSync(join(fixture.path, 'part', FIRST.id, 'prt_folder.json'))
    symlinkSync('msg_circle.json', messageFile(fixture, 'msg_circle'))
    symlinkSync('/nowhere/at/all.json', messageFile(fixture, 'msg_nowhere'))
    symlinkSync('prt_circle.json', join(fixture.path, 'part', SECOND.id, 'prt_circle.json'))
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    const named = issuesIn(result).map(({ code, key }) => [code, key?.kind === 'part' ? key.part : key?.kind === 'message' ? key.message : key?.kind])
    expect(named.sort()).toEqual([
      ['STALE_SPAN', 'msg_nowhere'],
      ['UNREADABLE_RECORD', 'msg_circle'],
      ['UNREADABLE_RECORD', 'prt_circle'],
      ['UNREADABLE_RECORD', 'prt_folder'],
    ])
    const whole = resultOf(result).messages.filter(({ message }) => message !== undefined)
    expect(whole.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
    const { total } = await verifyStores(sessions)
    expect(total.damaged).toBe(3) // the folder is a foreign folder, counted as ignored
    await expect(sessions.index.revision(KEY)).resolves.toEqual(expect.any(String))
  })

  it.skipIf(!existsSync('/dev/zero'))('does not read a device for ever', async () => {
    using fixture = jsonFixture([SESSION])
    symlinkSync('/dev/zero', join(fixture.path, 'session', SESSION.project, 'ses_zero.json'))
    symlinkSync('/dev/zero', messageFile(fixture, 'msg_zero'))
    await using sessions = await setOf(await fixture.open())
    expect(sessions.issues).toMatchObject([{ code: 'UNREADABLE_RECORD', key: { session: 'ses_zero' } }])
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'UNREADABLE_RECORD', key: { message: 'msg_zero' } }])
    expect(resultOf(result).messages.filter(({ message }) => message !== undefined).length).toBe(SESSION.messages.length)
    expect((await verifyStores(sessions)).total.damaged).toBe(2)
  })

  it('follows symbolic links to folders and files', async () => {
    using fixture = jsonFixture([SESSION])
    using elsewhere = jsonFixture([])
    for (const kind of ['session', 'message', 'part']) {
      renameSync(join(fixture.path, kind), join(elsewhere.path, kind))
      symlinkSync(join(elsewhere.path, kind), join(fixture.path, kind))
    }
    const project = join(elsewhere.path, 'session', SESSION.project)
    renameSync(project, join(elsewhere.path, 'moved'))
    symlinkSync(join(elsewhere.path, 'moved'), project)
    rmSync(partFile(fixture))
    symlinkSync(partFile(fixture, FIRST, 1), partFile(fixture))
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(result.status).toBe('ok')
    expect(plain(resultOf(result)).messages.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
    const parts = SESSION.messages.flatMap((message) => message.parts).length
    symlinkSync('.', join(fixture.path, 'part', 'circle'))
    expect(await sessions.stores[0]?.totals()).toMatchObject({ sessions: 1, messages: SESSION.messages.length, parts })
  })

  it('does not wait at a named pipe', async () => {
    using fixture = jsonFixture([SESSION])
    execFileSync('mkfifo', [messageFile(fixture, 'msg_pipe')])
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result).map(({ code, reason }) => [code, reason])).toEqual([['CORRUPT_RECORD', 'empty']])
    expect(resultOf(result).messages.length).toBe(SESSION.messages.length + 1)
  })

  it('takes a file for an empty folder', async () => {
    using fixture = jsonFixture([SESSION])
    rmSync(dirname(partFile(fixture)), { recursive: true })
    writeFileSync(dirname(partFile(fixture)), 'a file')
    writeFileSync(join(fixture.path, 'session', 'file'), 'a file')
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect([result.status, resultOf(result).messages[0]?.parts]).toEqual(['ok', []])
  })
})

describe('session records', () => {
  it('reads the newest of two copies in two project folders, and counts the other as ignored', async () => {
    using fixture = jsonFixture([SESSION])
    const moved = { ...sessionDocument(SESSION), projectID: 'global', title: 'moved', time: { created: START, updated: SESSION.updated + 1 } }
    writeFileAt(join(fixture.path, 'session', 'global', `${SESSION.id}.json`), pretty(moved), START)
    await using sessions = await setOf(await fixture.open())
    expect(sessions.index.sessionsByTime().map(({ title, project }) => [title, project])).toEqual([['moved', 'global']])
    const { total } = await verifyStores(sessions)
    expect([total.sessions, total.ignored]).toEqual([1, 1])
  })

  it.each(['', '{', '[]', 'null', '\0\0\0'])('keeps the messages of a session whose own record is %j', async (text) => {
    using fixture = jsonFixture([SESSION])
    writeFileAt(sessionFile(fixture), text, START)
    await using sessions = await setOf(await fixture.open())
    expect(sessions.index.session(KEY)).toMatchObject({ damaged: true, id: SESSION.id, created: START, title: '' })
    expect(sessions.issues.map(({ code }) => code)).toEqual(['SESSION_RECORD_DAMAGED'])
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result).map(({ code, path }) => [code, path])).toEqual([['SESSION_RECORD_DAMAGED', sessionFile(fixture)]])
    expect(resultOf(result).session).toEqual({
      id: SESSION.id,
      projectID: SESSION.project,
      directory: '/srv/sky',
      title: '',
      version: '',
      time: { created: START, updated: SESSION.messages.at(-1)?.time },
    })
    expect(resultOf(result).messages.length).toBe(SESSION.messages.length)
  })

  it('keeps an odd field of one session from hiding the others', async () => {
    const odd = ['tokens', 'model', 'revert', 'summary', 'time', 'title', 'parentID', 'cost', 'directory']
    const sessions: Corpus = odd.flatMap((field, at) =>
      [null, 7, 'text', {}, []].map(
        (value, n): CorpusSession => ({ ...SESSION, id: `ses_${field}_${n}`, info: { ...SESSION.info, [field]: value }, updated: START + at }),
      ),
    )
    using fixture = jsonFixture(sessions)
    for (const { id, info } of sessions.filter((session) => session.id.startsWith('ses_time'))) {
      writeFileAt(join(fixture.path, 'session', SESSION.project, `${id}.json`), pretty({ id, ...info }), START)
    }
    await using set = await setOf(await fixture.open())
    expect(set.index.sessionsByTime().length).toBe(sessions.length)
    for (const { key, updated } of set.index.sessionsByTime()) {
      expect(updated).toEqual(expect.any(Number))
      expect((await runSessionTreeFlow(set, { session: key })).status).not.toBe('failed')
      expect(Object.values((await set.index.usage(key)).tokens).every((count) => typeof count === 'number' || typeof count === 'object')).toBe(true)
    }
  })
})

describe('a census', () => {
  it('names orphans, secrets and quarantined files, and misses nothing', async () => {
    using fixture = jsonFixture([SESSION])
    const files: Record<string, string> = {
      'permission/p.json': '[]',
      'session_share/s.json': '{"secret":"x"}',
      'share/s.json': '{}',
      'quarantine/1700000000000': '{}',
      'todo/ses_gone.json': '[]',
      'session_diff/ses_gone.json': '[]',
      'part/msg_gone/prt_1.json': '{"type":"text","text":"orphan"}',
      'message/ses_gone/msg_2.json': '{"role":"user","time":{"created":1}}',
    }
    for (const [name, text] of Object.entries(files)) writeFileAt(join(fixture.path, name), text, START)
    const entries = await censusOf(await fixture.open())
    const orphans = entries.flatMap((entry) =>
      entry.what === 'record' && entry.orphan ? [`${entry.kind} ${entry.path.slice(fixture.path.length + 1)}`] : [],
    )
    expect(orphans.sort()).toEqual([
      'diff session_diff/ses_gone.json',
      'message message/ses_gone/msg_2.json',
      'part part/msg_gone/prt_1.json',
      'todo todo/ses_gone.json',
    ])
    const ignored = entries.flatMap((entry) => (entry.what === 'ignored' ? [[entry.reason, entry.count]] : []))
    expect(ignored.sort()).toEqual([
      ['permission', 1],
      ['quarantined by OpenCode', 1],
      ['share secret', 2],
    ])
  })
})

async function censusOf(store: Store): Promise<CensusEntry[]> {
  const slab = new Slab()
  const entries: CensusEntry[] = []
  for await (const entry of store.census(() => slab)) entries.push(entry)
  return entries
}

describe('message times', () => {
  it('come from the id, or the file where the id tells nothing', async () => {
    using fixture = jsonFixture([SESSION])
    const imported = userMessage(START + 90_000)
    writeFileAt(messageFile(fixture, 'msg-by-hand'), pretty(imported.data), START + 61_500)
    const { entries } = await (await fixture.open()).messages(KEY)
    expect(entries.find(({ id }) => id === 'msg-by-hand')?.created).toBe(START + 61_500)
    expect(entries.map(({ created }) => created)).toEqual(entries.map(({ created }) => created).sort((a, b) => a - b))
  })
})
