/** What is measured: each row with its two sides, what it must have read, and its targets. */
import { readdirSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { basename, join } from 'node:path'
import { corpus, REPOSITORY, TOOLS } from './corpus.mjs'
import { dropFileCache, inTurns, runOnce, spread } from './measure.mjs'

const READER = join(REPOSITORY, 'bench', 'reader.mjs')
const TAIL = join(REPOSITORY, 'bench', 'tail.mjs')
const WHOLE = { sessions: 500, messages: 20_000, parts: 100_000 }
const ONE = { sessions: 1, messages: 40, parts: 200 }
const TAIL_ROUNDS = 200
const COLD_RUNS = 3

/** name, title, targets, and `run(runs)`, which gives the row's figures; a row that cannot be measured here throws Skipped. */
export const ROWS = [
  againstNaive('read-json', 'full read with parts, JSON', ['all', 'json'], WHOLE, { ratio: 0.95, rssMb: 100 }),
  againstNaive('read-db', 'full read with parts, database', ['all', 'db'], WHOLE, { ratio: 0.8 }),
  againstNaive('list-json', 'list sessions, JSON', ['sessions', 'json'], { sessions: WHOLE.sessions }),
  againstNaive('list-db', 'list sessions, database', ['sessions', 'db'], { sessions: WHOLE.sessions }),
  againstNaive('one-json', 'open and hydrate one session, JSON', ['one', 'json'], ONE),
  againstNaive('one-db', 'open and hydrate one session, database', ['one', 'db'], ONE),
  tail('tail-json', 'tail of one new message, 5,000 after 50, JSON', 'json', { addedMs: 5, unchangedOpened: 0 }),
  tail('tail-db', 'tail of one new message, 5,000 after 50, database', 'db', { addedMs: 0.5, unchangedOpened: 0 }),
  cold(againstNaive('cold-json', 'full read with parts, JSON, cold file cache', ['all', 'json'], WHOLE)),
  cold(againstNaive('cold-db', 'full read with parts, database, cold file cache', ['all', 'db'], WHOLE)),
]

export class Skipped extends Error {}

/** Which reader is the baseline of the database rows: the shared one needs node:sqlite. */
export function databaseBaseline() {
  return !isBuiltin('node:sqlite') ? 'naive-db.mjs over better-sqlite3' : 'naive-reader.mjs over node:sqlite'
}

function againstNaive(name, title, [mode, layout], expected, targets = {}) {
  const run = (runs, before) => {
    const main = corpus('main')
    const ours = [READER, mode, main[layout], ...(mode === 'one' && layout === 'json' ? [lastSession(main.json)] : [])]
    const baseline = naive(`${layout}-${mode}`, main)
    const { a, b } = inTurns(
      () => runOnce(baseline),
      () => readAll(ours, expected),
      runs,
      before,
    )
    return {
      unit: 'ms',
      baseline: spread(a.map(({ ms }) => ms)),
      measured: spread(b.map(({ ms }) => ms)),
      ratio: spread(b.map(({ ms }) => ms)).median / spread(a.map(({ ms }) => ms)).median,
      pairedRatio: spread(b.map(({ ms }, at) => ms / a[at].ms)).median,
      baselineRssMb: spread(a.map(({ rssMb }) => rssMb)).median,
      rssMb: spread(b.map(({ rssMb }) => rssMb)).median,
      openMs: spread(b.map(({ openMs }) => openMs)).median,
    }
  }
  return { name, title, targets, run }
}

function naive(mode, main) {
  const shared = isBuiltin('node:sqlite') || mode.startsWith('json')
  return shared ? [join(TOOLS, 'naive-reader.mjs'), mode, main.home] : [join(REPOSITORY, 'bench', 'naive-db.mjs'), mode, main.db]
}

function readAll(command, expected) {
  const figures = runOnce(command)
  for (const [name, count] of Object.entries(expected)) {
    if (figures[name] !== count) throw new Error(`${figures[name]} ${name} were read, not ${count}`)
  }
  return figures
}

/** The session that naive-reader.mjs takes: the last one by path. */
function lastSession(tree) {
  const files = readdirSync(join(tree, 'session'), { recursive: true }).filter((name) => name.endsWith('.json'))
  return basename(files.sort().at(-1), '.json')
}

function tail(name, title, layout, targets) {
  const run = (runs) => {
    const measure = (length) => () => runOnce([TAIL, layout, corpus(length)[layout], String(TAIL_ROUNDS)])
    const { a, b } = inTurns(measure('short'), measure('long'), runs)
    const [baseline, measured] = [a, b].map((side) => spread(side.map(({ ms }) => ms)))
    return {
      unit: 'ms',
      baseline,
      measured,
      addedMs: measured.median - baseline.median,
      unchangedOpened: [...a, ...b].reduce((sum, { unchangedOpened }) => sum + unchangedOpened, 0),
    }
  }
  return { name, title, targets, run }
}

/** From the disk; a handful of runs, as each of them takes many times as long. */
function cold(row) {
  const run = (runs) => {
    if (!dropFileCache()) throw new Skipped('the file cache cannot be dropped here')
    return row.run(Math.min(runs, COLD_RUNS), dropFileCache)
  }
  return { ...row, run }
}
