/**
 * The port to the durable state of the index: whole transitions, never get and put.
 *
 * Each transition is one transaction: after a crash it has happened or it has not. Every write to a session
 * carries the fencing token of its lease; one whose lease is gone fails with LEASE_LOST and changes nothing.
 * No transition waits for another process on the thread of the caller. The numbers T1 to T13 are those of docs/indexer.md.
 */
import type { MessageId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type {
  Claim,
  ClaimRequest,
  DeadLetter,
  DeadMessage,
  IndexIdentity,
  LaneName,
  LedgerEntry,
  LedgerRow,
  Outcome,
  SpaceRow,
  WalRecord,
} from './rows.js'
import type { IndexNote, IndexStatus } from './status.js'

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
  readonly seq: number
  /** What the documents of the record carry. */
  readonly project: string
  readonly directory: string
  readonly documents: number
  readonly bytes: number
  /** Epoch milliseconds. */
  readonly createdAt: number
}

/** A session as the state knows it, for comparing a listing without a transaction. */
export interface KnownSession {
  readonly key: SessionKey
  readonly revision: string
  /** The path of the store that it was last listed in; only that store can tell that it is gone. */
  readonly store: string
  readonly gone: boolean
  /** Should be queued and is not, as when another space is to be built: it is to be observed again. */
  readonly stranded: boolean
  /** The last reading left something out that may be readable later. */
  readonly incomplete: boolean
  /** Epoch milliseconds of the last finished reading; 0 when there was none. */
  readonly checkedAt: number
}

/**
 * A ledger change that needs no word to the sink, or the second half of a record that the sink has taken. The rows of a record go into
 * the ledger of its own space. Letters of a message go with its row in a record, with a row that is settled or empty, and with a dropped one;
 * then those of the commit are put.
 */
export interface Commit {
  readonly wal?: { readonly seq: number; readonly record: WalRecord; readonly replayed: boolean }
  /** The sink took this without a write-ahead record. */
  readonly unlogged?: WalRecord
  /** The ledger that `ledger` and `drop` change. @default the space of the claim */
  readonly space?: string
  /** Put after the rows of the record. */
  readonly ledger?: readonly LedgerEntry[]
  readonly drop?: readonly MessageId[]
  /** Beside those of the record. A newer letter of a message and chunk takes the place of the older one. */
  readonly dead?: readonly DeadMessage[]
}

/** Ids longer than this many bytes do not fit the keys of an index; what bears them is left out, with KEY_TOO_LONG. */
export const MAX_ID_BYTES = 800

/** What changes the state, and ends when it is durable. */
export interface IndexTransitions extends AsyncDisposable {
  /**
   * T12. Fixes what the index is built with at first use, and says in which space this process works. When the index is of another space:
   * refused, or with `rebuild` that space is built beside the live one; one that was being built before retires, also when it is the live
   * one that is bound with `rebuild`. The space that is being built may be bound without. One that retires is built again, with what is
   * left in its ledger; its sessions are verified.
   * @throws StorageError SINK_MISMATCH, INVALID_OPTION (another namespace)
   */
  bind(identity: IndexIdentity, options?: { readonly rebuild?: boolean | undefined }): Promise<SpaceRow>
  /** T12. The space that is being built becomes the live one, the live one retires; undefined while a session that is not gone still lacks it, and when none is being built. */
  cutOver(): Promise<SpaceRow | undefined>
  /**
   * Drops these rows of a space that retires, whose documents have left the sink, with the letters of messages that no space has a row of
   * any more; the space goes once it has no row any more, also when none was given.
   * In one that is built again meanwhile, the rows stay and their sessions are verified.
   */
  retire(space: string, rows: readonly { readonly key: SessionKey; readonly message: MessageId }[]): Promise<void>

  /**
   * T1. At most 256 sessions at once. What changed is fresh; what only another space lacks is queued for backfill. A queued session moves
   * forward only, in its lane and in its time, and keeps its place in line. One that is gone, or that has a pending record, waits among the
   * replays whatever asks for it, here and below. @throws StorageError KEY_TOO_LONG
   */
  observe(page: Observation): Promise<void>
  /** Queues sessions whatever their revision; one that is leased runs again afterwards. Those that the state does not know are left alone. Gives the number of the others. */
  wake(keys: readonly SessionKey[], lane: LaneName): Promise<number>
  /**
   * T2. The first runnable session of the lane whose turn it is, or the one asked for. The turns are a smooth weighted round robin, kept in
   * the state: of the lanes asked for in which a session is runnable each gains its weight (8, 4, 2, 1, 1), the one that has most (of equals
   * the first) is taken and pays what all gained. In a lane, what may run at once runs in the order in which it was queued, then what was
   * queued for a time that has come, by that time. A time further ahead than the longest delay was written by another clock and has come.
   * Nothing, while the space that is being built, or else the live one, is another than this process is bound to; one that is bound to none works in that.
   * What is to be deleted is given to any process that asks for it.
   */
  claim(request?: ClaimRequest): Promise<Claim | undefined>
  /** T3. Gives the new deadline, monotonic milliseconds. @throws StorageError LEASE_LOST */
  renew(claim: Claim): Promise<number>
  /** T4. Durable when it resolves. @throws StorageError LEASE_LOST (also: the record writes into a space that is neither live nor built), KEY_TOO_LONG, STATE_DAMAGED (the session has a pending record) */
  walAppend(claim: Claim, record: WalRecord): Promise<number>
  /** T5. A space that retires takes in a record that was pending, and what is dropped; nothing else. @throws StorageError LEASE_LOST */
  commit(claim: Claim, commit: Commit): Promise<void>
  /**
   * T6. What was observed, woken, reset or asked to be verified since the claim makes the session run again. What was stopped, and what
   * has more to do, goes to the tail of the lane it came from, or of the fresh one where that was the lane of replays.
   * @throws StorageError LEASE_LOST
   */
  release(claim: Claim, outcome: Outcome): Promise<void>
  /**
   * T7. Frees the leases that ran out and those of owners that are provably dead, in the order of their deadlines; gives their number. An
   * owner that may still live becomes a suspect; once it is provably gone, or SUSPECT_LEASES times its lease have passed, its session
   * compares the sink with the ledger.
   */
  sweep(): Promise<number>
  /**
   * T8. An owner that lost its session says that it will write no more: the sink is compared with the ledger. A lease that is still its own
   * ends, whether a sweep has seen it or not. A session that was removed meanwhile is gone once more, and what the sink holds of it is deleted.
   */
  lost(claim: Claim): Promise<void>
  /** T8. These sessions, or all, are to compare the sink with their ledger; those that are gone or already asked to are left alone. Gives the number of the others. */
  verify(keys?: readonly SessionKey[]): Promise<number>
  /** T9. Queues up to `limit` of the sessions that were looked at longest ago, at least `minAgeMs` ago, and that are idle; they are verified too. A time in the future counts as long ago. Gives their number. */
  slowScan(options: { readonly limit: number; readonly minAgeMs: number }): Promise<number>
  /**
   * T10, its end: drops a gone session whose documents have all left the sink, in every space, with its letters. False when it is not gone
   * any more, something of it is left, or it was asked to be verified since the claim. While a suspect may still write, it stays, idle;
   * it is claimed again, with `verify`, once the suspect is settled, and then what the sink holds of it is to be deleted first.
   */
  remove(claim: Claim): Promise<boolean>
  /**
   * Marks a session as gone and puts a record of deletions, if there are any, in the place of its pending one. Its dead letters go too.
   * `space`: that of the record. @default the space of the claim
   */
  forget(claim: Claim, deletes: readonly string[], space?: string): Promise<number | undefined>
  /** T11. Puts a record that cannot be decoded aside; the sink is compared with the ledger at the next run. */
  quarantine(claim: Claim, seq: number): Promise<void>
  /** T11. Durable before a message is worked on alone: should the process end with it, the next claim tells. Past with a commit, a release or another probe. @throws StorageError LEASE_LOST */
  probe(claim: Claim, message: MessageId): Promise<void>
  /** T13. Every message of these sessions, or of all that are not gone, is to be read and written again, those of a pending record too, which stays and goes first. Gives the number of sessions. */
  reset(keys?: readonly SessionKey[]): Promise<number>
  /**
   * T11. The messages are read again; a record that can be decoded now becomes pending again, and its session is read after it. What cannot
   * be retried stays: letters of gone sessions, records of a session that is leased or has a pending one, or of a space that retires. Gives the
   * number that was.
   */
  retryDead(ids?: readonly string[]): Promise<number>
  /** Deletes letters; a message stays out of the sink until its text changes. Gives their number. */
  dropDead(ids?: readonly string[]): Promise<number>
  /** Remembers what is no transition. */
  note(note: IndexNote): Promise<void>
  /** This process has the index running, until it says otherwise or ends. */
  running(is: boolean): Promise<void>
}

/** What is asked of the state. */
export interface IndexReads {
  /** What is searched, undefined before the first use. */
  identity(): IndexIdentity | undefined
  /** The live one first, then the one that is being built, then those that retire. */
  spaces(): readonly SpaceRow[]
  /** Up to `limit` ledger rows of a space that retires. */
  retiring(space: string, limit: number): readonly { readonly key: SessionKey; readonly message: MessageId; readonly row: LedgerRow }[]
  /** @throws StorageError WAL_DAMAGED, STATE_TOO_NEW (the record stays) */
  walRead(seq: number): WalRecord
  /** In the order of the ids. @default of the space that this process is bound to */
  ledger(key: SessionKey, space?: string): ReadonlyMap<MessageId, LedgerRow>
  sessions(): readonly KnownSession[]
  /** What stands in the WAL and perhaps nowhere else, in the order in which it was put there. Records without text, and those that cannot be read, are left out. */
  pending(): readonly PendingSession[]
  /** In the order of their sessions, in which they are retried, too. */
  deadLetters(): readonly DeadLetter[]
  status(): IndexStatus
  /** When the next session of these lanes may run, epoch milliseconds; 0 when one may now; undefined when none is queued that this process may claim. */
  nextRunAt(lanes?: readonly LaneName[]): number | undefined
}

type AtOnceOrLater<R> = { readonly [K in keyof R]: R[K] extends (...given: infer G) => infer T ? (...given: G) => T | Promise<T> : never }

/** A state may lie anywhere: what is asked of it may be there at once, or come later. */
export interface IndexStore extends IndexTransitions, AtOnceOrLater<IndexReads> {}

/** A state on this machine, which answers at once. */
export interface LocalIndexStore extends IndexTransitions, IndexReads {}
