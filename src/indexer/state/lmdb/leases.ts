/** Transitions T7, T8 and T9: leases that ended, what their owners may still write, and the slow scan. */

import type { SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type Claim, LANES, SUSPECT_LEASES } from '../rows.js'
import type { Moment } from './queue.js'
import { enqueue, type LeaseRow, NEW_SESSION, putSession, readSession, type SessionRow, type SuspectRow } from './rows.js'
import { count, keyAt, type StateTables, scan } from './tables.js'

/** Sorts after the name of every agent. */
const LAST = '\u{10ffff}'

type IsGone = (owner: Owner) => boolean

export interface Ended {
  readonly leases: readonly { readonly key: SessionKey; readonly token: number; readonly proven: boolean }[]
  readonly suspects: readonly { readonly key: SessionKey; readonly tokens: ReadonlySet<number> }[]
}

/** What a sweep is to do. Reads the identities of processes, so it runs outside of any transaction. */
export function whatEnded(t: StateTables, isGone: IsGone, moment: Moment): Ended {
  const leases = [...t.leaseExp.getKeys({})].flatMap((path) => {
    const key = keyAt(path, 1)
    const lease = readSession(t, key)?.lease
    if (!lease) return []
    const proven = isGone(lease.owner)
    return proven || hasRunOut(lease, moment) ? [{ key, token: lease.token, proven }] : []
  })
  const suspects = [...t.suspect.getKeys({})].flatMap((path) => {
    const key = keyAt(path, 0)
    const ended = readSession(t, key)?.suspects.filter((suspect) => isGone(suspect.owner) || isLongAgo(suspect, moment)) ?? []
    return ended.length === 0 ? [] : [{ key, tokens: new Set(ended.map(({ token }) => token)) }]
  })
  return { leases, suspects }
}

/** A deadline further ahead than its own length was taken from the clock of another boot. */
function hasRunOut({ until, ttl }: LeaseRow, { monotonic }: Moment): boolean {
  return until <= monotonic || until > monotonic + ttl
}

/** For owners that nobody can look up. One that comes back later all the same says so, see `lostOwner`. */
function isLongAgo({ at, ttl }: SuspectRow, { now }: Moment): boolean {
  return at > now || now - at >= SUSPECT_LEASES * ttl
}

/** T7. A session that changed hands since `whatEnded` is left alone. */
export function sweep(t: StateTables, { leases, suspects }: Ended, { now }: Moment): number {
  for (const { key, tokens } of suspects) settle(t, key, tokens, now)
  let freed = 0
  for (const { key, token, proven } of leases) {
    const before = readSession(t, key)
    if (before === undefined || before.lease?.token !== token) continue
    putSession(t, key, before, takenOver(t, before, before.lease, proven, now))
    freed++
  }
  count(t, 'takeovers', freed)
  return freed
}

function takenOver(
  t: StateTables,
  before: SessionRow,
  { token, owner, ttl, unlogged, fruitful, since }: LeaseRow,
  proven: boolean,
  now: number,
): SessionRow {
  const { probe, suspects } = before
  const freed: SessionRow = {
    ...before,
    lease: null,
    wakes: 0,
    crashes: before.crashes + (fruitful ? 0 : 1),
    probe: probe && { ...probe, crashes: probe.crashes + 1 },
    suspects: proven ? suspects : [...suspects, { token, owner, ttl, at: now }],
    // What it wrote without a record is named nowhere.
    verifyWanted: before.verifyWanted + (unlogged ? 1 : 0),
  }
  return enqueue(t, freed, LANES.fresh, 0, since)
}

function settle(t: StateTables, key: SessionKey, tokens: ReadonlySet<number>, now: number): void {
  const before = readSession(t, key)
  const suspects = before?.suspects.filter(({ token }) => !tokens.has(token))
  if (before === undefined || suspects === undefined || suspects.length === before.suspects.length) return
  askToVerify(t, key, before, { ...before, suspects }, now)
}

function askToVerify(t: StateTables, key: SessionKey, before: SessionRow | undefined, row: SessionRow, now: number): void {
  putSession(t, key, before, enqueue(t, { ...row, verifyWanted: row.verifyWanted + 1 }, LANES.fresh, 0, now))
}

/** T8. Whether or not a sweep has seen it: its last word may have come after any comparison until now, and after the session was removed. */
export function lostOwner(t: StateTables, { key, token }: Claim, { now }: Moment): void {
  const before = readSession(t, key)
  const row = before ?? { ...NEW_SESSION, gone: true }
  const lease = row.lease?.token === token ? null : row.lease
  const suspects = row.suspects.filter((suspect) => suspect.token !== token)
  askToVerify(t, key, before, { ...row, lease, suspects }, now)
}

/** T8. False when there is nothing to ask. */
export function verifySession(t: StateTables, key: SessionKey, row: SessionRow, { now }: Moment): boolean {
  if (row.gone || row.verifyWanted !== row.verifyDone) return false
  askToVerify(t, key, row, row, now)
  return true
}

/** The idle sessions that the slow scan takes next; reads no more of them than it takes. */
export function longUnseen(
  t: StateTables,
  { limit, minAgeMs }: { readonly limit: number; readonly minAgeMs: number },
  { now }: Moment,
): SessionKey[] {
  if (limit <= 0) return []
  const keys: SessionKey[] = []
  const take = (start: readonly (number | string)[] | undefined, isWanted: (checkedAt: number) => boolean): void => {
    for (const { key } of scan(t.idle, { limit: limit - keys.length, ...(start && { start: [...start] }) })) {
      if (!Array.isArray(key) || !isWanted(Number(key[0]))) return
      keys.push(keyAt(key, 1))
    }
  }
  take(undefined, (checkedAt) => checkedAt <= now - minAgeMs)
  // A time in the future was written by another clock.
  if (keys.length < limit) take([now, LAST], (checkedAt) => checkedAt > now)
  return keys
}

/** T9. */
export function scanSessions(t: StateTables, keys: readonly SessionKey[], { now }: Moment): number {
  let queued = 0
  for (const key of keys) {
    const before = readSession(t, key)
    if (before === undefined || before.gone || before.q !== null || before.lease !== null) continue
    const verifyWanted = before.verifyWanted + (before.verifyWanted === before.verifyDone ? 1 : 0)
    putSession(t, key, before, enqueue(t, { ...before, verifyWanted }, LANES.scan, 0, now))
    queued++
  }
  count(t, 'scans', queued)
  return queued
}
