/** B7, one process: prepares pending records, or sends them to a sink that takes them at once. Argument: {"what":"prepare"|"recover","directory","records"}. */
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { fakeEmbedder, instantSink, keyOf, memorySource, recordOf, say, timed } from './world.mjs'

const { what, directory, records } = JSON.parse(process.argv[2])
const embedder = fakeEmbedder()
const state = await openLmdbState({ directory })
if (what === 'prepare') await prepare()
else await recover()
await state[Symbol.asyncDispose]()

async function prepare() {
  await state.bind({ space: embedder.space, namespace: 'local' })
  for (let at = 0; at < records; at++) {
    await state.observe({ seen: [{ key: keyOf(at), revision: '1', meta: 'm', store: '/store' }], gone: [] })
    const claim = await state.claim({ only: keyOf(at) })
    await state.walAppend(claim, recordOf(claim, { rows: 32, dimensions: embedder.dimensions, now: Date.now() }))
    await state.release(claim, { kind: 'stopped' })
  }
  say({ wal: state.status().wal })
}

async function recover() {
  const rssBefore = process.memoryUsage().rss
  let peak = rssBefore
  const sink = instantSink({ space: embedder.space, onWrite: () => (peak = Math.max(peak, process.memoryUsage().rss)) })
  const indexer = createIndexer({ sessions: memorySource({ sessions: 0, messages: 0 }), state, embedder, sink })
  const ms = await timed(async () => {
    for (let left = records; left > 0; ) {
      const { records: sent } = await indexer.walRecover({ limit: records })
      if (sent === 0) throw new Error(`${left} records are left and none was sent`)
      left -= sent
    }
  })
  await indexer[Symbol.asyncDispose]()
  say({ ms, documents: sink.held.size, grownMb: (peak - rssBefore) / 2 ** 20, left: state.status().wal.records })
}
