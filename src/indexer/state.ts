/**
 * The port to the durable state of the index: whole transitions, never get and put.
 *
 * Each transition is one transaction: after a crash it has happened or it has not. Every write to a session
 * carries the fencing token of its lease; one whose lease is gone fails with LEASE_LOST and changes nothing.
 */
import type { MessageId } from '../core/ids.js'
import type { SessionKey } from '../core/keys.js'
import type { DocumentMetadata } from './ports.js'

/** What the sink is known to hold of one message. The ids of its documents follow from its key and the number of its chunks. */
export interface LedgerRow {
  /** The version of the message that was looked at, as the source names it; '' where it has none. */
  readonly signature: string
  /** Of the text that the sink holds; '' while it holds none. */
  readonly textHash: string
  /** The embedding key of each chunk that the sink holds, in order. */
  readonly chunks: readonly string[]
  /** settled: the text is final. volatile: still being written, what the sink holds is older. empty: nothing to embed. */
  readonly state: 'settled' | 'volatile' | 'empty'
  /** Names what the documents carry beside their text, see `documentMeta`. */
  readonly meta: string
  /** When this signature was first seen, epoch milliseconds. */
  readonly at: number
  /** The writer died before it finished the message. */
  readonly partial?: true
  /** Bytes of text beyond the budget of one message, which the sink does not hold. */
  readonly truncatedBytes?: number
}

export interface LedgerEntry {
  readonly message: MessageId
  readonly row: LedgerRow
}

export interface WalRow {
  readonly id: string
  readonly text: string
  /** The row of the matrix; equal texts share one. */
  readonly vector: number
  readonly metadata: DocumentMetadata
}

/** Everything that is needed to bring the sink and the ledger one step on, without reading the session or embedding again. */
export interface WalRecord {
  readonly key: SessionKey
  readonly createdAt: number
  readonly rows: readonly WalRow[]
  /** Document ids to delete, after the rows were written. */
  readonly deletes: readonly string[]
  readonly ledger: readonly LedgerEntry[]
  /** Messages whose ledger rows go. */
  readonly drop: readonly MessageId[]
  /** Texts whose vectors were computed for this record, and those that were held already. */
  readonly embedded: number
  readonly cached: number
  /** 0 in a record that only deletes. */
  readonly dimensions: number
  /** Row-major. */
  readonly matrix: Float32Array
}

export interface ObservedSession {
  readonly key: SessionKey
  /** Opaque, compared by inequality. */
  readonly revision: string
  /** Names the title, directory and project of the session. */
  readonly meta: string
  /** The path of the store that it was listed in. */
  readonly store: string
}

/** One page of what a listing showed. */
export interface Observation {
  readonly seen: readonly ObservedSession[]
  /** Proven to be gone, or excluded: every document leaves the sink. */
  readonly gone: readonly SessionKey[]
}

/** A session whose pending record holds text. */
export interface PendingSession {
  readonly key: SessionKey
  /** What the documents of the record carry. */
  readonly project: string
  readonly directory: string
}

/** A session as the state knows it, for comparing a listing without a transaction. */
export interface KnownSession {
  readonly key: SessionKey
  readonly revision: string
  /** The path of the store that it was last listed in; only that store can tell that it is gone. */
  readonly store: string
  readonly gone: boolean
  /** Should be queued and is not: it is to be observed again. */
  readonly stranded: boolean
  /** The last reading left something out that may be readable later. */
  readonly incomplete: boolean
  /** Epoch milliseconds of the last finished reading; 0 when there was none. */
  readonly checkedAt: number
}

/** The exclusive right to index a session until `until`. */
export interface Claim {
  readonly key: SessionKey
  /** Fencing token, greater than that of any earlier claim. */
  readonly token: number
  /** The revision that this run answers; a newer one makes the session run again. */
  readonly revision: string
  readonly meta: string
  /** The path of the store that it was last listed in. */
  readonly store: string
  readonly gone: boolean
  /** The record to be drained before anything new is done. */
  readonly wal: number | undefined
  /** Monotonic milliseconds. */
  readonly until: number
  /** Failures in a row. */
  readonly failures: number
  /** Set when the sink may differ from the ledger; handed back by `release`. */
  readonly verify: number | undefined
}

export type Outcome =
  | {
      readonly kind: 'done'
      /** There is more to do: back to the tail of the queue. */
      readonly more?: boolean
      /** Look again after so many milliseconds, since a message was still being written. */
      readonly recheckMs?: number | undefined
      readonly incomplete?: boolean
      readonly verified?: number | undefined
    }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly delayMs: number }
  /** Stopped on request: runnable at once, no failure counted. */
  | { readonly kind: 'stopped' }

/** A failure without a word of any session in it. */
export interface Failure {
  readonly code: string
  /** One clause. */
  readonly reason: string
}

export interface LastError extends Failure {
  readonly at: number
  /** The encoded key of the session, where it was one session. */
  readonly key: string | undefined
}

/** What the index was built with; vectors of another space are never mixed in. */
export interface IndexIdentity {
  readonly space: string
  readonly namespace: string
}

export type CounterName = 'embedded' | 'cached' | 'commits' | 'replays' | 'upserts' | 'deletes' | 'failures' | 'takeovers' | 'quarantined'
export type Counters = Readonly<Record<CounterName, number>>

export interface IndexStatus {
  readonly queue: { readonly ready: number; readonly leased: number; readonly backoff: number }
  readonly wal: { readonly records: number; readonly bytes: number }
  readonly ledger: { readonly sessions: number; readonly messages: number; readonly documents: number; readonly truncatedBytes: number }
  /** Of the session that waits or runs longest. */
  readonly oldestPendingAgeMs: number | null
  readonly lastError: LastError | null
  readonly dead: number
  readonly counters: Counters
}

/** A ledger change that needs no word to the sink, or the second half of a record that the sink has taken. */
export interface Commit {
  readonly wal?: { readonly seq: number; readonly record: WalRecord; readonly replayed: boolean }
  readonly ledger?: readonly LedgerEntry[]
  readonly drop?: readonly MessageId[]
}

/** Ids longer than this many bytes do not fit the keys of an index; what bears them is left out, with KEY_TOO_LONG. */
export const MAX_ID_BYTES = 800

export interface IndexStore extends AsyncDisposable {
  /** Fixes what the index is built with at first use. @throws StorageError SINK_MISMATCH, INVALID_OPTION */
  bind(identity: IndexIdentity): Promise<void>
  /** What the index was built with, undefined before the first use. */
  identity(): IndexIdentity | undefined

  /** T1. At most 256 sessions at once. */
  observe(page: Observation): Promise<void>
  /** T2. The first runnable session, or the one asked for unless another owner holds it. */
  claim(only?: SessionKey): Promise<Claim | undefined>
  /** T3. Gives the new deadline, monotonic milliseconds. @throws StorageError LEASE_LOST */
  renew(claim: Claim): Promise<number>
  /** T4. Durable when it resolves. @throws StorageError LEASE_LOST, KEY_TOO_LONG */
  walAppend(claim: Claim, record: WalRecord): Promise<number>
  /** T5. @throws StorageError LEASE_LOST */
  commit(claim: Claim, commit: Commit): Promise<void>
  /** T6. @throws StorageError LEASE_LOST */
  release(claim: Claim, outcome: Outcome): Promise<void>
  /** T7. Frees the leases that ran out and those of owners that are provably dead; gives their number. */
  sweep(): Promise<number>
  /** T10, its end: drops a gone session whose documents have all left the sink. False when it is not gone any more. */
  remove(claim: Claim): Promise<boolean>
  /** Marks a session as gone and puts a record of deletions in the place of its pending one. Damaged remains go too. */
  forget(claim: Claim, deletes: readonly string[]): Promise<number | undefined>
  /** Puts a record that cannot be decoded aside; the sink is compared with the ledger at the next run. */
  quarantine(claim: Claim, seq: number): Promise<void>
  /** T8. Every session is to compare the sink with its ledger; those that are already asked to are left alone. Gives the number of the others. */
  verifyAll(): Promise<number>

  /** @throws StorageError WAL_DAMAGED, STATE_TOO_NEW (the record stays) */
  walRead(seq: number): WalRecord
  /** In the order of the ids. */
  ledger(key: SessionKey): ReadonlyMap<MessageId, LedgerRow>
  sessions(): readonly KnownSession[]
  /** What stands in the WAL and perhaps nowhere else. Records without text, and those that cannot be read, are left out. */
  pending(): readonly PendingSession[]
  /** The encoded keys of what `status` counts as dead. */
  dead(): readonly { readonly what: string; readonly code: string; readonly key: string; readonly at: number }[]
  status(): IndexStatus
  /** When the next session may run, epoch milliseconds; 0 when one may now; undefined when none is queued. */
  nextRunAt(): number | undefined
}
