/** Transitions T11 and T13 over rows in memory: what was put aside, and what is read and written again. */
import { StorageError } from '../../../core/errors.js'
import { compareText, type MessageId } from '../../../core/ids.js'
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import type { Claim, DeadMessage, WalRecord } from '../rows.js'
import { decodeWal } from '../wal-codec.js'
import { type Moment, wake } from './queue.js'
import {
  count,
  ledgerOf,
  lost,
  type MemoryDead,
  type MemoryRows,
  type MemorySession,
  ownSession,
  putLedger,
  putSession,
  sessionsOf,
  unread,
  workedIn,
} from './rows.js'

/** A newer letter of a message and chunk takes the place of the older one. */
export function putLetter(rows: MemoryRows, key: SessionKey, { message, chunk, code, reason }: DeadMessage, at: number): void {
  const id = JSON.stringify(['message', encodeKey(key), message, chunk ?? null])
  rows.dead.set(id, { letter: { id, kind: 'message', key, message, chunk, code, reason, at }, bytes: undefined })
  count(rows, 'quarantined', 1)
}

/** Those of a message, or all of the session. */
export function dropLetters(rows: MemoryRows, key: SessionKey, message?: MessageId): void {
  for (const [id, { letter }] of rows.dead) {
    if (encodeKey(letter.key) === encodeKey(key) && (message === undefined || letter.message === message)) rows.dead.delete(id)
  }
}

/** T11. The bytes move as they are: what this version cannot read, another may. */
export function quarantine(rows: MemoryRows, claim: Claim, seq: number, { now }: Moment): void {
  const session = ownSession(rows, claim)
  if (session.wal?.seq !== seq) throw lost(claim.key)
  const id = JSON.stringify(['record', seq])
  const reason = 'a write-ahead record cannot be decoded'
  const letter = { id, kind: 'record', key: claim.key, message: undefined, chunk: undefined, code: 'WAL_DAMAGED', reason, at: now } as const
  rows.dead.set(id, { letter, bytes: rows.wal.get(seq) ?? {} })
  rows.wal.delete(seq)
  putSession(rows, { ...session, wal: null, verifyWanted: session.verifyWanted + 1 })
  count(rows, 'quarantined', 1)
}

/** T11. */
export function retryDead(rows: MemoryRows, ids: readonly string[] | undefined, moment: Moment): number {
  let retried = 0
  for (const dead of lettersOf(rows, ids)) {
    const [session] = sessionsOf(rows, [dead.letter.key])
    if (session === undefined || session.gone) continue
    if (!(dead.letter.kind === 'record' ? restore(rows, session, dead, moment) : reread(rows, session, dead, moment))) continue
    rows.dead.delete(dead.letter.id)
    retried++
  }
  return retried
}

export function dropDead(rows: MemoryRows, ids: readonly string[] | undefined): number {
  const letters = lettersOf(rows, ids)
  for (const { letter } of letters) rows.dead.delete(letter.id)
  return letters.length
}

/** In the order of their sessions. */
export function lettersOf({ dead }: MemoryRows, ids?: readonly string[]): MemoryDead[] {
  const named = [...dead.values()].filter(({ letter }) => ids === undefined || ids.includes(letter.id))
  const place = ({ letter }: MemoryDead): string => [encodeKey(letter.key), letter.kind, letter.message ?? ''].join('\u0000')
  return named.sort((a, b) => compareText(place(a), place(b)) || (a.letter.chunk ?? -1) - (b.letter.chunk ?? -1))
}

function reread(rows: MemoryRows, session: MemorySession, { letter }: MemoryDead, moment: Moment): boolean {
  for (const { space, message, row } of ledgerOf(rows, session.key, workedIn(rows)?.id)) {
    if (message === letter.message) putLedger(rows, space, session.key, message, unread(row))
  }
  wake(rows, { ...session, processedRev: null }, 'retry', moment)
  return true
}

/** What it brings back may be older than what was written since, so its session is read after it. */
function restore(rows: MemoryRows, session: MemorySession, { bytes = {} }: MemoryDead, moment: Moment): boolean {
  const record = decoded(bytes)
  if (record === undefined || session.wal !== null || session.lease !== null || encodeKey(record.key) !== encodeKey(session.key)) return false
  if (record.space !== '' && !rows.spaces.some(({ id, state }) => id === record.space && state !== 'retiring')) return false
  const seq = ++rows.seq
  rows.wal.set(seq, bytes)
  wake(rows, { ...session, wal: { seq, at: record.createdAt, reset: false }, processedRev: null }, 'replay', moment)
  return true
}

function decoded({ head, matrix }: NonNullable<MemoryDead['bytes']>): WalRecord | undefined {
  try {
    return decodeWal({ head, matrix })
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

/** T13. */
export function reset(rows: MemoryRows, keys: readonly SessionKey[] | undefined, moment: Moment): number {
  const spaces = new Set(rows.spaces.flatMap(({ id, state }) => (state === 'retiring' ? [] : [id])))
  const sessions = sessionsOf(rows, keys).filter(({ gone }) => !gone)
  for (const session of sessions) {
    for (const { space, message, row } of ledgerOf(rows, session.key)) {
      if (spaces.has(space)) putLedger(rows, space, session.key, message, unread(row))
    }
    const wal = session.wal && { ...session.wal, reset: true }
    wake(rows, { ...session, wal, processedRev: null, resets: session.resets + 1 }, 'fresh', moment)
  }
  return sessions.length
}
