/**
 * One process of the indexer, which runs until it is killed or its standard input ends. With `final` it brings everything to rest,
 * says what the state is, and ends. Argument: {"data","home","log","leaseMs","sink","chroma","slowScan","failpoint","final"}.
 */
import { mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { openEmbedCache } from '../../dist/indexer/embedding/embed-cache.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { openSessions } from '../../dist/open.js'
import { killingFailpoint, loggingEmbedder, loggingState } from '../support/counted.mjs'
import { openSink } from './sinks.mjs'

const place = JSON.parse(process.argv[2])
const { data, home, log, leaseMs, slowScan, failpoint: at = '', final = false } = place
const failpoint = killingFailpoint(at, log)
if (!final) process.stdin.resume().once('end', () => process.exit(0))

mkdirSync(home, { recursive: true })
const sessions = await openSessions({ data })
const state = await openLmdbState({ directory: home, leaseMs, maxDelayMs: 500, failpoint })
const cache = await openEmbedCache({ directory: home, now: Date.now })
const embedder = loggingEmbedder({ log, delayMs: 3 })
const sink = await openSink(place, embedder.space)
const indexer = createIndexer({
  sessions,
  state: loggingState(state, log),
  embedder,
  sink,
  cache,
  failpoint,
  batchSize: 2,
  recordSize: 4,
  sinkBatchSize: 2,
  quantum: 6,
  settleMs: 150,
  settleRecheckMs: 100,
  incompleteRecheckMs: 200,
  backoffBaseMs: 20,
  backoffMaxMs: 300,
  sweepMs: 100,
  pollMs: 50,
  listRefreshMs: 60,
  slowScanBatch: slowScan ? 2 : 0,
  slowScanIntervalMs: 500,
})

if (final) await comeToRest()
else {
  await indexer.start()
  process.stdout.write('ready\n')
}

async function comeToRest() {
  // The last message of a session counts as settled after it has been quiet for a while.
  await delay(200)
  await indexer.observe()
  if (slowScan) {
    await indexer.drain()
    for (let more = 1; more > 0; ) more = await state.slowScan({ limit: 64, minAgeMs: 0 })
  }
  for (let calm = 0; calm < 2; ) {
    const { changed } = await indexer.observe()
    await indexer.drain()
    const { queue, suspects, wal } = state.status()
    calm = changed + queue.ready + queue.leased + queue.backoff + suspects + wal.records === 0 ? calm + 1 : 0
    await delay(60)
  }
  const status = state.status()
  await indexer[Symbol.asyncDispose]()
  for (const part of [sink, cache, state]) await part[Symbol.asyncDispose]()
  await sessions.close()
  process.stdout.write(`${JSON.stringify({ status })}\n`)
}
