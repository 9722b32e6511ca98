/** Transitions T1, T2, T3 and T6 over rows in memory: a session is idle, queued or leased, and no wake-up is lost on the way. */
import { encodeKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import type { Claim, ClaimRequest, LaneName, Outcome } from '../rows.js'
import type { Observation } from '../state.js'
import {
  buildOf,
  count,
  enqueue,
  LANE_NAMES,
  type LeaseRow,
  type MemoryRows,
  type MemorySession,
  need,
  newSession,
  ownSession,
  putSession,
  sessionsOf,
  workedIn,
} from './rows.js'

export interface Moment {
  /** Epoch milliseconds. */
  readonly now: number
  /** Monotonic milliseconds. */
  readonly monotonic: number
}

/** T1. */
export function observe(rows: MemoryRows, { seen, gone }: Observation, { now }: Moment): void {
  for (const { key, revision, meta, store } of seen) {
    const known = rows.sessions.get(encodeKey(key))
    const before = known ?? newSession(key)
    // It came back while its documents were being removed: all of it is to be read again.
    const back = before.gone ? { gone: false, emptied: false, processedRev: null } : {}
    const session: MemorySession = { ...before, ...back, observedRev: revision, meta, store }
    const changed = known === undefined || known.observedRev !== revision
    const lane = changed ? 'fresh' : session.q !== null ? undefined : (need(rows, session) ?? (session.incomplete ? 'fresh' : undefined))
    putSession(rows, lane === undefined ? session : enqueue(rows, session, lane, 0, now))
  }
  for (const session of sessionsOf(rows, gone)) {
    if (!session.emptied) putSession(rows, enqueue(rows, { ...session, gone: true }, 'replay', 0, now))
  }
}

/** What a leased session is told makes it run again after its release. */
export function wake(rows: MemoryRows, session: MemorySession, lane: LaneName, { now }: Moment): void {
  const told = session.lease === null ? session : { ...session, wakes: session.wakes + 1 }
  putSession(rows, enqueue(rows, told, lane, 0, now))
}

const WEIGHTS: Readonly<Record<LaneName, number>> = { replay: 8, fresh: 4, retry: 2, scan: 1, backfill: 1 }

export interface Due {
  readonly now: number
  /** A time further ahead than this was written by another clock, and has come. */
  readonly maxDelayMs: number
}

export function isDue(runAt: number, { now, maxDelayMs }: Due): boolean {
  return runAt <= now || runAt > now + maxDelayMs
}

/** The runnable sessions of a lane, the next one first. */
export function runnable(rows: MemoryRows, lane: LaneName, due: Due): MemorySession[] {
  const waiting = sessionsOf(rows).flatMap((session) => (session.q?.lane === lane && isDue(session.q.runAt, due) ? { session, q: session.q } : []))
  return waiting.sort((a, b) => a.q.runAt - b.q.runAt || a.q.seq - b.q.seq).map(({ session }) => session)
}

/** Smooth weighted round robin. */
function nextOf(rows: MemoryRows, lanes: readonly LaneName[], due: Due): MemorySession | undefined {
  const heads = LANE_NAMES.filter((lane) => lanes.includes(lane)).flatMap((lane) =>
    runnable(rows, lane, due)
      .slice(0, 1)
      .map((session) => ({ lane, session })),
  )
  let richest: (typeof heads)[number] | undefined
  let gained = 0
  for (const head of heads) {
    rows.credits[head.lane] += WEIGHTS[head.lane]
    gained += WEIGHTS[head.lane]
    if (richest === undefined || rows.credits[head.lane] > rows.credits[richest.lane]) richest = head
  }
  if (richest !== undefined) rows.credits[richest.lane] -= gained
  return richest?.session
}

export interface Claimant extends Moment, Due {
  readonly owner: Owner
  readonly ttl: number
  /** The space that the process is bound to. */
  readonly bound: string | undefined
}

export function mayWork(rows: MemoryRows, bound: string | undefined): boolean {
  return bound === undefined || bound === workedIn(rows)?.id
}

/** T2. */
export function claim(
  rows: MemoryRows,
  { only, lanes = LANE_NAMES, unlogged = false, toDelete = false }: ClaimRequest,
  claimant: Claimant,
): Claim | undefined {
  const deletes = toDelete && only !== undefined
  if (!deletes && !mayWork(rows, claimant.bound)) return undefined
  const session = only === undefined ? nextOf(rows, lanes, claimant) : rows.sessions.get(encodeKey(only))
  if (session === undefined || session.lease !== null) return undefined
  const { owner, ttl, now, monotonic, bound } = claimant
  const own = deletes ? rows.spaces.find(({ id }) => id === bound) : undefined
  const space = own ?? workedIn(rows)
  const { q, wakes, resets } = session
  const token = ++rows.token
  const lane = q?.lane ?? need(rows, session) ?? 'fresh'
  const until = monotonic + ttl
  putSession(rows, {
    ...session,
    q: null,
    lease: { token, owner, until, ttl, since: q?.since ?? now, at: now, lane, unlogged, build: buildOf(rows, space), fruitful: false, wakes, resets },
  })
  count(rows, 'claims', 1)
  return {
    key: session.key,
    token,
    lane,
    space: space?.id ?? '',
    revision: session.observedRev,
    meta: session.meta,
    store: session.store,
    gone: session.gone,
    wal: session.wal?.seq,
    until,
    failures: session.failures,
    crashes: session.crashes,
    probe: session.probe !== null && session.probe.crashes > 0 ? session.probe : undefined,
    verify: session.verifyWanted === session.verifyDone ? undefined : session.verifyWanted,
  }
}

/** T3. */
export function renew(rows: MemoryRows, held: Claim, ttl: number, { monotonic }: Moment): number {
  const session = ownSession(rows, held)
  const until = monotonic + ttl
  putSession(rows, { ...session, lease: session.lease && { ...session.lease, until, ttl } })
  return until
}

/** T6. */
export function release(rows: MemoryRows, held: Claim, outcome: Outcome, due: Due): void {
  const session = ownSession(rows, held)
  const { lease } = session
  if (lease === null) return
  const free: MemorySession = { ...session, lease: null, crashes: 0, probe: null, wakes: 0 }
  putSession(
    rows,
    outcome.kind === 'done' ? afterSuccess(rows, free, lease, held, outcome, due) : afterFailure(rows, free, lease, held, outcome, due),
  )
}

function tailOf({ lane }: LeaseRow): LaneName {
  return lane === 'replay' ? 'fresh' : lane
}

/** Full milliseconds, so that what is later is never now. */
function later(ms: number, { now, maxDelayMs }: Due): number {
  return now + Math.max(1, Math.ceil(Math.min(ms, maxDelayMs)))
}

function afterSuccess(
  rows: MemoryRows,
  free: MemorySession,
  lease: LeaseRow,
  held: Claim,
  { more = false, recheckMs, incomplete = false, verified = free.verifyDone, leftOut = 0 }: Extract<Outcome, { kind: 'done' }>,
  due: Due,
): MemorySession {
  const woken = rows.sessions.get(encodeKey(held.key))?.wakes !== lease.wakes
  // A run that found the session gone has read none of it.
  const read = more || held.gone ? {} : { processedRev: woken ? null : held.revision, builtIn: lease.build, checkedAt: due.now, leftOut }
  const done: MemorySession = { ...free, ...read, verifyDone: verified, incomplete, failures: 0 }
  const lane = more ? tailOf(lease) : need(rows, done)
  if (lane !== undefined) return enqueue(rows, done, lane, 0, due.now)
  return recheckMs === undefined ? done : enqueue(rows, done, 'retry', later(recheckMs, due), due.now)
}

function afterFailure(
  rows: MemoryRows,
  free: MemorySession,
  lease: LeaseRow,
  held: Claim,
  outcome: Exclude<Outcome, { kind: 'done' }>,
  due: Due,
): MemorySession {
  const session: MemorySession = { ...free, verifyWanted: free.verifyWanted + (outcome.verify === true ? 1 : 0) }
  if (outcome.kind === 'stopped') return enqueue(rows, session, tailOf(lease), 0, lease.since)
  const failed = outcome.kind === 'failed'
  count(rows, failed ? 'failures' : 'deferrals', 1)
  rows.lastError = { ...outcome.failure, at: due.now, key: failed ? encodeKey(held.key) : undefined }
  const failures = session.failures + (failed ? 1 : 0)
  return enqueue(rows, { ...session, failures }, 'retry', later(outcome.delayMs, due), lease.since)
}
