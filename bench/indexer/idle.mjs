/** B12, one process: an index at rest over `sessions` sessions, for `seconds`. Argument: {"directory","sessions","seconds","data"}. */

import { setTimeout as delay } from 'node:timers/promises'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { openSessions } from '../../dist/open.js'
import { fakeEmbedder, instantSink, memorySource, say } from './world.mjs'

const { directory, sessions: count, seconds, data } = JSON.parse(process.argv[2])
const embedder = fakeEmbedder({ dimensions: 8 })
const state = await openLmdbState({ directory })
const sink = instantSink({ space: embedder.space })
const sessions = data === undefined ? memorySource({ sessions: count, messages: 2, characters: 60 }) : await openSessions({ data })
const indexer = createIndexer({ sessions, state, embedder, sink, settleMs: 0 })
await indexer.start()
while (state.status().queue.ready + state.status().queue.leased > 0) await delay(100)
await delay(3000)
const before = { cpu: process.cpuUsage(), hydrated: sessions.count?.hydrated, counters: state.status().counters, at: performance.now() }
await delay(seconds * 1000)
const cpu = process.cpuUsage(before.cpu)
const { counters } = state.status()
const wallMs = performance.now() - before.at
say({
  cores: (cpu.user + cpu.system) / 1000 / wallMs,
  hydrated: sessions.count && sessions.count.hydrated - before.hydrated,
  claims: counters.claims - before.counters.claims,
  scans: counters.scans - before.counters.scans,
  embedded: counters.embedded - before.counters.embedded,
})
process.exit(0)
