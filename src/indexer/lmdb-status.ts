/** What the state tells about itself, computed from its rows. */
import { isDocument } from '../core/documents.js'
import { isDue } from './lmdb-queue.js'
import { keyAt, LANES, needsRun, read, readNumber, readSession, type StateTables, scan, toSessionRow } from './lmdb-rows.js'
import type { KnownSession } from './state.js'
import type { CounterName, Counters, IndexStatus, LastError } from './state-status.js'

const COUNTERS = [
  'embedded',
  'cached',
  'commits',
  'replays',
  'upserts',
  'deletes',
  'failures',
  'takeovers',
  'quarantined',
] as const satisfies CounterName[]

export function statusOf(t: StateTables, now: number, maxDelayMs: number): IndexStatus {
  let ready = 0
  let backoff = 0
  let leased = 0
  let oldest = Number.POSITIVE_INFINITY
  for (const { key, value } of scan(t.ready)) {
    if (isDue(key, now, maxDelayMs)) ready++
    else backoff++
    oldest = Math.min(oldest, Number(value))
  }
  for (const path of [...t.leaseExp.getKeys({})]) {
    leased++
    const key = keyAt(path, 1)
    oldest = Math.min(oldest, readSession(t, key)?.lease?.since ?? oldest)
  }
  return {
    queue: { ready, leased, backoff },
    wal: { records: t.walH.getCount({}), bytes: readNumber(t, 'walBytes') },
    ledger: {
      sessions: t.sess.getCount({}),
      messages: readNumber(t, 'messages'),
      documents: readNumber(t, 'documents'),
      truncatedBytes: readNumber(t, 'truncatedBytes'),
    },
    // The wall clock may have stepped back since.
    oldestPendingAgeMs: oldest === Number.POSITIVE_INFINITY ? null : Math.max(0, now - oldest),
    lastError: toLastError(read(t.meta, 'lastError')),
    dead: t.dead.getCount({}),
    counters: countersOf(t),
  }
}

function countersOf(t: StateTables): Counters {
  return Object.fromEntries(COUNTERS.map((name) => [name, readNumber(t, `n:${name}`)])) as Counters
}

function toLastError(value: unknown): LastError | null {
  if (!isDocument(value) || typeof value.code !== 'string' || typeof value.reason !== 'string' || typeof value.at !== 'number') return null
  return { code: value.code, reason: value.reason, at: value.at, key: typeof value.key === 'string' ? value.key : undefined }
}

export function knownSessions(t: StateTables): KnownSession[] {
  const sessions: KnownSession[] = []
  for (const { key, value } of scan(t.sess)) {
    const row = toSessionRow(value)
    sessions.push({
      key: keyAt(key, 0),
      revision: row.observedRev,
      store: row.store,
      gone: row.gone,
      stranded: row.q === null && row.lease === null && needsRun(row),
      incomplete: row.incomplete,
      checkedAt: row.checkedAt,
    })
  }
  return sessions
}

export function deadRows(t: StateTables): { what: string; code: string; key: string; at: number }[] {
  const rows = []
  for (const { value } of scan(t.dead)) {
    if (!isDocument(value)) continue
    rows.push({ what: String(value.what), code: String(value.code), key: String(value.key), at: Number(value.at) })
  }
  return rows
}

export function nextDue(t: StateTables, now: number, maxDelayMs: number): number | undefined {
  let next: number | undefined
  for (const lane of Object.values(LANES)) {
    for (const reverse of [false, true]) {
      const range = reverse ? { start: [lane + 1], end: [lane], reverse, limit: 1 } : { start: [lane], end: [lane + 1], limit: 1 }
      const [key] = t.ready.getKeys(range)
      if (!Array.isArray(key)) continue
      const runAt = isDue(key, now, maxDelayMs) ? 0 : Number(key[1])
      next = Math.min(next ?? runAt, runAt)
    }
  }
  return next
}
