/** Transitions T4, T5 and T10, forget and probe: at most one record of a session is outstanding, and none vanishes unread. */
import { StorageError } from '../../../core/errors.js'
import type { MessageId } from '../../../core/ids.js'
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import type { Claim, WalRecord } from '../rows.js'
import type { Commit } from '../state.js'
import type { WalBytes } from '../wal-codec.js'
import { dropLetters, putLetter } from './dead.js'
import { hasLedger, putLedger } from './ledger.js'
import { lost, ownRow, putSession, readSpaces, type SessionRow, spaceIn } from './rows.js'
import { count, type StateTables } from './tables.js'
import { addRecord, dropPending } from './wal.js'

/** T4. */
export function putRecord(t: StateTables, claim: Claim, record: WalRecord, bytes: WalBytes): number {
  const row = ownRow(t, claim)
  if (row.wal !== null) throw new StorageError('STATE_DAMAGED', { reason: 'a session has a second WAL record', key: encodeKey(claim.key) })
  const space = spaceOf(t, record)
  if (record.rows.length > 0 || record.ledger.length > 0) checkOpen(t, claim, space)
  const seq = addRecord(t, claim.key, record.createdAt, bytes)
  putSession(t, claim.key, row, { ...row, wal: { seq, space, epoch: epochOf(row) } })
  return seq
}

/** What is written under a lease was read after its claim, and perhaps before a reset since. */
function epochOf({ lease, epoch }: SessionRow): number {
  return lease?.epoch ?? epoch
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

/** T5. The ledger moves and the record goes in one step: neither can be seen without the other. */
export function commitRecord(t: StateTables, claim: Claim, commit: Commit, now: number): void {
  const { wal, unlogged, space = claim.space, ledger = [], drop = [], dead = [] } = commit
  const row = ownRow(t, claim)
  if (wal !== undefined && row.wal?.seq !== wal.seq) throw lost(claim.key)
  if (unlogged !== undefined && unlogged.rows.length + unlogged.ledger.length > 0) checkOpen(t, claim, spaceOf(t, unlogged))
  if (ledger.length > 0) checkOpen(t, claim, space)
  if (wal !== undefined) takeIn(t, claim.key, wal.record, row.wal ?? { space, epoch: epochOf(row) }, now)
  if (unlogged !== undefined) takeIn(t, claim.key, unlogged, { space: spaceOf(t, unlogged), epoch: epochOf(row) }, now)
  for (const { message, row: entry } of ledger) {
    putLedger(t, space, claim.key, message, entry, epochOf(row))
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
  for (const { row } of record.ledger) count(t, 'redacted', row.redacted ?? 0)
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
