/**
 * The rows of sessions and spaces.
 *
 * A session's row is the truth; its entries in the tables that are derived from it are written by `putSession` alone.
 * So a session is queued, leased or idle, and never two of them.
 * Fields are only ever added: a missing one means its default, so older rows stay readable.
 */
import { isDocument } from '../../../core/documents.js'
import { StorageError } from '../../../core/errors.js'
import type { MessageId } from '../../../core/ids.js'
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type Claim, LANES, type LaneName, type SpaceRow } from '../rows.js'
import type { Table } from './env.js'
import { addTo, nextNumber, read, type StateTables } from './tables.js'

/** The tables hold a lane by its number. */
export const LANE_NAMES = Object.keys(LANES) as readonly LaneName[]

export interface QueueEntry {
  readonly lane: number
  /** Epoch milliseconds; 0: at once. What may run at once runs in the order of `seq`. */
  readonly runAt: number
  readonly seq: number
  /** Since when it waits, epoch milliseconds. */
  readonly since: number
}

export interface LeaseRow {
  readonly token: number
  readonly owner: Owner
  /** Monotonic milliseconds of the owner's boot. */
  readonly until: number
  readonly ttl: number
  /** Since when the session waited and runs. */
  readonly since: number
  /** When it was claimed, epoch milliseconds. */
  readonly at: number
  readonly lane: number
  readonly unlogged: boolean
  /** The building of the space that is worked in under it. */
  readonly build: string
  /** Something was committed under it. */
  readonly fruitful: boolean
  /** `SessionRow.wakes` and `SessionRow.epoch` at the claim: what a reset finds under way does not count as read after it. */
  readonly wakes: number
  readonly epoch: number
}

export interface SuspectRow {
  readonly token: number
  readonly owner: Owner
  readonly ttl: number
  /** When the lease was taken from it, epoch milliseconds. */
  readonly at: number
}

export interface SessionRow {
  readonly observedRev: string
  readonly observedMeta: string
  /** null: to be read, whatever its revision. */
  readonly processedRev: string | null
  /** The building (`buildOf`) of the space that it was last read for. */
  readonly builtIn: string | null
  readonly store: string
  readonly gone: boolean
  /** Gone, and nothing is left of it but suspects. */
  readonly emptied: boolean
  readonly q: QueueEntry | null
  readonly lease: LeaseRow | null
  readonly suspects: readonly SuspectRow[]
  /** `epoch`: of the session when it was written. */
  readonly wal: { readonly seq: number; readonly space: string; readonly epoch: number } | null
  readonly failures: number
  readonly crashes: number
  readonly probe: { readonly message: MessageId; readonly crashes: number } | null
  /** Moves with a reset: ledger rows of an earlier one are to be read and written again. */
  readonly epoch: number
  readonly verifyWanted: number
  readonly verifyDone: number
  readonly incomplete: boolean
  readonly checkedAt: number
  /** Messages that its last reading left out. */
  readonly leftOut: number
  /** Times that it was told to run although it is leased. */
  readonly wakes: number
}

export const NEW_SESSION: SessionRow = {
  observedRev: '',
  observedMeta: '',
  processedRev: null,
  builtIn: null,
  store: '',
  gone: false,
  emptied: false,
  q: null,
  lease: null,
  suspects: [],
  wal: null,
  failures: 0,
  crashes: 0,
  probe: null,
  epoch: 0,
  verifyWanted: 0,
  verifyDone: 0,
  incomplete: false,
  checkedAt: 0,
  leftOut: 0,
  wakes: 0,
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

/** @throws StorageError LEASE_LOST */
export function ownRow(t: StateTables, claim: Claim): SessionRow {
  const row = readSession(t, claim.key)
  if (row === undefined || row.lease?.token !== claim.token) throw lost(claim.key)
  return row
}

export function lost(key: SessionKey): StorageError {
  return new StorageError('LEASE_LOST', { reason: 'the session is held under another token', key: encodeKey(key) })
}

/** Writes the row, or removes it, and moves along what is derived from it. */
export function putSession(t: StateTables, key: SessionKey, before: SessionRow | undefined, after: SessionRow | undefined): void {
  const path = [key.agent, key.session]
  for (const table of DERIVED) moveEntry(t[table], before && entryOf[table](before, path), after && entryOf[table](after, path))
  countIn(t, before, after)
  if (after === undefined) t.sess.removeSync(path)
  else t.sess.putSync(path, after)
}

/** Sums over sessions: all, those that are not gone, the messages that these leave out, those read for the building of a space, those queued in a lane. */
function countIn(t: StateTables, before: SessionRow | undefined, after: SessionRow | undefined): void {
  addTo(t, 'sessions', (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1))
  const was = before === undefined || before.gone ? undefined : before
  const is = after === undefined || after.gone ? undefined : after
  addTo(t, 'present', (is === undefined ? 0 : 1) - (was === undefined ? 0 : 1))
  addTo(t, 'leftOut', (is?.leftOut ?? 0) - (was?.leftOut ?? 0))
  moveSum(t, 'in', was?.builtIn ?? null, is?.builtIn ?? null)
  moveSum(t, 'queued', before?.q?.lane ?? null, after?.q?.lane ?? null)
}

function moveSum(t: StateTables, name: string, from: string | number | null, to: string | number | null): void {
  if (from === to) return
  if (from !== null) addTo(t, `${name}:${from}`, -1)
  if (to !== null) addTo(t, `${name}:${to}`, 1)
}

type Entry = readonly [key: (string | number)[], value: number] | undefined

const entryOf = {
  ready: ({ q }: SessionRow, path: string[]): Entry => (q === null ? undefined : [[q.lane, q.runAt, q.seq, ...path], 1]),
  since: ({ q }: SessionRow, path: string[]): Entry => (q === null ? undefined : [[q.lane, q.since, ...path], 1]),
  leaseExp: ({ lease }: SessionRow, path: string[]): Entry => (lease === null ? undefined : [[lease.until, ...path], lease.token]),
  idle: (row: SessionRow, path: string[]): Entry => (row.gone || row.q !== null || row.lease !== null ? undefined : [[row.checkedAt, ...path], 1]),
  checked: ({ gone, checkedAt }: SessionRow, path: string[]): Entry => (gone || checkedAt === 0 ? undefined : [[checkedAt, ...path], 1]),
  suspect: ({ suspects }: SessionRow, path: string[]): Entry => (suspects.length === 0 ? undefined : [path, suspects.length]),
}
const DERIVED = Object.keys(entryOf) as (keyof typeof entryOf)[]

function moveEntry(table: Table, before: Entry, after: Entry): void {
  const stays = before !== undefined && after !== undefined && before[0].every((part, i) => part === after[0][i])
  if (stays && before[1] === after[1]) return
  if (before !== undefined && !stays) table.removeSync(before[0])
  if (after !== undefined) table.putSync(after[0], after[1])
}

/** `build`: a space that is built once more, after its documents were deleted, has none of its sessions any more. */
export type StoredSpace = SpaceRow & { readonly build: number }

/** In no order. */
export function readSpaces(t: StateTables): readonly StoredSpace[] {
  const spaces = read(t.meta, 'spaces')
  if (spaces === undefined) return []
  if (Array.isArray(spaces)) return spaces
  throw new StorageError('STATE_DAMAGED', { reason: 'the index state does not say what it was built with' })
}

/** The space that is worked in: the one that is being built, else the live one. */
export function workedIn(t: StateTables): StoredSpace | undefined {
  return spaceIn(t, 'building') ?? spaceIn(t, 'live')
}

export function spaceIn(t: StateTables, state: SpaceRow['state']): StoredSpace | undefined {
  return readSpaces(t).find((row) => row.state === state)
}

export function buildOf(space: StoredSpace | undefined): string {
  return space === undefined ? '' : `${space.id}.${space.build}`
}

/** Why a session may not rest; the lane in which it is to wait. `build` is of the space that is worked in. */
export function need(row: SessionRow, build: string): number | undefined {
  if (row.wal !== null || (row.gone && !row.emptied)) return LANES.replay
  if (row.verifyWanted !== row.verifyDone) return row.gone ? LANES.replay : LANES.fresh
  if (row.gone) return undefined
  if (row.observedRev !== row.processedRev) return LANES.fresh
  return row.builtIn === build ? undefined : LANES.backfill
}

/** Queues an idle session; one that is queued moves forward only and keeps its place in line; a leased one is left to its release. */
export function enqueue(t: StateTables, row: SessionRow, lane: number, runAt: number, since: number): SessionRow {
  if (row.lease !== null) return row
  const wanted = row.gone || row.wal !== null ? LANES.replay : lane
  const q = row.q ?? { lane: wanted, runAt, seq: nextNumber(t, 'seq'), since }
  return { ...row, q: { ...q, lane: Math.min(q.lane, wanted), runAt: Math.min(q.runAt, runAt) } }
}

/** Has a session run, one that is leased after its release. */
export function wake(t: StateTables, key: SessionKey, before: SessionRow, row: SessionRow, lane: number, now: number): void {
  const told = row.lease === null ? row : { ...row, wakes: row.wakes + 1 }
  putSession(t, key, before, enqueue(t, told, lane, 0, now))
}
