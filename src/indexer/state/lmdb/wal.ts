/** The write-ahead records as bytes; at most one of a session, which its row names. */
import { isDocument } from '../../../core/documents.js'
import { StorageError } from '../../../core/errors.js'
import type { SessionKey } from '../../../core/keys.js'
import type { WalRecord } from '../rows.js'
import type { PendingSession } from '../state.js'
import { decodeWal, type WalBytes } from '../wal-codec.js'
import type { SessionRow } from './rows.js'
import { addTo, keyAt, nextNumber, read, type StateTables, scan } from './tables.js'

/** What is asked of the WAL without reading a record. */
export interface WalEntry {
  readonly agent: string
  readonly session: string
  readonly at: number
  readonly bytes: number
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
