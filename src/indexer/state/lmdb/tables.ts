/**
 * The tables of the state in LMDB, and how they are read.
 *
 * ready     [lane, runAt, seq, agent, session] -> 1          derived: who runs next
 * since     [lane, since, agent, session] -> 1               derived: who of them waits longest
 * leaseExp  [until, agent, session] -> token                 derived
 * idle      [checkedAt, agent, session] -> 1                 derived: neither queued nor leased nor gone
 * checked   [checkedAt, agent, session] -> 1                 derived: read before and not gone
 * suspect   [agent, session] -> number of its suspects       derived
 * msg       [space, agent, session, message] -> StoredRow, see lmdb-ledger
 * walH walM seq -> bytes                                     walIx seq -> WalEntry, see lmdb-records
 * dead      [agent, session, kind, message or seq, chunk] -> DeadRow, see lmdb-dead
 * owners    [boot, pid] -> { owner, since }
 * sess      [agent, session] -> SessionRow, see lmdb-rows
 * meta      'schema', 'namespace', 'spaces', 'credits', 'seq', 'token', counters and notes
 */
import { messageOf, StorageError } from '../../../core/errors.js'
import { parseSessionId } from '../../../core/ids.js'
import { isAgent, type SessionKey, sessionKey } from '../../../core/keys.js'
import type { CounterName } from '../status.js'
import type { Key, LmdbEnvironment, RangeOptions, Table } from './env.js'

export const TABLES = {
  meta: 'msgpack',
  sess: 'msgpack',
  ready: 'msgpack',
  since: 'msgpack',
  leaseExp: 'msgpack',
  idle: 'msgpack',
  checked: 'msgpack',
  suspect: 'msgpack',
  msg: 'msgpack',
  walH: 'binary',
  walM: 'binary',
  walIx: 'msgpack',
  dead: 'msgpack',
  owners: 'msgpack',
} as const

export type StateTables = { readonly [N in keyof typeof TABLES]: Table }
export type StateEnvironment = LmdbEnvironment<StateTables>

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

export function firstKey(table: Table, range: RangeOptions): unknown {
  const [key] = table.getKeys({ ...range, limit: 1 })
  return key
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

export function count(t: StateTables, name: CounterName, by: number): void {
  addTo(t, `n:${name}`, by)
}

/** A sum that is kept beside the rows, in their transactions, so that asking for it walks none of them. */
export function addTo(t: StateTables, name: string, by: number): void {
  if (by !== 0) t.meta.putSync(name, readNumber(t, name) + by)
}

/** The session that an index key names from the given place on. */
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
