/** B8, one process: `victim` dies of SIGKILL with a record pending; `survivor` runs and says when it first calls the sink. Argument: {"what","directory"}. */
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { fakeEmbedder, instantSink, memorySource, say } from './world.mjs'

const { what, directory } = JSON.parse(process.argv[2])
const isVictim = what === 'victim'
process.stdin.resume().once('end', () => process.exit(0))
const failpoint = (name) => {
  if (!isVictim || name !== 'e') return
  say({ killedAt: now() })
  process.kill(process.pid, 'SIGKILL')
}
const embedder = fakeEmbedder()
const state = await openLmdbState({ directory })
const sink = instantSink({ space: embedder.space, onWrite: () => say({ firstWriteAt: now() }) })
const world = memorySource({ sessions: 1, messages: 32 })
// The survivor sees no store, so it learns of the session through the state that both share.
const sessions = isVictim ? world : { ...world, list: async () => ({ sessions: [], stores: [] }) }
const indexer = createIndexer({ sessions, state, embedder, sink, failpoint })
await indexer.start()
if (!isVictim) say({ ready: true })

/** Shared by the processes of one boot. */
function now() {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
