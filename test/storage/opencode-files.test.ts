/** Era B trees in every bad state that a rewriting writer, a full disk or a stranger leaves behind. */
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { openFileStore } from '../../src/storage/opencode-files.js'
import { looksTorn } from '../../src/storage/read-file.js'
import { Slab } from '../../src/storage/slab.js'
import { parseSpan } from '../../src/storage/span.js'
import type { CensusEntry, Read, Store } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/session-set.js'
import { verifyStores } from '../../src/tree/verify.js'
import { manualClock } from '../support/clocks.js'
import { type Corpus, type CorpusMessage, type CorpusSession, conversation, corpusSession, DAY, sessionDocument, userMessage } from '../support/corpus.js'
import { jsonFixture, pretty, type StoreFixture, writeFileAt } from '../support/store-fixtures.js'
import { issuesIn, keyOf, plain, setOf, valueOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)
const FIRST_READ: Read = { kind: 'message', key: messageKey(KEY, parseMessageId(FIRST.id)) }

const messageFile = (fixture: StoreFixture, message = FIRST.id): string => join(fixture.path, 'message', SESSION.id, `${message}.json`)
const partFile = (fixture: StoreFixture, message = FIRST, at = 0): string => join(fixture.path, 'part', message.id, `${message.parts[at]?.id}.json`)
const sessionFile = (fixture: StoreFixture): string => join(fixture.path, 'session', SESSION.project, `${SESSION.id}.json`)

describe('a file that is being rewritten', () => {
  const whole = pretty({ id: FIRST.id, sessionID: SESSION.id, ...FIRST.data })

  it('is read again until it is whole', async () => {
    using fixture = jsonFixture([SESSION])
    const path = messageFile(fixture)
    for (const half of ['', '{', whole.slice(0, 20), whole.slice(0, -1), '\0'.repeat(whole.length)]) {
      writeFileSync(path, half)
      const clock = manualClock(statSync(path).mtimeMs + 1, (times) => times === 2 && writeFileSync(path, whole))
      const store = openFileStore(fixture.path, clock)
      const [leaf] = await store.open([FIRST_READ], new Slab())
      expect(leaf?.span && parseSpan(leaf.span)).toMatchObject(FIRST.data)
      expect([leaf?.span && leaf.torn, clock.slept]).toEqual([undefined, [15, 30]])
    }
  })

  it('is known as torn when it is empty, whatever stood in the buffer before', () => {
    const buffer = Buffer.from('{\n  "a": 1\n}{\n  "b": 2\n}')
    expect(looksTorn(buffer, 12, 0)).toBe(true)
    expect(looksTorn(buffer, 12, 12)).toBe(false)
  })

  it('is given as it is after four tries, and said to be transient', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), whole.slice(0, 30))
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs)
    await using sessions = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'truncated', transient: true, path: messageFile(fixture) }])
    expect(clock.slept).toEqual([15, 30, 60, 120])
  })

  it('is not waited for when it was written long ago', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileAt(messageFile(fixture), whole.slice(0, 30), START)
    const clock = manualClock(START + DAY)
    await using sessions = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    const [issue] = issuesIn(await runSessionTreeFlow(sessions, { session: KEY }))
    expect([issue?.code, issue?.transient, clock.slept]).toEqual(['CORRUPT_RECORD', undefined, []])
  })

  it('is STALE_SPAN when it vanishes while it is waited for', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), '')
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs, () => rmSync(messageFile(fixture), { force: true }))
    const [leaf] = await openFileStore(fixture.path, clock).open([FIRST_READ], new Slab())
    expect(leaf?.issue?.code).toBe('STALE_SPAN')
  })

  it('ends the wait when the caller gives up', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), '')
    const controller = new AbortController()
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs, () => controller.abort(new Error('enough')))
    const opened = openFileStore(fixture.path, clock).open([FIRST_READ], new Slab(), { signal: controller.signal })
    await expect(opened).rejects.toThrow('enough')
  })

  it('looks torn at every length but its own (property)', () => {
    const document = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.array(fc.jsonValue(), { minLength: 1 }))
    fc.assert(
      fc.property(document, fc.nat(), (value, at) => {
        const bytes = Buffer.from(pretty(value))
        const length = at % bytes.length
        expect(looksTorn(bytes, 0, bytes.length)).toBe(false)
        expect(looksTorn(bytes, 0, length)).toBe(true)
        const compact = Buffer.from(JSON.stringify(value))
        expect(looksTorn(compact, 0, compact.length)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a file that changed between plan and resolve', () => {
  it('is taken as it is now when it grew, and is an issue when it is gone', async () => {
    using fixture = jsonFixture([SESSION])
    await using sessions = await setOf(await fixture.open())
    const { planSessionTree } = await import('../../src/tree/plan.js')
    const { resolveSessionTree } = await import('../../src/tree/resolve.js')
    const { hydrateSessionTree } = await import('../../src/tree/hydrate.js')
    const planned = await planSessionTree(sessions, { session: KEY })
    if (planned.status !== 'ok') throw new Error('the plan must be whole')
    const grown = { type: 'text', text: 'x'.repeat(3_000_000) }
    writeFileSync(partFile(fixture), pretty(grown))
    rmSync(partFile(fixture, FIRST, 1))
    truncateSync(messageFile(fixture, SECOND.id), 0)
    utimesSync(messageFile(fixture, SECOND.id), 1, 1)
    const resolved = await resolveSessionTree(sessions, planned.value)
    if (resolved.status !== 'partial') throw new Error('the removed part must be an issue')
    expect(resolved.issues.map(({ code, path }) => [code, path])).toEqual([['STALE_SPAN', partFile(fixture, FIRST, 1)]])
    using refs = resolved.value
    const hydrated = hydrateSessionTree(refs)
    if (hydrated.status !== 'partial') throw new Error('the emptied message must be an issue')
    expect(hydrated.issues.map(({ code, reason }) => [code, reason])).toEqual([['CORRUPT_RECORD', 'empty']])
    const [first, second] = hydrated.value.messages
    expect(first?.parts).toMatchObject([grown])
    expect([second?.message, second?.parts.length]).toEqual([undefined, SECOND.parts.length])
  })
})

describe('sizes', () => {
  it('reads files around the size of a buffer, and larger ones, byte for byte', async () => {
    using fixture = jsonFixture([SESSION])
    const store = await fixture.open()
    const sizes = [1, 65_535, 65_536, 2 ** 20 - 65_536, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20, 5]
    const reads = sizes.map((size, at): Read => {
      writeFileAt(messageFile(fixture, `msg_${at}`), Buffer.alloc(size, 97 + at), START)
      return { kind: 'message', key: messageKey(KEY, parseMessageId(`msg_${at}`)) }
    })
    using slab = new Slab()
    const leaves = await store.open([...reads, ...reads], slab)
    for (const [at, leaf] of leaves.entries()) {
      const size = sizes[at % sizes.length] ?? 0
      expect(leaf.span?.length).toBe(size)
      expect(leaf.span?.bytes().every((byte) => byte === 97 + (at % sizes.length))).toBe(true)
    }
  })
})

describe('encodings', () => {
  it('names invalid UTF-8, takes a byte order mark, and keeps replacement characters that were written', async () => {
    using fixture = jsonFixture([SESSION])
    const text = (inside: Buffer): Buffer => Buffer.concat([Buffer.from('{"type":"text","text":"'), inside, Buffer.from('"}')])
    writeFileAt(partFile(fixture), text(Buffer.from([0xff, 0xfe])), START)
    writeFileAt(partFile(fixture, FIRST, 1), Buffer.from('\uFEFF{"type":"text","text":"marked"}\r\n'), START)
    writeFileAt(partFile(fixture, SECOND), text(Buffer.from('\uFFFD')), START)
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'invalid UTF-8', path: partFile(fixture) }])
    const [first, second] = valueOf(result).messages
    expect([first?.parts, second?.parts]).toMatchObject([[{ text: 'marked' }], [{ text: '\uFFFD' }]])
  })
})

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
    expect(valueOf(result).messages.length).toBe(SESSION.messages.length)
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
    const whole = valueOf(result).messages.filter(({ message }) => message !== undefined)
    expect(whole.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
    const { total } = await verifyStores(sessions)
    expect(total.damaged).toBe(3) // the folder is a foreign folder, counted as ignored
    await expect(sessions.index.revision(KEY)).resolves.toEqual(expect.any(String))
  })

  it('follows symbolic links to folders and files', async () => {
    using fixture = jsonFixture([SESSION])
    using elsewhere = jsonFixture([])
    for (const kind of ['session', 'message', 'part']) {
      renameSync(join(fixture.path, kind), join(elsewhere.path, kind))
      symlinkSync(join(elsewhere.path, kind), join(fixture.path, kind))
    }
    const project = join(elsewhere.path, 'session', SESSION.project)
    renameSync(project, `${project}-moved`)
    symlinkSync(`${project}-moved`, project)
    rmSync(partFile(fixture))
    symlinkSync(partFile(fixture, FIRST, 1), partFile(fixture))
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(result.status).toBe('ok')
    expect(plain(valueOf(result)).messages.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
  })

  it('takes a file for an empty folder', async () => {
    using fixture = jsonFixture([SESSION])
    rmSync(dirname(partFile(fixture)), { recursive: true })
    writeFileSync(dirname(partFile(fixture)), 'a file')
    writeFileSync(join(fixture.path, 'session', 'file'), 'a file')
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect([result.status, valueOf(result).messages[0]?.parts]).toEqual(['ok', []])
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
    expect(sessions.issues.map(({ code }) => code)).toEqual(['CORRUPT_RECORD'])
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(valueOf(result).session).toBeUndefined()
    expect(valueOf(result).messages.length).toBe(SESSION.messages.length)
  })

  it('keeps an odd field of one session from hiding the others', async () => {
    const odd = ['tokens', 'model', 'revert', 'summary', 'time', 'title', 'parentID', 'cost', 'directory']
    const sessions: Corpus = odd.flatMap((field, at) => [null, 7, 'text', {}, []].map((value, n): CorpusSession => ({ ...SESSION, id: `ses_${field}_${n}`, info: { ...SESSION.info, [field]: value }, updated: START + at })))
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
    const orphans = entries.flatMap((entry) => (entry.what === 'record' && entry.orphan ? [`${entry.kind} ${entry.path.slice(fixture.path.length + 1)}`] : []))
    expect(orphans.sort()).toEqual(['diff session_diff/ses_gone.json', 'message message/ses_gone/msg_2.json', 'part part/msg_gone/prt_1.json', 'todo todo/ses_gone.json'])
    const ignored = entries.flatMap((entry) => (entry.what === 'ignored' ? [[entry.reason, entry.count]] : []))
    expect(ignored.sort()).toEqual([['permission', 1], ['quarantined by OpenCode', 1], ['share secret', 2]])
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
