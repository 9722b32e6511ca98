/** Rows of the logs of Claude Code, Codex, pi and jcode. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, corpus, REPOSITORY, TOOLS } from './corpus.mjs'
import { ccusage } from './log-ccusage.mjs'
import { inTurns, runOnce, Skipped, spread } from './measure.mjs'

const script = (name) => join(REPOSITORY, 'bench', name)
const SESSIONS = 500
const TAIL_ROUNDS = 300
const PLACES = { claude: '.claude/projects', codex: '.codex', pi: '.pi/agent/sessions', jcode: '.jcode/sessions' }
const AGENTS = Object.keys(PLACES)
/** Those that ccusage knows, and whose logs grow by appending alone. */
const LINES = ['claude', 'codex', 'pi']

export const LOG_ROWS = [
  ...AGENTS.map((agent) => againstNaive('log-list', agent, 'list', 'list of 500 sessions, no message opened', { ratio: 0.15 })),
  ...AGENTS.map((agent) => againstNaive('log-read', agent, 'all', 'full read with parts', { ratio: 0.8, rssMb: 100 })),
  ...AGENTS.map(floor),
  ...LINES.map((agent) => besideCcusage('log-ccusage', agent, 'list', 'list of 500 sessions, a whole process', { ratio: 1 })),
  ...LINES.map((agent) => besideCcusage('log-usage', agent, 'usage', 'tokens of 500 sessions, a whole process')),
  ...LINES.map(tail),
  unpacked('native'),
  unpacked('plain'),
]

/** All files read, split into lines, and each line parsed and kept. */
function againstNaive(name, agent, mode, title, targets) {
  const run = (runs) => {
    const { home } = corpus('logs')
    const { a, b } = inTurns(
      () => runOnce([join(TOOLS, 'naive-reader.mjs'), agent, home]),
      () => allOf(runOnce([script('reader.mjs'), mode, join(home, PLACES[agent])])),
      runs,
    )
    return { ...compared(a, b), baselineRssMb: spread(a.map(({ rssMb }) => rssMb)).median, rssMb: spread(b.map(({ rssMb }) => rssMb)).median }
  }
  return { name: `${name}-${agent}`, title: `${title}, logs of ${agent}`, targets, run }
}

/** What is left of a full read when nothing is made of the lines and nothing kept. */
function floor(agent) {
  const run = (runs) => {
    const { home } = corpus('logs')
    const { a, b } = inTurns(
      () => runOnce([join(TOOLS, 'naive-reader.mjs'), agent, home]),
      () => runOnce([script('log-floor.mjs'), join(home, PLACES[agent]), agent === 'jcode' ? '.json' : '.jsonl']),
      runs,
    )
    if (a[0].records !== b[0].records) throw new Error(`${b[0].records} lines were parsed, not ${a[0].records}`)
    return compared(a, b)
  }
  return { name: `log-floor-${agent}`, title: `logs of ${agent} read, cut and parsed, nothing else`, targets: {}, run }
}

/** ccusage adds up the tokens of every session; the list of sessions does not, the row `log-usage` does. */
function besideCcusage(name, agent, mode, title, targets = {}) {
  const run = (runs) => {
    const { home } = corpus('logs')
    const reader = mode === 'usage' ? 'log-usage.mjs' : 'reader.mjs'
    const own = [process.execPath, script(reader), ...(mode === 'usage' ? [] : [mode]), join(home, PLACES[agent])]
    const other = ccusage(agent, home)
    const process_ = (command) => () => allOf(runOnce([script('log-process.mjs'), ...command]))
    return compared(...Object.values(inTurns(process_(other), process_(own), runs)))
  }
  return { name: `${name}-${agent}`, title: `${title}, logs of ${agent}, beside ccusage ${ccusage.version}`, targets, run }
}

/** Ten new lines in a log of 200 MB, and the same in one of 2 MB. */
function tail(agent) {
  const run = (runs) => {
    const side = (size) => () => runOnce([script('log-tail.mjs'), agent, join(corpus(size).home, PLACES[agent]), String(TAIL_ROUNDS)])
    const figures = compared(...Object.values(inTurns(side('log-short'), side('log-long'), runs)))
    return { ...figures, medianMs: figures.measured.median, note: 'left a log of 2 MB, right one of 200 MB; ten lines each time' }
  }
  return { name: `log-tail-${agent}`, title: `tail of ten new lines, logs of ${agent}`, targets: { medianMs: 0.5, ratio: 1.2 }, run }
}

/** The logs of Codex, compressed, against the program zstd. */
function unpacked(engine) {
  const run = (runs) => {
    const folder = packed()
    const side = (how) => () => {
      const figures = runOnce([script('log-unpack.mjs'), how, folder])
      if (figures.unsupported !== undefined) throw new Skipped(figures.unsupported)
      return figures
    }
    side(engine)() // skipped before anything is measured
    const { a, b } = inTurns(side('program'), side(engine), runs)
    const [speed, base] = [b, a].map((figures) => spread(figures.map(({ bytes, ms }) => bytes / 1000 / ms)).median.toFixed(0))
    return { ...compared(a, b), note: `${speed} MB/s of text, the program zstd ${base} MB/s` }
  }
  return { name: `log-zst-${engine}`, title: `500 compressed logs of Codex unpacked, engine "${engine}"`, targets: {}, run }
}

/** Made once and kept beside the corpora. */
function packed() {
  const folder = join(cacheFolder(), 'log-zst')
  if (existsSync(folder)) return folder
  if (spawnSync('zstd', ['--version']).status !== 0) throw new Skipped('the program zstd is not here')
  const { home } = corpus('logs')
  const from = join(home, PLACES.codex, 'sessions')
  const making = `${folder}.new`
  rmSync(making, { recursive: true, force: true })
  mkdirSync(making, { recursive: true })
  const files = readdirSync(from, { recursive: true }).filter((name) => name.endsWith('.jsonl'))
  const run = spawnSync('zstd', ['-q', '--output-dir-flat', making, ...files.map((name) => join(from, name))])
  if (run.status !== 0) throw new Error(`zstd ended with ${run.status ?? run.signal}: ${run.stderr}`)
  renameSync(making, folder)
  return folder
}

function compared(a, b) {
  const [baseline, measured] = [a, b].map((side) => spread(side.map(({ ms }) => ms)))
  return {
    unit: 'ms',
    baseline,
    measured,
    ratio: measured.median / baseline.median,
    pairedRatio: spread(b.map(({ ms }, at) => ms / a[at].ms)).median,
  }
}

function allOf(figures) {
  if (figures.sessions !== SESSIONS) throw new Error(`${figures.sessions} sessions were read, not ${SESSIONS}`)
  return figures
}
