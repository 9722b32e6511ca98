/**
 * What the state tells about itself, computed from its rows.
 *
 * Sums stand beside the rows, and ages are the first keys of ordered tables: only the rows of sessions that are leased are read.
 * Entries that wait for a time are counted, inside LMDB. `knownSessions` alone reads all sessions.
 */

import { isDocument } from '../../../core/documents.js'
import { decodeKey, type SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { LANES, type LaneName } from '../rows.js'
import type { KnownSession } from '../state.js'
import type { BreakerStatus, CounterName, Counters, IndexStatus, LaneStatus, LastError, LeaseStatus, TickNote } from '../status.js'
import { ledgerSums } from './ledger.js'
import { runningProcesses } from './notes.js'
import { type Moment, mayWork, nextOfLane } from './queue.js'
import { buildOf, LANE_NAMES, type LeaseRow, need, readSession, toSessionRow, workedIn } from './rows.js'
import { spacesInOrder, toRebuild } from './spaces.js'
import { firstKey, keyAt, read, readNumber, type StateTables, scan } from './tables.js'
import { oldestRecord } from './wal.js'

const COUNTERS = [
  'claims',
  'embedded',
  'cached',
  'commits',
  'messages',
  'replays',
  'replayedDocuments',
  'upserts',
  'deletes',
  'failures',
  'deferrals',
  'takeovers',
  'scans',
  'repairs',
  'quarantined',
  'redacted',
  'truncated',
  'ticks',
  'tickSessions',
  'tickMessages',
] as const satisfies readonly CounterName[]

export function statusOf(t: StateTables, isGone: (owner: Owner) => boolean, moment: Moment): IndexStatus {
  const { now } = moment
  const lanes = LANE_NAMES.map((lane) => laneOf(t, lane, moment))
  const leases = leasesOf(t)
  const oldest = [...LANE_NAMES.map((lane) => oldestIn(t, lane)), ...leases.map(({ lease }) => lease.since)]
  return {
    queue: { ready: sum(lanes.map(({ ready }) => ready)), leased: leases.length, backoff: sum(lanes.map(({ waiting }) => waiting)) },
    lanes,
    leases: leases.map((held) => leaseStatus(held, isGone, moment)),
    suspects: suspectsOf(t),
    wal: { records: t.walIx.getKeysCount({}), bytes: readNumber(t, 'walBytes'), oldestAgeMs: age(now, [oldestRecord(t)]) },
    ledger: { sessions: readNumber(t, 'sessions'), ...ledgerSums(t, workedIn(t)?.id ?? '') },
    leftOut: readNumber(t, 'leftOut'),
    oldestPendingAgeMs: age(now, oldest),
    lastUpsertAt: readNumber(t, 'lastUpsertAt') || null,
    oldestCheckedAgeMs: age(now, [timeAt(firstKey(t.checked, {}), 0)]),
    lastError: lastErrorOf(t),
    dead: t.dead.getKeysCount({}),
    spaces: spacesInOrder(t),
    toRebuild: toRebuild(t),
    running: runningProcesses(t, isGone),
    lastTick: (read(t.meta, 'lastTick') as TickNote | undefined) ?? null,
    listing: (read(t.meta, 'listing') as IndexStatus['listing'] | undefined) ?? null,
    breakers: Object.values((read(t.meta, 'breakers') as Record<string, BreakerStatus> | undefined) ?? {}),
    counters: Object.fromEntries(COUNTERS.map((name) => [name, readNumber(t, `n:${name}`)])) as unknown as Counters,
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}

/** The wall clock may have stepped back since. */
function age(now: number, times: readonly (number | undefined)[]): number | null {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? null : Math.max(0, now - Math.min(...known))
}

function timeAt(key: unknown, place: number): number | undefined {
  return Array.isArray(key) ? Number(key[place]) : undefined
}

function oldestIn(t: StateTables, lane: LaneName): number | undefined {
  return timeAt(firstKey(t.since, { start: [LANES[lane]], end: [LANES[lane] + 1] }), 1)
}

function laneOf(t: StateTables, lane: LaneName, { now, maxDelayMs }: Moment): LaneStatus {
  const n = LANES[lane]
  const all = readNumber(t, `queued:${n}`)
  const waiting = t.ready.getKeysCount({ start: [n, now, Number.MAX_VALUE], end: [n, now + maxDelayMs, Number.MAX_VALUE] })
  return { lane, ready: all - waiting, waiting, oldestAgeMs: age(now, [oldestIn(t, lane)]) }
}

interface Held {
  readonly key: SessionKey
  readonly lease: LeaseRow
}

function leasesOf(t: StateTables): Held[] {
  return [...t.leaseExp.getKeys({})].flatMap((path) => {
    const key = keyAt(path, 1)
    const lease = readSession(t, key)?.lease
    return lease ? [{ key, lease }] : []
  })
}

function leaseStatus({ key, lease }: Held, isGone: (owner: Owner) => boolean, { now, monotonic }: Moment): LeaseStatus {
  const { owner, at, until } = lease
  return { key, pid: owner.pid, ageMs: Math.max(0, now - at), expiresInMs: until - monotonic, abandoned: isGone(owner) }
}

function suspectsOf(t: StateTables): number {
  let suspects = 0
  for (const { value } of scan(t.suspect)) suspects += Number(value)
  return suspects
}

function lastErrorOf(t: StateTables): LastError | null {
  const last = toLastError(read(t.meta, 'lastError'))
  if (last?.key === undefined) return last
  const key = decodeKey(last.key)
  const row = key.kind === 'session' ? readSession(t, key) : undefined
  return row === undefined || row.gone || row.failures === 0 ? { ...last, over: true } : last
}

function toLastError(value: unknown): LastError | null {
  if (!isDocument(value) || typeof value.code !== 'string' || typeof value.reason !== 'string' || typeof value.at !== 'number') return null
  return { code: value.code, reason: value.reason, at: value.at, key: typeof value.key === 'string' ? value.key : undefined }
}

export function knownSessions(t: StateTables): KnownSession[] {
  const build = buildOf(workedIn(t))
  const sessions: KnownSession[] = []
  for (const { key, value } of scan(t.sess)) {
    const row = toSessionRow(value)
    const { observedRev: revision, store, gone, q, lease, incomplete, checkedAt } = row
    const stranded = q === null && lease === null && need(row, build) !== undefined
    sessions.push({ key: keyAt(key, 0), revision, store, gone, stranded, incomplete, checkedAt })
  }
  return sessions
}

export function nextRunAt(t: StateTables, lanes: readonly LaneName[], bound: string | undefined, moment: Moment): number | undefined {
  if (!mayWork(t, bound)) return undefined
  const times = lanes.flatMap((lane) => nextOfLane(t, LANES[lane], moment) ?? [])
  return times.length === 0 ? undefined : Math.min(...times)
}
