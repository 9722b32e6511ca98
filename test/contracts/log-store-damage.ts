/** Damaged logs: each damaged line is named, everything else is read, and the account is exact. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { activePath } from '../../src/tree/active-path.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { StoreLedger } from '../../src/tree/ledger.js'
import { verifyStores } from '../../src/tree/verify.js'
import type { LogDialect } from '../support/log-dialects.js'
import { piecesOf, recordsIn } from '../support/log-pieces.js'
import { CORPUS, plainSayings, type SaidSession } from '../support/log-sayings.js'
import { type LogWorld, type MakeLogWorld, plainTree } from '../support/log-world.js'
import { manifestOf } from '../support/manifest.js'
import { issuesIn, resultOf, treeOf } from '../support/trees.js'

const [FIRST] = CORPUS

/** What `verify` counts of lines. */
export function linesIn({ messages, parts, inside, ignored, damaged }: StoreLedger): number {
  return messages + parts - inside + ignored.reduce((sum, { count }) => sum + count, 0) + damaged.filter(({ kind }) => kind !== 'store').length
}

function countOf(w: LogWorld, dialect: LogDialect, session: SaidSession): { readonly records: number; readonly entries: number } {
  const logs = dialect.render(session)
  const pieces = w.pathsOf(session).flatMap((path, at) => piecesOf(path, logs[at]?.form))
  const beside = logs.flatMap(({ form, lines }) => (form === 'document' ? notesIn(lines[0] ?? '') : []))
  return { records: pieces.reduce((sum, piece) => sum + recordsIn(piece), beside.length), entries: pieces.length }
}

/** What a snapshot holds that is no message, and is left out. */
function notesIn(snapshot: string): readonly unknown[] {
  const { env_snapshots = [], replay_events = [] } = JSON.parse(snapshot)
  return [...env_snapshots, ...replay_events]
}

const bad = (
  text: string,
  reason: string,
  offset = 0,
): readonly [string, { readonly text: string; readonly reason: string; readonly offset: number }] => [
  `${reason} (${JSON.stringify(text.slice(0, 20))})`,
  { text, reason, offset },
]
const NO_OBJECT = 'the document is no object'
const DAMAGE = [
  bad('{"type":"message","x":', 'truncated', 22),
  bad('hello', 'not JSON'),
  bad('{"a":1}{"b":2}', 'not JSON', 7),
  bad('[1]', NO_OBJECT),
  bad('null', NO_OBJECT),
  bad('\0'.repeat(40), 'NUL-filled'),
  bad('{"a":"\xff"}', 'invalid UTF-8', 6),
  bad('{"a":"\x01"}', 'not JSON', 6),
  bad('{"a":tru}', 'not JSON', 8),
]

export function describeAccount(world: MakeLogWorld, dialect: LogDialect): void {
  it('accounts for every line of every file, without a change to any', async () => {
    await using w = await world()
    const before = manifestOf(w.root)
    const { stores } = await verifyStores(w.set)
    const counts = CORPUS.map((session) => countOf(w, dialect, session))
    const [ledger] = stores
    expect(ledger).toMatchObject({ sessions: CORPUS.length, damaged: [], superseded: 0, orphans: { messages: 0, parts: 0 } })
    expect(ledger && linesIn(ledger)).toBe(counts.reduce((sum, { records }) => sum + records, 0))
    expect(ledger?.messages).toBe(CORPUS.flatMap(({ sayings }) => sayings).length)
    expect((await verifyStores(w.set, { deep: true })).total).toMatchObject({ damaged: 0, messages: ledger?.messages, ignored: ignoredIn(ledger) })
    for (const [at, session] of CORPUS.entries()) {
      const { messages } = await treeOf(w.set, { session: w.keyOf(session), native: true })
      expect(messages.length).toBe(session.sayings.length)
      expect(w.set.index.session(w.keyOf(session))?.entries).toBe(counts[at]?.entries)
    }
    expect(manifestOf(w.root)).toEqual(before)
  })
}

function ignoredIn(ledger: StoreLedger | undefined): number | undefined {
  return ledger?.ignored.reduce((sum, { count }) => sum + count, 0)
}

export function describeDamage(world: MakeLogWorld, dialect: LogDialect): void {
  const isDocument = dialect.render(FIRST).at(-1)?.form === 'document'

  /** A line before the last three of the file that grows. Returns its place. */
  function insert(w: LogWorld, text: string): { readonly path: string; readonly line: number; readonly offset: number } {
    const path = w.pathsOf(FIRST).at(-1) ?? ''
    const lines = readFileSync(path, 'latin1').split('\n')
    lines.splice(-4, 0, text)
    const line = lines.length - 4
    writeFileSync(path, lines.join('\n'), 'latin1')
    return { path, line, offset: lines.slice(0, line - 1).join('\n').length + 1 }
  }

  it.skipIf(isDocument).each(DAMAGE)('names a line that is %s, with its place, and reads all others', async (_, { text, reason, offset }) => {
    await using w = await world()
    const place = insert(w, text)
    await w.set.refresh()
    const result = await runSessionTreeFlow(w.set, { session: w.keyOf(FIRST) })
    const named = { code: 'CORRUPT_RECORD', path: place.path, line: place.line, offset: place.offset + offset, reason }
    expect(issuesIn(result)).toMatchObject([named])
    const said = (messages: ReturnType<typeof plainTree>): unknown => messages.map(({ role, created, parts }) => ({ role, created, parts }))
    const whole = plainTree(resultOf(result)).filter(({ role }) => role !== 'damaged')
    expect([said(whole), resultOf(result).messages.length]).toEqual([said(plainSayings(FIRST, dialect.hasTree)), FIRST.sayings.length + 1])
    const { stores, total } = await verifyStores(w.set)
    const { code, path, line } = named
    expect(stores[0]?.damaged).toMatchObject([{ code, path, line, offset: named.offset, kind: 'message' }])
    expect(stores[0] && linesIn(stores[0])).toBe(CORPUS.reduce((sum, session) => sum + countOf(w, dialect, session).records, 0))
    expect([total.damaged, w.set.index.session(w.keyOf(FIRST))?.entries]).toEqual([1, countOf(w, dialect, FIRST).entries])
  })

  it.skipIf(isDocument)('names the NULs before a line, and reads the line', async () => {
    await using w = await world()
    const path = w.pathsOf(FIRST).at(-1) ?? ''
    const lines = readFileSync(path, 'latin1').split('\n')
    const at = lines.length - 3
    lines[at] = `${'\0'.repeat(4096)}${lines[at]}`
    writeFileSync(path, lines.join('\n'), 'latin1')
    const result = await runSessionTreeFlow(w.set, { session: w.keyOf(FIRST) })
    const offset = lines.slice(0, at).join('\n').length + 1
    expect(issuesIn(result)).toMatchObject([{ path, line: at + 1, offset, reason: 'NUL-filled' }])
    expect(resultOf(result).messages.length).toBe(FIRST.sayings.length + 1)
  })

  it.skipIf(isDocument).each([
    ['half an object', '{"type":"mess', 'truncated'],
    ['NULs', '\0'.repeat(100), 'NUL-filled'],
    ['NULs and half an object', `${'\0'.repeat(100)}{"a`, 'NUL-filled'],
  ])('names %s at the end of a file when nobody writes it on, and not before', async (_, text, reason) => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const path = w.pathsOf(FIRST).at(-1) ?? ''
    const [offset, lines] = [readFileSync(path).length, readFileSync(path, 'utf8').split('\n').length]
    appendFileSync(path, text)
    w.clock.wall = Date.now()
    const early = await runSessionTreeFlow(w.set, { session })
    expect([early.status, plainTree(resultOf(early))]).toEqual(['ok', plainSayings(FIRST, dialect.hasTree)])
    const cursor = early.status === 'failed' ? undefined : early.cursor
    w.clock.wall += 20_000
    const late = await runSessionTreeFlow(w.set, { session })
    expect(issuesIn(late)[0]).toMatchObject({ code: 'CORRUPT_RECORD', path, line: lines, reason })
    expect(issuesIn(late)[0]?.offset).toBeGreaterThanOrEqual(offset)
    expect(activePath(resultOf(late))).toEqual(activePath(resultOf(early)))
    const tail = await runSessionTreeFlow(w.set, { session, ...(cursor && { since: cursor }) })
    expect(issuesIn(tail)).toEqual(issuesIn(late))
    const next = tail.status === 'failed' ? undefined : tail.cursor
    expect(issuesIn(await runSessionTreeFlow(w.set, { session, ...(next && { since: next }) }))).toEqual([])
    await w.set.refresh()
    const { stores } = await verifyStores(w.set)
    expect(stores[0]?.damaged[0]).toMatchObject({ path, line: lines, reason })
    expect(stores[0] && linesIn(stores[0])).toBe(CORPUS.reduce((sum, one) => sum + countOf(w, dialect, one).records, 0))
    expect(w.set.index.session(session)?.entries).toBe(countOf(w, dialect, FIRST).entries)
    appendFileSync(path, '\n')
    w.clock.wall = Date.now()
    expect(issuesIn(await runSessionTreeFlow(w.set, { session }))).toEqual(issuesIn(late))
  })

  it('names a snapshot that is no whole object, and reads all other sessions', async () => {
    if (dialect.agent !== 'jcode') return
    await using w = await world()
    const [path = ''] = w.pathsOf(FIRST)
    writeFileSync(path, readFileSync(path).subarray(0, 300))
    await w.set.refresh()
    const result = await runSessionTreeFlow(w.set, { session: w.keyOf(FIRST) })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', path }])
    const { stores } = await verifyStores(w.set)
    expect(stores[0]?.damaged).toMatchObject([{ path }])
    for (const other of CORPUS.slice(1))
      expect(plainTree(await treeOf(w.set, { session: w.keyOf(other) }))).toEqual(plainSayings(other, dialect.hasTree))
  })
}
