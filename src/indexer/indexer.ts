/** The indexer: observes the sessions, and brings the sink to what they say, one claimed session at a time. */
import { randomInt } from 'node:crypto'
import { type Clock, systemClock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import type { SessionKey } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import type { EmbedCache } from './embed-cache.js'
import type { Engine, Exclusion, IndexProgress, Limits } from './engine.js'
import { type ForgetReport, forgetSessions } from './forget.js'
import { type ObserveReport, observeAll } from './observe.js'
import type { Embedder, Sink } from './ports.js'
import { runClaim } from './run.js'
import type { SessionSource } from './source.js'
import type { IndexStatus, IndexStore } from './state.js'

export interface IndexerOptions extends Partial<Limits> {
  readonly sessions: SessionSource
  readonly state: IndexStore
  readonly embedder: Embedder
  readonly sink: Sink
  /** Vectors held by text. @default none: a crash between an embedding and its WAL record repeats at most one batch */
  readonly cache?: EmbedCache | undefined
  /** Begins every document id, so that several machines may share a sink. @default 'local' */
  readonly namespace?: string | undefined
  /** Left out before anything is embedded; what was indexed of it before leaves the sink. */
  readonly exclude?: Exclusion | undefined
  /** @default the system's */
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1), for the jitter of backoffs. @default the system's */
  readonly random?: (() => number) | undefined
  /** Called at the crash points of docs/indexer.md. */
  readonly failpoint?: ((name: string) => void) | undefined
  readonly onProgress?: ((event: IndexProgress) => void) | undefined
}

export interface DrainReport {
  readonly claims: number
  /** Sessions whose run ended well. */
  readonly sessions: number
  readonly messages: number
  /** Written to the sink. */
  readonly documents: number
  readonly deleted: number
  readonly embedded: number
  readonly cached: number
  readonly replayed: number
  /** Claims that ended in a backoff. */
  readonly failed: number
  /** The signal ended it; what is left stays queued. */
  readonly stopped: boolean
}

export interface Indexer extends AsyncDisposable {
  /** Lists the sessions and queues what changed. */
  observe(signal?: AbortSignal): Promise<ObserveReport>
  /** Works until nothing is runnable now. Stopping it by the signal is no error. */
  drain(signal?: AbortSignal): Promise<DrainReport>
  status(): IndexStatus
  /** A session that is still in its store is indexed again when it is observed; exclude it to keep it out. */
  forget(keys: readonly SessionKey[], signal?: AbortSignal): Promise<ForgetReport>
}

const LIMITS: Limits = {
  batchSize: 32,
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
}

const PORTS = ['sessions', 'state', 'embedder', 'sink', 'cache', 'namespace', 'exclude', 'clock', 'random', 'failpoint', 'onProgress']

/** The caller keeps what it passed in; disposing the indexer stops its work and waits for it. @throws StorageError INVALID_OPTION */
export function createIndexer(options: IndexerOptions): Indexer {
  const stopping = new AbortController()
  const running = new Set<Promise<unknown>>()
  const tally = { messages: 0, documents: 0, deleted: 0, embedded: 0, cached: 0, replayed: 0 }
  const engine = toEngine(options, (event) => {
    if (event.kind === 'committed') addTo(tally, event)
    options.onProgress?.(event)
  })
  let bound: Promise<void> | undefined
  const bind = async (): Promise<void> => {
    bound ??= engine.state.bind({ space: engine.embedder.space, namespace: engine.namespace }).catch((error: unknown) => {
      bound = undefined
      throw error
    })
    await bound
  }
  const run = async <T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    if (stopping.signal.aborted) throw new StorageError('STATE_UNAVAILABLE', { reason: 'the indexer is closed' })
    const both = signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal])
    const promise = bind().then(() => work(both))
    running.add(promise)
    try {
      return await promise
    } finally {
      running.delete(promise)
    }
  }
  return {
    observe: (signal) => run(signal, (both) => observeAll(engine, both)),
    drain: (signal) => run(signal, (both) => drainQueue(engine, tally, both)),
    status: () => engine.state.status(),
    forget: (keys, signal) => run(signal, (both) => forgetSessions(engine, keys, both)),
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await Promise.allSettled(running)
    },
  }
}

/** Retries of several processes must not fall together. */
function systemRandom(): number {
  return randomInt(2 ** 32) / 2 ** 32
}

type Tally = Record<'messages' | 'documents' | 'deleted' | 'embedded' | 'cached' | 'replayed', number>

function addTo(tally: Tally, event: Extract<IndexProgress, { kind: 'committed' }>): void {
  tally.messages += event.messages
  tally.documents += event.documents
  tally.deleted += event.deleted
  tally.embedded += event.embedded
  tally.cached += event.cached
  tally.replayed += event.replayed ? 1 : 0
}

function toEngine(options: IndexerOptions, onProgress: (event: IndexProgress) => void): Engine {
  refuseUnknown(options, [...PORTS, ...Object.keys(LIMITS)])
  const limits: Record<keyof Limits, number> = { ...LIMITS }
  for (const name of Object.keys(LIMITS) as (keyof Limits)[]) {
    checkNumber(name, options[name], name.endsWith('Ms') ? 0 : 1)
    limits[name] = options[name] ?? limits[name]
  }
  const {
    sessions,
    state,
    embedder,
    sink,
    cache,
    namespace = 'local',
    exclude = {},
    clock = systemClock,
    random = systemRandom,
    failpoint = () => undefined,
  } = options
  refuseUnknown(exclude, ['directories', 'projects', 'sessions'])
  const progress = (event: IndexProgress): void => {
    try {
      onProgress(event)
    } catch {
      // A listener cannot break the engine.
    }
  }
  return { sessions, state, embedder, sink, cache, namespace, exclude, clock, random, limits, failpoint, progress }
}

async function drainQueue(engine: Engine, tally: Tally, signal: AbortSignal): Promise<DrainReport> {
  const { state, clock, limits, failpoint } = engine
  const start = { ...tally }
  const ends = { claims: 0, sessions: 0, failed: 0 }
  await state.sweep()
  let sweptAt = clock.monotonic()
  while (!signal.aborted) {
    failpoint('a')
    const claim = await state.claim()
    if (claim === undefined) {
      if ((await state.sweep()) === 0) break
      continue
    }
    failpoint('b')
    const end = await runClaim(engine, claim, signal)
    failpoint('i')
    ends.claims++
    if (end === 'done' || end === 'removed') ends.sessions++
    if (end === 'failed') ends.failed++
    if (clock.monotonic() - sweptAt >= limits.sweepMs) {
      await state.sweep()
      sweptAt = clock.monotonic()
    }
  }
  const done = (name: keyof Tally): number => tally[name] - start[name]
  return {
    ...ends,
    messages: done('messages'),
    documents: done('documents'),
    deleted: done('deleted'),
    embedded: done('embedded'),
    cached: done('cached'),
    replayed: done('replayed'),
    stopped: signal.aborted,
  }
}
