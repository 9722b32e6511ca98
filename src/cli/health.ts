/** Whether the index itself is alive: what waits, whether anybody works on it, and when the sink last took something. */
import type { IndexStatus } from '../indexer/index.js'
import { ago, count, span } from './output.js'

/** So long nothing acknowledged while work was ready: stuck. */
export const STUCK_MS = 15 * 60_000

export interface Health {
  /**
   * empty: never used. idle: all that was listed is indexed. working: it gets on. waiting: for a service, or for messages that are still written.
   * failing: sessions fail, and are tried again. unattended: work waits and nobody does it. stuck: somebody should, and nothing gets on.
   */
  readonly state: 'empty' | 'idle' | 'working' | 'waiting' | 'failing' | 'unattended' | 'stuck'
  /** One sentence. */
  readonly reason: string
}

export function healthOf(status: IndexStatus, now: number): Health {
  const pending = pendingOf(status)
  if (pending === 0 && status.toRebuild === 0) return idle(status, now)
  const open = status.breakers.find(({ state }) => state !== 'closed')
  const waits = `${count(pending, 'session')} pending, the oldest for ${span(status.oldestPendingAgeMs ?? 0)}`
  const live = status.leases.some(({ expiresInMs, abandoned }) => expiresInMs > 0 && !abandoned)
  if (!live && status.running.length === 0) {
    const failed = open?.failure ?? recentFailure(status, now)
    const why = failed ? `; the last failure was ${failed.code}: ${failed.reason}` : ''
    return { state: 'unattended', reason: `${waits}; no process works on them (spanleaf index)${why}` }
  }
  const silentMs = now - (status.lastUpsertAt ?? 0)
  if (open !== undefined) {
    const why = open.failure === undefined ? '' : ` (${open.failure.code}: ${open.failure.reason})`
    const reason = `${waits}; the ${open.service} is down since ${span(now - open.since)}${why}`
    return { state: now - open.since > STUCK_MS ? 'stuck' : 'waiting', reason }
  }
  if (status.queue.ready + status.queue.leased === 0) return later(status, waits, now)
  if ((status.oldestPendingAgeMs ?? 0) > STUCK_MS && silentMs > STUCK_MS) {
    const last = status.lastUpsertAt === null ? 'the sink never took anything' : `the sink last took something ${ago(status.lastUpsertAt, now)}`
    return { state: 'stuck', reason: `${waits}; ${last}` }
  }
  return { state: 'working', reason: waits }
}

export function pendingOf({ queue }: Pick<IndexStatus, 'queue'>): number {
  return queue.ready + queue.leased + queue.backoff
}

function idle({ ledger, listing, dead }: IndexStatus, now: number): Health {
  if (ledger.sessions === 0 && listing === null) return { state: 'empty', reason: 'nothing is indexed yet (spanleaf index)' }
  const when = listing === null ? '' : `, listed ${ago(listing.at, now)}`
  const aside = dead === 0 ? '' : `; ${count(dead, 'text or record', 'texts or records')} put aside (spanleaf retry --list)`
  return { state: 'idle', reason: `everything that was listed is indexed, ${count(ledger.sessions, 'session')}${when}${aside}` }
}

/** Nothing may run before a later time. */
function later(status: IndexStatus, waits: string, now: number): Health {
  const failure = recentFailure(status, now)
  if (failure === undefined) return { state: 'waiting', reason: `${waits}; their last messages are still being written` }
  const { code, reason, at } = failure
  return { state: 'failing', reason: `${waits}; the last failure was ${code}: ${reason}, ${ago(at, now)}` }
}

/**
 * The last failure, where it may be why sessions wait: of a session that still fails, and recent. Those that failed and those whose last message
 * is unfinished wait in one lane, and what fails fails again, with a later time, well before this one has passed.
 */
export function recentFailure({ lanes, lastError }: IndexStatus, now: number): NonNullable<IndexStatus['lastError']> | undefined {
  const waiting = lanes.some(({ lane, ready, waiting }) => lane === 'retry' && ready + waiting > 0)
  return waiting && lastError !== null && lastError.over !== true && now - lastError.at < STUCK_MS ? lastError : undefined
}

/** What no search finds. */
export function leftOutText(messages: number): string {
  return `${count(messages, 'message')} left out, whose ids are too long for the index`
}

/** Of sessions that are indexed and were not looked at. */
export function elsewhereText(sessions: number, when: 'now ' | '' = ''): string {
  return `${count(sessions, 'indexed session')} of stores that were not looked at ${when}stay as they are`
}
