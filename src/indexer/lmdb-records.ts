/** Transitions T4, T5 and T10, forget and quarantine: at most one record of a session is outstanding, and none vanishes unread. */
import { isDocument } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import { encodeKey } from '../core/keys.js'
import { ownRow } from './lmdb-queue.js'
import {
  count,
  keyAt,
  lost,
  nextNumber,
  putLedger,
  putSession,
  readLedger,
  type SessionRow,
  type StateTables,
  scan,
  toSessionRow,
} from './lmdb-rows.js'
import type { Commit, PendingSession } from './state.js'
import type { Claim, WalRecord } from './state-rows.js'
import { decodeWal, type WalBytes } from './wal-codec.js'

/** T4. */
export function putRecord(t: StateTables, claim: Claim, bytes: WalBytes): number {
  const row = ownRow(t, claim)
  if (row.wal !== null) throw new StorageError('STATE_DAMAGED', { reason: 'a session has a second WAL record', key: encodeKey(claim.key) })
  const { wal, seq } = addRecord(t, bytes)
  putSession(t, claim.key, row, { ...row, wal })
  return seq
}

function addRecord(t: StateTables, { head, matrix }: WalBytes): { wal: SessionRow['wal']; seq: number } {
  const seq = nextNumber(t, 'seq')
  const bytes = head.length + matrix.length
  t.walH.putSync(seq, head)
  t.walM.putSync(seq, matrix)
  count(t, 'walBytes', bytes)
  return { wal: { seq, bytes }, seq }
}

function dropPending(t: StateTables, row: SessionRow): SessionRow {
  if (row.wal === null) return row
  t.walH.removeSync(row.wal.seq)
  t.walM.removeSync(row.wal.seq)
  count(t, 'walBytes', -row.wal.bytes)
  return { ...row, wal: null }
}

/** T5. The ledger moves and the record goes in one step: neither can be seen without the other. */
export function commitRecord(t: StateTables, gen: string, claim: Claim, { wal, ledger = [], drop = [] }: Commit): void {
  const row = ownRow(t, claim)
  if (wal !== undefined) {
    if (row.wal?.seq !== wal.seq) throw lost(claim.key)
    putSession(t, claim.key, row, dropPending(t, row))
    count(t, 'n:embedded', wal.record.embedded)
    count(t, 'n:cached', wal.record.cached)
    count(t, 'n:upserts', wal.record.rows.length)
    count(t, 'n:deletes', wal.record.deletes.length)
    count(t, 'n:replays', wal.replayed ? 1 : 0)
  }
  count(t, 'n:commits', 1)
  for (const entry of [...(wal?.record.ledger ?? []), ...ledger]) putLedger(t, gen, claim.key, entry.message, entry.row)
  for (const message of [...(wal?.record.drop ?? []), ...drop]) putLedger(t, gen, claim.key, message, undefined)
}

/** T10, its end. A session that was seen again meanwhile, or that still has documents, stays. */
export function removeSession(t: StateTables, gen: string, claim: Claim): boolean {
  const row = ownRow(t, claim)
  if (!row.gone || row.wal !== null || readLedger(t, gen, claim.key, 1).length > 0) return false
  putSession(t, claim.key, row, undefined)
  return true
}

export function forgetSession(t: StateTables, claim: Claim, deletes: WalBytes | undefined): number | undefined {
  const before = ownRow(t, claim)
  const row: SessionRow = { ...dropPending(t, before), gone: true, epoch: before.epoch + 1 }
  const added = deletes && addRecord(t, deletes)
  putSession(t, claim.key, before, added === undefined ? row : { ...row, wal: added.wal })
  for (const { key, value } of [...scan(t.dead)]) {
    if (isDocument(value) && value.key === encodeKey(claim.key)) t.dead.removeSync(key)
  }
  return added?.seq
}

/** The bytes move as they are: what this version cannot read, another may. */
export function moveToDead(t: StateTables, claim: Claim, seq: number, at: number): void {
  const before = ownRow(t, claim)
  if (before.wal?.seq !== seq) throw lost(claim.key)
  const dead = {
    what: 'wal',
    code: 'WAL_DAMAGED',
    key: encodeKey(claim.key),
    at,
    head: t.walH.getBinary(seq) ?? null,
    matrix: t.walM.getBinary(seq) ?? null,
  }
  t.dead.putSync(['wal', seq], dead)
  const row = dropPending(t, before)
  putSession(t, claim.key, before, { ...row, verifyWanted: row.verifyWanted + 1 })
  count(t, 'n:quarantined', 1)
}

/** @throws StorageError WAL_DAMAGED, STATE_TOO_NEW */
export function readRecord({ walH, walM }: StateTables, seq: number): WalRecord {
  return decodeWal({ head: walH.getBinary(seq), matrix: walM.getBinary(seq) })
}

export function pendingSessions(t: StateTables): PendingSession[] {
  const pending: PendingSession[] = []
  for (const { key, value } of scan(t.sess)) {
    const { wal } = toSessionRow(value)
    const metadata = wal === null ? undefined : rowsOf(t, wal.seq)[0]?.metadata
    if (metadata !== undefined) pending.push({ key: keyAt(key, 0), project: metadata.project_id, directory: metadata.directory })
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
