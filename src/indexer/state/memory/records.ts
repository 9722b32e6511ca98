/** Transitions T4, T5 and T10, forget and probe over rows in memory: at most one record of a session is outstanding, and none vanishes unread. */
import { StorageError } from '../../../core/errors.js'
import type { MessageId } from '../../../core/ids.js'
import { encodeKey } from '../../../core/keys.js'
import type { Claim, LedgerEntry, WalRecord } from '../rows.js'
import type { Commit } from '../state.js'
import { encodeWal } from '../wal-codec.js'
import { dropLetters, putLetter } from './dead.js'
import { count, ledgerOf, lost, type MemoryRows, type MemorySession, ownSession, putLedger, putSession, unread } from './rows.js'

/** T4. */
export function appendRecord(rows: MemoryRows, claim: Claim, record: WalRecord): number {
  const session = ownSession(rows, claim)
  if (session.wal !== null) throw new StorageError('STATE_DAMAGED', { reason: 'a session has a second WAL record', key: encodeKey(claim.key) })
  if (record.rows.length + record.ledger.length > 0) checkOpen(rows, claim, spaceOf(rows, record))
  const seq = ++rows.seq
  rows.wal.set(seq, encodeWal(record))
  putSession(rows, { ...session, wal: { seq, at: record.createdAt, reset: wasReset(session) } })
  return seq
}

/** Since the claim: what is written under it may have been read before. */
function wasReset({ lease, resets }: MemorySession): boolean {
  return lease !== null && lease.resets !== resets
}

function spaceOf({ spaces }: MemoryRows, { space }: WalRecord): string {
  return space === '' ? (spaces.find(({ state }) => state === 'live')?.id ?? '') : space
}

/** Nothing new is written in a space that nobody is to search: its worker lost its task with it. @throws StorageError LEASE_LOST */
function checkOpen({ spaces }: MemoryRows, { key }: Claim, space: string): void {
  if (spaces.length === 0 || spaces.some(({ id, state }) => id === space && state !== 'retiring')) return
  throw new StorageError('LEASE_LOST', { reason: 'the space is not built any more', key: encodeKey(key) })
}

/** T5. The ledger moves and the record goes in one step: neither can be seen without the other. */
export function commit(
  rows: MemoryRows,
  claim: Claim,
  { wal, unlogged, space = claim.space, ledger = [], drop = [], dead = [] }: Commit,
  now: number,
): void {
  const session = ownSession(rows, claim)
  if (wal !== undefined && session.wal?.seq !== wal.seq) throw lost(claim.key)
  if (unlogged !== undefined && unlogged.rows.length + unlogged.ledger.length > 0) checkOpen(rows, claim, spaceOf(rows, unlogged))
  if (ledger.length > 0) checkOpen(rows, claim, space)
  for (const record of [wal?.record, unlogged]) {
    if (record !== undefined) takeIn(rows, session, record, wal?.record === record ? session.wal?.reset === true : wasReset(session), now)
  }
  for (const { message, row } of ledger) {
    putLedger(rows, space, claim.key, message, wasReset(session) ? unread(row) : row)
    if (row.state === 'settled' || row.state === 'empty') dropLetters(rows, claim.key, message)
  }
  for (const message of drop) dropMessage(rows, space, session, message)
  for (const letter of dead) putLetter(rows, claim.key, letter, now)
  const replayed = wal?.replayed === true
  count(rows, 'commits', 1)
  count(rows, 'replays', replayed ? 1 : 0)
  count(rows, 'replayedDocuments', replayed ? (wal?.record.rows.length ?? 0) : 0)
  if (wal !== undefined) rows.wal.delete(wal.seq)
  const lease = session.lease && { ...session.lease, fruitful: true }
  putSession(rows, { ...session, lease, wal: wal === undefined ? session.wal : null, crashes: 0, probe: null })
}

/** What the sink has taken; with `reset` it is to be written again all the same. */
function takeIn(rows: MemoryRows, session: MemorySession, record: WalRecord, reset: boolean, now: number): void {
  const space = spaceOf(rows, record)
  const isHeld = rows.spaces.length === 0 || rows.spaces.some(({ id }) => id === space)
  for (const { message, row } of record.ledger) {
    if (isHeld) putLedger(rows, space, session.key, message, reset ? unread(row) : row)
    dropLetters(rows, session.key, message)
  }
  for (const message of record.drop) dropMessage(rows, space, session, message)
  for (const letter of record.dead) putLetter(rows, session.key, letter, now)
  count(rows, 'embedded', record.embedded)
  count(rows, 'cached', record.cached)
  count(rows, 'messages', record.ledger.length)
  count(rows, 'upserts', record.rows.length)
  count(rows, 'deletes', record.deletes.length)
  for (const { row } of record.ledger) count(rows, 'redacted', row.redacted ?? 0)
  if (record.rows.length > 0) rows.lastUpsertAt = now
}

function dropMessage(rows: MemoryRows, space: string, { key }: MemorySession, message: MessageId): void {
  putLedger(rows, space, key, message, undefined)
  dropLetters(rows, key, message)
}

/** T10, its end. */
export function remove(rows: MemoryRows, claim: Claim): boolean {
  const session = ownSession(rows, claim)
  const verified = claim.verify ?? session.verifyDone
  if (!session.gone || session.wal !== null || session.verifyWanted !== verified || ledgerOf(rows, claim.key).length > 0) return false
  dropLetters(rows, claim.key)
  if (session.suspects.length === 0) rows.sessions.delete(encodeKey(claim.key))
  else putSession(rows, { ...session, emptied: true, lease: null, wakes: 0, verifyDone: verified, crashes: 0, probe: null, failures: 0 })
  return true
}

export function forget(rows: MemoryRows, claim: Claim, deletion: WalRecord): number | undefined {
  const session = ownSession(rows, claim)
  if (session.wal !== null) rows.wal.delete(session.wal.seq)
  putSession(rows, { ...session, gone: true, wal: null })
  dropLetters(rows, claim.key)
  return deletion.deletes.length === 0 ? undefined : appendRecord(rows, claim, deletion)
}

export function deletionOf({ key, space }: Claim, deletes: readonly string[], createdAt: number): WalRecord {
  const nothing = { rows: [], ledger: [] as LedgerEntry[], drop: [], dead: [], embedded: 0, cached: 0, dimensions: 0 }
  return { key, space, createdAt, deletes, ...nothing, matrix: new Float32Array(0) }
}

/** T11. */
export function probe(rows: MemoryRows, claim: Claim, message: MessageId): void {
  const session = ownSession(rows, claim)
  const crashes = session.probe?.message === message ? session.probe.crashes : 0
  putSession(rows, { ...session, probe: { message, crashes } })
}
