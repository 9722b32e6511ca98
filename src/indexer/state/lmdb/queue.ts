/** Transitions T1, T2, T3 and T6: a session is idle, queued or leased, and no wake-up is lost on the way. */

import { encodeKey, type SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type Claim, type ClaimRequest, LANES, type LaneName, type Outcome } from '../rows.js'
import type { Observation } from '../state.js'
import {
  buildOf,
  enqueue,
  LANE_NAMES,
  type LeaseRow,
  NEW_SESSION,
  need,
  ownRow,
  putSession,
  readSession,
  readSpaces,
  type SessionRow,
  workedIn,
} from './rows.js'
import { count, firstKey, keyAt, nextNumber, read, type StateTables } from './tables.js'

export interface Moment {
  /** Epoch milliseconds. */
  readonly now: number
  /** Monotonic milliseconds. */
  readonly monotonic: number
  /** A time further ahead than this was written by another clock, and has come. */
  readonly maxDelayMs: number
}

/** T1. What was observed and what was processed are kept apart: only their equality lets a session rest. */
export function observeSessions(t: StateTables, page: Observation, { now }: Moment): void {
  const build = buildOf(workedIn(t))
  for (const { key, revision, meta, store } of page.seen) {
    const known = readSession(t, key)
    const before = known ?? NEW_SESSION
    // It came back while its documents were being removed: all of it is to be read again.
    const back = before.gone ? { gone: false, emptied: false, processedRev: null } : {}
    const row: SessionRow = { ...before, ...back, observedRev: revision, observedMeta: meta, store }
    const lane = laneOfSeen(row, known?.observedRev !== revision, build)
    const after = lane === undefined ? row : enqueue(t, row, lane, 0, now)
    if (known === undefined || !isSame(known, after)) putSession(t, key, known, after)
  }
  for (const key of page.gone) {
    const row = readSession(t, key)
    if (row === undefined || row.emptied) continue
    putSession(t, key, row, enqueue(t, { ...row, gone: true }, LANES.replay, 0, now))
  }
}

function laneOfSeen(row: SessionRow, changed: boolean, build: string): number | undefined {
  if (changed) return LANES.fresh
  if (row.q !== null) return undefined
  return need(row, build) ?? (row.incomplete ? LANES.fresh : undefined)
}

function isSame(before: SessionRow, { observedRev, observedMeta, store, gone, q }: SessionRow): boolean {
  const same = before.observedRev === observedRev && before.observedMeta === observedMeta && before.store === store && before.gone === gone
  return same && before.q === q
}

const WEIGHTS: Readonly<Record<LaneName, number>> = { replay: 8, fresh: 4, retry: 2, scan: 1, backfill: 1 }

export interface Claimant extends Moment {
  readonly owner: Owner
  readonly ttl: number
  /** The space that the process is bound to. */
  readonly bound: string | undefined
}

export function mayWork(t: StateTables, bound: string | undefined): boolean {
  return bound === undefined || bound === workedIn(t)?.id
}

/** Whether a claim would give something: asked before a transaction is begun for it. */
export function hasWork(t: StateTables, request: ClaimRequest, bound: string | undefined, moment: Moment): boolean {
  const { only, lanes = LANE_NAMES } = request
  return mayClaim(t, request, bound) && (only !== undefined || lanes.some((lane) => headOf(t, LANES[lane], moment) !== undefined))
}

function mayClaim(t: StateTables, request: ClaimRequest, bound: string | undefined): boolean {
  return mayWork(t, bound) || deletes(request)
}

function deletes({ only, toDelete = false }: ClaimRequest): boolean {
  return toDelete && only !== undefined
}

/** T2. Picking and leasing are one transaction, so a session has one owner. */
export function claimSession(t: StateTables, request: ClaimRequest, claimant: Claimant): Claim | undefined {
  if (!mayClaim(t, request, claimant.bound)) return undefined
  const { only, lanes = LANE_NAMES, unlogged = false } = request
  const key = only ?? takeTurn(t, lanes, claimant)
  const row = key && readSession(t, key)
  if (key === undefined || row === undefined || row.lease !== null) return undefined
  const { owner, ttl, now, monotonic, bound } = claimant
  const own = deletes(request) ? readSpaces(t).find(({ id }) => id === bound) : undefined
  const space = own ?? workedIn(t)
  const build = buildOf(space)
  const token = nextNumber(t, 'token')
  const lane = row.q?.lane ?? need(row, build) ?? LANES.fresh
  const until = monotonic + ttl
  const waits = { since: row.q?.since ?? now, at: now, lane, wakes: row.wakes, epoch: row.epoch }
  const lease: LeaseRow = { token, owner, until, ttl, ...waits, unlogged, build, fruitful: false }
  putSession(t, key, row, { ...row, q: null, lease })
  count(t, 'claims', 1)
  return {
    key,
    token,
    lane: LANE_NAMES[lane] ?? 'fresh',
    space: space?.id ?? '',
    revision: row.observedRev,
    meta: row.observedMeta,
    store: row.store,
    gone: row.gone,
    wal: row.wal?.seq,
    until,
    failures: row.failures,
    crashes: row.crashes,
    probe: row.probe !== null && row.probe.crashes > 0 ? row.probe : undefined,
    verify: row.verifyWanted === row.verifyDone ? undefined : row.verifyWanted,
  }
}

/** Smooth weighted round robin over the lanes in which a session is runnable. */
function takeTurn(t: StateTables, lanes: readonly LaneName[], moment: Moment): SessionKey | undefined {
  const credits = { ...(read(t.meta, 'credits') as Partial<Record<LaneName, number>> | undefined) }
  let richest: { readonly lane: LaneName; readonly key: SessionKey; readonly credit: number } | undefined
  let gained = 0
  for (const lane of LANE_NAMES) {
    const key = lanes.includes(lane) ? headOf(t, LANES[lane], moment) : undefined
    if (key === undefined) continue
    const credit = (credits[lane] ?? 0) + WEIGHTS[lane]
    credits[lane] = credit
    gained += WEIGHTS[lane]
    if (richest === undefined || credit > richest.credit) richest = { lane, key, credit }
  }
  if (richest === undefined) return undefined
  credits[richest.lane] = richest.credit - gained
  t.meta.putSync('credits', credits)
  return richest.key
}

/** The runnable session of a lane that comes first: of those whose time has come, else of those whose time another clock wrote. */
function headOf(t: StateTables, lane: number, moment: Moment): SessionKey | undefined {
  const first = firstKey(t.ready, { start: [lane], end: [lane + 1] })
  if (first === undefined) return undefined
  if (isDue(first, moment)) return keyAt(first, 3)
  const beyond = firstKey(t.ready, { start: [lane, moment.now + moment.maxDelayMs, Number.MAX_VALUE], end: [lane + 1] })
  return beyond === undefined ? undefined : keyAt(beyond, 3)
}

function isDue(readyKey: unknown, { now, maxDelayMs }: Moment): boolean {
  const runAt = Array.isArray(readyKey) ? Number(readyKey[1]) : Number.NaN
  return runAt <= now || runAt > now + maxDelayMs
}

/** When the next session of a lane may run, epoch milliseconds; 0: now. */
export function nextOfLane(t: StateTables, lane: number, moment: Moment): number | undefined {
  const first = firstKey(t.ready, { start: [lane], end: [lane + 1] })
  if (!Array.isArray(first)) return undefined
  return headOf(t, lane, moment) === undefined ? Number(first[1]) : 0
}

/** T3. */
export function renewLease(t: StateTables, claim: Claim, ttl: number, { monotonic }: Moment): number {
  const row = ownRow(t, claim)
  const until = monotonic + ttl
  putSession(t, claim.key, row, { ...row, lease: row.lease && { ...row.lease, until, ttl } })
  return until
}

/** T6. Compares what was observed with what was processed in the transaction that ends the lease. */
export function releaseSession(t: StateTables, claim: Claim, outcome: Outcome, moment: Moment): void {
  const before = ownRow(t, claim)
  const { lease } = before
  if (lease === null) return
  const free: SessionRow = { ...before, lease: null, crashes: 0, probe: null, wakes: 0 }
  const woken = before.wakes !== lease.wakes
  const after =
    outcome.kind === 'done' ? afterSuccess(t, free, lease, claim, outcome, woken, moment) : afterFailure(t, free, lease, claim, outcome, moment)
  putSession(t, claim.key, before, after)
}

function tailOf({ lane }: LeaseRow): number {
  return lane === LANES.replay ? LANES.fresh : lane
}

/** Full milliseconds, so that what is later is never now. */
function later(ms: number, { now, maxDelayMs }: Moment): number {
  return now + Math.max(1, Math.ceil(Math.min(ms, maxDelayMs)))
}

function afterSuccess(
  t: StateTables,
  free: SessionRow,
  lease: LeaseRow,
  claim: Claim,
  { more = false, recheckMs, incomplete = false, verified = free.verifyDone, leftOut = 0 }: Extract<Outcome, { kind: 'done' }>,
  woken: boolean,
  moment: Moment,
): SessionRow {
  const { now } = moment
  // A run that found the session gone has read none of it.
  const progress = more || claim.gone ? {} : { processedRev: woken ? null : claim.revision, builtIn: lease.build, checkedAt: now, leftOut }
  const row: SessionRow = { ...free, ...progress, verifyDone: verified, incomplete, failures: 0 }
  const lane = more ? tailOf(lease) : need(row, buildOf(workedIn(t)))
  if (lane !== undefined) return enqueue(t, row, lane, 0, now)
  return recheckMs === undefined ? row : enqueue(t, row, LANES.retry, later(recheckMs, moment), now)
}

function afterFailure(
  t: StateTables,
  free: SessionRow,
  lease: LeaseRow,
  claim: Claim,
  outcome: Exclude<Outcome, { kind: 'done' }>,
  moment: Moment,
): SessionRow {
  const row: SessionRow = { ...free, verifyWanted: free.verifyWanted + (outcome.verify === true ? 1 : 0) }
  if (outcome.kind === 'stopped') return enqueue(t, row, tailOf(lease), 0, lease.since)
  const failed = outcome.kind === 'failed'
  count(t, failed ? 'failures' : 'deferrals', 1)
  const { code, reason } = outcome.failure
  t.meta.putSync('lastError', { code, reason, at: moment.now, key: failed ? encodeKey(claim.key) : null })
  return enqueue(t, { ...row, failures: row.failures + (failed ? 1 : 0) }, LANES.retry, later(outcome.delayMs, moment), lease.since)
}
