/** What goes into the durable state and comes out of it: ledger rows, write-ahead records, claims, spaces, dead letters. */
import type { MessageId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { DocumentMetadata } from '../ports.js'

/** Runnable sessions wait in lanes: replays and deletions, fresh changes, what was tried before, the slow scan, another space. */
export const LANES = { replay: 0, fresh: 1, retry: 2, scan: 3, backfill: 4 } as const
export type LaneName = keyof typeof LANES

/** What the sink is known to hold of one message. The ids of its documents follow from its key and the places of its chunks. */
export interface LedgerRow {
  /** The version of the message that was looked at, as the source names it; '' where it has none, or where it is to be read again. */
  readonly signature: string
  /** Of the text that the sink holds; '' while it holds none. */
  readonly textHash: string
  /** The embedding key of each chunk that the sink holds, in order; '' in the place of a chunk that was put aside. */
  readonly chunks: readonly string[]
  /**
   * settled: the text is final. volatile: still being written, what the sink holds is older. empty: nothing to embed.
   * quarantined: final, and some chunk of it, or all, was put aside; see the dead letters.
   */
  readonly state: 'settled' | 'volatile' | 'empty' | 'quarantined'
  /** Names what the documents carry beside their text, see `documentMeta`. */
  readonly meta: string
  /** When this signature was first seen, epoch milliseconds. */
  readonly at: number
  /** The fencing token under which its documents were written: `rev` of their metadata. 0: before there was one. */
  readonly rev: number
  /** The writer died before it finished the message. */
  readonly partial?: true
  /** Bytes of text beyond the budget of one message, which the sink does not hold. */
  readonly truncatedBytes?: number
  /** Secrets that were taken out of its text. */
  readonly redacted?: number
}

/** True of a message that was put aside as a whole, as one that ends its processes. */
export function isPutAside({ state, chunks }: LedgerRow): boolean {
  return state === 'quarantined' && chunks.length === 0
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
  /** The id of the space (`SpaceRow.id`) whose sink and ledger it is for; '', as in records of before there were several: the live one. */
  readonly space: string
  readonly createdAt: number
  /** Who took secrets out of its texts (`Projector.projectName`); undefined: nobody. */
  readonly projectName?: string | undefined
  readonly rows: readonly WalRow[]
  /** Document ids to delete, after the rows were written. */
  readonly deletes: readonly string[]
  readonly ledger: readonly LedgerEntry[]
  /** Messages whose ledger rows go. */
  readonly drop: readonly MessageId[]
  /** What was put aside while the record was made; becomes dead letters with its commit. */
  readonly dead: readonly DeadMessage[]
  /** Texts whose vectors were computed for this record, and those that were held already. */
  readonly embedded: number
  readonly cached: number
  /** 0 in a record that only deletes. */
  readonly dimensions: number
  /** Row-major. */
  readonly matrix: Float32Array
}

/** The exclusive right to index a session until `until`. */
export interface Claim {
  readonly key: SessionKey
  /** Fencing token, greater than that of any earlier claim. */
  readonly token: number
  readonly lane: LaneName
  /** The space that the claim is worked in: the one that is being built, else the live one; see also `ClaimRequest.toDelete`. */
  readonly space: string
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
  /** Owners in a row whose lease was taken over before a commit or a release. From ISOLATE_AFTER on, messages are worked on one at a time. */
  readonly crashes: number
  /** The message that was worked on alone when the last owner ended, and how many owners ended with it. */
  readonly probe: { readonly message: MessageId; readonly crashes: number } | undefined
  /** Set when the sink may differ from the ledger; handed back by `release`. */
  readonly verify: number | undefined
}

/** A session whose owners died so often without getting anywhere is worked on one message at a time. */
export const ISOLATE_AFTER = 3

/** An owner that lost its lease and was not heard of for so many times its length writes no more. */
export const SUSPECT_LEASES = 10

export interface ClaimRequest {
  /** This session, whatever its lane and its time, unless another owner holds it. */
  readonly only?: SessionKey | undefined
  /** @default all */
  readonly lanes?: readonly LaneName[] | undefined
  /** The claim writes to the sink without write-ahead records: should its owner end, the sink is compared with the ledger. */
  readonly unlogged?: boolean | undefined
  /** The session of `only` is claimed to be deleted everywhere: whatever space is worked in, the claim is of the one that this process is bound to. */
  readonly toDelete?: boolean | undefined
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
      /** Messages whose ids do not fit the keys of the index. @default 0 */
      readonly leftOut?: number
    }
  /** `verify`: the sink may hold what no record names. */
  | { readonly kind: 'failed'; readonly failure: Failure; readonly delayMs: number; readonly verify?: boolean }
  /** A service that every session needs is down: no failure of this one, which waits for the service. */
  | { readonly kind: 'deferred'; readonly failure: Failure; readonly delayMs: number; readonly verify?: boolean }
  /** Stopped on request: runnable at once, no failure counted. */
  | { readonly kind: 'stopped'; readonly verify?: boolean }

/** A failure without a word of any session in it. */
export interface Failure {
  readonly code: string
  /** One clause. */
  readonly reason: string
}

/** A text that the embedder or the sink refuses for good, or that ends the process. */
export interface DeadMessage extends Failure {
  readonly message: MessageId
  /** The place of the chunk; undefined: the whole message. */
  readonly chunk: number | undefined
}

/** Something that was put aside: nothing is deleted because it could not be used. */
export interface DeadLetter extends Failure {
  /** Names the letter to `retryDead` and `dropDead`. */
  readonly id: string
  /** message: a text that was refused. record: a write-ahead record that cannot be decoded. */
  readonly kind: 'message' | 'record'
  readonly key: SessionKey
  readonly message: MessageId | undefined
  readonly chunk: number | undefined
  /** Epoch milliseconds. */
  readonly at: number
}

/** Vectors of one space never meet those of another: each space has a collection and a ledger of its own. */
export interface SpaceRow {
  /** 8 hex digits of the SHA-256 of `space`; names the collection, the ledger and the records. */
  readonly id: string
  /** As the embedder names it. */
  readonly space: string
  /** live: searched. building: filled from the sessions, to become the live one. retiring: its documents are being deleted. */
  readonly state: 'live' | 'building' | 'retiring'
  /** Epoch milliseconds. */
  readonly createdAt: number
}

/** What the index was built with. */
export interface IndexIdentity {
  readonly space: string
  readonly namespace: string
}
