/** Whose fault a failure is: a service's, which every session waits for; a text's, which is put aside; or one that nobody can tell yet. */
import { type ErrorCode, StorageError, systemCode } from '../core/errors.js'
import type { Breaker } from './breaker.js'
import type { Failure } from './state/rows.js'

/** service: no text and no document is to blame. text: one of those given is. unknown: either. */
export type Fault = 'service' | 'text' | 'unknown'

const FAULTS: ReadonlyMap<ErrorCode, Fault> = new Map<ErrorCode, Fault>([
  ['EMBEDDER_UNAVAILABLE', 'service'],
  ['EMBEDDER_REFUSED', 'service'],
  ['EMBEDDER_CHANGED', 'service'],
  ['SINK_UNAVAILABLE', 'service'],
  ['SINK_MISMATCH', 'service'],
  ['CHROMA_CLIENT_MISSING', 'service'],
  ['TEXT_REFUSED', 'text'],
  ['TEXT_TOO_LONG', 'text'],
  ['EMBEDDING_INVALID', 'text'],
])

export function faultOf(error: unknown): Fault {
  // A sink that names no document refuses all of them, as with wrong credentials: nothing is put aside for that.
  if (error instanceof StorageError && error.code === 'SINK_REFUSED') return error.key === undefined ? 'service' : 'text'
  if (error instanceof StorageError) return FAULTS.get(error.code) ?? 'unknown'
  return isConnectionFailure(error) ? 'service' : 'unknown'
}

export type ServiceCode = 'EMBEDDER_FAILED' | 'SINK_FAILED'

/**
 * Runs a call of the embedder or the sink. What it throws becomes a StorageError whose code tells whose fault it is.
 * The reason of a StorageError that puts the service at fault is kept, since a port words it; of anything else not a word is.
 */
export async function outside<T>(code: ServiceCode, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw serviceError(code, error)
  }
}

function serviceError(code: ServiceCode, error: unknown): StorageError {
  const who = code === 'SINK_FAILED' ? 'the sink' : 'the embedder'
  const fault = faultOf(error)
  if (error instanceof StorageError && fault === 'service') return error
  if (error instanceof StorageError && fault === 'text') {
    return new StorageError(error.code, { reason: `${who} ${REFUSALS[error.code] ?? 'refuses the text'}`, key: error.key }, { cause: error })
  }
  if (fault === 'unknown') return new StorageError(code, { reason: `${who} failed (${nameOf(error)})` }, { cause: error })
  const unavailable = code === 'SINK_FAILED' ? 'SINK_UNAVAILABLE' : 'EMBEDDER_UNAVAILABLE'
  return new StorageError(unavailable, { reason: `${who} does not answer (${nameOf(error)})` }, { cause: error })
}

const REFUSALS: Readonly<Partial<Record<ErrorCode, string>>> = {
  TEXT_TOO_LONG: 'takes no text of this length',
  EMBEDDING_INVALID: 'has no valid vector for the text',
  SINK_REFUSED: 'refuses the document',
}

const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
])
/** Causes may name each other in a circle. */
const DEEPEST_CAUSE = 5

function isConnectionFailure(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < DEEPEST_CAUSE; at = at.cause, depth++) {
    if (CONNECTION_CODES.has(systemCode(at) ?? '') || at.name === 'TimeoutError') return true
    if (at instanceof TypeError && at.message === 'fetch failed') return true
    if (at instanceof AggregateError && at.errors.some((one) => CONNECTION_CODES.has(systemCode(one) ?? ''))) return true
  }
  return false
}

/** Names an error without a word of its message. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return systemCode(error) ?? typeof error
  return systemCode(error) ?? systemCode(error.cause) ?? error.name
}

export function failureOf(error: unknown): Failure {
  if (error instanceof StorageError) return { code: error.code, reason: error.reason }
  return { code: 'UNEXPECTED', reason: `the session could not be indexed (${nameOf(error)})` }
}

const SHORTEST_DEFERRAL_MS = 1000

/** Milliseconds until a claim that waits for the service that failed may run again. */
export function deferralMs(breakers: { readonly embedder: Breaker; readonly sink: Breaker }, error: unknown): number {
  const isSink = error instanceof StorageError && /^(?:SINK|CHROMA)_/.test(error.code)
  return Math.max(SHORTEST_DEFERRAL_MS, (isSink ? breakers.sink : breakers.embedder).retryInMs())
}
