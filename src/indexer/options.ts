/** What `createIndexer` takes, checked, and put together for the engine. */
import { randomInt } from 'node:crypto'
import { systemClock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import { checkBoolean, checkClock, checkFunction, checkNumber, checkSignal, checkWhole, LONGEST_MS, refuseUnknown } from '../core/options.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import { type Breaker, createBreaker } from './breaker.js'
import { SETTINGS } from './config/config-settings.js'
import { valueOfJson } from './config/config-values.js'
import { createEmbedding } from './embedding/embedding.js'
import { createTurn } from './embedding/turn.js'
import type { Engine, IndexProgress, Limits } from './engine.js'
import type { Exclusion } from './exclusion.js'
import { checkExclusion } from './exclusion-checks.js'
import { faultOf } from './faults.js'
import type { IndexerOptions } from './indexer-types.js'
import { checkPort, checkPorts } from './port-checks.js'
import { sessionSource } from './session-source.js'
import type { SessionSource } from './source.js'
import type { IndexStore } from './state/state.js'
import type { ServiceName } from './state/status.js'
import { projector } from './text/projector.js'

/** Those that are settings too have the same defaults there. */
export const LIMITS: Limits = {
  batchSize: SETTINGS.batchSize.default,
  recordSize: 256,
  sinkBatchSize: 256,
  quantum: SETTINGS.quantum.default,
  settleMs: 10_000,
  abandonMs: 900_000,
  settleRecheckMs: 10_000,
  incompleteRecheckMs: 120_000,
  backoffBaseMs: SETTINGS.backoffBaseMs.default,
  backoffMaxMs: SETTINGS.backoffMaxMs.default,
  sweepMs: 1000,
  forgetWaitMs: 120_000,
  concurrency: 2,
  maxInflightBytes: 64 * 2 ** 20,
  maxWalBytes: 2 ** 30,
  pollMs: SETTINGS.pollMs.default,
  listRefreshMs: SETTINGS.listRefreshMs.default,
  sessionsPerTick: SETTINGS.sessionsPerTick.default,
  slowScanBatch: SETTINGS.slowScanBatch.default,
  slowScanIntervalMs: SETTINGS.slowScanIntervalMs.default,
  listPage: SETTINGS.listPage.default,
  walRecoverLimit: SETTINGS.walRecoverLimit.default,
  drainMs: 30_000,
}
/** [least, most] of those that differ from the others. */
const RANGES: { readonly [N in keyof Limits]?: readonly [number, number] } = {
  // 0: no slow scan.
  slowScanBatch: [0, Number.MAX_SAFE_INTEGER],
  // No timer waits for it.
  slowScanIntervalMs: [0, SETTINGS.slowScanIntervalMs.max],
}

const OTHERS = [
  ...['sessions', 'state', 'embedder', 'sink', 'former', 'rebuild', 'cache', 'redact', 'walEnabled', 'namespace', 'exclude'],
  ...['clock', 'random', 'failpoint', 'onProgress', 'signal'],
  // What else comes along when an index home is spread into the options.
  ...['directory', 'close', 'searched'],
]

/** Everything but the signal: each call of the indexer has its own. */
export type SharedEngine = Omit<Engine, 'stopping'>

/** For callers without types. @throws StorageError INVALID_OPTION */
export function checkOptions(options: IndexerOptions): void {
  refuseUnknown(options, [...OTHERS, ...Object.keys(LIMITS)])
  checkPorts(options)
  for (const name of ['rebuild', 'walEnabled'] as const) checkBoolean(name, options[name])
  for (const name of ['random', 'failpoint', 'onProgress'] as const) checkFunction(name, options[name])
  checkPort('cache', options.cache)
  checkPort('redact', options.redact)
  checkClock('clock', options.clock)
  checkSignal('signal', options.signal)
  if (options.namespace !== undefined) valueOfJson('namespace', SETTINGS.namespace, options.namespace)
}

/** @throws StorageError INVALID_OPTION */
export function sharedEngine(options: IndexerOptions, progress: (event: IndexProgress) => void): SharedEngine {
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
    parents: new Map(),
    behind: new Map(),
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
    exclude: askedEachTime(options.exclude === undefined ? {} : options.exclude),
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
    checkLimit(name, options[name])
    limits[name] = options[name] ?? limits[name]
  }
  return limits
}

/** A limit of bytes may be none. */
function checkLimit(name: keyof Limits, value: unknown): void {
  const [min, max] = RANGES[name] ?? []
  if (name.endsWith('Ms')) checkNumber(name, value, min ?? 0, max ?? LONGEST_MS)
  else if (name.endsWith('Bytes')) checkNumber(name, value, 1)
  else checkWhole(name, value, min ?? 1, max)
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
  if (typeof exclude === 'function') return () => checkedAnew(exclude())
  const fixed = checkExclusion(exclude, 'exclude')
  return () => fixed
}

/** No session is to blame, and none may run. @throws StorageError EXCLUSIONS_DAMAGED */
function checkedAnew(given: Exclusion): Exclusion {
  try {
    return checkExclusion(given, 'exclude')
  } catch (error) {
    throw error instanceof StorageError ? new StorageError('EXCLUSIONS_DAMAGED', { reason: error.reason }, { cause: error }) : error
  }
}
