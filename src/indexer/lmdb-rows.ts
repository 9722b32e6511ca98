/**
 * The rows of the state in LMDB and their keys.
 *
 * A session's row is the truth; its entries in `ready`, `leaseExp` and `checked` are derived from it by `putSession`,
 * the only writer of the four. So a session is queued, leased or idle, and never two of them.
 * Fields are only ever added: a missing one means its default, so older rows stay readable.
 *
 * ready     [lane, runAt, seq, agent, session] -> since when it waits      leaseExp  [until, agent, session] -> token
 * checked   [checkedAt, agent, session] -> 1                               msg       [gen, agent, session, message] -> LedgerRow
 * walH walM seq -> bytes                                                   dead      [what, seq] -> DeadRow
 */
import { isDocument } from '../core/documents.js'
import { messageOf, StorageError } from '../core/errors.js'
import { parseMessageId, parseSessionId } from '../core/ids.js'
import { encodeKey, isAgent, type SessionKey, sessionKey } from '../core/keys.js'
import type { Key, LmdbEnvironment, RangeOptions, Table } from './lmdb-env.js'
import type { Owner } from './owner.js'
import type { LedgerEntry, LedgerRow } from './state-rows.js'
import type { CounterName } from './state-status.js'
import { toLedgerRow } from './wal-codec.js'

export const TABLES = {
  meta: 'msgpack',
  sess: 'msgpack',
  ready: 'msgpack',
  leaseExp: 'msgpack',
  checked: 'msgpack',
  msg: 'msgpack',
  walH: 'binary',
  walM: 'binary',
  dead: 'msgpack',
} as const

export type StateTables = { readonly [N in keyof typeof TABLES]: Table }
export type StateEnvironment = LmdbEnvironment<StateTables>

/** Low lanes first: replays and deletions, fresh changes, what was tried before. 3 and 4 are kept for slow scan and backfill. */
export const LANES = { replay: 0, fresh: 1, retry: 2 } as const

export interface QueueEntry {
  readonly lane: number
  /** Epoch milliseconds; 0: at once. Inside a lane, what may run at once runs in the order of `seq`. */
  readonly runAt: number
  readonly seq: number
  readonly since: number
}

export interface LeaseRow {
  readonly token: number
  readonly owner: Owner
  /** Monotonic milliseconds of the owner's boot. */
  readonly until: number
  readonly ttl: number
  readonly since: number
}

export interface SessionRow {
  readonly observedRev: string
  readonly observedMeta: string
  readonly processedRev: string | null
  readonly store: string
  readonly gone: boolean
  readonly q: QueueEntry | null
  readonly lease: LeaseRow | null
  readonly wal: { readonly seq: number; readonly bytes: number } | null
  readonly fail: { readonly n: number; readonly code: string; readonly at: number } | null
  /** Claims since the last release. */
  readonly crashes: number
  /** Moves when a ledger is dropped as a whole. */
  readonly epoch: number
  readonly verifyWanted: number
  readonly verifyDone: number
  readonly incomplete: boolean
  readonly checkedAt: number
}

export const NEW_SESSION: SessionRow = {
  observedRev: '',
  observedMeta: '',
  processedRev: null,
  store: '',
  gone: false,
  q: null,
  lease: null,
  wal: null,
  fail: null,
  crashes: 0,
  epoch: 0,
  verifyWanted: 0,
  verifyDone: 0,
  incomplete: false,
  checkedAt: 0,
}

/** @throws StorageError STATE_DAMAGED; a row that cannot be read is never taken for one that does not exist */
export function readSession(t: StateTables, key: SessionKey): SessionRow | undefined {
  const value = read(t.sess, [key.agent, key.session])
  return value === undefined ? undefined : toSessionRow(value)
}

export function toSessionRow(value: unknown): SessionRow {
  if (!isDocument(value) || typeof value.observedRev !== 'string')
    throw new StorageError('STATE_DAMAGED', { reason: 'a session row has lost its fields' })
  return { ...NEW_SESSION, ...(value as unknown as SessionRow) }
}

/** Writes the row, or removes it, and moves its index entries along. */
export function putSession(t: StateTables, key: SessionKey, before: SessionRow | undefined, after: SessionRow | undefined): void {
  const path = [key.agent, key.session]
  moveEntry(t.ready, before?.q && readyKey(before.q, path), after?.q && readyKey(after.q, path), after?.q?.since)
  moveEntry(t.leaseExp, before?.lease && [before.lease.until, ...path], after?.lease && [after.lease.until, ...path], after?.lease?.token)
  moveEntry(t.checked, before && [before.checkedAt, ...path], after && [after.checkedAt, ...path], 1)
  if (after === undefined) t.sess.removeSync(path)
  else t.sess.putSync(path, after)
}

function readyKey(q: QueueEntry, path: readonly string[]): (string | number)[] {
  return [q.lane, q.runAt, q.seq, ...path]
}

type EntryKey = readonly (string | number)[] | null | undefined

function moveEntry(table: Table, before: EntryKey, after: EntryKey, value: unknown): void {
  if (before && after && before.every((part, i) => part === after[i])) return
  if (before) table.removeSync([...before])
  if (after) table.putSync([...after], value)
}

export function needsRun(row: SessionRow): boolean {
  return row.observedRev !== row.processedRev || row.wal !== null || row.gone || row.verifyWanted !== row.verifyDone
}

/** Queues an idle session; one that is queued moves forward only and keeps its place in line; a leased one is left to its release. */
export function enqueue(t: StateTables, row: SessionRow, lane: number, runAt: number, since: number): SessionRow {
  if (row.lease !== null) return row
  const q = row.q ?? { lane, runAt, seq: nextNumber(t, 'seq'), since }
  return { ...row, q: { ...q, lane: Math.min(q.lane, lane), runAt: Math.min(q.runAt, runAt) } }
}

/** @throws StorageError STATE_DAMAGED */
export function read(table: Table, key: Key): unknown {
  try {
    return table.get(key)
  } catch (error) {
    throw unreadable(error)
  }
}

/** @throws StorageError STATE_DAMAGED */
export function* scan(table: Table, range: RangeOptions = {}): Generator<{ readonly key: Key; readonly value: unknown }, void> {
  try {
    yield* table.getRange(range)
  } catch (error) {
    throw unreadable(error)
  }
}

function unreadable(error: unknown): StorageError {
  return new StorageError('STATE_DAMAGED', { reason: `a row cannot be read: ${messageOf(error)}` }, { cause: error })
}

export function nextNumber(t: StateTables, name: 'seq' | 'token'): number {
  const next = readNumber(t, name) + 1
  t.meta.putSync(name, next)
  return next
}

export function readNumber(t: StateTables, name: string): number {
  const value = read(t.meta, name)
  return typeof value === 'number' ? value : 0
}

type Gauge = 'walBytes' | 'messages' | 'documents' | 'truncatedBytes'

export function count(t: StateTables, name: `n:${CounterName}` | Gauge, by: number): void {
  if (by !== 0) t.meta.putSync(name, readNumber(t, name) + by)
}

/** The session that the end of an index key names. */
export function keyAt(parts: unknown, from: number): SessionKey {
  const [agent, session] = Array.isArray(parts) ? parts.slice(from) : []
  if (!isAgent(agent) || typeof session !== 'string') throw new StorageError('STATE_DAMAGED', { reason: 'a key of the state names no session' })
  return sessionKey(agent, parseSessionId(session))
}

/** Calls back for each entry whose key starts with `prefix`, until it answers false. Synchronous: no snapshot outlives it. */
export function eachUnder(
  table: Table,
  prefix: readonly (string | number)[],
  visit: (key: readonly unknown[], value: unknown) => boolean | undefined,
): void {
  for (const { key, value } of scan(table, { start: [...prefix] })) {
    if (!Array.isArray(key) || prefix.some((part, i) => key[i] !== part)) return
    if (visit(key, value) === false) return
  }
}

export function readLedger(t: StateTables, gen: string, key: SessionKey, limit = Number.POSITIVE_INFINITY): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  eachUnder(t.msg, [gen, key.agent, key.session], (path, value) => {
    if (entries.length >= limit) return false
    entries.push({ message: parseMessageId(String(path[3])), row: ledgerRow(value) })
    return undefined
  })
  return entries
}

/** Writes or, without a row, removes a ledger row, and keeps the counts. */
export function putLedger(t: StateTables, gen: string, key: SessionKey, message: string, row: LedgerRow | undefined): void {
  const path = [gen, key.agent, key.session, message]
  const old = read(t.msg, path)
  const before = old === undefined ? undefined : ledgerRow(old)
  count(t, 'messages', (row === undefined ? 0 : 1) - (before === undefined ? 0 : 1))
  count(t, 'documents', (row?.chunks.length ?? 0) - (before?.chunks.length ?? 0))
  count(t, 'truncatedBytes', (row?.truncatedBytes ?? 0) - (before?.truncatedBytes ?? 0))
  if (row !== undefined) t.msg.putSync(path, row)
  else if (before !== undefined) t.msg.removeSync(path)
}

function ledgerRow(value: unknown): LedgerRow {
  try {
    return toLedgerRow(value)
  } catch (error) {
    throw new StorageError('STATE_DAMAGED', { reason: `a ledger row cannot be read: ${messageOf(error)}` }, { cause: error })
  }
}

export function lost(key: SessionKey): StorageError {
  return new StorageError('LEASE_LOST', { reason: 'the session is held under another token', key: encodeKey(key) })
}
