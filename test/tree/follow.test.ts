/** Following a session: what is there, then what comes, each once, whatever happens to its store meanwhile. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseSessionId, type SessionId } from '../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import type { Store } from '../../src/storage/store.js'
import { fixedStores } from '../../src/storage/store-source.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { type FollowOptions, type FollowUpdate, followSession } from '../../src/tree/watch/follow.js'
import { tellWoken } from '../../src/tree/watch/told.js'
import { type ManualClock, manualClock } from '../support/clocks.js'
import { type CorpusMessage, type CorpusSession, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { type FixtureMaker, jsonFixture, type StoreFixture, sqliteFixture, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
// The first event of a process opens a file of Node's own, which stays.
beforeAll(() => watch(folder.path).close())
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => folder[Symbol.dispose]())

const WRITER = fileURLToPath(new URL('../support/log-writer.mjs', import.meta.url))
const ZSTD = spawnSync('zstd', ['--version']).status === 0
const PI = sessionKey('pi', parseSessionId('s1'))
const START = Date.parse('2026-03-01T10:00:00.000Z')
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const at = (n: number): string => new Date(START + n * 1000).toISOString()

function piLine(n: number, text = `number ${n}`): object {
  return { type: 'message', id: `m${n}`, parentId: n === 0 ? null : `m${n - 1}`, timestamp: at(n), message: { role: 'user', content: text } }
}

let made = 0
/** A log of pi with one message, beside that of another session. */
function piLog(): { readonly root: string; readonly path: string; add(...ns: readonly number[]): void } {
  const root = join(folder.path, `pi-${made++}`)
  const pathOf = (session: string): string => join(root, '--w--', `2026-03-01T10-00-00-000Z_${session}.jsonl`)
  mkdirSync(join(root, '--w--'), { recursive: true })
  for (const id of ['s1', 's2']) writeFileSync(pathOf(id), textOf([{ type: 'session', version: 3, id, timestamp: at(0), cwd: '/w' }, piLine(0)]))
  return { root, path: pathOf('s1'), add: (...ns) => appendFileSync(pathOf('s1'), textOf(ns.map((n) => piLine(n)))) }
}

const idsIn = ({ messages }: FollowUpdate): string[] => messages.map(({ key }) => key.message)

type Act = () => void | Promise<void>

/** Follows by a clock that jumps; before each look after the first one an act, and after the last one some looks more. */
async function followed(
  sessions: Sessions,
  clock: ManualClock,
  session: SessionKey | SessionId,
  acts: readonly Act[],
  options: FollowOptions = {},
  looksMore = 2,
): Promise<readonly FollowUpdate[]> {
  const ending = new AbortController()
  const todo = [...acts]
  let left = looksMore
  const { sleep } = clock
  clock.sleep = async (ms, signal) => {
    await todo.shift()?.()
    if (todo.length === 0 && left-- === 0) ending.abort()
    return sleep.call(clock, ms, signal)
  }
  const updates: FollowUpdate[] = []
  for await (const update of followSession(sessions, session, { signal: ending.signal, ...options })) updates.push(update)
  clock.sleep = sleep
  return updates
}

/** Timers and open files of this process. */
function heldNow(): { readonly timers: number; readonly files: readonly string[] } {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  return { timers, files: process.platform === 'linux' ? readdirSync('/proc/self/fd').flatMap(openFile) : [] }
}

/** Nothing for the one that the list itself was read from. */
function openFile(fd: string): readonly string[] {
  try {
    return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
  } catch {
    return []
  }
}

/** The tests' own runner may have let a timer go meanwhile, the collector a file of other tests. */
function expectNothingLeft(before: ReturnType<typeof heldNow>): void {
  const { timers, files } = heldNow()
  expect(timers).toBeLessThanOrEqual(before.timers)
  expect(files.filter((file) => !before.files.includes(file))).toEqual([])
}

describe('following a log', () => {
  it('gives every message once and in order while its agent writes as fast as it can', async () => {
    const { root, path } = piLog()
    writeFileSync(path, textOf([{ type: 'session', version: 3, id: 's1', timestamp: at(0), cwd: '/w' }]))
    await using sessions = await openSessions({ data: root })
    const before = heldNow()
    const child = spawn(process.execPath, [WRITER, path, '5000'], { stdio: ['pipe', 'inherit', 'inherit'] })
    children.push(child)
    const written = once(child, 'exit')
    const ending = new AbortController()
    const seen: string[] = []
    const rereads: string[] = []
    let updates = 0
    let waits = 2
    for await (const update of followSession(sessions, PI, { pollMs: 1, signal: ending.signal })) {
      expect(update.issues).toEqual([])
      if (update.reread !== undefined) rereads.push(update.reread)
      for (const { key, parts } of update.messages) {
        seen.push(key.message)
        expect(parts[0]).toMatchObject({ text: expect.stringMatching(new RegExp(`^number ${key.message.slice(1)} ü*$`)) })
      }
      updates++
      // The writer waits twice for somebody who reads what it wrote so far.
      if (update.messages.length > 0 && waits-- > 0) child.stdin.write('.')
      if (seen.length >= 5000) ending.abort()
    }
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, n) => `m${n}`))
    expect(rereads).toEqual([])
    expect(updates).toBeGreaterThan(2)
    expect(await written).toEqual([0, null])
    expectNothingLeft(before)
  })

  it('gives what is there at once, then what comes, and nothing when nothing does', async () => {
    const { root, add } = piLog()
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, 's1' as SessionId, [() => undefined, () => add(1), () => undefined, () => add(2, 3)], {
      pollMs: 50,
    })
    expect(updates.map(idsIn)).toEqual([['m0'], ['m1'], ['m2', 'm3']])
    expect(updates.every(({ reread, removed, issues }) => reread === undefined && removed.length === 0 && issues.length === 0)).toBe(true)
    expect(new Set(clock.slept)).toEqual(new Set([50]))
    expect(updates[0]?.session).toMatchObject({ id: 's1', directory: '/w' })
    add(4)
    const since = JSON.parse(JSON.stringify(updates.at(-1)?.cursor))
    expect((await followed(sessions, clock, PI, [], { since })).map(idsIn)).toEqual([['m4']])
  })

  it('gives an update at once when nothing is new since a cursor', async () => {
    const { root } = piLog()
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const [first] = await followed(sessions, clock, PI, [])
    const again = await followed(sessions, clock, PI, [], { since: first?.cursor as NonNullable<FollowUpdate['cursor']> })
    expect(again.map(idsIn)).toEqual([[]])
    expect(again[0]?.cursor).toEqual(first?.cursor)
  })

  it('gives the originals with `native`', async () => {
    const { root, add } = piLog()
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, PI, [() => add(1)], { native: true })
    expect(updates.map(({ messages }) => messages.map(({ native }) => native?.message))).toEqual([[piLine(0)], [piLine(1)]])
  })

  it('goes on with a log that is rotated, replaced, away for a moment, or unreadable', async () => {
    const { root, path, add } = piLog()
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const head = { type: 'session', version: 3, id: 's1', timestamp: at(0), cwd: '/w' }
    const updates = await followed(sessions, clock, PI, [
      () => add(1),
      () => renameSync(path, `${path}.1`),
      () => writeFileSync(path, textOf([head, piLine(0, 'another')])),
      () => add(1),
      () => {
        renameSync(path, `${path}.2`)
        mkdirSync(path)
      },
      () => undefined,
      () => {
        rmSync(path, { recursive: true })
        renameSync(`${path}.2`, path)
      },
      () => add(2),
    ])
    const told = updates.map((update) => [update.reread === undefined ? 'new' : 'all', ...idsIn(update)])
    expect(told.filter((update) => update.length > 1)).toEqual([
      ['new', 'm0'],
      ['new', 'm1'],
      ['all', 'm0'],
      ['new', 'm1'],
      ['new', 'm2'],
    ])
  })

  it.skipIf(!ZSTD)('goes on with a log that is compressed, and taken up again', async () => {
    const session = '0a0b0c0d-1111-4222-8333-444444444444'
    const root = join(folder.path, `codex-${made++}`, '.codex')
    const path = join(root, 'sessions', '2026', '03', '01', `rollout-2026-03-01T10-00-00-${session}.jsonl`)
    mkdirSync(dirname(path), { recursive: true })
    const said = (n: number): object => ({
      timestamp: at(n),
      type: 'response_item',
      payload: { type: 'message', role: 'user', content: [{ type: 'input_text', text: `number ${n}` }] },
    })
    writeFileSync(path, textOf([{ timestamp: at(0), type: 'session_meta', payload: { id: session, timestamp: at(0), cwd: '/w' } }, said(1)]))
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, sessionKey('codex', parseSessionId(session)), [
      () => void spawnSync('zstd', ['-q', '--rm', path]),
      () => undefined,
      () => {
        spawnSync('zstd', ['-q', '-d', '--rm', `${path}.zst`])
        appendFileSync(path, textOf([said(2)]))
      },
    ])
    expect(updates.map(({ messages, reread }) => [messages.length, reread])).toEqual([
      [1, undefined],
      [1, 'the log stands in other files now'],
      [2, 'the log stands in other files now'],
    ])
  })

  it('sees the journal of jcode come, and go into the snapshot', async () => {
    const session = 'session_fox_1767571244376'
    const root = join(folder.path, `jcode-${made++}`, '.jcode')
    const path = join(root, 'sessions', `${session}.json`)
    mkdirSync(dirname(path), { recursive: true })
    const said = (n: number): object => ({ id: `message_1_${n}`, role: 'user', timestamp: at(n), content: [{ type: 'text', text: `number ${n}` }] })
    const fold = (...ns: readonly number[]): void => {
      writeFileSync(`${path}.tmp`, JSON.stringify({ id: session, title: 't', messages: ns.map(said) }))
      renameSync(`${path}.tmp`, path)
    }
    const journal = path.replace(/json$/, 'journal.jsonl')
    fold(1)
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, sessionKey('jcode', parseSessionId(session)), [
      () => appendFileSync(journal, textOf([{ meta: {}, append_messages: [said(2)] }])),
      () => appendFileSync(journal, textOf([{ meta: {}, append_messages: [said(3)] }])),
      () => fold(1, 2, 3),
      () => rmSync(journal),
    ])
    expect(updates.map((update) => [update.reread, ...idsIn(update)])).toEqual([
      [undefined, 'message_1_1'],
      [undefined, 'message_1_2'],
      [undefined, 'message_1_3'],
      ['the snapshot was rewritten', 'message_1_1', 'message_1_2', 'message_1_3'],
      [expect.any(String), 'message_1_1', 'message_1_2', 'message_1_3'],
    ])
  })

  it('gives what there is once while a file of the log cannot be read, and all of it when it can', async () => {
    const session = 'session_owl_1767571244376'
    const root = join(folder.path, `jcode-${made++}`, '.jcode')
    const path = join(root, 'sessions', `${session}.json`)
    mkdirSync(dirname(path), { recursive: true })
    const said = (n: number): object => ({ id: `message_1_${n}`, role: 'user', timestamp: at(n), content: [{ type: 'text', text: `number ${n}` }] })
    writeFileSync(path, JSON.stringify({ id: session, title: 't', messages: [said(1)] }))
    const journal = path.replace(/json$/, 'journal.jsonl')
    mkdirSync(journal)
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, sessionKey('jcode', parseSessionId(session)), [
      () => undefined,
      () => undefined,
      () => {
        rmSync(journal, { recursive: true })
        writeFileSync(journal, textOf([{ meta: {}, append_messages: [said(2)] }]))
      },
    ])
    expect(updates.map((update) => [update.cursor === undefined, ...idsIn(update)])).toEqual([
      [true, 'message_1_1'],
      [false, 'message_1_1', 'message_1_2'],
    ])
  })

  it('tells what went while a file of the log could not be read', async () => {
    const session = 'session_elk_1767571244376'
    const root = join(folder.path, `jcode-${made++}`, '.jcode')
    const path = join(root, 'sessions', `${session}.json`)
    mkdirSync(dirname(path), { recursive: true })
    const said = (n: number): object => ({ id: `message_1_${n}`, role: 'user', timestamp: at(n), content: [{ type: 'text', text: `number ${n}` }] })
    const fold = (...ns: readonly number[]): void => writeFileSync(path, JSON.stringify({ id: session, title: 't', messages: ns.map(said) }))
    const journal = path.replace(/json$/, 'journal.jsonl')
    mkdirSync(journal)
    fold(1, 2, 3)
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    const updates = await followed(sessions, clock, sessionKey('jcode', parseSessionId(session)), [
      () => undefined,
      () => {
        rmSync(journal, { recursive: true })
        fold(1, 3)
      },
      () => undefined,
      () => fold(1, 3, 4),
    ])
    expect(updates.map((update) => [update.cursor === undefined, idsIn(update).length, ...update.removed])).toEqual([
      [true, 3],
      [false, 2, 'message_1_2'],
      [false, 3],
    ])
  })

  it('ends ten seconds after the session went away', async () => {
    const { root, path } = piLog()
    const clock = manualClock(START + DAY)
    await using sessions = await openSessions({ data: root, clock })
    await expect(followed(sessions, clock, PI, [() => rmSync(path)], { pollMs: 1000 }, 50)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(clock.slept.length).toBeGreaterThanOrEqual(10)
    expect(clock.slept.length).toBeLessThan(14)
  })

  it('looks at once when the system tells of a write, or a watch on the same set does', async () => {
    const { root, add } = piLog()
    await using sessions = await openSessions({ data: root })
    const ending = new AbortController()
    const following = followSession(sessions, PI, { pollMs: 2 ** 30, signal: ending.signal })
    await following.next()
    const told = following.next()
    setTimeout(() => add(1), 20)
    expect(idsIn((await told).value as FollowUpdate)).toEqual(['m1'])
    using fixture = jsonFixture([SESSION])
    await using tree = await createSessionSet([await fixture.open()])
    const other = followSession(tree, KEY, { pollMs: 2 ** 30, signal: ending.signal })
    await other.next()
    const next = other.next()
    const last = SESSION.messages.at(-1) as CorpusMessage
    fixture.write({ session: SESSION.id, message: last.id, part: last.parts[0]?.id ?? '' }, '{"type":"text","text":"edited"}', Date.now())
    // A part is in no folder that is watched for one session alone.
    tellWoken(tree)
    expect(idsIn((await next).value as FollowUpdate)).toEqual([last.id])
    ending.abort()
    await following.return(undefined)
    await other.return(undefined)
  })

  it('refuses a session that is not there, and options that are none', async () => {
    const { root } = piLog()
    await using sessions = await openSessions({ data: root })
    const first = (session: string, options: object = {}): Promise<unknown> => followSession(sessions, session as SessionId, options).next()
    await expect(first('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    // Without a look at the session: at the call.
    const wrong = [{ pollMs: 0 }, { pollMs: -1 }, { pollMs: Number.NaN }, { pollMs: '5' }, { pollMs: 2 ** 31 }, { last: 3 }]
    for (const options of [...wrong, { native: 'yes' }, { signal: {} }]) {
      expect(() => first('s1', options), JSON.stringify(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    }
    for (const options of [{ since: null }, { since: {} }, { since: { kind: 'log', session: 'other', files: [], memory: {} } }]) {
      await expect(first('s1', options), JSON.stringify(options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
  })

  it('ends at once when its caller throws into it or lets go of it while it waits', async () => {
    const { root } = piLog()
    await using sessions = await openSessions({ data: root })
    const thrown = new Error('of the caller')
    const ways: readonly ((following: ReturnType<typeof followSession>) => Promise<unknown>)[] = [
      (following) => following.throw(thrown).catch((error: unknown) => error),
      async (following) => {
        await following[Symbol.asyncDispose]()
        return thrown
      },
    ]
    for (const way of ways) {
      for (const isWaiting of [true, false]) {
        const following = followSession(sessions, PI, { pollMs: 2 ** 30 })
        expect((await following.next()).done).toBe(false)
        const next = isWaiting ? following.next() : undefined
        expect(await way(following)).toBe(thrown)
        if (next !== undefined) expect(await next).toEqual({ done: true, value: undefined })
        expect(await following.next()).toEqual({ done: true, value: undefined })
      }
    }
  })

  it('ends with its signal while it waits, and when its caller leaves; nothing is left behind', async () => {
    const { root } = piLog()
    await using sessions = await openSessions({ data: root })
    const before = heldNow()
    const ending = new AbortController()
    const following = followSession(sessions, PI, { pollMs: 60_000, signal: ending.signal })
    expect((await following.next()).done).toBe(false)
    const next = following.next()
    setImmediate(() => ending.abort())
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await followSession(sessions, PI, { signal: AbortSignal.abort() }).next()).toEqual({ done: true, value: undefined })
    for await (const _ of followSession(sessions, PI, { pollMs: 60_000 })) break
    expectNothingLeft(before)
  })
})

const SESSION = corpusSession(START, conversation(START + 1000, 10))
const KEY = sessionKey('opencode', parseSessionId(SESSION.id))
const NOW = SESSION.updated + DAY
const STORES: readonly (readonly [string, FixtureMaker])[] = [
  ['JSON', jsonFixture],
  ['SQLite', sqliteFixture('1.2.1')],
]

describe.each(STORES)('following a session of OpenCode in %s', (_, make) => {
  const added = userMessage(SESSION.updated + 60_000, ['new'])
  const add = (fixture: StoreFixture, message: CorpusMessage): void => {
    for (const part of message.parts) fixture.write({ session: SESSION.id, message: message.id, part: part.id }, JSON.stringify(part.data), part.time)
    fixture.write({ session: SESSION.id, message: message.id }, JSON.stringify(message.data), message.time)
  }

  it('gives what is there, what comes, what changes and what goes', async () => {
    using fixture = make([SESSION])
    const clock = manualClock(NOW)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const last = SESSION.messages.at(-1) as CorpusMessage
    const place = { session: SESSION.id, message: last.id, part: last.parts[0]?.id ?? '' }
    const updates = await followed(sessions, clock, KEY, [
      () => add(fixture, added),
      () => undefined,
      () => fixture.write(place, '{"type":"text","text":"edited"}', NOW + 1),
      () => fixture.remove({ session: SESSION.id, message: last.id }),
    ])
    expect(updates.map((update) => [idsIn(update).length, ...update.removed])).toEqual([[SESSION.messages.length], [1], [1], [0, last.id]])
    expect(updates[1]?.messages[0]).toMatchObject({ key: { message: added.id }, parts: [{ text: 'new' }] })
    expect(updates[2]?.messages[0]?.parts[0]).toMatchObject({ text: 'edited' })
  })

  it('gives a change of the session itself, other than of the time of its last message', async () => {
    using fixture = make([SESSION])
    const clock = manualClock(NOW)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const revert = { messageID: SESSION.messages.at(-2)?.id ?? '' }
    const updates = await followed(sessions, clock, KEY, [
      () => writeSession(fixture, { ...SESSION, updated: SESSION.updated + 1000 }),
      () => undefined,
      () => writeSession(fixture, { ...SESSION, info: { ...SESSION.info, title: 'renamed', revert } }),
      () => undefined,
    ])
    expect(updates.map(({ messages, removed, session }) => [messages.length, removed.length, session?.title, session?.revert])).toEqual([
      [SESSION.messages.length, 0, SESSION.info.title, undefined],
      [0, 0, 'renamed', revert],
    ])
  })

  it('gives a damaged part once, and again when it is mended', async () => {
    using fixture = make([SESSION])
    const clock = manualClock(NOW)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const last = SESSION.messages.at(-1) as CorpusMessage
    const place = { session: SESSION.id, message: last.id, part: last.parts[0]?.id ?? '' }
    const updates = await followed(sessions, clock, KEY, [
      () => fixture.write(place, '{"type":"te', NOW - DAY / 2),
      () => undefined,
      () => undefined,
      () => fixture.write(place, '{"type":"text","text":"mended"}', NOW - DAY / 4),
    ])
    expect(updates.map((update) => [idsIn(update).length, update.issues.length])).toEqual([
      [SESSION.messages.length, 0],
      [1, 1],
      [1, 0],
    ])
  })
})

function writeSession({ path }: StoreFixture, session: CorpusSession): void {
  if (!path.endsWith('.db')) {
    writeTreeSessions(path, [session])
    return
  }
  const writer = new Database(path)
  const { title, revert } = session.info
  writer.prepare('UPDATE session SET title = ?, revert = ?, time_updated = ?').run(title, revert && JSON.stringify(revert), session.updated)
  writer.close()
}

describe('following a session of a database', () => {
  it('reads no row while nobody writes', async () => {
    using fixture = sqliteFixture('1.2.1')([SESSION])
    const clock = manualClock(NOW)
    const store = await fixture.open(clock)
    await using sessions = await createSessionSet([store], { clock })
    const rows: number[] = []
    const look = (): void => void rows.push(store.work.rows)
    await followed(sessions, clock, KEY, [look, look, look, () => add(fixture), look, look], {}, 0)
    // The look after the first one is the first that can be held against another.
    const [, second, third, afterWrite, last] = rows
    expect([third, last]).toEqual([second, afterWrite])
    expect(afterWrite).toBeGreaterThan(second ?? 0)
  })

  const add = (fixture: StoreFixture): void => {
    const { id, data, time } = userMessage(SESSION.updated + 60_000, ['new'])
    fixture.write({ session: SESSION.id, message: id }, JSON.stringify(data), time)
  }
})

describe('following a store', () => {
  it('is patient with one that is busy or away for a moment, and says once what cannot be read', async () => {
    using fixture = jsonFixture([SESSION])
    const clock = manualClock(NOW)
    const store = await fixture.open(clock)
    await using sessions = await createSessionSet([store], { clock })
    const away = `${fixture.path}.away`
    const updates = await followed(sessions, clock, KEY, [
      () => renameSync(fixture.path, away),
      () => undefined,
      () => renameSync(away, fixture.path),
    ])
    const whole = updates.filter(({ messages, removed }) => messages.length + removed.length > 0)
    // Nothing is told to be gone that only could not be looked at; or it comes back.
    const held = new Set<string>()
    for (const update of whole) {
      if (update.reread !== undefined) held.clear()
      for (const id of update.removed) held.delete(id)
      for (const id of idsIn(update)) held.add(id)
    }
    expect(held.size).toBe(SESSION.messages.length)
  })

  it('goes on where the stores cannot be listed for the moment, as while their worker is replaced', async () => {
    using fixture = jsonFixture([SESSION])
    const clock = manualClock(NOW)
    const source = fixedStores([await fixture.open(clock)])
    let refusals = 0
    await using sessions = await createSessionSet(source, { clock })
    source.refresh = async () => {
      refusals++
      throw new StorageError('WORKER_LOST', { reason: 'it ended' })
    }
    const { id, data, time } = userMessage(SESSION.updated + 60_000, ['new'])
    const later = (): void => fixture.write({ session: SESSION.id, message: id }, JSON.stringify(data), time)
    const updates = await followed(sessions, clock, KEY, [() => undefined, later], { pollMs: 5000 })
    expect(refusals).toBeGreaterThan(0)
    expect(updates.map((update) => idsIn(update).length)).toEqual([SESSION.messages.length, 1])
  })

  it('is as patient again after looks that found nothing new', async () => {
    using fixture = sqliteFixture('1.2.1')([SESSION])
    const clock = manualClock(NOW)
    const store = await fixture.open(clock)
    let isAway = false
    const shaky = new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name)
        if (name !== 'stamp') return typeof value === 'function' ? value.bind(target) : value
        return async () => {
          if (isAway) throw new StorageError('STORE_UNREADABLE', { reason: 'it is being replaced' })
          return await store.stamp?.()
        }
      },
    })
    await using sessions = await createSessionSet([shaky], { clock })
    const away = (): void => {
      isAway = true
    }
    const back = (): void => {
      isAway = false
    }
    const quiet = Array.from({ length: 10 }, () => () => undefined)
    const updates = await followed(sessions, clock, KEY, [...quiet, away, back, ...quiet, away, back, ...quiet], { pollMs: 2000 })
    expect(updates).toHaveLength(1)
  })

  it('gives a message that cannot be read whole only when that changes', async () => {
    using fixture = jsonFixture([SESSION])
    const clock = manualClock(NOW)
    const store = await fixture.open(clock)
    await using sessions = await createSessionSet([barred(store, SESSION.messages.at(-1)?.parts[0]?.id ?? '')], { clock })
    const updates = await followed(sessions, clock, KEY, [() => undefined, () => undefined, () => undefined])
    expect(updates.map((update) => [idsIn(update).length, update.issues.length])).toEqual([[SESSION.messages.length, 1]])
  })
})

/** A store in which one part may not be read. */
function barred(store: Store, part: string): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name)
      if (name === 'open') {
        return async (...args: Parameters<Store['open']>) => {
          const leaves = await target.open(...args)
          return leaves.map((leaf, at) => {
            const key = args[0][at]?.key
            if (key?.kind !== 'part' || key.part !== part) return leaf
            return { issue: { code: 'UNREADABLE_RECORD', key, reason: 'it cannot be read (EACCES)' } }
          })
        }
      }
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
