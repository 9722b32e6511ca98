/** One seed: processes of the indexer are killed and stopped while a store changes under them; then everything rests, and the sink is compared. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FAILPOINTS } from '../../dist/indexer/state/failpoints.js'
import { differences, expectedDocuments } from './expected.mjs'
import { start, temporaryFolder } from './processes.mjs'
import { between, oneOf, randomOf } from './random.mjs'
import { collectionOf, readSink } from './sinks.mjs'

const WORKERS = 3
/** Short, so that a process that is stopped loses its lease. */
const LEASE_MS = 400
const REST_MS = 120_000
const POINTS = Object.keys(FAILPOINTS).filter((name) => name !== 'm')

/** `chroma`: { url } of a server, for that sink. Gives what happened and what is wrong. */
export async function soakRound({ seed, sink, chroma, kills: wanted, keep = false }) {
  const random = randomOf(seed)
  const { path: folder, remove, keep: keepFolder } = temporaryFolder('soak')
  const kind = seed % 2 === 0 ? 'json' : 'sqlite'
  // Edits that no revision shows need the slow scan; without them it must not be needed, since it would hide a lost wake-up.
  const silent = kind === 'sqlite' && seed % 4 === 1
  const place = {
    folder,
    data: join(folder, 'opencode'),
    home: join(folder, 'home'),
    log: join(folder, 'events.log'),
    leaseMs: LEASE_MS,
    slowScan: silent,
    sink,
    chroma: chroma && { ...chroma, collection: collectionOf(seed) },
  }
  const world = join(folder, 'world.json')
  const mutator = start(process.execPath, [script('mutator'), JSON.stringify({ kind, data: place.data, world, seed, silent })])
  const facts = { seed, sink, kind, kills: 0, stops: 0, operations: 0, documents: 0, embedded: 0, problems: [] }
  try {
    if (!(await mutator.ready)) throw new Error(`the mutator ended: ${mutator.errors()}`)
    await disturb({ place, random, wanted, facts })
    mutator.rest()
    if ((await mutator.ended) !== 0) throw new Error(`the mutator failed: ${mutator.errors()}`)
    await judge(place, JSON.parse(readFileSync(world, 'utf8')), facts)
  } catch (error) {
    facts.problems.push(String(error?.message ?? error))
  } finally {
    mutator.kill()
    if (keep || facts.problems.length > 0) {
      facts.folder = folder
      keepFolder()
    } else remove()
  }
  return facts
}

const script = (name) => join(import.meta.dirname, `${name}.mjs`)

async function disturb({ place, random, wanted, facts }) {
  const workers = new Set()
  let ending = false
  const begin = () => {
    const failpoint = random() < 0.5 ? `${oneOf(random, POINTS)}:${between(random, 1, 8)}` : ''
    const worker = start(process.execPath, [script('worker'), JSON.stringify({ ...place, failpoint })])
    workers.add(worker)
    void worker.ended.then((end) => {
      workers.delete(worker)
      if (end === 'SIGKILL') facts.kills++
      else if (!ending) facts.problems.push(`a worker ended with ${end}: ${worker.errors().slice(-2000)}`)
      if (!ending) begin()
    })
  }
  for (let count = 0; count < WORKERS; count++) begin()
  const startedAt = performance.now()
  while (facts.kills < wanted && facts.problems.length === 0) {
    // A box that is busy with other things kills more slowly; it does not wait for ever.
    if (performance.now() - startedAt > 4000 + wanted * 3000) {
      facts.problems.push(`only ${facts.kills} of ${wanted} kills in the time given`)
      break
    }
    await delay(between(random, 10, 250))
    const worker = oneOf(random, [...workers])
    if (worker === undefined || !worker.output().includes('ready')) continue
    if (random() < 0.3) void pause(worker, between(random, 1, 3) * LEASE_MS * 0.7, facts)
    else worker.signal('SIGKILL')
  }
  ending = true
  for (const worker of workers) worker.kill()
  await Promise.all([...workers].map(({ ended }) => ended))
}

async function pause(worker, ms, facts) {
  if (!worker.signal('SIGSTOP')) return
  facts.stops++
  await delay(ms)
  worker.signal('SIGCONT')
}

/** Lets one process bring everything to rest, then compares from outside. */
async function judge(place, { operations, sessions }, facts) {
  const last = start(process.execPath, [script('worker'), JSON.stringify({ ...place, final: true })])
  const timer = setTimeout(() => last.kill(), REST_MS)
  const end = await last.ended
  clearTimeout(timer)
  if (end !== 0) throw new Error(`at rest, the indexer ended with ${end}: ${last.errors().slice(-2000)} ${last.output().slice(-2000)}`)
  const { status } = JSON.parse(last.output().trim().split('\n').at(-1))
  const held = await readSink(place)
  const { embedded, repeated } = embeddings(place.log)
  Object.assign(facts, { operations, documents: held.length, embedded })
  facts.problems.push(...notAtRest(status), ...differences(expectedDocuments(sessions), held).slice(0, 20))
  if (repeated.length > 0)
    facts.problems.push(`${repeated.length} texts embedded again after their record was durable: ${repeated.slice(0, 5).join(', ')}`)
}

function notAtRest({ queue, suspects, wal, dead }) {
  const left = { ready: queue.ready, leased: queue.leased, backoff: queue.backoff, suspects, records: wal.records, dead }
  const some = Object.entries(left).filter(([, count]) => count !== 0)
  return some.length === 0 ? [] : [`not at rest: ${some.map(([name, count]) => `${name} ${count}`).join(', ')}`]
}

/**
 * The log has a line per text: `E hash` before it is embedded, `W hash session` once a record with it is durable. A text that stands in
 * several sessions may be embedded for each by processes that do not know of each other.
 */
function embeddings(log) {
  const sessionsOf = new Map()
  const durable = new Set()
  const repeated = []
  let embedded = 0
  const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []
  for (const line of lines) {
    const [kind, hash, session] = line.split(' ')
    if (kind === 'W') {
      durable.add(hash)
      sessionsOf.set(hash, (sessionsOf.get(hash) ?? new Set()).add(session))
    } else if (kind === 'E') {
      embedded++
      if (durable.has(hash)) repeated.push(hash)
    }
  }
  return { embedded, repeated: repeated.filter((hash) => sessionsOf.get(hash).size === 1) }
}
