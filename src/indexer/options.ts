/** What `createIndexer` takes, checked, and put together for the engine. */
import { randomInt } from 'node:crypto'
import { systemClock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import { type Breaker, createBreaker } from './breaker.js'
import { createEmbedding } from './embedding/embedding.js'
import { createTurn } from './embedding/turn.js'
import type { Engine, Exclusion, IndexProgress, Limits } from './engine.js'
import { faultOf } from './faults.js'
import type { IndexerOptions } from './indexer-types.js'
import { sessionSource } from './session-source.js'
import type { SessionSource } from './source.js'
import type { IndexStore } from './state/state.js'
import type { ServiceName } from './state/status.js'
import { projector } from './text/projector.js'

export const LIMITS: Limits = {
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
  maxInflightBytes: 64 * 2 ** 20,
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
/** The slow scan may be off. */
const MAY_BE_ZERO = new Set(['slowScanBatch'])

const OTHERS = [
  ...['sessions', 'state', 'embedder', 'sink', 'former', 'rebuild', 'cache', 'redact', 'walEnabled', 'namespace', 'exclude'],
  ...['clock', 'random', 'failpoint', 'onProgress', 'signal'],
  // What else comes along when an index home is spread into the options.
  ...['directory', 'close', 'searched'],
]

/** Everything but the signal: each call of the indexer has its own. */
export type SharedEngine = Omit<Engine, 'stopping'>

/** @throws StorageError INVALID_OPTION */
export function sharedEngine(options: IndexerOptions, progress: (event: IndexProgress) => void): SharedEngine {
  refuseUnknown(options, [...OTHERS, ...Object.keys(LIMITS)])
  const { state, embedder, sink, former = [], cache, walEnabled = true, namespace = 'local', clock = systemClock } = options
  const { random = systemRandom, failpoint = () => undefined } = options
  const breaker = (service: ServiceName): Breaker =>
    notingRecovery(
      state,
      createBreaker({
        service,
        clock,
        isDown: (error) => faultOf(error) === 'service',
        onChange: (status) => {
          progress({ kind: 'breaker', breaker: status })
          // What another process reads of it; nothing here depends on it.
          state.note({ kind: 'breaker', breaker: status }).catch(() => undefined)
        },
      }),
    )
  const limits = limitsOf(options)
  const breakers = { embedder: breaker('embedder'), sink: breaker('sink') }
  return {
    sessions: toSource(options.sessions),
    listed: new Map(),
    state,
    embedder,
    sink,
    former: former.filter(({ space }) => space !== embedder.space),
    breakers,
    embedding: createEmbedding({ embedder, cache, breaker: breakers.embedder, batchSize: limits.batchSize, failpoint }),
    sinkTurn: createTurn(),
    walEnabled,
    ...projector({ redact: options.redact }),
    cache,
    namespace,
    exclude: askedEachTime(options.exclude ?? {}),
    clock,
    random,
    limits,
    failpoint,
    progress,
  }
}

/** The first call that passes takes back what an earlier process left word of: that the service is down. */
function notingRecovery(state: IndexStore, breaker: Breaker): Breaker {
  let isSaid = false
  return {
    ...breaker,
    async run(call, signal) {
      const result = await breaker.run(call, signal)
      if (isSaid) return result
      isSaid = true
      const left = (await state.status()).breakers.find(({ service }) => service === breaker.service)
      if (left !== undefined && left.state !== 'closed') state.note({ kind: 'breaker', breaker: breaker.status() }).catch(() => undefined)
      return result
    },
  }
}

function limitsOf(options: IndexerOptions): Limits {
  const limits: Record<keyof Limits, number> = { ...LIMITS }
  for (const name of Object.keys(LIMITS) as (keyof Limits)[]) {
    checkNumber(name, options[name], name.endsWith('Ms') || MAY_BE_ZERO.has(name) ? 0 : 1)
    limits[name] = options[name] ?? limits[name]
  }
  return limits
}

/** Retries of several processes must not fall together. */
function systemRandom(): number {
  return randomInt(2 ** 32) / 2 ** 32
}

/** A set of its own kind is wrapped; whether it was narrowed is for `sessionSource` to refuse. */
function toSource(sessions: Sessions | SessionSource): SessionSource {
  return 'tail' in sessions ? sessions : sessionSource(sessions)
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

const SETS = ['refresh', 'locate', 'listMessages']
const METHODS = {
  sessions: { names: ['list', 'revision', 'tail'], advice: 'an open set of sessions, or a session source such as sessionSource(sessions)' },
  state: { names: ['bind', 'observe', 'claim', 'commit'], advice: 'an index state, as openLmdbState() and openIndexHome() give it' },
  embedder: { names: ['embed'], advice: 'an embedder, such as hashEmbedder()' },
  sink: { names: ['upsert', 'delete', 'count', 'ids'], advice: 'a sink, as openLocalSink() and openIndexHome() give it' },
} as const

/** For callers without types. @throws StorageError INVALID_OPTION */
export function checkPorts(options: IndexerOptions): void {
  for (const [name, { names, advice }] of Object.entries(METHODS)) {
    const port: unknown = Object(options)[name]
    if (hasMethods(port, names) || (name === 'sessions' && hasMethods(port, SETS))) continue
    throw new StorageError('INVALID_OPTION', { reason: `${name} must be ${advice}` })
  }
}

function hasMethods(port: unknown, names: readonly string[]): boolean {
  return names.every((method) => typeof Object(port)[method] === 'function')
}
