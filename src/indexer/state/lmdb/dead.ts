/** Transitions T11 and T13: what was put aside, and what is read and written again. */

import { createHash } from 'node:crypto'
import { isDocument } from '../../../core/documents.js'
import { StorageError } from '../../../core/errors.js'
import { type MessageId, parseMessageId } from '../../../core/ids.js'
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import { type Claim, type DeadLetter, type DeadMessage, type Failure, LANES, type WalRecord } from '../rows.js'
import { decodeWal, type WalBytes } from '../wal-codec.js'
import { putLedger, readLedgerRow, unread } from './ledger.js'
import type { Moment } from './queue.js'
import { lost, ownRow, putSession, readSession, readSpaces, type SessionRow, wake, workedIn } from './rows.js'
import { count, eachUnder, keyAt, type StateTables, scan } from './tables.js'
import { addRecord, dropPending } from './wal.js'

interface DeadRow extends Failure {
  readonly at: number
  /** Of a record. */
  readonly head?: Buffer
  readonly matrix?: Buffer
}

type DeadPath = [agent: string, session: string, kind: DeadLetter['kind'], name: string | number, chunk: number]

/** In the place of a chunk: the whole message. */
const WHOLE = -1

/** A newer letter of a message and chunk takes the place of the older one. */
export function putLetter(t: StateTables, { agent, session }: SessionKey, { message, chunk = WHOLE, code, reason }: DeadMessage, at: number): void {
  const path: DeadPath = [agent, session, 'message', message, chunk]
  t.dead.putSync(path, { code, reason, at } satisfies DeadRow)
  count(t, 'quarantined', 1)
}

/** Those of a message, or all of the session. */
export function dropLetters(t: StateTables, { agent, session }: SessionKey, message?: MessageId): void {
  const paths: DeadPath[] = []
  eachUnder(t.dead, message === undefined ? [agent, session] : [agent, session, 'message', message], (path) => {
    paths.push([...path] as DeadPath)
    return undefined
  })
  for (const path of paths) t.dead.removeSync(path)
}

/** T11. The bytes move as they are: what this version cannot read, another may. */
export function quarantineRecord(t: StateTables, claim: Claim, seq: number, { now }: Moment): void {
  const before = ownRow(t, claim)
  if (before.wal?.seq !== seq) throw lost(claim.key)
  const { agent, session } = claim.key
  const head = t.walH.getBinary(seq)
  const matrix = t.walM.getBinary(seq)
  const reason = 'a write-ahead record cannot be decoded'
  const row: DeadRow = { code: 'WAL_DAMAGED', reason, at: now, ...(head && { head }), ...(matrix && { matrix }) }
  t.dead.putSync([agent, session, 'record', seq, WHOLE] satisfies DeadPath, row)
  const rest = dropPending(t, before)
  putSession(t, claim.key, before, { ...rest, verifyWanted: rest.verifyWanted + 1 })
  count(t, 'quarantined', 1)
}

interface Dead {
  readonly letter: DeadLetter
  readonly path: DeadPath
}

export function deadLetters(t: StateTables, ids?: readonly string[]): Dead[] {
  const dead: Dead[] = []
  for (const { key, value } of scan(t.dead)) {
    const path = key as DeadPath
    const letter = letterOf(path, value)
    if (ids === undefined || ids.includes(letter.id)) dead.push({ letter, path })
  }
  return dead
}

function letterOf(path: DeadPath, value: unknown): DeadLetter {
  const [, , kind, name, chunk] = path
  if (!isDocument(value)) throw new StorageError('STATE_DAMAGED', { reason: 'a dead letter cannot be read' })
  const id = kind === 'record' ? `record-${name}` : `message-${createHash('sha256').update(JSON.stringify(path)).digest('hex').slice(0, 12)}`
  const message = kind === 'record' ? undefined : parseMessageId(String(name))
  const { code, reason, at } = value as unknown as DeadRow
  return { id, kind, key: keyAt(path, 0), message, chunk: chunk === WHOLE ? undefined : chunk, code, reason, at }
}

/** T11. False when it cannot be retried, or is not there any more. */
export function retryLetter(t: StateTables, { letter, path }: Dead, moment: Moment): boolean {
  const session = readSession(t, letter.key)
  const row = t.dead.get(path)
  if (session === undefined || session.gone || !isDocument(row)) return false
  const retried = letter.message === undefined ? restore(t, letter.key, session, row, moment) : reread(t, letter.key, session, letter.message, moment)
  if (retried) t.dead.removeSync(path)
  return retried
}

function reread(t: StateTables, key: SessionKey, session: SessionRow, message: MessageId, { now }: Moment): boolean {
  const space = workedIn(t)?.id ?? ''
  const row = readLedgerRow(t, space, key, message)
  if (row !== undefined) putLedger(t, space, key, message, unread(row), session.epoch)
  wake(t, key, session, { ...session, processedRev: null }, LANES.retry, now)
  return true
}

/** What it brings back may be older than what was written since, so its session is read after it. */
function restore(t: StateTables, key: SessionKey, session: SessionRow, { head, matrix }: Partial<Record<string, unknown>>, { now }: Moment): boolean {
  if (session.wal !== null || session.lease !== null || !Buffer.isBuffer(head) || !Buffer.isBuffer(matrix)) return false
  const record = decoded({ head, matrix })
  if (record === undefined || encodeKey(record.key) !== encodeKey(key)) return false
  const space = readSpaces(t).find(({ id, state }) => (record.space === '' ? state === 'live' : id === record.space && state !== 'retiring'))
  if (space === undefined) return false
  const seq = addRecord(t, key, record.createdAt, { head, matrix })
  wake(t, key, session, { ...session, wal: { seq, space: space.id, epoch: session.epoch }, processedRev: null }, LANES.replay, now)
  return true
}

function decoded(bytes: WalBytes): WalRecord | undefined {
  try {
    return decodeWal(bytes)
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

/** T13. The rows of its ledger come out unread from now on: none of them is touched. */
export function resetSession(t: StateTables, key: SessionKey, row: SessionRow, { now }: Moment): boolean {
  if (row.gone) return false
  wake(t, key, row, { ...row, epoch: row.epoch + 1, processedRev: null }, LANES.fresh, now)
  return true
}
