/** Transitions T4, T5 and T10, forget and probe: at most one record of a session is outstanding, and none vanishes unread. */
import { isDocument } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import type { MessageId } from '../core/ids.js'
import { encodeKey, type SessionKey } from '../core/keys.js'
import { dropLetters, putLetter } from './lmdb-dead.js'
import { hasLedger, putLedger } from './lmdb-ledger.js'
import {
  addTo,
  count,
  keyAt,
  lost,
  nextNumber,
  ownRow,
  putSession,
  read,
  readSpaces,
  type SessionRow,
  type StateTables,
  scan,
  spaceIn,
} from './lmdb-rows.js'
import type { Commit, PendingSession } from './state.js'
import type { Claim, WalRecord } from './state-rows.js'
import { decodeWal, type WalBytes } from './wal-codec.js'

/** What is asked of the WAL without reading a record. */
export interface WalEntry {
  readonly agent: string
  readonly session: string
  readonly at: number
  readonly bytes: number
}

/** T4. */
export function putRecord(t: StateTables, claim: Claim, record: WalRecord, bytes: WalBytes): number {
  const row = ownRow(t, claim)
  if (row.wal !== null) throw new StorageError('STATE_DAMAGED', { reason: 'a session has a second WAL record', key: encodeKey(claim.key) })
  const space = spaceOf(t, record)
  if (record.rows.length > 0 || record.ledger.length > 0) checkOpen(t, claim, space)
  const seq = addRecord(t, claim.key, record.createdAt, bytes)
  putSession(t, claim.key, row, { ...row, wal: { seq, space, epoch: row.epoch } })
  return seq
}

function spaceOf(t: StateTables, { space }: WalRecord): string {
  return space === '' ? (spaceIn(t, 'live')?.id ?? '') : space
}

/** Nothing new is written in a space that nobody is to search: its worker lost its task with it. @throws StorageError LEASE_LOST */
function checkOpen(t: StateTables, claim: Claim, space: string): void {
  const spaces = readSpaces(t)
  if (spaces.length === 0 || spaces.some(({ id, state }) => id === space && state !== 'retiring')) return
  throw new StorageError('LEASE_LOST', { reason: 'the space is not built any more', key: encodeKey(claim.key) })
}

/** Puts a record that no session names yet. */
export function addRecord(t: StateTables, { agent, session }: SessionKey, at: number, { head, matrix }: WalBytes): number {
  const seq = nextNumber(t, 'seq')
  const bytes = head.length + matrix.length
  t.walH.putSync(seq, head)
  t.walM.putSync(seq, matrix)
  t.walIx.putSync(seq, { agent, session, at, bytes } satisfies WalEntry)
  addTo(t, 'walBytes', bytes)
  return seq
}

export function dropPending(t: StateTables, row: SessionRow): SessionRow {
  if (row.wal === null) return row
  const { seq } = row.wal
  addTo(t, 'walBytes', -walEntry(read(t.walIx, seq)).bytes)
  for (const table of [t.walH, t.walM, t.walIx]) table.removeSync(seq)
  return { ...row, wal: null }
}

function walEntry(value: unknown): WalEntry {
  if (isDocument(value) && typeof value.bytes === 'number' && typeof value.at === 'number') return value as unknown as WalEntry
  throw new StorageError('STATE_DAMAGED', { reason: 'the list of the WAL lacks a record' })
}

/** When the oldest pending record was made. */
export function oldestRecord(t: StateTables): number | undefined {
  for (const { value } of scan(t.walIx, { limit: 1 })) return walEntry(value).at
  return undefined
}

/** T5. The ledger moves and the record goes in one step: neither can be seen without the other. */
export function commitRecord(t: StateTables, claim: Claim, commit: Commit, now: number): void {
  const { wal, unlogged, space = claim.space, ledger = [], drop = [], dead = [] } = commit
  const row = ownRow(t, claim)
  if (wal !== undefined && row.wal?.seq !== wal.seq) throw lost(claim.key)
  if (unlogged !== undefined && unlogged.rows.length + unlogged.ledger.length > 0) checkOpen(t, claim, spaceOf(t, unlogged))
  if (ledger.length > 0) checkOpen(t, claim, space)
  if (wal !== undefined) takeIn(t, claim.key, wal.record, row.wal ?? { space, epoch: row.epoch }, now)
  if (unlogged !== undefined) takeIn(t, claim.key, unlogged, { space: spaceOf(t, unlogged), epoch: row.epoch }, now)
  for (const { message, row: entry } of ledger) {
    putLedger(t, space, claim.key, message, entry, row.epoch)
    if (entry.state === 'settled' || entry.state === 'empty') dropLetters(t, claim.key, message)
  }
  for (const message of drop) dropMessage(t, space, claim.key, message)
  for (const letter of dead) putLetter(t, claim.key, letter, now)
  count(t, 'commits', 1)
  count(t, 'replays', wal?.replayed ? 1 : 0)
  count(t, 'replayedDocuments', wal?.replayed ? wal.record.rows.length : 0)
  const rest = wal === undefined ? row : dropPending(t, row)
  putSession(t, claim.key, row, { ...rest, lease: row.lease && { ...row.lease, fruitful: true }, crashes: 0, probe: null })
}

/** What the sink has taken. In a space that is gone by now there is no ledger to note it in, and no sink that holds it. */
function takeIn(t: StateTables, key: SessionKey, record: WalRecord, { space, epoch }: { space: string; epoch: number }, now: number): void {
  const spaces = readSpaces(t)
  const isHeld = spaces.length === 0 || spaces.some(({ id }) => id === space)
  for (const { message, row } of record.ledger) {
    if (isHeld) putLedger(t, space, key, message, row, epoch)
    dropLetters(t, key, message)
  }
  for (const message of record.drop) dropMessage(t, space, key, message)
  for (const letter of record.dead) putLetter(t, key, letter, now)
  count(t, 'embedded', record.embedded)
  count(t, 'cached', record.cached)
  count(t, 'messages', record.ledger.length)
  count(t, 'upserts', record.rows.length)
  count(t, 'deletes', record.deletes.length)
  if (record.rows.length > 0) t.meta.putSync('lastUpsertAt', now)
}

function dropMessage(t: StateTables, space: string, key: SessionKey, message: MessageId): void {
  putLedger(t, space, key, message, undefined, 0)
  dropLetters(t, key, message)
}

/** T10, its end. A session that was seen again meanwhile, or that still has documents, stays. */
export function removeSession(t: StateTables, claim: Claim): boolean {
  const row = ownRow(t, claim)
  const verified = claim.verify ?? row.verifyDone
  if (!row.gone || row.wal !== null || row.verifyWanted !== verified || hasLedger(t, claim.key)) return false
  dropLetters(t, claim.key)
  const kept: SessionRow = { ...row, emptied: true, lease: null, wakes: 0, verifyDone: verified, crashes: 0, probe: null, failures: 0 }
  putSession(t, claim.key, row, row.suspects.length === 0 ? undefined : kept)
  return true
}

export function forgetSession(t: StateTables, claim: Claim, deletion: WalRecord | undefined, bytes: WalBytes | undefined): number | undefined {
  const row = ownRow(t, claim)
  putSession(t, claim.key, row, { ...dropPending(t, row), gone: true })
  dropLetters(t, claim.key)
  return deletion === undefined || bytes === undefined ? undefined : putRecord(t, claim, deletion, bytes)
}

/** T11. */
export function probeMessage(t: StateTables, claim: Claim, message: MessageId): void {
  const row = ownRow(t, claim)
  const crashes = row.probe?.message === message ? row.probe.crashes : 0
  putSession(t, claim.key, row, { ...row, probe: { message, crashes } })
}

/** @throws StorageError WAL_DAMAGED, STATE_TOO_NEW */
export function readRecord({ walH, walM }: StateTables, seq: number): WalRecord {
  return decodeWal({ head: walH.getBinary(seq), matrix: walM.getBinary(seq) })
}

/** Decodes every pending record. */
export function pendingSessions(t: StateTables): PendingSession[] {
  const pending: PendingSession[] = []
  for (const { key: seq, value } of scan(t.walIx)) {
    const { agent, session, bytes, at: createdAt } = walEntry(value)
    const rows = rowsOf(t, Number(seq))
    const [first] = rows
    if (first === undefined) continue
    const { project_id: project, directory } = first.metadata
    pending.push({ key: keyAt([agent, session], 0), seq: Number(seq), project, directory, documents: rows.length, bytes, createdAt })
  }
  return pending
}

function rowsOf(t: StateTables, seq: number): WalRecord['rows'] {
  try {
    return readRecord(t, seq).rows
  } catch (error) {
    if (error instanceof StorageError) return []
    throw error
  }
}
