/** What is measured: each row with its two sides, what it must have read, and its targets. */
import { readdirSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { basename, join } from 'node:path'
import { corpus, REPOSITORY, TOOLS } from './corpus.mjs'
import { LOG_ROWS } from './logs.mjs'
import { MAP_ROWS } from './map.mjs'
import { dropFileCache, inTurns, runOnce, Skipped, spread } from './measure.mjs'

const READER = join(REPOSITORY, 'bench', 'reader.mjs')
const TAIL = join(REPOSITORY, 'bench', 'tail.mjs')
const WHOLE = { sessions: 500, messages: 20_000, parts: 100_000 }
const ONE = { sessions: 1, messages: 40, parts: 200 }
const FULL_READ = { json: 'JSON', db: 'database' }
const LISTED = { json: 'JSON', db: 'database', dual: 'database and JSON of the same sessions' }
const TAIL_ROUNDS = 200
const COLD_RUNS = 5

/**
 * name, title, targets, and `run(runs)`, which gives the row's figures; a row that cannot be measured here throws Skipped.
 * `large` rows need the corpus of 10,000 sessions, which takes minutes to make: the quick bench leaves them out.
 */
export const ROWS = [
  fullRead('read-json', 'json', { ratio: 0.95, rssMb: 100 }),
  fullRead('read-db', 'db', { ratio: 0.8 }),
  ...['json', 'db', 'dual'].flatMap((layout) => [
    lister(`list-${layout}`, 'list', layout, 'main'),
    lister(`ls-${layout}`, 'ls', layout, 'main'),
    lister(`list-${layout}-10k`, 'list', layout, 'many'),
    lister(`ls-${layout}-10k`, 'ls', layout, 'many'),
  ]),
  oneSession('one-json', 'json'),
  oneSession('one-db', 'db'),
  tail('tail-json', 'tail of one new message, 5,000 after 50, JSON', 'json', { addedMs: 5, unchangedOpened: 0 }),
  tail('tail-db', 'tail of one new message, 5,000 after 50, database', 'db', { addedMs: 0.5, unchangedOpened: 0 }),
  verify('verify-json', 'verify', 'json', [], { ratio: 1.2 }),
  verify('verify-db', 'verify', 'db', [], { ratio: 1.2 }),
  ...['json', 'db'].flatMap((layout) => [
    verify(`deep-${layout}`, 'verify --deep with JSON.parse', layout, ['plain']),
    simdjson(verify(`deep-${layout}-simd`, 'verify --deep with simdjson', layout, ['native'])),
  ]),
  cold(fullRead('cold-json', 'json')),
  cold(fullRead('cold-db', 'db')),
  ...['json', 'db', 'dual'].map((layout) => cold(lister(`cold-ls-${layout}-10k`, 'ls', layout, 'many'))),
  ...MAP_ROWS,
  ...LOG_ROWS,
]

/** Which reader is the baseline of the database rows: the shared one needs node:sqlite. */
export function databaseBaseline() {
  return !isBuiltin('node:sqlite') ? 'naive-db.mjs over better-sqlite3' : 'naive-reader.mjs over node:sqlite'
}

function fullRead(name, layout, targets = {}) {
  const sides = () => ({ ours: ['all', corpus('main')[layout]], baseline: naive(`${layout}-all`, corpus('main')) })
  return againstNaive(name, `full read with parts, ${FULL_READ[layout]}`, sides, WHOLE, targets)
}

function oneSession(name, layout) {
  const sides = () => {
    const main = corpus('main')
    return { ours: ['one', main[layout], ...(layout === 'json' ? [lastSession(main.json)] : [])], baseline: naive(`${layout}-one`, main) }
  }
  return againstNaive(name, `open and hydrate one session, ${FULL_READ[layout]}`, sides, ONE)
}

/** Discovery of the stores and the list of sessions, newest first; as `ls`, with the count of messages of each. */
function lister(name, mode, layout, size) {
  const sides = () => {
    const store = corpus(size)[layout]
    return { ours: [mode, store], baseline: [join(REPOSITORY, 'bench', 'naive-list.mjs'), mode, layout, store] }
  }
  const { sessions, messages } = size === 'main' ? WHOLE : { sessions: 10_000, messages: 100_000 }
  const what = mode === 'ls' ? 'sessions with their message counts' : 'sessions'
  const expected = mode === 'ls' ? { sessions, messages } : { sessions }
  const row = againstNaive(name, `list ${sessions.toLocaleString('en')} ${what}, ${LISTED[layout]}`, sides, expected)
  return { ...row, large: size === 'many' }
}

function verify(name, title, layout, options, targets = {}) {
  const mode = options.length === 0 ? 'verify' : 'deep'
  const sides = () => ({ ours: [mode, corpus('main')[layout], ...options], baseline: naive(`${layout}-all`, corpus('main')) })
  return againstNaive(name, `${title}, ${FULL_READ[layout]}, against a full read`, sides, { ...WHOLE, damaged: 0 }, targets)
}

/** Only where the optional peer loads. Where it was not built, the package hands out the global JSON. */
function simdjson(row) {
  const run = (...given) => {
    if (!hasSimdjson()) throw new Skipped('the optional peer simdjson does not load here')
    return row.run(...given)
  }
  return { ...row, run }
}

function hasSimdjson() {
  try {
    return createRequire(import.meta.url)('simdjson') !== JSON
  } catch {
    return false
  }
}

function againstNaive(name, title, sides, expected, targets = {}) {
  const run = (runs, before) => {
    const { ours, baseline } = sides()
    const { a, b } = inTurns(
      () => runOnce(baseline),
      () => readAll([READER, ...ours], expected),
      runs,
      before,
    )
    const figures = (side, pick) => spread(side.map(pick))
    return {
      unit: 'ms',
      baseline: figures(a, ({ ms }) => ms),
      measured: figures(b, ({ ms }) => ms),
      ratio: figures(b, ({ ms }) => ms).median / figures(a, ({ ms }) => ms).median,
      pairedRatio: spread(b.map(({ ms }, at) => ms / a[at].ms)).median,
      baselineRssMb: figures(a, ({ rssMb }) => rssMb).median,
      rssMb: figures(b, ({ rssMb }) => rssMb).median,
      openMs: figures(b, ({ openMs }) => openMs).median,
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
  if (figures.unsupported !== undefined) throw new Skipped(figures.unsupported)
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
