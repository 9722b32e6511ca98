/**
 * Pages of a large catalog: node catalog.mjs ROWS
 * Makes a catalog of so many sessions in a temporary folder, and prints the median milliseconds of a first page of 50, of one in the
 * middle, of one folder, and of a search.
 */
import { systemClock } from '../../dist/core/clock.js'
import { openCatalog } from '../../dist/tree/catalog/catalog.js'
import { metaOf } from '../../dist/tree/sessions/session-meta.js'
import { readQuery } from '../../dist/tree/sessions/session-page.js'
import { temporaryFolder } from '../../test/soak/processes.mjs'
import { spread } from '../measure.mjs'

const ROUNDS = 200
const WORDS = 'retry backoff jitter queue index lease token ledger stream parser cursor window folder session commit branch'.split(' ')

const rows = Number(process.argv[2])
const { path: home, remove } = temporaryFolder('catalog')
const store = { agent: 'opencode', kind: 'opencode-json', path: '/bench/storage' }
try {
  const catalog = await openCatalog({ home, clock: systemClock })
  const entries = Array.from({ length: rows }, (_, at) => entryOf(at))
  const metas = (entry) => ({ meta: metaOf({ entry, store, record: entry.record, hidden: [] }, 0), hiddenBy: undefined, isPlain: true })
  const written = performance.now()
  await catalog.write(store, { entries, issues: [], complete: true, mark: 'bench' }, metas, [store])
  const writeMs = performance.now() - written
  const middle = catalog.page(readQuery({ limit: rows / 2 }), [store]).next
  const ms = (query) => median(() => catalog.page(readQuery(query), [store]))
  const figures = {
    firstMs: ms({}),
    deepMs: ms({ after: middle }),
    cwdMs: ms({ cwd: '/srv/project7' }),
    searchMs: ms({ search: 'retry 4711' }),
    writeMs,
    rows,
  }
  catalog[Symbol.dispose]()
  console.log(JSON.stringify(figures))
} finally {
  remove()
}

function median(work) {
  const times = []
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    work()
    times.push(performance.now() - started)
  }
  return spread(times.slice(ROUNDS / 10)).median
}

function entryOf(at) {
  const id = `ses_${String(at).padStart(12, '0')}`
  const key = { kind: 'session', agent: 'opencode', session: id }
  const title = `${WORDS[at % WORDS.length]} ${WORDS[(at * 7) % WORDS.length]} ${at}`
  const updated = Date.UTC(2026, 0) + at * 1000
  const record = { id, projectID: 'bench', directory: `/srv/project${at % 200}`, title, version: '1', time: { created: updated - 500, updated } }
  return { key, project: 'bench', record, path: `/bench/storage/session/${id}.json`, generation: `1:${at}`, version: `1:${at}|-|` }
}
