/** An indexer over the real state, in the small world. */
import { createIndexer } from '../../src/indexer/indexer.js'
import type { Indexer, IndexerOptions } from '../../src/indexer/indexer-types.js'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import {
  type CountingEmbedder,
  countingEmbedder,
  type FakeClock,
  type FlakySink,
  fakeClock,
  fakeOwners,
  flakySink,
  tempFolder,
  World,
} from './index-world.js'

export interface Rig extends AsyncDisposable {
  readonly world: World
  readonly clock: FakeClock
  readonly state: LocalIndexStore
  readonly sink: FlakySink
  readonly embedder: CountingEmbedder
  readonly folder: string
  readonly indexer: Indexer
  /** Another process on the same state and sink. */
  join(pid: number, options?: Partial<IndexerOptions>): Promise<{ readonly state: LocalIndexStore; readonly indexer: Indexer }>
  /** Observe and drain. */
  run(): Promise<void>
}

/** `memory`: over the model of the state, of which thousands of sessions take no disk. */
export async function rig(options: Partial<IndexerOptions> = {}, { memory = false }: { readonly memory?: boolean } = {}): Promise<Rig> {
  const folder = tempFolder()
  const clock = fakeClock()
  const world = new World(clock)
  const sink = flakySink()
  const embedder = countingEmbedder()
  const opened: AsyncDisposable[] = []
  const place = memoryStatePlace()
  const join = async (pid: number, more: Partial<IndexerOptions> = {}) => {
    const settings = { clock, owners: fakeOwners(pid), leaseMs: 10_000 }
    const state = memory ? memoryState({ ...settings, place }) : await openLmdbState({ ...settings, directory: folder.path })
    const indexer = createIndexer({ sessions: world.source(), state, embedder, sink, clock, random: () => 0.5, ...options, ...more })
    opened.push(state, indexer)
    return { state, indexer }
  }
  const { state, indexer } = await join(1)
  return {
    world,
    clock,
    state,
    sink,
    embedder,
    folder: folder.path,
    indexer,
    join,
    async run() {
      await indexer.observe()
      await indexer.drain()
    },
    async [Symbol.asyncDispose]() {
      for (const one of opened.reverse()) await one[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}
