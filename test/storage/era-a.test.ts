/** The trees of 0.x: parts inside messages, half-converted trees, leftovers, and copies that 1.0 made of some of them. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { discoverStores, storesAt } from '../../src/storage/paths.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { StoreLedger } from '../../src/tree/ledger.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusMessage, conversation, corpusSession, DAY, sampleCorpus, sessionDocument } from '../support/corpus.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import { eraAFixture, foldedMessage, type StoreFixture, writeEraASessions, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { expectedTree, issuesIn, keyOf, type PlainTree, plain, resultOf, setOf, treeOf } from '../support/trees.js'

const START = Date.parse('2025-06-20T10:00:00Z')
const SLUG = 'srv-sky'
const SESSION = corpusSession(START, conversation(START + 1000, 3), { project: SLUG })
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)

const inTree = (fixture: StoreFixture, ...names: readonly string[]): string => join(fixture.path, SLUG, 'storage', 'session', ...names)
const messageFile = (fixture: StoreFixture, message = FIRST.id): string => inTree(fixture, 'message', SESSION.id, `${message}.json`)
const partFile = (fixture: StoreFixture, message = FIRST, at = 0): string =>
  inTree(fixture, 'part', SESSION.id, message.id, `${message.parts[at]?.id}.json`)

/** Writes the messages of the fixture's sessions as 0.1 did. */
function foldMessages(path: string, sessions = [SESSION]): void {
  for (const { id, project, messages } of sessions) {
    const tree = join(path, project, 'storage', 'session')
    rmSync(join(tree, 'part'), { recursive: true, force: true })
    rmSync(join(path, project, 'storage', 'migration'), { force: true })
    for (const message of messages)
      writeFileAt(join(tree, 'message', id, `${message.id}.json`), JSON.stringify(foldedMessage(id, message)), message.time)
  }
}

/** The same tree with the ids that parts inside a message have. */
function withPlacesForIds(tree: PlainTree): PlainTree {
  const messages = tree.messages.map((node) => ({
    ...node,
    parts: (node.parts as readonly { raw?: object }[]).map((part, at) => {
      const id = `${node.id}_${at}`
      return { ...part, id, ...(part.raw !== undefined && { raw: { ...part.raw, id } }) }
    }),
  }))
  return { ...tree, messages }
}

async function ledgerOf(fixture: StoreFixture): Promise<StoreLedger> {
  await using sessions = await setOf(await fixture.open())
  const [ledger] = (await verifyStores(sessions)).stores
  if (ledger === undefined) throw new Error('one store gives one ledger')
  return ledger
}

describe('messages that hold their parts', () => {
  it('give the same trees as the same sessions after their conversion, but for the ids of parts', async () => {
    const corpus = sampleCorpus()
    using fixture = eraAFixture()(corpus)
    foldMessages(fixture.path, [...corpus])
    await using sessions = await setOf(await fixture.open())
    for (const session of corpus) {
      const result = await runSessionTreeFlow(sessions, { session: keyOf(session.id) })
      expect(plain(resultOf(result))).toEqual(withPlacesForIds(expectedTree(session, fixture.sessionRecord(session))))
      expect((await sessions.index.messages(keyOf(session.id))).map(({ id }) => id)).toEqual(session.messages.map(({ id }) => id))
    }
    const { total } = await verifyStores(sessions)
    const messages = corpus.flatMap((session) => session.messages)
    expect(total).toMatchObject({
      sessions: corpus.length,
      messages: messages.length,
      parts: messages.flatMap(({ parts }) => parts).length,
      damaged: 0,
      orphans: NO_ORPHANS,
    })
  })

  it('stand beside converted ones, and each tells its shape', async () => {
    using fixture = eraAFixture()([SESSION])
    rmSync(dirname(partFile(fixture)), { recursive: true })
    writeFileAt(messageFile(fixture), JSON.stringify(foldedMessage(SESSION.id, FIRST)), FIRST.time)
    await using sessions = await setOf(await fixture.open())
    const { messages } = plain(await treeOf(sessions, { session: KEY }))
    const whole = expectedTree(SESSION, fixture.sessionRecord(SESSION))
    expect(messages[0]).toEqual(withPlacesForIds(whole).messages[0])
    expect(messages.slice(1)).toEqual(whole.messages.slice(1))
  })

  it('move the signature and the revision of their session when they are rewritten', async () => {
    using fixture = eraAFixture()([SESSION])
    foldMessages(fixture.path)
    await using sessions = await setOf(await fixture.open())
    const last = SESSION.messages.at(-1) as CorpusMessage
    const look = async (): Promise<unknown[]> => [
      (await treeOf(sessions, { session: KEY })).messages.at(-1)?.signature,
      await sessions.index.revision(KEY),
    ]
    const before = await look()
    expect(await look()).toEqual(before)
    const longer = { ...last, parts: [...last.parts, { id: 'x', data: { type: 'text', text: 'more' }, time: last.time }] }
    writeFileAt(messageFile(fixture, last.id), JSON.stringify(foldedMessage(SESSION.id, longer)), START + DAY)
    const after = await look()
    expect(after[0]).not.toBe(before[0])
    expect(after[1]).not.toBe(before[1])
  })

  it.each(['', '{"id":"x","role":"user","par', '\0\0\0', '[]'])('are damage as %j, and the others stay', async (text) => {
    using fixture = eraAFixture()([SESSION])
    foldMessages(fixture.path)
    writeFileAt(messageFile(fixture), text, START)
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', path: messageFile(fixture) }])
    expect(resultOf(result).messages.map(({ parts }) => parts.length)).toEqual([0, ...SESSION.messages.slice(1).map(({ parts }) => parts.length)])
    expect((await ledgerOf(fixture)).damaged).toMatchObject([{ path: messageFile(fixture), key: `${SESSION.id}/${FIRST.id}` }])
  })
})

describe('sessions', () => {
  it('have the slug of their tree for a project, and the directory that their messages name; none where there are no answers', async () => {
    const mute = corpusSession(START, [FIRST], { project: SLUG, id: 'ses_mute' })
    using fixture = eraAFixture()([SESSION, mute])
    await using sessions = await setOf(await fixture.open())
    const source = { kind: 'opencode-era-a', path: fixture.path }
    expect(sessions.index.session(KEY)).toMatchObject({ project: SLUG, directory: '/srv/sky', title: 'The sky', damaged: false, source })
    expect(sessions.index.session(keyOf('ses_mute'))).toMatchObject({ project: SLUG, directory: '', source })
    expect(sessions.index.sessionsForProject(SLUG).length).toBe(2)
  })

  it.each(['', '{', '[]', '\0\0\0'])('keep their messages when their own record is %j', async (text) => {
    using fixture = eraAFixture()([SESSION])
    writeFileAt(inTree(fixture, 'info', `${SESSION.id}.json`), text, START)
    await using sessions = await setOf(await fixture.open())
    expect(sessions.index.session(KEY)).toMatchObject({ damaged: true, project: SLUG })
    expect((await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })

  it('that stand in two trees are read from the one written last, and the other is accounted for', async () => {
    using fixture = eraAFixture()([SESSION])
    const moved = { ...SESSION, project: 'srv-moved', updated: SESSION.updated + 1, info: { ...SESSION.info, title: 'moved' } }
    writeEraASessions(fixture.path, [moved])
    const tree = join(fixture.path, 'srv-moved', 'storage', 'session')
    writeFileAt(join(tree, 'message', SESSION.id, `${FIRST.id}.json`), JSON.stringify(foldedMessage(SESSION.id, FIRST)), START)
    await using sessions = await setOf(await fixture.open())
    expect(sessions.index.sessionsByTime()).toMatchObject([{ title: 'moved', project: 'srv-moved' }])
    expect((await treeOf(sessions, { session: KEY })).messages.map(({ key }) => key.message)).toEqual([FIRST.id])
    const { sessions: read, messages, parts, ignored } = await ledgerOf(fixture)
    expect({ read, messages, parts }).toEqual({ read: 1, messages: 1, parts: FIRST.parts.length })
    const copies = (kind: string): number | undefined => ignored.find(({ reason }) => reason.startsWith(`${kind} of the copy`))?.count
    const all = SESSION.messages.flatMap((message) => message.parts)
    expect([copies('session'), copies('message'), copies('part')]).toEqual([1, SESSION.messages.length, all.length])
  })
})

describe('parts below their message alone', () => {
  it('are read together with those in the usual place, by id', async () => {
    using fixture = eraAFixture()([SESSION])
    const stray = inTree(fixture, 'part', FIRST.id, `${FIRST.parts[1]?.id}.json`)
    mkdirSync(dirname(stray))
    renameSync(partFile(fixture, FIRST, 1), stray)
    await using sessions = await setOf(await fixture.open())
    expect(plain(await treeOf(sessions, { session: KEY }))).toEqual(expectedTree(SESSION, fixture.sessionRecord(SESSION)))
    expect(await ledgerOf(fixture)).toMatchObject({ orphans: NO_ORPHANS, damaged: [] })
  })
})

describe('a census of era A', () => {
  it('names leftovers, secrets, what OpenCode set aside, and orphans, and misses nothing', async () => {
    using fixture = eraAFixture()([SESSION])
    const files: Record<string, string> = {
      [`storage/session/message/${SESSION.id}/${FIRST.id}.json1750000000000.tmp`]: '{"half',
      [`storage/session/info/${SESSION.id}.json1750000000000.tmp`]: '{',
      'storage/session/share/ses_1.json': '{"secret":"never read","url":""}',
      'storage/session/notes.txt': '',
      'storage/other.json': '{}',
      'storage/session/message/ses_gone/msg_2.json': '{"role":"user","time":{"created":1}}',
      [`storage/session/part/${SESSION.id}/msg_gone/prt_1.json`]: '{"type":"text","text":"orphan"}',
      'storage/session/part/msg_gone/prt_2.json': '{"type":"text","text":"orphan"}',
      [`broken/session/message/${SESSION.id}/msg_3.json`]: '{"role":"user"}',
      'snapshots/HEAD': 'ref',
      'snapshots/objects/aa/bb': '',
    }
    for (const [name, text] of Object.entries(files)) writeFileAt(join(fixture.path, SLUG, name), text, START)
    writeFileAt(join(fixture.path, '.DS_Store'), '', START)
    mkdirSync(join(fixture.path, 'srv-empty'))
    const ledger = await ledgerOf(fixture)
    expect(ledger).toMatchObject({ sessions: 1, messages: SESSION.messages.length, superseded: 0, damaged: [] })
    expect(ledger.orphans).toEqual({ messages: 1, parts: 2, todos: 0, diffs: 0 })
    expect(Object.fromEntries(ledger.ignored.map(({ reason, count }) => [reason, count]))).toEqual({
      'temporary file': 2,
      'share secret': 1,
      'foreign file': 3,
      'set aside by OpenCode': 1,
      'git snapshots': 1,
      'application state': 1,
      'migration marker': 1,
    })
    await using sessions = await setOf(await fixture.open())
    expect(plain(await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })
})

/** A data folder in which 1.0 copied the session to era B, and left the one outside git behind. */
function copiedFolder(): StoreFixture & { readonly data: string } {
  const fixture = eraAFixture()([SESSION, LEFT])
  const data = dirname(fixture.path)
  const tree = join(data, 'storage')
  writeFileAt(join(tree, 'migration'), '1', START)
  writeFileAt(join(tree, 'session', 'b0c1309e', `${SESSION.id}.json`), readFileSync(inTree(fixture, 'info', `${SESSION.id}.json`)), START + DAY)
  for (const message of SESSION.messages) {
    writeFileAt(join(tree, 'message', SESSION.id, `${message.id}.json`), readFileSync(messageFile(fixture, message.id)), START + DAY)
    for (const [at, part] of message.parts.entries()) {
      writeFileAt(join(tree, 'part', message.id, `${part.id}.json`), readFileSync(partFile(fixture, message, at)), START + DAY)
    }
  }
  return { ...fixture, data }
}

const LEFT = corpusSession(START + DAY, conversation(START + DAY + 1000, 1), { project: 'global' })

describe('a data folder of era A and era B', () => {
  it('shows each session once, copies from era B, and accounts for the originals', async () => {
    using fixture = copiedFolder()
    await using sessions = await openSessions({ data: fixture.data })
    expect(sessions.stores.map(({ kind }) => kind)).toEqual(['opencode-json', 'opencode-era-a'])
    const listed = sessions.index.sessionsByTime().map(({ id, project, source }) => [id, project, source.kind])
    expect(listed).toEqual([
      [LEFT.id, 'global', 'opencode-era-a'],
      [SESSION.id, 'b0c1309e', 'opencode-json'],
    ])
    const { stores } = await verifyStores(sessions)
    const records = 1 + SESSION.messages.length + SESSION.messages.flatMap(({ parts }) => parts).length
    expect(stores.map(({ sessions: count, superseded }) => [count, superseded])).toEqual([
      [1, 0],
      [1, records],
    ])
  })

  it('reads documents of 0.1 that were copied as they were', async () => {
    using fixture = copiedFolder()
    const { parts: _, ...document } = foldedMessage(SESSION.id, SECOND)
    writeFileAt(join(fixture.data, 'storage', 'message', SESSION.id, `${SECOND.id}.json`), JSON.stringify(document), START + DAY)
    writeFileAt(
      join(fixture.data, 'storage', 'message', SESSION.id, `${FIRST.id}.json`),
      JSON.stringify(foldedMessage(SESSION.id, FIRST)),
      START + DAY,
    )
    rmSync(join(fixture.data, 'storage', 'part', FIRST.id), { recursive: true })
    await using sessions = await openSessions({ data: fixture.data })
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    const [first, second] = resultOf(result).messages
    expect([result.status, first?.parts.length, second?.parts.length]).toEqual(['ok', FIRST.parts.length, SECOND.parts.length])
    expect(second?.message).toEqual({ id: SECOND.id, sessionID: SESSION.id, ...SECOND.data })
  })
})

describe('discovery of era A', () => {
  it('finds it behind databases and the tree of era B', () => {
    using fixture = copiedFolder()
    writeFileSync(join(fixture.data, 'opencode.db'), '')
    const { places, issues } = discoverStores({ XDG_DATA_HOME: dirname(fixture.data) }, '/home/somebody')
    expect(issues).toEqual([])
    expect(places.map(({ kind }) => kind)).toEqual(['opencode-sqlite', 'opencode-json', 'opencode-era-a'])
  })

  it('takes a data folder, the folder above it, or the `project` folder, through links too', async () => {
    using fixture = eraAFixture()([SESSION])
    const data = dirname(fixture.path)
    for (const path of [data, dirname(data), fixture.path]) expect(storesAt([path]).places).toEqual([{ kind: 'opencode-era-a', path: fixture.path }])
    using other = tempFolder()
    symlinkSync(fixture.path, join(other.path, 'project'))
    await using sessions = await openSessions({ data: other.path })
    expect((await treeOf(sessions, { session: KEY })).messages.length).toBe(SESSION.messages.length)
  })

  it('takes neither the tree of one project nor any other `project` folder for a store', () => {
    using fixture = eraAFixture()([SESSION])
    for (const path of [join(fixture.path, SLUG), join(fixture.path, SLUG, 'storage')]) {
      expect(storesAt([path])).toMatchObject({ places: [], issues: [{ code: 'STORE_MISSING', path: path }] })
    }
    using folder = tempFolder()
    mkdirSync(join(folder.path, 'project', 'mine', 'storage'), { recursive: true })
    writeFileSync(join(folder.path, 'project', 'a file'), '')
    symlinkSync(join(folder.path, 'project', 'a file'), join(folder.path, 'project', 'a link'))
    expect(storesAt([folder.path])).toMatchObject({ places: [], issues: [{ code: 'STORE_MISSING', path: folder.path }] })
    mkdirSync(join(folder.path, 'project', 'mine', 'storage', 'session'))
    expect(storesAt([folder.path]).places).toMatchObject([{ kind: 'opencode-era-a' }])
  })

  it('is not kept from era B by a link in a circle among the projects', async () => {
    using fixture = copiedFolder()
    symlinkSync('circle', join(fixture.path, 'circle'))
    await using sessions = await openSessions({ data: fixture.data })
    expect(sessions.index.sessionsByTime().map(({ id }) => id)).toEqual([LEFT.id, SESSION.id])
    expect(sessions.issues.map(({ code }) => code)).toEqual(['UNREADABLE_RECORD'])
  })
})

describe('a copy in era B without a directory', () => {
  it('has the record that stands there, under the project of its folder', async () => {
    using fixture = copiedFolder()
    await using sessions = await openSessions({ data: fixture.data })
    const { id, version, title, time } = sessionDocument(SESSION)
    expect((await treeOf(sessions, { session: KEY })).session).toEqual({ id, version, title, time, projectID: 'b0c1309e', directory: '' })
  })
})
