/** The ledger: what the sink is known to hold, by space and message; with sums per space, so that asking for them walks no row. */

import { messageOf, StorageError } from '../../../core/errors.js'
import { compareText, type MessageId, parseMessageId } from '../../../core/ids.js'
import type { SessionKey } from '../../../core/keys.js'
import type { LedgerEntry, LedgerRow } from '../rows.js'
import type { IndexStatus } from '../status.js'
import { toLedgerRow } from '../wal-codec.js'
import { readSession, readSpaces } from './rows.js'
import { addTo, eachUnder, keyAt, read, readNumber, type StateTables } from './tables.js'

/** `e`: the epoch of the session in which it was written. */
type StoredRow = LedgerRow & { readonly e?: number }

/** In the order of the ids. A reset has rows of before it come out unread. */
export function readLedger(t: StateTables, space: string, key: SessionKey): LedgerEntry[] {
  const epoch = readSession(t, key)?.epoch ?? 0
  const entries: LedgerEntry[] = []
  eachUnder(t.msg, [space, key.agent, key.session], (path, value) => {
    const { e = 0, ...row } = storedRow(value)
    entries.push({ message: parseMessageId(String(path[3])), row: e < epoch ? unread(row) : row })
    return undefined
  })
  return entries.sort((a, b) => compareText(a.message, b.message))
}

/** A row whose message is read and written again. */
export function unread(row: LedgerRow): LedgerRow {
  return { ...row, signature: '', textHash: '' }
}

export function readLedgerRow(t: StateTables, space: string, key: SessionKey, message: string): LedgerRow | undefined {
  const value = read(t.msg, [space, key.agent, key.session, message])
  if (value === undefined) return undefined
  const { e: _epoch, ...row } = storedRow(value)
  return row
}

/** Whether any space holds a row of the session, or of one message of it. */
export function hasLedger(t: StateTables, { agent, session }: SessionKey, message?: MessageId): boolean {
  const path = message === undefined ? [agent, session] : [agent, session, message]
  return readSpaces(t).some(({ id }) => !isEmptyUnder(t, [id, ...path]))
}

export function isEmptyUnder(t: StateTables, prefix: readonly string[]): boolean {
  let empty = true
  eachUnder(t.msg, prefix, () => {
    empty = false
    return false
  })
  return empty
}

export function ledgerPage(t: StateTables, space: string, limit: number) {
  const page: { key: SessionKey; message: MessageId; row: LedgerRow }[] = []
  eachUnder(t.msg, [space], (path, value) => {
    if (page.length >= limit) return false
    const { e: _epoch, ...row } = storedRow(value)
    page.push({ key: keyAt(path, 1), message: parseMessageId(String(path[3])), row })
    return undefined
  })
  return page
}

/** Writes or, without a row, removes a ledger row, and keeps the sums. */
export function putLedger(t: StateTables, space: string, key: SessionKey, message: string, row: LedgerRow | undefined, epoch: number): void {
  const path = [space, key.agent, key.session, message]
  const before = readLedgerRow(t, space, key, message)
  const now = sumsOf(row)
  const then = sumsOf(before)
  for (const name of SUMS) addTo(t, `${name}:${space}`, now[name] - then[name])
  if (row !== undefined) t.msg.putSync(path, { ...row, e: epoch } satisfies StoredRow)
  else if (before !== undefined) t.msg.removeSync(path)
}

type Sums = Omit<IndexStatus['ledger'], 'sessions'>
const SUMS = ['messages', 'documents', 'quarantined', 'truncatedBytes'] as const satisfies (keyof Sums)[]

function sumsOf(row: LedgerRow | undefined): Sums {
  if (row === undefined) return { messages: 0, documents: 0, quarantined: 0, truncatedBytes: 0 }
  return {
    messages: 1,
    documents: row.chunks.filter((chunk) => chunk !== '').length,
    quarantined: row.state === 'quarantined' ? 1 : 0,
    truncatedBytes: row.truncatedBytes ?? 0,
  }
}

export function ledgerSums(t: StateTables, space: string): Sums {
  return Object.fromEntries(SUMS.map((name) => [name, readNumber(t, `${name}:${space}`)])) as unknown as Sums
}

export function forgetSums(t: StateTables, space: string): void {
  for (const name of SUMS) t.meta.removeSync(`${name}:${space}`)
}

/** @throws StorageError STATE_DAMAGED */
function storedRow(value: unknown): StoredRow {
  try {
    return toLedgerRow(value)
  } catch (error) {
    throw new StorageError('STATE_DAMAGED', { reason: `a ledger row cannot be read: ${messageOf(error)}` }, { cause: error })
  }
}
