/** Cursors: what a tail costs, what a cursor is, and what is refused. */
import { appendFileSync, mkdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { parseMessageId, parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import type { Cursor, LogCursor } from '../../src/storage/cursor.js'
import type { Store, StoreWork } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/session-set.js'
import type { Sessions } from '../../src/tree/sessions.js'
import type { FlowResult, SessionHydratedTree } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'
import { type CorpusMessage, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { GROWING, type LogAgent, pickFrom } from '../support/growing-logs.js'
import { type FixtureMaker, jsonFixture, memoryFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { issuesIn, resultOf } from '../support/trees.js'
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
  async function costOf(bytes: number): Promise<{ readonly work: StoreWork; readonly appended: number; readonly result: FlowResult<SessionHydratedTree> }> {
    const filler = 'x'.repeat(2000)
    const count = Math.ceil(bytes / 2200)
    const lines = Array.from({ length: count }, (_, n) => piLine(n, n % 2 === 0 ? filler : [{ type: 'text', text: filler }], n % 2 === 0 ? 'user' : 'assistant'))
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

  it('is not read again by the reading after it', async () => {
    const { root, path } = piLog(textOf([piLine(0, 'zero')]))
    await using sessions = await openSessions({ data: root })
    let since = await cursorOf(sessions)
    for (let n = 1; n < 200; n++) {
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
    for (let n = 0; n < 3000; n++) lines.push(...log.next(pick, n % 40 === 0 ? 20 : undefined))
    // A message of very many lines, and very many calls that wait.
    lines.push(...log.next(pick, 3000))
    for (let n = 0; n < 100; n++) lines.push(...log.next(pick, 1))
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    await using sessions = await openSessions({ data: root })
    const cursor = await cursorOf(sessions, sessionKey(agent, parseSessionId(log.session)))
    if (process.env.TAIL_RUNS) console.log(agent, JSON.stringify(cursor).length)
    expect(JSON.stringify(cursor).length).toBeLessThan(64 * 1024)
  })
})
