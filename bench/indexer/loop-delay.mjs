/** B22, one process: the delay of its event loop while it indexes. Argument: {"directory","home","sink","from"}: several may share a state. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { openEmbedCache } from '../../dist/indexer/embedding/embed-cache.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { openSink } from '../../test/soak/sinks.mjs'
import { fakeEmbedder, instantSink, memorySource, say } from './world.mjs'

const options = JSON.parse(process.argv[2])
const { directory } = options
const embedder = fakeEmbedder({ msPerText: 0.5 })
const state = await openLmdbState({ directory })
const cache = await openEmbedCache({ directory, now: Date.now })
const sink = options.sink === 'instant' ? instantSink({ space: embedder.space }) : await openSink(options, embedder.space)
const indexer = createIndexer({ sessions: memorySource({ sessions: 60, messages: 64, characters: 600 }), state, embedder, sink, cache })
await indexer.observe()
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const { documents } = await indexer.drain()
delays.disable()
// The timer of the monitor itself rests for its resolution.
const ms = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - 1)
say({ p50: ms(delays.percentile(50)), p99: ms(delays.percentile(99)), max: ms(delays.max), documents })
process.exit(0)
