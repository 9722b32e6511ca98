/** One claim from its lease to its release: how it ends, and what that says of the session and of the services. */
import { StorageError } from '../core/errors.js'
import { backoffMs, type Engine } from './engine.js'
import { deferralMs, failureOf, faultOf } from './faults.js'
import { type Ended, indexSession, type RunMode } from './index-session.js'
import { holdLease } from './lease.js'
import type { Claim } from './state/rows.js'

export interface ClaimOptions extends RunMode {
  /** Ends what is under way. `engine.stopping` comes first, and only says to begin nothing new. */
  readonly signal: AbortSignal
}

/** Runs one claim to its release. @throws StorageError STATE_* when the state itself cannot be used, and what else concerns every session */
export async function runClaim(engine: Engine, claim: Claim, options: ClaimOptions): Promise<Ended['kind']> {
  const { key } = claim
  engine.progress({ kind: 'claimed', key })
  const ended = await underLease(engine, claim, options)
  const kind = await settle(engine, claim, ended)
  engine.progress({ kind: kind === 'lost' || kind === 'removed' ? kind : 'released', key })
  return kind
}

async function settle({ state }: Engine, claim: Claim, ended: Ended): Promise<Ended['kind']> {
  if (ended.kind === 'removed') return 'removed'
  try {
    if (ended.kind !== 'lost') {
      await state.release(claim, ended)
      return ended.kind
    }
  } catch (error) {
    if (!isLost(error)) throw error
  }
  await state.lost(claim)
  return 'lost'
}

async function underLease(engine: Engine, claim: Claim, options: ClaimOptions): Promise<Ended> {
  await using lease = holdLease(claim, engine.state, engine.clock, options.signal)
  try {
    return await indexSession(engine, lease, options)
  } catch (thrown) {
    // A lost lease aborts the calls under it; they say so in their own words.
    const error = lease.signal.aborted && !options.signal.aborted ? lease.signal.reason : thrown
    if (isLost(error)) return { kind: 'lost' }
    const isStop = [options.signal, engine.stopping].some(({ aborted, reason }) => aborted && reason === error)
    if (concernsAll(error) && !isStop) {
      await engine.state.release(claim, { kind: 'stopped', ...unlogged(engine) }).catch(() => undefined)
      throw error
    }
    if (options.signal.aborted || engine.stopping.aborted) return { kind: 'stopped', ...unlogged(engine) }
    return (await wentMeanwhile(engine, claim, error)) ? { kind: 'done', more: true } : failed(engine, claim, error)
  }
}

/** A session that was deleted between its listing and its reading is no failure: it is noted as gone, and removed by its next run. */
async function wentMeanwhile({ sessions, state }: Engine, { key, store }: Claim, error: unknown): Promise<boolean> {
  if (!(error instanceof StorageError) || !MAY_BE_GONE.has(error.code)) return false
  try {
    if ((await sessions.revision(key, store)) !== undefined) return false
  } catch {
    return false // it cannot be told
  }
  await state.observe({ seen: [], gone: [key] })
  return true
}

/** How the reading of a session ends that is not there any more. */
const MAY_BE_GONE: ReadonlySet<string> = new Set(['NOT_FOUND', 'STALE_SPAN', 'STORE_UNREADABLE', 'STORE_MISSING', 'UNREADABLE_RECORD'])

/** A session waits for a service that is down, which is no failure of its own. */
function failed(engine: Engine, { key, failures }: Claim, error: unknown): Ended {
  const failure = failureOf(error)
  if (faultOf(error) === 'service') {
    engine.progress({ kind: 'deferred', key, failure })
    return { kind: 'deferred', failure, delayMs: deferralMs(engine.breakers, error), ...unlogged(engine) }
  }
  engine.progress({ kind: 'failed', key, failure, error })
  return { kind: 'failed', failure, delayMs: backoffMs(failures, engine.random, engine.limits), ...unlogged(engine) }
}

/** Without write-ahead records the sink may hold what no record names. */
function unlogged({ walEnabled }: Engine): { readonly verify?: true } {
  return walEnabled ? {} : { verify: true }
}

export function isLost(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'LEASE_LOST'
}

/** No session is at fault, and no other one can do better. */
export function concernsAll(error: unknown): boolean {
  return error instanceof StorageError && CONCERN_ALL.has(error.code)
}

const CONCERN_ALL: ReadonlySet<string> = new Set([
  'STATE_TOO_NEW',
  'STATE_DAMAGED',
  'STATE_UNAVAILABLE',
  'EXCLUSIONS_DAMAGED',
  'EMBEDDER_CHANGED',
  'SINK_MISMATCH',
  'CHROMA_CLIENT_MISSING',
])
