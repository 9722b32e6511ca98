/** What the state in memory tells about itself, computed from its rows. */

import type { Owner } from '../../../tree/catalog/owner.js'
import type { LaneName } from '../rows.js'
import type { KnownSession, PendingSession } from '../state.js'
import type { IndexStatus, LaneStatus, LastError } from '../status.js'
import { decodeWal } from '../wal-codec.js'
import { type Due, isDue, type Moment, mayWork } from './queue.js'
import { LANE_NAMES, leasedOf, type MemoryRows, need, sessionsOf, workedIn } from './rows.js'
import { inOrder, toRebuild } from './spaces.js'

/** The wall clock may have stepped back since. */
function age(now: number, times: readonly number[]): number | null {
  return times.length === 0 ? null : Math.max(0, now - Math.min(...times))
}

export function statusOf(rows: MemoryRows, isGone: (owner: Owner) => boolean, due: Due & Moment): IndexStatus {
  const { now, monotonic } = due
  const sessions = sessionsOf(rows)
  const lanes = LANE_NAMES.map((lane) => laneOf(rows, lane, due))
  const leases = leasedOf(rows)
  const waiting = sessions.flatMap(({ q, lease }) => (q ?? lease)?.since ?? [])
  return {
    queue: { ready: sum(lanes.map(({ ready }) => ready)), leased: leases.length, backoff: sum(lanes.map((lane) => lane.waiting)) },
    lanes,
    leases: leases.map(({ session: { key }, lease: { owner, at, until } }) => {
      return { key, pid: owner.pid, ageMs: Math.max(0, now - at), expiresInMs: until - monotonic, abandoned: isGone(owner) }
    }),
    suspects: sum(sessions.map(({ suspects }) => suspects.length)),
    wal: walOf(rows, now),
    ledger: ledgerStatus(rows),
    leftOut: sum(sessions.map(({ gone, leftOut }) => (gone ? 0 : leftOut))),
    oldestPendingAgeMs: age(now, waiting),
    lastUpsertAt: rows.lastUpsertAt,
    oldestCheckedAgeMs: age(
      now,
      sessions.flatMap(({ gone, checkedAt }) => (gone || checkedAt === 0 ? [] : checkedAt)),
    ),
    lastError: lastErrorOf(rows),
    dead: rows.dead.size,
    spaces: inOrder(rows.spaces),
    toRebuild: toRebuild(rows),
    running: rows.running.flatMap(({ owner, since }) => (isGone(owner) ? [] : { pid: owner.pid, since })),
    lastTick: rows.lastTick,
    listing: rows.listing,
    breakers: [...rows.breakers.values()],
    counters: { ...rows.counters },
  }
}

function lastErrorOf({ lastError, sessions }: MemoryRows): LastError | null {
  if (lastError?.key === undefined) return lastError
  const session = sessions.get(lastError.key)
  return session === undefined || session.gone || session.failures === 0 ? { ...lastError, over: true } : lastError
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}

function laneOf(rows: MemoryRows, lane: LaneName, due: Due): LaneStatus {
  const entries = sessionsOf(rows).flatMap(({ q }) => (q?.lane === lane ? q : []))
  const ready = entries.filter(({ runAt }) => isDue(runAt, due)).length
  return {
    lane,
    ready,
    waiting: entries.length - ready,
    oldestAgeMs: age(
      due.now,
      entries.map(({ since }) => since),
    ),
  }
}

function walOf({ wal, sessions }: MemoryRows, now: number): IndexStatus['wal'] {
  const bytes = sum([...wal.values()].map(bytesOf))
  const times = [...sessions.values()].flatMap((session) => session.wal?.at ?? [])
  return { records: wal.size, bytes, oldestAgeMs: age(now, times) }
}

function bytesOf({ head, matrix }: { readonly head?: Buffer; readonly matrix?: Buffer }): number {
  return (head?.length ?? 0) + (matrix?.length ?? 0)
}

function ledgerStatus(rows: MemoryRows): IndexStatus['ledger'] {
  const space = workedIn(rows)?.id ?? ''
  const held = [...rows.ledger.values()].flatMap((entry) => (entry.space === space ? entry.row : []))
  return {
    sessions: rows.sessions.size,
    messages: held.length,
    documents: sum(held.map(({ chunks }) => chunks.filter((chunk) => chunk !== '').length)),
    quarantined: held.filter(({ state }) => state === 'quarantined').length,
    truncatedBytes: sum(held.map(({ truncatedBytes = 0 }) => truncatedBytes)),
  }
}

export function knownSessions(rows: MemoryRows): KnownSession[] {
  return sessionsOf(rows).map((session) => {
    const { key, observedRev, store, gone, q, lease, incomplete, checkedAt } = session
    const stranded = q === null && lease === null && need(rows, session) !== undefined
    return { key, revision: observedRev, store, gone, stranded, incomplete, checkedAt }
  })
}

export function pendingSessions(rows: MemoryRows): PendingSession[] {
  const pending = sessionsOf(rows).flatMap(({ key, wal }) => {
    const held = wal === null ? undefined : rows.wal.get(wal.seq)
    if (wal === null || held === undefined) return []
    try {
      const record = decodeWal({ head: held.head, matrix: held.matrix })
      const [first] = record.rows
      if (first === undefined) return []
      const { project_id: project, directory } = first.metadata
      return { key, seq: wal.seq, project, directory, documents: record.rows.length, bytes: bytesOf(held), createdAt: record.createdAt }
    } catch {
      return []
    }
  })
  return pending.sort((a, b) => a.seq - b.seq)
}

export function nextRunAt(rows: MemoryRows, lanes: readonly LaneName[] | undefined, bound: string | undefined, due: Due): number | undefined {
  if (!mayWork(rows, bound)) return undefined
  const times = sessionsOf(rows).flatMap(({ q }) => (q !== null && (lanes ?? LANE_NAMES).includes(q.lane) ? q.runAt : []))
  return times.length === 0 ? undefined : Math.min(...times.map((runAt) => (isDue(runAt, due) ? 0 : runAt)))
}
