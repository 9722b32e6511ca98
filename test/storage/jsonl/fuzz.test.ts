/** Thousands of harmed logs: nothing crashes, every intact line is read or left out for a reason, each damaged one is named, the account is exact. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { issuesOf, unwrap } from '../../../src/core/stage.js'
import { openSessions } from '../../../src/open.js'
import { Skim } from '../../../src/storage/jsonl/skim.js'
import { Slab } from '../../../src/storage/slab.js'
import type { SessionEntry } from '../../../src/storage/store.js'
import { ShownCopies } from '../../../src/tree/copies/shown-copies.js'
import { hydrateSessionTree } from '../../../src/tree/hydrate.js'
import { Ledger } from '../../../src/tree/ledger.js'
import { planSessionTree } from '../../../src/tree/plan.js'
import { resolveSessionTree } from '../../../src/tree/resolve.js'
import { bytesOf, DIALECTS, type LogDialect } from '../../support/log-dialects.js'
import { dice, harmed, randomSession } from '../../support/log-mutants.js'
import { type LogPiece, objectIn, piecesOf } from '../../support/log-pieces.js'
import { type LogWorld, logWorld, writeAged } from '../../support/log-world.js'

/** Of each agent; 2,000 with SPANLEAF_LONG=1. */
const CASES = process.env.SPANLEAF_LONG === '1' ? 2000 : 500
const BATCH = 100

/** What the census says of a record. */
interface Counted {
  readonly path: string
  readonly offset: number
  readonly length: number
  readonly ignored: boolean
}

interface Case {
  readonly name: string
  /** The one that was harmed; the snapshot before a journal stays whole. */
  readonly path: string
  readonly isDocument: boolean
}

function writeCases(w: LogWorld, dialects: readonly LogDialect[], seed: number): readonly Case[] {
  return Array.from({ length: BATCH }, (_, n) => {
    const random = dice(seed * BATCH + n)
    const said = randomSession(random, n)
    // A mark that gets into the middle of a journal is damage there, and what stands behind it is saved.
    const session = dialects[0]?.agent === 'jcode' ? { ...said, mark: false } : said
    const dialect = dialects[n % dialects.length] as LogDialect
    const logs = dialect.render(session)
    // The journal of the batch before.
    if (dialect.agent === 'jcode' && logs.length === 1) rmSync(join(w.root, logs[0]?.path ?? '').replace('.json', '.journal.jsonl'), { force: true })
    for (const log of logs.slice(0, -1)) writeAged(join(w.root, log.path), bytesOf(log, session))
    const last = logs.at(-1) as (typeof logs)[number]
    const { bytes, done } = harmed(bytesOf(last, session), random)
    const path = join(w.root, last.path)
    writeAged(path, bytes)
    return { name: `batch ${seed}, case ${n} of ${dialect.name}: ${done.join(', ')}`, path, isDocument: last.form === 'document' }
  })
}

/** The lines of every file as the census counts them, and what `verify` makes of them. */
async function census(w: LogWorld): Promise<{ readonly byPath: ReadonlyMap<string, readonly Counted[]>; readonly damaged: readonly Place[] }> {
  const byPath = new Map<string, Counted[]>()
  const ledger = new Ledger(w.store, w.set, new ShownCopies(w.set), { validator: undefined, orphans: false })
  using slab = new Slab()
  for await (const entry of w.store.census(() => slab, { deep: true })) {
    await ledger.add(entry)
    if (entry.what !== 'record' || entry.kind === 'session') continue
    const { path, leaf, ignored } = entry
    const counted = { path, offset: leaf.span?.source.offset ?? -1, length: leaf.span?.length ?? 0, ignored: ignored !== undefined }
    byPath.set(path, [...(byPath.get(path) ?? []), counted])
  }
  return { byPath, damaged: ledger.close().damaged }
}

interface Place {
  readonly path?: string | undefined
  readonly line?: number | undefined
  readonly offset?: number | undefined
}

const isAt = ({ path, line, offset, length }: LogPiece, place: Place): boolean =>
  place.path === path && place.line === line && (place.offset ?? -1) >= offset && (place.offset ?? -1) <= offset + length

/** A flaw inside a value that nobody asked for. */
const looksWhole = (bytes: Uint8Array): boolean => new Skim({}).whole(Buffer.from(bytes), 0, bytes.length)

async function holdCase(
  w: LogWorld,
  { name, path, isDocument }: Case,
  entry: SessionEntry,
  counted: readonly Counted[],
  damaged: readonly Place[],
): Promise<void> {
  const plan = await planSessionTree(w.set, { session: entry.key })
  using refs = unwrap(await resolveSessionTree(w.set, unwrap(plan)))
  const hydrated = hydrateSessionTree(refs)
  const issues = [...issuesOf(plan), ...issuesOf(hydrated)]
  const ids = refs.messages.map(({ key }) => key.message)
  const parents = refs.messages.map(({ log }) => (log?.parent === undefined ? -1 : ids.indexOf(log.parent)))
  // Every message once, below one that stands before it: no walk up the tree can go in a circle.
  expect(
    [new Set(ids).size, parents.every((parent, at) => parent < at && (refs.messages[at]?.log?.parent === undefined || parent >= 0))],
    name,
  ).toEqual([ids.length, true])
  const leaves = refs.messages.flatMap(({ leaf, parts }) => [leaf, ...parts.map((part) => part.leaf)])
  expect(
    leaves.every(({ span }) => span !== undefined),
    name,
  ).toBe(true)
  const read = leaves.flatMap(({ span }) => (span?.source.path === path ? [`${span.source.offset}:${span.length}`] : []))
  expect([...new Set(read)].sort(), name).toEqual(counted.flatMap((one) => (one.ignored ? [] : [`${one.offset}:${one.length}`])).sort())
  if (isDocument) return
  const pieces = piecesOf(path)
  const named = issues.filter(({ code }) => code === 'CORRUPT_RECORD')
  for (const issue of named)
    expect(
      pieces.some((piece) => piece.document === undefined && isAt(piece, issue)),
      `${name} ${JSON.stringify(issue)}`,
    ).toBe(true)
  if (w.store.agent === 'jcode') holdEntries(name, pieces, counted)
  else {
    expect(counted.map(({ offset, length }) => `${offset}:${length}`).sort(), name).toEqual(
      pieces.map(({ offset, length }) => `${offset}:${length}`).sort(),
    )
    expect(entry.record?.entries, name).toBe(pieces.length)
    for (const piece of pieces.filter(({ document }) => document === undefined)) {
      const isLeftOut = counted.some(({ offset, ignored }) => ignored && offset === piece.offset)
      expect(
        damaged.some((place) => isAt(piece, place)),
        `${name}: verify names line ${piece.line}`,
      ).toBe(true)
      expect(isLeftOut || named.some((issue) => isAt(piece, issue)), `${name}: the flow names line ${piece.line}`).toBe(true)
      expect(!isLeftOut || looksWhole(bytesAt(piece)), name).toBe(true)
    }
  }
}

function bytesAt({ path, offset, length }: LogPiece): Buffer {
  return readFileSync(path).subarray(offset, offset + length)
}

/** Every entry of the journal that is whole is read, glued ones too; something is said of every line. */
function holdEntries(name: string, pieces: readonly LogPiece[], counted: readonly Counted[]): void {
  for (const piece of pieces) {
    const within = counted.filter(({ offset, length }) => offset >= piece.offset && offset + length <= piece.offset + piece.length)
    expect(within.length, `${name}: line ${piece.line}`).toBeGreaterThan(0)
    const entries = bytesAt(piece)
      .toString('latin1')
      .split(/(?<=\})(?=\{"meta":\{)/)
    let offset = piece.offset
    for (const entry of entries) {
      const document = objectIn(Buffer.from(entry, 'latin1'))
      const appended = document !== undefined && Array.isArray(document.append_messages) ? document.append_messages.length : 0
      const own = within.filter((one) => one.offset >= offset && one.offset + one.length <= offset + entry.length)
      if (document?.meta !== undefined) expect(own.length, `${name}: line ${piece.line}`).toBe(Math.max(1, appended))
      offset += entry.length
    }
  }
}

/** By the folder, and some by themselves: of one that is harmed at its beginning nobody may tell whose log it is. */
async function holdOpening(w: LogWorld, cases: readonly Case[], entries: readonly SessionEntry[]): Promise<void> {
  await using all = await openSessions({ data: w.root, clock: w.clock })
  expect(
    all.index
      .sessionsByTime()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(entries.map(({ key }) => key.session).sort())
  for (const { name, path } of cases.filter((_, n) => n % 5 === 2)) {
    try {
      await using one = await openSessions({ data: path, clock: w.clock })
      expect(one.index.sessionsByTime().length, name).toBe(1)
    } catch (error) {
      expect(error, name).toMatchObject({ code: 'STORE_MISSING', path })
    }
  }
}

async function holdBatch(w: LogWorld, dialects: readonly LogDialect[], seed: number): Promise<void> {
  const cases = writeCases(w, dialects, seed)
  await w.set.refresh()
  const { entries, issues } = await w.store.sessions()
  expect(issues).toEqual([])
  if (seed % 4 === 0) await holdOpening(w, cases, entries)
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  const counted = await census(w)
  for (const one of cases) {
    const entry = byPath.get(one.path) ?? byPath.get(one.path.replace('.journal.jsonl', '.json'))
    expect(entry, one.name).toBeDefined()
    if (entry !== undefined) await holdCase(w, one, entry, counted.byPath.get(one.path) ?? [], counted.damaged)
  }
}

describe('harmed logs', () => {
  const agents = [...new Set(DIALECTS.map(({ agent }) => agent))]
  it.each(agents)(`of %s: ${CASES} of them`, { timeout: 120_000 }, async (agent) => {
    const dialects = DIALECTS.filter((dialect) => dialect.agent === agent)
    await using w = await logWorld(dialects[0] as LogDialect, { map: 'never' }, [])
    for (let seed = 0; seed < CASES / BATCH; seed++) await holdBatch(w, dialects, seed)
  })
})
