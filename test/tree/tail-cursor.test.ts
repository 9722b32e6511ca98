/** Cursors: what a tail costs, what a cursor is, and what is refused. */
import { appendFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { parseMessageId, parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import type { Cursor, LogCursor } from '../../src/storage/cursor.js'
import type { Store, StoreWork } from '../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { FlowResult, SessionHydratedTree } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'
import { type CorpusMessage, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { GROWING, type LogAgent, pickFrom } from '../support/growing-logs.js'
import { type FixtureMaker, jsonFixture, memoryFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { firstOf, issuesIn, resultOf } from '../support/trees.js'
import { workOf } from '../support/work.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const AGENTS = Object.keys(GROWING) as LogAgent[]
const ANCHOR = 128 * 1024
const piPath = (root: string, session: string): string => join(root, '--w--', `2026-03-01T10-00-00-000Z_${session}.jsonl`)
const piHead = (session: string): object => ({ type: 'session', version: 3, id: session, timestamp: '2026-03-01T10:00:00.000Z', cwd: '/w' })
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** A chain of messages of pi: the n-th follows the one before. */
function piLine(n: number, content: unknown, role = 'user', more: object = {}): object {
  const at = new Date(Date.parse('2026-03-01T10:00:00.000Z') + n * 1000).toISOString()
  return { type: 'message', id: `m${n}`, parentId: n === 0 ? null : `m${n - 1}`, timestamp: at, message: { role, content, ...more } }
}

let made = 0
/** A log of pi in a root of its own; returns where it stands. */
function piLog(text: string, session = 's1'): { readonly root: string; readonly path: string } {
  const root = join(folder.path, `pi-${made++}`)
  const path = piPath(root, session)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, textOf([piHead(session)]) + text)
  return { root, path }
}

const PI = sessionKey('pi', parseSessionId('s1'))
const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value))

async function cursorOf(sessions: Sessions, session = PI): Promise<Cursor> {
  const result = await runSessionTreeFlow(sessions, { session })
  if (result.status === 'failed' || result.cursor === undefined) throw new Error('no cursor')
  return throughJson(result.cursor)
}

const idsOf = (result: FlowResult<SessionHydratedTree>): string[] => resultOf(result).messages.map(({ key }) => key.message)
const rereadOf = (result: FlowResult<unknown>): string | undefined => (result.status === 'failed' ? undefined : result.reread)
const endOf = (result: FlowResult<unknown>): Cursor | undefined => (result.status === 'failed' ? undefined : result.cursor)
const onlyStore = (sessions: Sessions): Store => sessions.stores[0] as Store
const resolved = (result: FlowResult<unknown>): { files: number; bytes: number; records: number } => {
  const { files = 0, bytes = 0, records = 0 } = result.reports.find(({ stage }) => stage === 'resolve') ?? {}
  return { files, bytes, records }
}

describe('a tail of ten lines', () => {
  /** What it costs after a log of so many bytes. */
  async function costOf(
    bytes: number,
  ): Promise<{ readonly work: StoreWork; readonly appended: number; readonly result: FlowResult<SessionHydratedTree> }> {
    const filler = 'x'.repeat(2000)
    const count = Math.ceil(bytes / 2200)
    const lines = Array.from({ length: count }, (_, n) =>
      piLine(n, n % 2 === 0 ? filler : [{ type: 'text', text: filler }], n % 2 === 0 ? 'user' : 'assistant'),
    )
    lines.push(piLine(count, [{ type: 'toolCall', id: 'c1', name: 'bash', arguments: {} }], 'assistant'))
    const { root, path } = piLog(textOf(lines))
    await using sessions = await openSessions({ data: root, map: 'never' })
    const cursor = await cursorOf(sessions)
    const answer = piLine(count + 1, [{ type: 'text', text: 'done' }], 'toolResult', { toolCallId: 'c1', toolName: 'bash' })
    const added = textOf([answer, ...Array.from({ length: 9 }, (_, n) => piLine(count + 2 + n, `new ${n}`))])
    appendFileSync(path, added)
    const { value, work } = await workOf(onlyStore(sessions), () => runSessionTreeFlow(sessions, { session: PI, since: cursor }))
    return { work, appended: Buffer.byteLength(added), result: value }
  }

  it('costs what the tail has, not what the log has', async () => {
    const [small, large] = [await costOf(2 * 2 ** 20), await costOf(20 * 2 ** 20)]
    for (const { work, appended, result } of [small, large]) {
      expect(result.status).toBe('ok')
      expect(rereadOf(result)).toBeUndefined()
      // The message that called, now with its answer, and nine new ones.
      expect(resultOf(result).messages).toHaveLength(10)
      const { files, bytes, records } = resolved(result)
      expect([files, records]).toEqual([1, 11])
      expect(work.stats).toBe(1)
      expect(work.files).toBeLessThanOrEqual(2)
      // Lines are read with what ends them.
      expect(work.bytes).toBeLessThanOrEqual(ANCHOR + appended + bytes + records)
      // The caller's own line and those that were appended.
      expect(bytes).toBeLessThan(appended + 300)
    }
    expect(large.work.files).toBe(small.work.files)
    expect(Math.abs(large.work.bytes - small.work.bytes)).toBeLessThan(200)
  })

  it('is read once where nothing is added to a message before it', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    const { size } = statSync(path)
    const added = textOf(Array.from({ length: 10 }, (_, n) => piLine(n + 1, `new ${n}`)))
    appendFileSync(path, added)
    const { value, work } = await workOf(onlyStore(sessions), () => runSessionTreeFlow(sessions, { session: PI, since }))
    expect(idsOf(value)).toHaveLength(10)
    // The anchor is all that was there before.
    expect([work.files, work.bytes]).toEqual([1, size + Buffer.byteLength(added)])
  })

  it('is not read again by the reading after it', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    let since = await cursorOf(sessions)
    for (let n = 1; n < 100; n++) {
      appendFileSync(path, textOf([piLine(n, `number ${n}`)]))
      const result = await runSessionTreeFlow(sessions, { session: PI, since })
      expect([idsOf(result), rereadOf(result)]).toEqual([[`m${n}`], undefined])
      since = throughJson(endOf(result) as Cursor)
    }
  })
})

describe.each(AGENTS)('a log of %s that nobody wrote to', (agent) => {
  it('costs one look at the metadata of each of its files', async () => {
    const log = GROWING[agent]()
    const root = join(folder.path, `quiet-${agent}`, `.${agent}`)
    const path = join(root, log.path)
    mkdirSync(dirname(path), { recursive: true })
    const pick = pickFrom(1)
    writeFileSync(path, [...log.head(), ...Array.from({ length: 50 }, () => log.next(pick)).flat()].map((line) => `${line}\n`).join(''))
    await using sessions = await openSessions({ data: root })
    const session = sessionKey(agent, parseSessionId(log.session))
    const since = await cursorOf(sessions, session)
    for (let look = 0; look < 3; look++) {
      const { value, work } = await workOf(onlyStore(sessions), () => runSessionTreeFlow(sessions, { session, since }))
      expect([idsOf(value), rereadOf(value), endOf(value)]).toEqual([[], undefined, since])
      expect(work).toEqual({ files: 0, rows: 0, bytes: 0, stats: 1 })
    }
  })
})

describe.each(AGENTS)('a cursor of a log of %s', (agent) => {
  it('is plain data of a bounded size, however long and tangled the log is', async () => {
    const log = GROWING[agent]()
    const root = join(folder.path, `long-${agent}`, `.${agent}`)
    const path = join(root, log.path)
    mkdirSync(dirname(path), { recursive: true })
    const pick = pickFrom(7)
    const lines = [...log.head()]
    for (let n = 0; n < 1000; n++) lines.push(...log.next(pick, n % 40 === 0 ? 20 : undefined))
    // A message of very many lines, and very many calls that wait.
    lines.push(...log.next(pick, 1000))
    for (let n = 0; n < 100; n++) lines.push(...log.next(pick, 1))
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    await using sessions = await openSessions({ data: root })
    const cursor = await cursorOf(sessions, sessionKey(agent, parseSessionId(log.session)))
    if (process.env.TAIL_RUNS) console.log(agent, JSON.stringify(cursor).length)
    expect(JSON.stringify(cursor).length).toBeLessThan(64 * 1024)
  })
})

describe('a cursor that is not the one of the log', () => {
  const grow = (path: string): void => appendFileSync(path, textOf([piLine(3, 'three')]))
  const LINES = textOf([piLine(0, 'zero'), piLine(1, 'one'), piLine(2, 'two')])

  it('is refused when it is of another session or kind, or none at all', async () => {
    const { root, path } = piLog(LINES)
    writeFileSync(piPath(root, 's2'), textOf([piHead('s2'), piLine(0, 'other')]))
    await using sessions = await openSessions({ data: root })
    const other = await cursorOf(sessions, sessionKey('pi', parseSessionId('s2')))
    grow(path)
    const wrong: readonly unknown[] = [
      other,
      { kind: 'signatures', session: 's1', signatures: {} },
      { kind: 'log', session: 's1' },
      { kind: 'log', session: 's1', files: 3, memory: {} },
      { kind: 'shadow', session: 's1', files: [], memory: {} },
      {},
      [],
      null,
      'a cursor',
      7,
    ]
    for (const since of wrong) {
      await expect(runSessionTreeFlow(sessions, { session: PI, since: since as Cursor }), JSON.stringify(since)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      })
    }
  })

  it('goes with no window, and with nothing that the caller holds', async () => {
    const { root } = piLog(LINES)
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    const odd: readonly object[] = [
      { messages: { last: 2 } },
      { known: () => undefined },
      { nonsense: 1 },
      { parts: { nonsense: 1 } },
      { limit: { bytes: -1 } },
    ]
    for (const more of odd) {
      await expect(runSessionTreeFlow(sessions, { session: PI, since, ...more })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
  })

  it('never gives wrong data, whatever was changed in it (property)', async () => {
    const { root, path } = piLog(LINES)
    await using sessions = await openSessions({ data: root })
    const cursor = (await cursorOf(sessions)) as LogCursor
    grow(path)
    const whole = resultOf(await runSessionTreeFlow(sessions, { session: PI })).messages
    const right = await runSessionTreeFlow(sessions, { session: PI, since: cursor })
    expect([idsOf(right), rereadOf(right)]).toEqual([['m3'], undefined])
    const places = placesIn({ files: cursor.files, memory: cursor.memory })
    const value = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.boolean(), fc.constant([]), fc.constant({}), fc.double())
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), value, async (place, other) => {
        const since = changed(cursor, place, other)
        fc.pre(JSON.stringify(since) !== JSON.stringify(cursor))
        let result: FlowResult<SessionHydratedTree>
        try {
          result = await runSessionTreeFlow(sessions, { session: PI, since })
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_OPTION' })
          return
        }
        expect(rereadOf(result), `${place.join('.')} = ${JSON.stringify(other)}`).toMatch(/./)
        expect(resultOf(result).messages).toEqual(whole)
      }),
      { numRuns: 150 },
    )
  })

  it('of an older library has the log read again, and says so', async () => {
    const { root, path } = piLog(LINES)
    await using sessions = await openSessions({ data: root })
    const cursor = (await cursorOf(sessions)) as LogCursor
    grow(path)
    const { index } = cursor.memory as { index: object }
    for (const memory of [index, { ...(cursor.memory as object), version: 0 }, {}]) {
      const result = await runSessionTreeFlow(sessions, { session: PI, since: { ...cursor, memory } })
      expect([idsOf(result), rereadOf(result)]).toEqual([['m0', 'm1', 'm2', 'm3'], 'the cursor is none of this version of the library'])
    }
  })

  it('gives no more than the limit allows', async () => {
    const { root, path } = piLog(LINES)
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    appendFileSync(path, textOf([piLine(3, 'x'.repeat(5000))]))
    const limited = await runSessionTreeFlow(sessions, { session: PI, since, limit: { bytes: 5000 } })
    expect(limited).toMatchObject({ status: 'failed', stage: 'plan', error: { code: 'PLAN_TOO_LARGE' } })
    expect(idsOf(await runSessionTreeFlow(sessions, { session: PI, since, limit: { bytes: 6000 } }))).toEqual(['m3'])
  })

  it('reads everything with `deep`', async () => {
    const { root } = piLog(LINES)
    await using sessions = await openSessions({ data: root })
    const result = await runSessionTreeFlow(sessions, { session: PI, since: await cursorOf(sessions), deep: true })
    expect([idsOf(result), rereadOf(result)]).toEqual([['m0', 'm1', 'm2'], 'a deep reading was asked for'])
  })
})

type Place = readonly (string | number)[]

/** The way to every value in a document. */
function placesIn(value: unknown, path: Place = []): readonly Place[] {
  if (typeof value !== 'object' || value === null) return [path]
  const names: readonly (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value)
  const below = names.flatMap((name) => placesIn((value as Record<string | number, unknown>)[name], [...path, name]))
  return path.length === 0 ? below : [path, ...below]
}

function changed<T>(document: T, place: Place, value: unknown): T {
  const copy = throughJson(document)
  let at = copy as Record<string | number, unknown>
  for (const name of place.slice(0, -1)) at = at[name] as Record<string | number, unknown>
  at[place.at(-1) ?? ''] = value
  return throughJson(copy)
}

describe('a log that cannot be read as it was', () => {
  it('is not taken for an empty one: the cursor of before goes on', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    const text = `${textOf([piHead('s1'), piLine(0, 'zero'), piLine(1, 'one')])}`
    // A folder in the place of the log: also root cannot read it.
    rmSync(path)
    mkdirSync(path)
    const result = await runSessionTreeFlow(sessions, { session: PI, since }).catch((error) => error.code)
    if (typeof result === 'string') expect(result).toBe('NOT_FOUND')
    else expect([idsOf(result), rereadOf(result), endOf(result)]).toEqual([[], undefined, undefined])
    rmSync(path, { recursive: true })
    writeFileSync(path, text)
    const again = await runSessionTreeFlow(sessions, { session: PI, since })
    expect([idsOf(again).at(-1), endOf(again) === undefined]).toEqual(['m1', false])
  })

  it('is given with its damage, and gone on with, when a line is too long', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    appendFileSync(path, textOf([piLine(1, 'x'.repeat(33 * 2 ** 20)), piLine(2, 'two')]))
    const result = await runSessionTreeFlow(sessions, { session: PI, since })
    expect(issuesIn(result)).toMatchObject([{ code: 'UNREADABLE_RECORD', line: 3 }])
    appendFileSync(path, textOf([piLine(3, 'three')]))
    expect(idsOf(await runSessionTreeFlow(sessions, { session: PI, since: endOf(result) as Cursor }))).toEqual(['m3'])
    // A whole reading has a cursor, too.
    expect(await runSessionTreeFlow(sessions, { session: PI })).toMatchObject({ status: 'partial', cursor: { kind: 'log' } })
  })

  it('takes a torn last line for damage only when nobody goes on with it', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    const clock = manualClock(statSync(path).mtimeMs)
    await using sessions = await openSessions({ data: root, clock })
    const look = async (since: Cursor): Promise<readonly [FlowResult<SessionHydratedTree>, Cursor]> => {
      const result = await runSessionTreeFlow(sessions, { session: PI, since })
      return [result, throughJson(endOf(result) as Cursor)]
    }
    const line = textOf([piLine(1, 'one')])
    appendFileSync(path, line.slice(0, 30))
    clock.wall = statSync(path).mtimeMs
    const [torn, first] = await look(await cursorOf(sessions))
    expect([idsOf(torn), issuesIn(torn)]).toEqual([[], []])
    clock.wall += 20_000
    const [late, second] = await look(first)
    expect(issuesIn(late)).toMatchObject([{ code: 'CORRUPT_RECORD', line: 3 }])
    const [quiet, third] = await look(second)
    expect([idsOf(quiet), issuesIn(quiet)]).toEqual([[], []])
    appendFileSync(path, line.slice(30))
    const [mended] = await look(third)
    expect([idsOf(mended), rereadOf(mended)]).toEqual([['m0', 'm1'], 'the last line was written on'])
  })

  it('is read anew where it was written in place and its time set back, by a set and from a cursor', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero'), piLine(1, 'one')]))
    const set = new Date(1_700_000_000_000)
    utimesSync(path, set, set)
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    const { ctimeMs } = statSync(path)
    const text = readFileSync(path, 'utf8').replace('zero', 'ZERO')
    while (statSync(path).ctimeMs === ctimeMs) {
      writeFileSync(path, text)
      utimesSync(path, set, set)
    }
    const saysZero = { status: 'ok', value: { messages: [{ parts: [{ text: 'ZERO' }] }, { parts: [{ text: 'one' }] }] } }
    expect(await runSessionTreeFlow(sessions, { session: PI })).toMatchObject(saysZero)
    expect(await runSessionTreeFlow(sessions, { session: PI, since })).toMatchObject({ ...saysZero, reread: 'the file was written in place' })
    expect(await firstOf(runSessionFlow(sessions, { all: true }))).toMatchObject(saysZero)
  })

  it('that is longer than the anchor gives nothing again where it was only touched, and all where it was written in place', async () => {
    const long = 'long '.repeat(ANCHOR / 8)
    const { root, path } = piLog(textOf([piLine(0, 'zero'), piLine(1, long), piLine(2, long)]))
    const set = new Date(1_700_000_000_000)
    utimesSync(path, set, set)
    const setBack = (act: () => void): void => {
      const { ctimeMs } = statSync(path)
      act()
      do utimesSync(path, set, set)
      while (statSync(path).ctimeMs === ctimeMs)
    }
    await using sessions = await openSessions({ data: root })
    const first = await cursorOf(sessions)
    const look = (since: Cursor | undefined) => runSessionTreeFlow(sessions, { session: PI, ...(since && { since }) })
    setBack(() => undefined)
    const touched = await look(first)
    expect([idsOf(touched), rereadOf(touched)]).toEqual([[], undefined])
    appendFileSync(path, textOf([piLine(3, 'three')]))
    utimesSync(path, set, set)
    const grown = await look(endOf(touched))
    expect([idsOf(grown), rereadOf(grown)]).toEqual([['m3'], undefined])
    const since = endOf(grown)
    setBack(() => undefined)
    const older = JSON.parse(JSON.stringify(since), (name, value) => (name === 'sum' ? undefined : value)) as Cursor
    expect(rereadOf(await look(older))).toBe('the file was touched, and may have been written in place')
    setBack(() => writeFileSync(path, readFileSync(path, 'utf8').replace('zero', 'ZERO')))
    const written = await look(since)
    expect([idsOf(written), rereadOf(written)]).toEqual([['m0', 'm1', 'm2', 'm3'], 'the file was written in place'])
    expect(await look(undefined)).toMatchObject({ value: { messages: [{ parts: [{ text: 'ZERO' }] }, {}, {}, {}] } })
  })

  it('has a whole last line without its end only once', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    let since = await cursorOf(sessions)
    for (const [text, ids] of [
      [textOf([piLine(1, 'one')]).trimEnd(), ['m1']],
      ['\n', []],
      [textOf([piLine(2, 'two'), piLine(3, 'three')]).trimEnd(), ['m2', 'm3']],
      [`\n${textOf([piLine(4, 'four')])}`, ['m4']],
    ] as const) {
      appendFileSync(path, text)
      const result = await runSessionTreeFlow(sessions, { session: PI, since })
      expect([idsOf(result), rereadOf(result)]).toEqual([ids, undefined])
      since = throughJson(endOf(result) as Cursor)
    }
  })

  it('is read again when its loose end went and other lines came', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    const end = statSync(path).size
    appendFileSync(path, textOf([piLine(1, 'one')]).trimEnd())
    await using sessions = await openSessions({ data: root })
    const since = await cursorOf(sessions)
    truncateSync(path, end)
    appendFileSync(path, `\n${textOf([{ ...piLine(7, 'seven'.repeat(20)), parentId: 'm0' }])}`)
    utimesSync(path, Date.now() / 1000 + 5, Date.now() / 1000 + 5)
    const result = await runSessionTreeFlow(sessions, { session: PI, since })
    expect([idsOf(result), rereadOf(result)]).toEqual([['m0', 'm7'], 'the last line was written on'])
  })
})

const STORES: readonly (readonly [string, FixtureMaker])[] = [
  ['memory', memoryFixture],
  ['JSON', jsonFixture],
  ['SQLite', sqliteFixture('1.2.1')],
]

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 20))
const KEY = sessionKey('opencode', parseSessionId(SESSION.id))
const NOW = SESSION.updated + DAY

describe.each(STORES)('cursors over %s', (_, make) => {
  interface World extends AsyncDisposable {
    readonly fixture: StoreFixture
    readonly sessions: Sessions
    readonly store: Store
  }

  async function worldOf(): Promise<World> {
    const fixture = make([SESSION])
    const clock = manualClock(NOW)
    const store = await fixture.open(clock)
    const sessions = await createSessionSet([store], { clock })
    return { fixture, sessions, store, [Symbol.asyncDispose]: () => sessions.close().then(() => fixture[Symbol.dispose]()) }
  }
  const add = (fixture: StoreFixture, added: CorpusMessage): void => {
    for (const part of added.parts) fixture.write({ session: SESSION.id, message: added.id, part: part.id }, JSON.stringify(part.data), part.time)
    fixture.write({ session: SESSION.id, message: added.id }, JSON.stringify(added.data), added.time)
  }
  const partOf = (at: number): { session: string; message: string; part: string } => {
    const message = SESSION.messages.at(at) as CorpusMessage
    return { session: SESSION.id, message: message.id, part: message.parts[0]?.id ?? '' }
  }
  const EDITED = '{"type":"text","text":"edited"}'

  it('add up to the whole: what is new, edited, gone; a cold old edit is seen with deep alone', async () => {
    await using w = await worldOf()
    const held = new Map<string, string>()
    const keep = (result: FlowResult<SessionHydratedTree>): Cursor => {
      for (const { key, message, parts } of resultOf(result).messages) held.set(key.message, JSON.stringify([message, parts]))
      for (const id of (result.status !== 'failed' && result.removed) || []) held.delete(id)
      return throughJson(endOf(result) as Cursor)
    }
    const wholeNow = async (): Promise<object> => {
      await using fresh = await createSessionSet([unclosed(w.store)], { clock: manualClock(NOW) })
      const { messages } = resultOf(await runSessionTreeFlow(fresh, { session: KEY }))
      return Object.fromEntries(messages.map(({ key, message, parts }) => [key.message, JSON.stringify([message, parts])]))
    }
    let since = keep(await runSessionTreeFlow(w.sessions, { session: KEY }))
    const next = async (expected: readonly string[], deep = false): Promise<void> => {
      const result = await runSessionTreeFlow(w.sessions, { session: KEY, since, deep })
      expect(idsOf(result)).toEqual(expected)
      since = keep(result)
    }
    await next([])
    expect(Object.fromEntries(held)).toEqual(await wholeNow())

    const added = userMessage(SESSION.updated + 60_000, ['new'])
    add(w.fixture, added)
    await next([added.id])
    w.fixture.write(partOf(-2), EDITED, NOW + 1)
    await next([partOf(-2).message])
    w.fixture.remove({ session: SESSION.id, message: partOf(-3).message })
    const gone = await runSessionTreeFlow(w.sessions, { session: KEY, since })
    expect([idsOf(gone), gone.status !== 'failed' && gone.removed]).toEqual([[], [partOf(-3).message]])
    since = keep(gone)
    expect(Object.fromEntries(held)).toEqual(await wholeNow())

    w.fixture.write(partOf(2), EDITED, NOW + 2)
    await next([])
    expect(Object.fromEntries(held)).not.toEqual(await wholeNow())
    await next([partOf(2).message], true)
    expect(Object.fromEntries(held)).toEqual(await wholeNow())
    // A message long past that goes is missed by nobody.
    w.fixture.remove({ session: SESSION.id, message: partOf(1).message })
    const old = await runSessionTreeFlow(w.sessions, { session: KEY, since })
    expect(old).toMatchObject({ removed: [partOf(1).message] })
    keep(old)
    expect(Object.fromEntries(held)).toEqual(await wholeNow())
  })

  it('add up to the whole after any hot edits, additions and deletions (property)', { timeout: 120_000 }, async () => {
    const act = fc.record({ what: fc.constantFrom('add', 'edit', 'part', 'remove', 'nothing', 'cold'), at: fc.nat(), fresh: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 2, maxLength: 12 }), async (acts) => {
        await using w = await worldOf()
        const ids = SESSION.messages.map(({ id }) => id as string)
        const held = new Map<string, string>()
        let [since, time]: [Cursor | undefined, number] = [undefined, NOW]
        for (const { what, at, fresh } of [{ what: 'nothing', at: 0, fresh: false }, ...acts]) {
          time += 1000
          const hot = ids.at(-1 - (at % Math.min(8, ids.length))) ?? ''
          const cold = ids.slice(0, -8).filter((id) => SESSION.messages.some((message) => message.id === id))
          if (what === 'add') {
            const added = userMessage(time, ['new'])
            add(w.fixture, added)
            ids.push(added.id)
          } else if (what === 'part')
            // A part's id is its message's alone: in a database another message would not get the part, its first one would.
            w.fixture.write({ session: SESSION.id, message: hot, part: `prt_new${at % 3}_${hot}` }, `{"type":"text","text":"${time}"}`, time)
          else if (what === 'edit' && hot !== '') {
            w.fixture.write({ session: SESSION.id, message: hot }, JSON.stringify({ role: 'user', time: { created: NOW - DAY }, at: time }), time)
          } else if (what === 'remove' && ids.length > 10) {
            const [gone = ''] = ids.splice(at % ids.length, 1)
            w.fixture.remove({ session: SESSION.id, message: gone })
          } else if (what === 'cold' && cold.length > 0) {
            const message = cold[at % cold.length] ?? ''
            w.fixture.write({ session: SESSION.id, message, part: 'prt_late' }, `{"type":"text","text":"${time}"}`, time)
          }
          const clock = manualClock(NOW)
          await using other = await createSessionSet([unclosed(w.store)], { clock })
          const result = await runSessionTreeFlow(fresh ? other : w.sessions, { session: KEY, ...(since && { since }), deep: what === 'cold' })
          for (const { key, message, parts } of resultOf(result).messages) held.set(key.message, JSON.stringify([message, parts]))
          for (const id of (result.status !== 'failed' && result.removed) || []) held.delete(id)
          since = throughJson(endOf(result) as Cursor)
          const { messages } = resultOf(await runSessionTreeFlow(other, { session: KEY, deep: true }))
          const whole = messages.map(({ key, message, parts }) => [key.message as string, JSON.stringify([message, parts])] as const)
          expect(Object.fromEntries(held), what).toEqual(Object.fromEntries(whole))
        }
      }),
      { numRuns: Number(process.env.TAIL_RUNS ?? 12) },
    )
  })

  it('name a message that went although it could not be read before, and never one that they give', async () => {
    await using w = await worldOf()
    const [unread, late] = [partOf(-1), partOf(-2)]
    let stepIn = (): void => undefined
    let barred: string | undefined
    const store = steppedIn(w.store, {
      open: async (open, [reads, ...rest]) => {
        const leaves = await open(reads, ...rest)
        stepIn()
        return leaves.map((leaf, at) => {
          const key = reads[at]?.key
          const isBarred = key?.kind === 'part' && key.part === barred
          return isBarred ? { issue: { code: 'STALE_SPAN' as const, key, reason: 'it is being written', transient: true } } : leaf
        })
      },
    })
    await using sessions = await createSessionSet([unclosed(store)], { clock: manualClock(NOW) })
    const whole = await cursorOf(sessions, KEY)
    w.fixture.write(unread, EDITED, NOW + 1)
    barred = unread.part
    const torn = await runSessionTreeFlow(sessions, { session: KEY, since: whole })
    expect([idsOf(torn), issuesIn(torn).length]).toEqual([[unread.message], 1])
    // It is asked for again for as long as that lasts, and once it can be read.
    const again = await runSessionTreeFlow(sessions, { session: KEY, since: throughJson(endOf(torn) as Cursor) })
    expect([idsOf(again), issuesIn(again).length]).toEqual([[unread.message], 1])
    barred = undefined
    const mended = await runSessionTreeFlow(sessions, { session: KEY, since: throughJson(endOf(again) as Cursor) })
    expect([idsOf(mended), mended.status]).toEqual([[unread.message], 'ok'])
    w.fixture.remove({ session: SESSION.id, message: unread.message })
    expect(await runSessionTreeFlow(sessions, { session: KEY, since: throughJson(endOf(again) as Cursor) })).toMatchObject({
      value: { messages: [] },
      removed: [unread.message],
    })
    // It goes while it is read.
    const before = await runSessionTreeFlow(sessions, { session: KEY, since: whole })
    w.fixture.write(late, EDITED, NOW + 2)
    stepIn = () => {
      stepIn = () => undefined
      w.fixture.remove({ session: SESSION.id, message: late.message })
    }
    const gone = await runSessionTreeFlow(sessions, { session: KEY, since: endOf(before) as Cursor })
    expect(gone).toMatchObject({ value: { messages: [] }, removed: [late.message] })
    expect((await runSessionTreeFlow(sessions, { session: KEY, since: endOf(gone) as Cursor })).status).toBe('ok')
  })

  it('are plain data that another set goes on from, and open nothing when nothing happened', async () => {
    await using w = await worldOf()
    const since = await cursorOf(w.sessions, KEY)
    expect(since).toMatchObject({ kind: 'signatures', session: SESSION.id })
    await using again = await createSessionSet([unclosed(await w.fixture.open(manualClock(NOW)))], { clock: manualClock(NOW) })
    const added = userMessage(SESSION.updated + 60_000, ['new'])
    add(w.fixture, added)
    const result = await runSessionTreeFlow(again, { session: KEY, since })
    expect(idsOf(result)).toEqual([added.id])
    const { value, work } = await workOf(w.store, () => runSessionTreeFlow(w.sessions, { session: KEY, since: endOf(result) as Cursor }))
    expect(idsOf(value)).toEqual([])
    // The session's own record is read, no message.
    expect(work.files).toBeLessThanOrEqual(1)
  })

  it('are refused when they are of another session or kind, or hold what is no signature', async () => {
    await using w = await worldOf()
    const { id } = SESSION.messages.at(-1) as CorpusMessage
    for (const since of [
      { kind: 'signatures', session: 'ses_other', signatures: {} },
      { kind: 'log', session: SESSION.id, files: [], memory: {} },
      { kind: 'signatures', session: SESSION.id, signatures: { [id]: 5 } },
      { kind: 'signatures', session: SESSION.id, signatures: { '../x': 'a' } },
      { kind: 'signatures', session: SESSION.id, signatures: [] },
    ]) {
      await expect(runSessionTreeFlow(w.sessions, { session: KEY, since: since as Cursor })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
    const strange = { kind: 'signatures' as const, session: SESSION.id, signatures: { [id]: 'a signature of somebody else', msg_never: 'x' } }
    const result = await runSessionTreeFlow(w.sessions, { session: KEY, since: strange })
    expect(idsOf(result).sort()).toEqual(SESSION.messages.map((message) => message.id).sort())
    expect(result).toMatchObject({ removed: [parseMessageId('msg_never')] })
  })
})

interface Steps {
  open(open: Store['open'], args: Parameters<Store['open']>): ReturnType<Store['open']>
}

/** A store in whose answers a test steps in. */
function steppedIn(store: Store, steps: Steps): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'open') return (...args: Parameters<Store['open']>) => steps.open(target.open.bind(target), args)
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('a tree of files that is away', () => {
  it('has lost no message: neither while it is not there nor while it comes back', async () => {
    using fixture = jsonFixture([SESSION])
    const clock = manualClock(NOW)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const since = await cursorOf(sessions, KEY)
    const away = `${fixture.path}.away`
    const message = (root: string): string => join(root, 'message', SESSION.id, `${SESSION.messages.at(-1)?.id}.json`)
    renameSync(fixture.path, away)
    const looks = [() => undefined, () => cpSync(message(away), message(fixture.path), { recursive: true, preserveTimestamps: true })]
    let cursor = since
    for (const look of looks) {
      look()
      const result = await runSessionTreeFlow(sessions, { session: KEY, since: cursor })
      expect(result.status !== 'failed' && result.removed).toBeUndefined()
      cursor = throughJson(endOf(result) as Cursor)
    }
    rmSync(fixture.path, { recursive: true })
    renameSync(away, fixture.path)
    const back = await runSessionTreeFlow(sessions, { session: KEY, since: cursor })
    expect([back.status, back.status !== 'failed' && back.removed]).toEqual(['ok', undefined])
    rmSync(message(fixture.path))
    expect(await runSessionTreeFlow(sessions, { session: KEY, since: endOf(back) as Cursor })).toMatchObject({
      removed: [SESSION.messages.at(-1)?.id],
    })
  })
})

/** A store that outlives the set that it is given to. */
function unclosed(store: Store): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === Symbol.asyncDispose) return async () => undefined
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
