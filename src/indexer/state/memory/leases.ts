/** Transitions T7, T8 and T9 over rows in memory: leases that ended, what their owners may still write, and the slow scan. */
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type Claim, SUSPECT_LEASES } from '../rows.js'
import type { Moment } from './queue.js'
import { count, enqueue, type LeaseRow, leasedOf, type MemoryRows, type MemorySession, newSession, putSession, sessionsOf } from './rows.js'

type IsGone = (owner: Owner) => boolean

/** T7. */
export function sweep(rows: MemoryRows, isGone: IsGone, moment: Moment): number {
  for (const session of sessionsOf(rows)) settleSuspects(rows, session, isGone, moment)
  let freed = 0
  for (const { session, lease } of leasedOf(rows)) {
    const proven = isGone(lease.owner)
    if (!proven && !hasEnded(lease, moment)) continue
    takeOver(rows, session, lease, proven, moment)
    freed++
  }
  count(rows, 'takeovers', freed)
  return freed
}

/** A deadline further ahead than its own length was taken from the clock of another boot. */
function hasEnded({ until, ttl }: LeaseRow, { monotonic }: Moment): boolean {
  return until <= monotonic || until > monotonic + ttl
}

function takeOver(rows: MemoryRows, session: MemorySession, lease: LeaseRow, proven: boolean, { now }: Moment): void {
  const { token, owner, ttl, unlogged, fruitful, since } = lease
  const { probe } = session
  const freed: MemorySession = {
    ...session,
    lease: null,
    wakes: 0,
    crashes: session.crashes + (fruitful ? 0 : 1),
    probe: probe && { ...probe, crashes: probe.crashes + 1 },
    suspects: proven ? session.suspects : [...session.suspects, { token, owner, ttl, at: now }],
    // What it wrote without a record is named nowhere.
    verifyWanted: session.verifyWanted + (unlogged ? 1 : 0),
  }
  putSession(rows, enqueue(rows, freed, 'fresh', 0, since))
}

function settleSuspects(rows: MemoryRows, session: MemorySession, isGone: IsGone, { now }: Moment): void {
  const suspects = session.suspects.filter(({ owner, at, ttl }) => !isGone(owner) && at <= now && now - at < SUSPECT_LEASES * ttl)
  if (suspects.length < session.suspects.length) askToVerify(rows, { ...session, suspects }, now)
}

function askToVerify(rows: MemoryRows, session: MemorySession, now: number): void {
  putSession(rows, enqueue(rows, { ...session, verifyWanted: session.verifyWanted + 1 }, 'fresh', 0, now))
}

/** T8. A session that was removed is known again, as gone, until it was looked for. */
export function lostOwner(rows: MemoryRows, claim: Claim, { now }: Moment): void {
  const session = rows.sessions.get(encodeKey(claim.key)) ?? { ...newSession(claim.key), gone: true }
  const lease = session.lease?.token === claim.token ? null : session.lease
  const suspects = session.suspects.filter(({ token }) => token !== claim.token)
  askToVerify(rows, { ...session, lease, suspects }, now)
}

/** T8. */
export function verify(rows: MemoryRows, keys: readonly SessionKey[] | undefined, { now }: Moment): number {
  const asked = sessionsOf(rows, keys).filter(({ gone, verifyWanted, verifyDone }) => !gone && verifyWanted === verifyDone)
  for (const session of asked) askToVerify(rows, session, now)
  return asked.length
}

/** T9. */
export function slowScan(rows: MemoryRows, { limit, minAgeMs }: { readonly limit: number; readonly minAgeMs: number }, { now }: Moment): number {
  const due = sessionsOf(rows).filter(
    ({ gone, q, lease, checkedAt }) => !gone && q === null && lease === null && (checkedAt > now || now - checkedAt >= minAgeMs),
  )
  const oldest = due.sort((a, b) => a.checkedAt - b.checkedAt).slice(0, Math.max(0, limit))
  for (const session of oldest) {
    const verifyWanted = session.verifyWanted === session.verifyDone ? session.verifyWanted + 1 : session.verifyWanted
    putSession(rows, enqueue(rows, { ...session, verifyWanted }, 'scan', 0, now))
  }
  count(rows, 'scans', oldest.length)
  return oldest.length
}
