/** Transitions T1, T2, T3, T6, T7 and T8: a session is idle, queued or leased, and no wake-up is lost on the way. */
import { encodeKey, type SessionKey } from '../core/keys.js'
import {
  count,
  enqueue,
  keyAt,
  LANES,
  type LeaseRow,
  lost,
  NEW_SESSION,
  needsRun,
  nextNumber,
  putSession,
  readSession,
  type SessionRow,
  type StateTables,
  scan,
  toSessionRow,
} from './lmdb-rows.js'
import type { Owner } from './owner.js'
import type { Observation } from './state.js'
import type { Claim, Outcome } from './state-rows.js'

export interface Moment {
  /** Epoch milliseconds. */
  readonly now: number
  /** Monotonic milliseconds. */
  readonly monotonic: number
}

/** T1. What was observed and what was processed are kept apart: only their equality lets a session rest. */
export function observeSessions(t: StateTables, page: Observation, { now }: Moment): void {
  for (const { key, revision, meta, store } of page.seen) {
    const before = readSession(t, key)
    const row = before ?? NEW_SESSION
    const changed = row.observedRev !== revision || before === undefined
    const seen: SessionRow = {
      ...row,
      observedRev: revision,
      observedMeta: meta,
      store,
      gone: false,
      // It came back while its documents were being removed: all of it is to be read again.
      processedRev: row.gone ? null : row.processedRev,
    }
    const wake = changed || (row.q === null && (needsRun(seen) || seen.incomplete))
    putSession(t, key, before, wake ? enqueue(t, seen, LANES.fresh, 0, now) : seen)
  }
  for (const key of page.gone) {
    const row = readSession(t, key)
    if (row !== undefined) putSession(t, key, row, enqueue(t, { ...row, gone: true }, LANES.replay, 0, now))
  }
}

export interface ClaimRequest extends Moment {
  readonly owner: Owner
  readonly ttl: number
  /** A time further ahead than this was written by another clock, and is due. */
  readonly maxDelayMs: number
  readonly only?: SessionKey | undefined
}

/** T2. Picking and leasing are one transaction, so a session has one owner. */
export function claimSession(t: StateTables, request: ClaimRequest): Claim | undefined {
  const key = request.only ?? firstDue(t, request)
  const row = key && readSession(t, key)
  if (key === undefined || row === undefined || row.lease !== null) return undefined
  const token = nextNumber(t, 'token')
  const lease: LeaseRow = {
    token,
    owner: request.owner,
    until: request.monotonic + request.ttl,
    ttl: request.ttl,
    since: row.q?.since ?? request.now,
  }
  putSession(t, key, row, { ...row, q: null, lease, crashes: row.crashes + 1 })
  return {
    key,
    token,
    revision: row.observedRev,
    meta: row.observedMeta,
    store: row.store,
    gone: row.gone,
    wal: row.wal?.seq,
    until: lease.until,
    failures: row.fail?.n ?? 0,
    verify: row.verifyWanted === row.verifyDone ? undefined : row.verifyWanted,
  }
}

/** Lane 0 first; of the others the fresh one three times out of four, so that retries are never starved. */
function firstDue(t: StateTables, { now, maxDelayMs }: ClaimRequest): SessionKey | undefined {
  const turn = Number(t.meta.get('token') ?? 0) % 4
  const lanes = turn === 3 ? [LANES.replay, LANES.retry, LANES.fresh] : [LANES.replay, LANES.fresh, LANES.retry]
  for (const lane of lanes) {
    const [first] = t.ready.getKeys({ start: [lane], end: [lane + 1], limit: 1 })
    if (isDue(first, now, maxDelayMs)) return keyAt(first, 3)
    const [last] = t.ready.getKeys({ start: [lane + 1], end: [lane], reverse: true, limit: 1 })
    if (isDue(last, now, maxDelayMs)) return keyAt(last, 3)
  }
  return undefined
}

export function isDue(readyKey: unknown, now: number, maxDelayMs: number): boolean {
  const runAt = Array.isArray(readyKey) ? Number(readyKey[1]) : Number.NaN
  return runAt <= now || runAt > now + maxDelayMs
}

/** @throws StorageError LEASE_LOST */
export function ownRow(t: StateTables, claim: Claim): SessionRow {
  const row = readSession(t, claim.key)
  if (row === undefined || row.lease?.token !== claim.token) throw lost(claim.key)
  return row
}

/** T3. */
export function renewLease(t: StateTables, claim: Claim, ttl: number, { monotonic }: Moment): number {
  const row = ownRow(t, claim)
  const until = monotonic + ttl
  putSession(t, claim.key, row, { ...row, lease: row.lease && { ...row.lease, until, ttl } })
  return until
}

/** T6. Compares what was observed with what was processed in the transaction that ends the lease. */
export function releaseSession(t: StateTables, claim: Claim, outcome: Outcome, maxDelayMs: number, { now }: Moment): void {
  const before = ownRow(t, claim)
  const since = before.lease?.since ?? now
  const free: SessionRow = { ...before, lease: null, crashes: 0 }
  const later = (ms: number): number => now + Math.max(1, Math.ceil(Math.min(ms, maxDelayMs)))
  let after: SessionRow
  switch (outcome.kind) {
    case 'stopped':
      after = enqueue(t, free, free.wal === null ? LANES.fresh : LANES.replay, 0, since)
      break
    case 'failed': {
      count(t, 'n:failures', 1)
      t.meta.putSync('lastError', { ...outcome.failure, at: now, key: encodeKey(claim.key) })
      const fail = { n: (free.fail?.n ?? 0) + 1, code: outcome.failure.code, at: now }
      after = enqueue(t, { ...free, fail }, LANES.retry, later(outcome.delayMs), since)
      break
    }
    case 'done':
      after = afterSuccess(t, free, claim, outcome, now, later)
  }
  putSession(t, claim.key, before, after)
}

function afterSuccess(
  t: StateTables,
  free: SessionRow,
  claim: Claim,
  outcome: Extract<Outcome, { kind: 'done' }>,
  now: number,
  later: (ms: number) => number,
): SessionRow {
  const { more = false, incomplete = false, verified = free.verifyDone, recheckMs } = outcome
  // A run that found the session gone has read none of it.
  const progress = more || claim.gone ? {} : { processedRev: claim.revision, checkedAt: now }
  const row: SessionRow = { ...free, ...progress, verifyDone: verified, incomplete, fail: null }
  if (row.wal !== null || row.gone) return enqueue(t, row, LANES.replay, 0, now)
  if (more || needsRun(row)) return enqueue(t, row, LANES.fresh, 0, now)
  return recheckMs === undefined ? row : enqueue(t, row, LANES.retry, later(recheckMs), now)
}

export interface EndedLease {
  readonly key: SessionKey
  readonly token: number
  /** Its owner can not write any more. */
  readonly proven: boolean
}

/** The leases to be freed. Reads identities, so it runs outside of any transaction. */
export function endedLeases(t: StateTables, isGone: (owner: Owner) => boolean, { monotonic }: Moment): EndedLease[] {
  const ended: EndedLease[] = []
  for (const path of [...t.leaseExp.getKeys({})]) {
    const key = keyAt(path, 1)
    const lease = readSession(t, key)?.lease
    if (!lease) continue
    const proven = isGone(lease.owner)
    // A deadline further ahead than its own length was taken from the clock of another boot.
    if (proven || lease.until <= monotonic || lease.until > monotonic + lease.ttl) ended.push({ key, token: lease.token, proven })
  }
  return ended
}

/** T7. A late write of an owner that may still live makes the session compare the sink with the ledger. */
export function takeOver(t: StateTables, ended: readonly EndedLease[], { now }: Moment): number {
  let freed = 0
  for (const { key, token, proven } of ended) {
    const before = readSession(t, key)
    if (before?.lease?.token !== token) continue
    const row: SessionRow = { ...before, lease: null, verifyWanted: before.verifyWanted + (proven ? 0 : 1) }
    putSession(t, key, before, enqueue(t, row, row.wal === null && !row.gone ? LANES.fresh : LANES.replay, 0, now))
    freed++
  }
  count(t, 'n:takeovers', freed)
  return freed
}

/** T8. A removal deletes without asking what the sink holds. */
export function verifySessions(t: StateTables, { now }: Moment): number {
  let asked = 0
  for (const { key: path, value } of [...scan(t.sess)]) {
    const row = toSessionRow(value)
    if (row.gone || row.verifyWanted !== row.verifyDone) continue
    putSession(t, keyAt(path, 0), row, enqueue(t, { ...row, verifyWanted: row.verifyWanted + 1 }, LANES.fresh, 0, now))
    asked++
  }
  return asked
}
