/** How soon the sessions are there, and how soon a change shows. Each row gives lines of { label, figure, bar, met }; run.mjs prints them. */
import { join } from 'node:path'
import { temporaryFolder } from '../../test/soak/processes.mjs'
import { corpus } from '../corpus.mjs'
import { dropFileCache, inTurns, runOnce, spread } from '../measure.mjs'

const LAYOUTS = ['json', 'db', 'claude']
const script = (name) => join(import.meta.dirname, `${name}.mjs`)
const once = (name, ...options) => runOnce([script(name), ...options.map(String)])
const round = (value, digits = 2) => Number(value.toFixed(digits))

function storeOf(layout, size) {
  const made = corpus(size)
  return layout === 'claude' ? join(made.home, '.claude', 'projects') : made[layout]
}

function inHome(work) {
  const { path, remove } = temporaryFolder('fresh')
  try {
    return work(path)
  } finally {
    remove()
  }
}

/** Opened from the catalog against opened by a listing, in turns. */
function opening(size, bars) {
  return function* (runs) {
    for (const layout of LAYOUTS) {
      const store = storeOf(layout, size)
      yield* inHome((home) => {
        once('open', store, home) // makes the catalog
        const { a, b } = inTurns(
          () => once('open', store),
          () => once('open', store, home),
          runs,
        )
        const median = (side, name) => spread(side.map((figures) => figures[name])).median
        const sessions = b[0].sessions
        if (b.some(({ stale }) => !stale) || sessions !== a[0].sessions) throw new Error('the sessions were not those of the catalog')
        const count = sessions.toLocaleString('en')
        const against = (name) => `${round(median(b, name))} ms, ${round(median(b, name) / median(a, name))} of ${round(median(a, name))} ms without`
        return [
          limit(`open ${count}, ${layout}`, median(b, 'openMs'), bars.openMs, against('openMs')),
          { label: `first page of 50, ${layout}`, figure: `${round(median(b, 'firstPageMs'))} ms` },
          limit(`all pages of ${count}, ${layout}`, median(b, 'pagesMs'), bars.pagesMs, against('pagesMs')),
          { label: `the refresh after it, ${layout}`, figure: `${round(median(b, 'refreshMs'))} ms` },
        ]
      })
    }
  }
}

/** From the disk, where the file cache can be dropped. */
function* cold() {
  for (const layout of LAYOUTS) {
    const store = storeOf(layout, 'fresh')
    yield inHome((home) => {
      once('open', store, home)
      if (!dropFileCache()) return { label: `open from the disk, ${layout}`, figure: 'skipped: the file cache cannot be dropped here' }
      const { openMs, refreshMs } = once('open', store, home)
      return { label: `open from the disk, ${layout}`, figure: `${round(openMs)} ms, the refresh after it ${round(refreshMs)} ms` }
    })
  }
}

const REFRESHES = [
  ['json', 'nothing', 15],
  ['db', 'nothing', 0.5],
  ['claude', 'nothing', undefined],
  ['db', 'busy', 5],
  ['json', 'append', 50],
  ['db', 'append', 10],
  ['claude', 'append', undefined],
  ['json', 'rewrite', undefined],
  ['db', 'rewrite', undefined],
]

const SAID = { nothing: 'nothing changed', busy: 'a commit every 100 ms', append: '5 changed by appends', rewrite: '1 record rewritten in place' }

function* refreshing(runs, { rounds = 100 }) {
  for (const [layout, change, bar] of REFRESHES) {
    const store = storeOf(layout, 'fresh')
    const figures = Array.from({ length: Math.min(runs, 3) }, () =>
      once('refresh', layout, store, change === 'nothing' ? rounds : rounds / 4, change),
    )
    const ms = spread(figures.map((figure) => figure.ms)).median
    const { files, rows, bytes, stats } = figures[0]
    const work = `${files} files opened, ${rows} rows, ${bytes} bytes, ${stats} stats`
    yield limit(`refresh of 500, ${layout}, ${SAID[change]}`, ms, bar, `${round(ms)} ms; ${work}`)
  }
}

function* page() {
  const { firstMs, deepMs, searchMs, cwdMs, rows } = once('catalog', 250_000)
  const count = rows.toLocaleString('en')
  yield limit(`first page of ${count} rows`, firstMs, 0.2, `${round(firstMs, 3)} ms`)
  yield {
    label: `a page in the middle of ${count}`,
    figure: `${round(deepMs, 3)} ms; of one folder ${round(cwdMs, 3)} ms; of a search ${round(searchMs, 3)} ms`,
  }
}

function* watching(_runs, { writes = 60 }) {
  for (const layout of LAYOUTS) {
    for (const backend of layout === 'db' ? ['auto'] : ['auto', 'poll']) {
      const { p50, p99, rssMb, issues } = once('watch', layout, storeOf(layout, 'fresh'), writes, backend)
      const figure = `p50 ${round(p50, 0)} ms, p99 ${round(p99, 0)} ms, RSS ${round(rssMb, 0)} MB, ${issues} issues`
      yield { label: `from a write to its event, ${layout}, ${backend}`, figure, bar: 'p99 <= 1,000 ms', met: p99 <= 1000 }
    }
  }
}

function* watchMemory(runs) {
  const { json, counts } = corpus('watched')
  for (const backend of ['auto', 'poll']) {
    const figures = Array.from({ length: runs }, () => once('watch-memory', json, backend))
    const rssMb = spread(figures.map((figure) => figure.rssMb)).median
    const label = `memory of a watch over ${counts.files.toLocaleString('en')} files, ${backend}`
    yield { label, figure: `RSS ${round(rssMb, 0)} MB, ${figures[0].issues} issues`, bar: '< 100 MB', met: rssMb < 100 }
  }
}

function* loop() {
  for (const layout of LAYOUTS) {
    for (const what of ['list', 'refresh', 'verify', 'grep']) {
      for (const how of ['worker', 'inline']) {
        const { p99, max, cpu, ms } = once('loop', storeOf(layout, 'fresh-many'), how, what)
        const ofIt = cpu === undefined ? '' : ` (on the CPU ${round(cpu, 0)} ms at most)`
        const figure = `p99 ${round(p99, 1)} ms, longest ${round(max, 1)} ms${ofIt}, in ${round(ms / 1000, 1)} s`
        const bar = how === 'worker' ? { bar: 'p99 < 10, longest < 50 ms', met: p99 < 10 && max < 50 } : {}
        yield { label: `event loop, ${what}, ${layout}, ${how}`, figure, ...bar }
      }
    }
  }
}

function limit(label, ms, bar, figure) {
  return bar === undefined ? { label, figure } : { label, figure, bar: `<= ${bar} ms`, met: ms <= bar }
}

export const ROWS = [
  { name: 'open', runs: { full: 5, quick: 3 }, run: opening('fresh', {}) },
  { name: 'open-10k', runs: { full: 5, quick: 3 }, large: true, run: opening('fresh-many', { openMs: 30, pagesMs: 40 }) },
  { name: 'cold', run: cold },
  { name: 'refresh', runs: { full: 3, quick: 1 }, size: { quick: { rounds: 40 } }, run: refreshing },
  { name: 'page', large: true, run: page },
  { name: 'watch', size: { quick: { writes: 20 } }, run: watching },
  { name: 'watch-memory', runs: { full: 3, quick: 1 }, run: watchMemory },
  { name: 'loop', large: true, run: loop },
]
