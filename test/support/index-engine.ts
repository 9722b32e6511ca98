/** The steps of the indexer without its loop: an engine over a state in memory, and one claim to work under. */
import { createBreaker } from '../../src/indexer/breaker.js'
import type { Upsert } from '../../src/indexer/diff.js'
import { createEmbedding } from '../../src/indexer/embedding/embedding.js'
import { createTurn } from '../../src/indexer/embedding/turn.js'
import { documentMeta, type Engine, type IndexProgress, type Limits, metaHashOf, observedRevision } from '../../src/indexer/engine.js'
import { faultOf } from '../../src/indexer/faults.js'
import { type HeldLease, holdLease } from '../../src/indexer/lease.js'
import { memoryState } from '../../src/indexer/state/memory/state.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { projectMessage } from '../../src/indexer/text/projection.js'
import { countingEmbedder, type FakeClock, type FlakySink, fakeClock, fakeOwners, flakySink, keyOf, metaOf, nodeOf, World } from './index-world.js'

const LIMITS: Limits = {
  batchSize: 32,
  recordSize: 256,
  sinkBatchSize: 256,
  quantum: 500,
  settleMs: 10_000,
  abandonMs: 900_000,
  settleRecheckMs: 10_000,
  incompleteRecheckMs: 120_000,
  backoffBaseMs: 2000,
  backoffMaxMs: 120_000,
  sweepMs: 1000,
  forgetWaitMs: 120_000,
  concurrency: 2,
  maxInflightBytes: 2 ** 26,
  maxWalBytes: 2 ** 30,
  pollMs: 2000,
  listRefreshMs: 3000,
  sessionsPerTick: 10,
  slowScanBatch: 3,
  slowScanIntervalMs: 120_000,
  listPage: 256,
  walRecoverLimit: 25,
  drainMs: 30_000,
}

/** Its state answers at once. */
type LocalEngine = Omit<Engine, 'state'> & { readonly state: LocalIndexStore }

export interface EngineRig {
  readonly engine: LocalEngine
  readonly world: World
  readonly clock: FakeClock
  readonly sink: FlakySink
  readonly events: IndexProgress[]
  readonly stop: AbortController
  /** Observes the world and claims a session. */
  claim(id: string): Promise<HeldLease>
}

export async function engineRig(given: Partial<Omit<LocalEngine, 'limits'>> & { readonly limits?: Partial<Limits> } = {}): Promise<EngineRig> {
  const clock = fakeClock()
  const world = new World(clock)
  const sink = flakySink()
  const stop = new AbortController()
  const events: IndexProgress[] = []
  const limits = { ...LIMITS, ...given.limits }
  const embedder = given.embedder ?? countingEmbedder()
  const state = given.state ?? memoryState({ clock, owners: fakeOwners(1), leaseMs: 10_000 })
  const breaker = (service: 'embedder' | 'sink') => createBreaker({ service, clock, isDown: (error) => faultOf(error) === 'service' })
  const breakers = given.breakers ?? { embedder: breaker('embedder'), sink: breaker('sink') }
  const failpoint = given.failpoint ?? (() => undefined)
  const engine: LocalEngine = {
    sessions: world.source(),
    listed: new Map(),
    parents: new Map(),
    behind: new Map(),
    sink,
    former: [],
    sinkTurn: createTurn(),
    stopping: stop.signal,
    walEnabled: true,
    project: async (node) => projectMessage(node),
    projectTitle: async (title) => title,
    projectName: '',
    cache: undefined,
    namespace: 'local',
    exclude: () => ({}),
    clock,
    random: () => 0.5,
    progress: (event) => events.push(event),
    embedding: createEmbedding({ embedder, cache: given.cache, breaker: breakers.embedder, batchSize: limits.batchSize, failpoint }),
    ...given,
    embedder,
    state,
    breakers,
    failpoint,
    limits,
  }
  await state.bind({ space: embedder.space, namespace: engine.namespace })
  return {
    engine,
    world,
    clock,
    sink,
    events,
    stop,
    async claim(id) {
      const seen = [...world.sessions.values()].map((session) => {
        const meta = metaOf(session)
        const revision = observedRevision(String(session.revision), meta, engine.projectName)
        return { key: meta.key, revision, meta: metaHashOf(meta, engine.projectName), store: meta.source.path }
      })
      await state.observe({ seen, gone: [] })
      const claim = await state.claim({ only: keyOf(id) })
      if (claim === undefined) throw new Error(`${id} cannot be claimed`)
      return holdLease(claim, state, clock, new AbortController().signal)
    },
  }
}

/** Every message of a session, as if each were new or changed. */
export function upsertsOf({ engine, world }: EngineRig, id: string): readonly Upsert[] {
  const session = world.sessions.get(id)
  if (session === undefined) throw new Error(`there is no ${id}`)
  const meta = metaOf(session)
  const ledger = engine.state.ledger(meta.key)
  return session.messages.map((message) => {
    const node = nodeOf(meta.key, message)
    const documents = documentMeta(metaHashOf(meta, engine.projectName), node, meta)
    const oldChunks = ledger.get(node.key.message)?.chunks.length ?? 0
    return { node, projected: projectMessage(node), oldChunks, seen: engine.clock.now(), partial: false, meta: documents }
  })
}
