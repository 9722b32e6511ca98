/**
 * The rows of the state in memory. Each row is immutable and replaced as a whole, so a transaction works on copies of the maps alone.
 *
 * A session's row says all of it: queued, leased or idle, never two of them. Nothing is derived and kept beside it.
 */
import { StorageError } from '../../../core/errors.js'
import { compareText, type MessageId } from '../../../core/ids.js'
import { encodeKey, messageKey, type SessionKey } from '../../../core/keys.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type Claim, type DeadLetter, LANES, type LaneName, type LedgerRow, type SpaceRow } from '../rows.js'
import type { BreakerStatus, CounterName, LastError, ListingNote, TickNote } from '../status.js'
import type { WalBytes } from '../wal-codec.js'

export interface QueueEntry {
  readonly lane: LaneName
  /** Epoch milliseconds; 0: at once. */
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
  readonly lane: LaneName
  readonly unlogged: boolean
  /** The building of the space that is worked in under it. */
  readonly build: string
  /** Something was committed under it. */
  readonly fruitful: boolean
  /** `wakes` and `resets` of the session at the claim. */
  readonly wakes: number
  readonly resets: number
}

export interface SuspectRow {
  readonly token: number
  readonly owner: Owner
  readonly ttl: number
  /** When the lease was taken, epoch milliseconds. */
  readonly at: number
}

export interface MemorySession {
  readonly key: SessionKey
  readonly observedRev: string
  readonly meta: string
  readonly store: string
  /** null: to be read, whatever its revision. */
  readonly processedRev: string | null
  /** The building of a space, see `buildOf`, that it was last read for. */
  readonly builtIn: string | null
  readonly gone: boolean
  /** Gone, and nothing is left of it but suspects. */
  readonly emptied: boolean
  readonly q: QueueEntry | null
  readonly lease: LeaseRow | null
  readonly suspects: readonly SuspectRow[]
  /** `reset`: its messages are to be written again after it. */
  readonly wal: { readonly seq: number; readonly at: number; readonly reset: boolean } | null
  readonly failures: number
  readonly crashes: number
  readonly probe: { readonly message: MessageId; readonly crashes: number } | null
  readonly verifyWanted: number
  readonly verifyDone: number
  readonly incomplete: boolean
  readonly checkedAt: number
  /** Messages that its last reading left out. */
  readonly leftOut: number
  /** Times that it was told to run although it is leased. */
  readonly wakes: number
  readonly resets: number
}

export interface MemoryLedgerRow {
  readonly space: string
  readonly key: SessionKey
  readonly message: MessageId
  readonly row: LedgerRow
}

export interface MemoryDead {
  readonly letter: DeadLetter
  /** Of a record. */
  readonly bytes: Partial<WalBytes> | undefined
}

export interface MemoryRows {
  seq: number
  token: number
  namespace: string | undefined
  spaces: readonly SpaceRow[]
  /** By the id of a space; another number once it is built anew, since then it has none of its sessions any more. */
  readonly builds: Map<string, number>
  /** Of the turns that the lanes take. */
  readonly credits: Record<LaneName, number>
  /** By the encoded key. */
  readonly sessions: Map<string, MemorySession>
  readonly ledger: Map<string, MemoryLedgerRow>
  readonly wal: Map<number, Partial<WalBytes>>
  readonly dead: Map<string, MemoryDead>
  readonly counters: Record<CounterName, number>
  readonly breakers: Map<string, BreakerStatus>
  running: readonly { readonly owner: Owner; readonly since: number }[]
  lastUpsertAt: number | null
  lastError: LastError | null
  lastTick: TickNote | null
  listing: ListingNote | null
}

const COUNTERS = [
  'claims',
  'embedded',
  'cached',
  'commits',
  'messages',
  'replays',
  'replayedDocuments',
  'upserts',
  'deletes',
  'failures',
  'deferrals',
  'takeovers',
  'scans',
  'repairs',
  'quarantined',
  'redacted',
  'truncated',
  'ticks',
  'tickSessions',
  'tickMessages',
] as const satisfies readonly CounterName[]

export const LANE_NAMES = Object.keys(LANES) as readonly LaneName[]

export function noRows(): MemoryRows {
  return {
    seq: 0,
    token: 0,
    namespace: undefined,
    spaces: [],
    builds: new Map(),
    credits: { replay: 0, fresh: 0, retry: 0, scan: 0, backfill: 0 },
    sessions: new Map(),
    ledger: new Map(),
    wal: new Map(),
    dead: new Map(),
    counters: Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<CounterName, number>,
    breakers: new Map(),
    running: [],
    lastUpsertAt: null,
    lastError: null,
    lastTick: null,
    listing: null,
  }
}

/** Rows are shared, maps are not. */
export function copyOf(rows: MemoryRows): MemoryRows {
  return {
    ...rows,
    credits: { ...rows.credits },
    builds: new Map(rows.builds),
    sessions: new Map(rows.sessions),
    ledger: new Map(rows.ledger),
    wal: new Map(rows.wal),
    dead: new Map(rows.dead),
    counters: { ...rows.counters },
    breakers: new Map(rows.breakers),
  }
}

export function newSession(key: SessionKey): MemorySession {
  return {
    key,
    observedRev: '',
    meta: '',
    store: '',
    processedRev: null,
    builtIn: null,
    gone: false,
    emptied: false,
    q: null,
    lease: null,
    suspects: [],
    wal: null,
    failures: 0,
    crashes: 0,
    probe: null,
    verifyWanted: 0,
    verifyDone: 0,
    incomplete: false,
    checkedAt: 0,
    leftOut: 0,
    wakes: 0,
    resets: 0,
  }
}

export function putSession(rows: MemoryRows, session: MemorySession): void {
  rows.sessions.set(encodeKey(session.key), session)
}

/** Those that `keys` name and the state knows, or all, in the order of their keys. */
export function sessionsOf(rows: MemoryRows, keys?: readonly SessionKey[]): MemorySession[] {
  if (keys === undefined) return [...rows.sessions].sort(([a], [b]) => compareText(a, b)).map(([, session]) => session)
  const named = new Set(keys.map(encodeKey))
  return [...named].flatMap((key) => rows.sessions.get(key) ?? [])
}

/** Those that are leased, in the order of their deadlines. */
export function leasedOf(rows: MemoryRows): { readonly session: MemorySession; readonly lease: LeaseRow }[] {
  const leased = sessionsOf(rows).flatMap((session) => (session.lease === null ? [] : { session, lease: session.lease }))
  return leased.sort((a, b) => a.lease.until - b.lease.until)
}

/** @throws StorageError LEASE_LOST */
export function ownSession(rows: MemoryRows, claim: Claim): MemorySession {
  const session = rows.sessions.get(encodeKey(claim.key))
  if (session?.lease?.token !== claim.token) throw lost(claim.key)
  return session
}

export function lost(key: SessionKey): StorageError {
  return new StorageError('LEASE_LOST', { reason: 'the session is held under another token', key: encodeKey(key) })
}

/** The space that is worked in. */
export function workedIn({ spaces }: MemoryRows): SpaceRow | undefined {
  return spaces.find(({ state }) => state === 'building') ?? spaces.find(({ state }) => state === 'live')
}

/** Why a session may not rest; the lane in which it is to wait. */
export function need(rows: MemoryRows, session: MemorySession): LaneName | undefined {
  if (session.wal !== null || (session.gone && !session.emptied)) return 'replay'
  if (session.verifyWanted !== session.verifyDone) return session.gone ? 'replay' : 'fresh'
  if (session.gone) return undefined
  if (session.observedRev !== session.processedRev) return 'fresh'
  return session.builtIn === buildOf(rows) ? undefined : 'backfill'
}

/** Names the building of a space. */
export function buildOf(rows: MemoryRows, space = workedIn(rows)): string {
  return space === undefined ? '' : `${space.id} ${rows.builds.get(space.id)}`
}

/** Queues an idle session; one that is queued moves forward only and keeps its place in line; a leased one is left to its release. */
export function enqueue(rows: MemoryRows, session: MemorySession, lane: LaneName, runAt: number, since: number): MemorySession {
  if (session.lease !== null) return session
  const wanted = session.gone || session.wal !== null ? 'replay' : lane
  const { q } = session
  if (q === null) return { ...session, q: { lane: wanted, runAt, seq: ++rows.seq, since } }
  return { ...session, q: { ...q, lane: LANES[wanted] < LANES[q.lane] ? wanted : q.lane, runAt: Math.min(q.runAt, runAt) } }
}

export function count(rows: MemoryRows, name: CounterName, by: number): void {
  rows.counters[name] += by
}

function ledgerKey(space: string, key: SessionKey, message: MessageId): string {
  return `${space} ${encodeKey(messageKey(key, message))}`
}

/** In the order of the ids; of every space when none is named. */
export function ledgerOf(rows: MemoryRows, key: SessionKey, space?: string): MemoryLedgerRow[] {
  const path = encodeKey(key)
  return [...rows.ledger.values()]
    .filter((entry) => encodeKey(entry.key) === path && (space === undefined || entry.space === space))
    .sort((a, b) => compareText(a.message, b.message))
}

/** Whether any space holds a row of the message. */
export function hasLedger({ spaces, ledger }: MemoryRows, key: SessionKey, message: MessageId): boolean {
  return spaces.some(({ id }) => ledger.has(ledgerKey(id, key, message)))
}

/** Writes or, without a row, removes a ledger row. */
export function putLedger(rows: MemoryRows, space: string, key: SessionKey, message: MessageId, row: LedgerRow | undefined): void {
  const path = ledgerKey(space, key, message)
  if (row === undefined) rows.ledger.delete(path)
  else rows.ledger.set(path, { space, key, message, row })
}

/** A row whose message is read and written again. */
export function unread(row: LedgerRow): LedgerRow {
  return { ...row, signature: '', textHash: '' }
}
