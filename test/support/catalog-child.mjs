/**
 * A process that writes a catalog until it is killed, for crash tests. Argument: {"home","count","data": [path],"rounds"}.
 * With `data` it opens these stores with the catalog and lists them anew, again and again; without, it writes two listings in turn, `a` and `b`.
 * It says `ready` on a line whenever it has written a listing, or opened its stores.
 */
import { systemClock } from '../../dist/core/clock.js'
import { openSessions } from '../../dist/index.js'
import { openCatalog } from '../../dist/tree/catalog/catalog.js'
import { metaOf } from '../../dist/tree/sessions/session-meta.js'

const { home, count = 0, data, rounds = Number.POSITIVE_INFINITY } = JSON.parse(process.argv[2])
const store = { agent: 'opencode', kind: 'opencode-json', path: '/told' }

/** The listing `b` lacks every third session of `a`, has others, and a new version of every fifth. */
function listingOf(name) {
  const entries = []
  for (let at = 0; at < count; at++) {
    if (name === 'b' && at % 3 === 0) continue
    entries.push(entryOf(`s${at}`, name === 'b' && at % 5 === 0 ? 'b' : 'a'))
  }
  if (name === 'b') for (let at = 0; at < count / 4; at++) entries.push(entryOf(`b${at}`, 'b'))
  return { entries, issues: [], complete: true, mark: name }
}

function entryOf(id, version) {
  const record = { id, projectID: 'p', directory: `/work/${version}`, title: `${version} of ${id}`, version: '1', time: { created: 1, updated: 2 } }
  return { key: { kind: 'session', agent: 'opencode', session: id }, project: 'p', record, path: `/told/${id}.json`, generation: version, version }
}

async function writeInTurn() {
  const catalog = await openCatalog({ home, clock: systemClock })
  const shown = (entry) => ({ meta: metaOf({ entry, store, record: entry.record, hidden: [] }, 0), hiddenBy: undefined, isPlain: true })
  const listings = [listingOf('a'), listingOf('b')]
  for (let round = 0; round < rounds; round++) {
    const edition = await catalog.write(store, listings[round % 2], shown)
    console.log('ready')
    if (rounds !== Number.POSITIVE_INFINITY && edition === undefined) round--
  }
}

async function listAnew() {
  for (let round = 0; round < rounds; round++) {
    const sessions = await openSessions({ data, home })
    console.log('ready')
    await sessions.refresh({ deep: round % 2 === 0 })
    await sessions.close()
  }
}

await (data === undefined ? writeInTurn() : listAnew())
