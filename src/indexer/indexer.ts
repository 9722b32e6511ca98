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
import type { IndexStore } from './state.js'
import type { IndexStatus } from './state-status.js'

export interface IndexerOptions extends Partial<Limits> {
  readonly sessions: SessionSource
  readonly state: IndexStore
  readonly embedder: Embedder
  readonly sink: Sink
  /** Vectors held by text. @default none: a crash between an embedding and its WAL record repeats at most one record */
  readonly cache?: EmbedCache | undefined
  /** Begins every document id, so that several machines may share a sink. @default 'local' */
  readonly namespace?: string | undefined
  /**
   * Left out before anything is embedded; what was indexed of it before leaves the sink.
   * A function is asked anew before each decision, so that what other processes exclude counts at once.
   */
  readonly exclude?: Exclusion | (() => Exclusion) | undefined
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
}

const PORTS = ['sessions', 'state', 'embedder', 'sink', 'cache', 'namespace', 'exclude', 'clock', 'random', 'failpoint', 'onProgress']
/** What else comes along when an index home is spread into the options. */
const OF_HOME = ['directory', 'close']

/** The caller keeps what it passed in; disposing the indexer stops its work and waits for it. @throws StorageError INVALID_OPTION */
export function createIndexer(options: IndexerOptions): Indexer {
  const stopping = new AbortController()
  const running = new Set<Promise<unknown>>()
  const engine = toEngine(options)
  let bound: Promise<void> | undefined
  const bind = async (): Promise<void> => {
    bound ??= bindIndex(engine).catch((error: unknown) => {
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
    drain: (signal) => run(signal, (both) => drainQueue(engine, both)),
    status: () => engine.state.status(),
    forget: (keys, signal) => run(signal, (both) => forgetSessions(engine, keys, both)),
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await Promise.allSettled(running)
    },
  }
}

/** Vectors of two spaces are never mixed, neither in the state nor in the sink. */
async function bindIndex({ state, embedder, sink, namespace }: Engine): Promise<void> {
  const { space } = embedder
  if (sink.space !== undefined && sink.space !== space) {
    throw new StorageError('SINK_MISMATCH', { reason: `the sink holds vectors of the embedder "${sink.space}", not of "${space}"` })
  }
  await state.bind({ space, namespace })
}

/** Retries of several processes must not fall together. */
function systemRandom(): number {
  return randomInt(2 ** 32) / 2 ** 32
}

/** What one drain did, whatever others do at the same time. */
type Tally = Record<'messages' | 'documents' | 'deleted' | 'embedded' | 'cached' | 'replayed', number>

function addTo(tally: Tally, event: Extract<IndexProgress, { kind: 'committed' }>): void {
  tally.messages += event.messages
  tally.documents += event.documents
  tally.deleted += event.deleted
  tally.embedded += event.embedded
  tally.cached += event.cached
  tally.replayed += event.replayed ? 1 : 0
}

function toEngine(options: IndexerOptions): Engine {
  checkPorts(options)
  refuseUnknown(options, [...PORTS, ...OF_HOME, ...Object.keys(LIMITS)])
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
    onProgress,
  } = options
  const progress = (event: IndexProgress): void => {
    try {
      onProgress?.(event)
    } catch {
      // A listener cannot break the engine.
    }
  }
  return { sessions, state, embedder, sink, cache, namespace, exclude: askedEachTime(exclude), clock, random, limits, failpoint, progress }
}

function askedEachTime(exclude: Exclusion | (() => Exclusion)): () => Exclusion {
  const checked = (exclusion: Exclusion): Exclusion => {
    refuseUnknown(exclusion, ['directories', 'projects', 'sessions'])
    return exclusion
  }
  if (typeof exclude === 'function') return () => checked(exclude())
  const fixed = checked(exclude)
  return () => fixed
}

const METHODS = {
  sessions: { names: ['list', 'revision', 'tail'], advice: 'a session source; make one of an open set with sessionSource(sessions)' },
  state: { names: ['bind', 'observe', 'claim', 'commit'], advice: 'an index state, as openLmdbState() and openIndexHome() give it' },
  embedder: { names: ['embed'], advice: 'an embedder, such as hashEmbedder()' },
  sink: { names: ['upsert', 'delete', 'count', 'ids'], advice: 'a sink, as openLocalSink() and openIndexHome() give it' },
} as const

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkPorts(options: IndexerOptions): void {
  for (const [name, { names, advice }] of Object.entries(METHODS)) {
    const port: unknown = Object(options)[name]
    if (names.every((method) => typeof Object(port)[method] === 'function')) continue
    throw new StorageError('INVALID_OPTION', { reason: `${name} must be ${advice}` })
  }
}

async function drainQueue(shared: Engine, signal: AbortSignal): Promise<DrainReport> {
  const tally: Tally = { messages: 0, documents: 0, deleted: 0, embedded: 0, cached: 0, replayed: 0 }
  const progress = (event: IndexProgress): void => {
    if (event.kind === 'committed') addTo(tally, event)
    shared.progress(event)
  }
  const engine: Engine = { ...shared, progress }
  const { state, clock, limits, failpoint } = engine
  const ends = { claims: 0, sessions: 0, failed: 0 }
  await state.sweep()
  await noticeEmptySink(engine)
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
  return { ...ends, ...tally, stopped: signal.aborted }
}

/** A sink that was emptied behind the index is filled again, session by session. */
async function noticeEmptySink({ sink, state }: Engine): Promise<void> {
  if (state.status().ledger.documents === 0) return
  let held: number
  try {
    held = await sink.count()
  } catch {
    // A sink that does not answer is for the sessions to report.
    return
  }
  if (held === 0) await state.verify()
}
