/** One page of texts through the embedder. A page that fails is halved until the texts that are at fault stand alone. */
import { StorageError } from '../../core/errors.js'
import type { Breaker } from '../breaker.js'
import { faultOf, outside } from '../faults.js'
import type { Embedder } from '../ports.js'
import type { Failure } from '../state/rows.js'

/** What became of a text. */
export type Outcome = { readonly vector: Float32Array } | { readonly failure: Failure }

export interface EmbedCalls {
  readonly embedder: Embedder
  readonly breaker: Breaker
  readonly failpoint: (name: string) => void
  /** Keeps what was answered, before anything else is done. */
  readonly keep: (vectors: ReadonlyMap<string, Float32Array>) => Promise<void>
  readonly settle: (text: string, outcome: Outcome) => void
  /** The service went down with these texts. */
  readonly strike: (texts: readonly string[], failure: Failure) => void
}

/** Settles every text. @throws StorageError when the service is at fault: then those that it answered before are settled */
export async function embedPage(calls: EmbedCalls, texts: readonly string[], signal: AbortSignal): Promise<void> {
  let found: ReadonlyMap<string, Float32Array>
  try {
    found = await callOnce(calls, texts, signal)
  } catch (error) {
    if (!(error instanceof StorageError) || faultOf(error) !== 'text' || signal.aborted) throw error
    const [first] = texts
    if (texts.length === 1 && first !== undefined) calls.settle(first, { failure: { code: error.code, reason: error.reason } })
    else await embedHalves(calls, texts, signal)
    return
  }
  await calls.keep(found)
  for (const [text, vector] of found) calls.settle(text, { vector })
  const without = texts.filter((text) => !found.has(text))
  if (without.length > 0) await embedPage(calls, without, signal)
}

async function embedHalves(calls: EmbedCalls, texts: readonly string[], signal: AbortSignal): Promise<void> {
  const middle = Math.ceil(texts.length / 2)
  await embedPage(calls, texts.slice(0, middle), signal)
  await embedPage(calls, texts.slice(middle), signal)
}

/** The vectors that are valid, at least one. @throws StorageError of a service or of a text, never one that leaves it open */
async function callOnce(calls: EmbedCalls, texts: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Float32Array>> {
  const { embedder, breaker, failpoint } = calls
  failpoint('c')
  return breaker.run(async () => {
    let chance: StorageError
    try {
      return await validVectors(embedder, texts, signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof StorageError)) throw error
      const judged = isDoubtful(error) ? await judge(embedder, error, signal) : error
      if (judged.code === 'EMBEDDER_UNAVAILABLE') calls.strike(texts, judged)
      if (texts.length > 1 || judged === error || judged.code !== 'TEXT_REFUSED') throw judged
      chance = judged
    }
    // An unknown failure that came once says nothing of the text, which would be put aside for good.
    try {
      return await validVectors(embedder, texts, signal)
    } catch (error) {
      throw !signal.aborted && faultOf(error) === 'unknown' ? chance : error
    }
  }, signal)
}

/** The failure as one of the text when the embedder embeds another one, else as one of the service. */
async function judge(embedder: Embedder, error: StorageError, signal: AbortSignal): Promise<StorageError> {
  try {
    await probe(embedder, signal)
  } catch (failure) {
    if (signal.aborted || !(failure instanceof StorageError)) throw failure
    return failure
  }
  if (error.code === 'EMBEDDING_INVALID') return error
  return new StorageError('TEXT_REFUSED', { reason: `${error.reason} at this text, and not at others` }, { cause: error })
}

/** An embedder that gives one wrong vector may give no other. */
function isDoubtful(error: StorageError): boolean {
  return error.code === 'EMBEDDING_INVALID' || faultOf(error) === 'unknown'
}

/** Known to harm no embedder: what fails at it fails at everything. */
const PROBE = 'spanleaf'

/** Embeds a harmless text. @throws StorageError when the service is at fault */
export async function probe(embedder: Embedder, signal: AbortSignal): Promise<void> {
  try {
    await validVectors(embedder, [PROBE], signal)
  } catch (error) {
    if (signal.aborted || !(error instanceof StorageError) || faultOf(error) === 'service') throw error
    throw new StorageError('EMBEDDER_UNAVAILABLE', { reason: `${error.reason}, whatever it is given` }, { cause: error })
  }
}

async function validVectors(embedder: Embedder, texts: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Float32Array>> {
  const { dimensions } = embedder
  const vectors = await outside('EMBEDDER_FAILED', () => embedder.embed(texts, { kind: 'document', signal }))
  if (vectors.length !== texts.length * dimensions) {
    throw new StorageError('EMBEDDING_INVALID', { reason: `${texts.length} texts gave ${vectors.length} numbers, not ${texts.length * dimensions}` })
  }
  const valid = new Map<string, Float32Array>()
  for (const [i, text] of texts.entries()) {
    const vector = vectors.subarray(i * dimensions, (i + 1) * dimensions)
    if (isValid(vector)) valid.set(text, vector)
  }
  if (valid.size > 0) return valid
  throw new StorageError('EMBEDDING_INVALID', { reason: 'a vector without a direction, or with a number that is not finite' })
}

function isValid(vector: Float32Array): boolean {
  let sum = 0
  for (const value of vector) sum += value * value
  return Number.isFinite(sum) && sum > 0
}
