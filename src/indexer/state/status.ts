/** What the state tells about itself, computed from its rows: it outlives the process that asks and the one that wrote. */
import type { SessionKey } from '../../core/keys.js'
import type { Failure, LaneName, SpaceRow } from './rows.js'

export interface LastError extends Failure {
  readonly at: number
  /** The encoded key of the session, where it was one session: undefined for what was deferred. */
  readonly key: string | undefined
  /** That session has gone, or was read since: it waits for something else, if it waits. */
  readonly over?: true
}

/**
 * Sums over committed transactions: they survive a crash without drift. messages: ledger rows of committed records.
 * upserts, deletes, replayedDocuments: documents of theirs. redacted: secrets taken out of them. quarantined: dead letters.
 * scans: sessions that the slow scan queued. repairs are noted by those who repair.
 */
export type CounterName =
  | 'claims'
  | 'embedded'
  | 'cached'
  | 'commits'
  | 'messages'
  | 'replays'
  | 'replayedDocuments'
  | 'upserts'
  | 'deletes'
  | 'failures'
  | 'deferrals'
  | 'takeovers'
  | 'scans'
  | 'repairs'
  | 'quarantined'
  | 'redacted'
  /** Texts that the embedder cut at its context, as its options allow. */
  | 'truncated'
  | 'ticks'
  | 'tickSessions'
  | 'tickMessages'
export type Counters = Readonly<Record<CounterName, number>>

export interface LaneStatus {
  readonly lane: LaneName
  readonly ready: number
  /** Queued for a later time. */
  readonly waiting: number
  readonly oldestAgeMs: number | null
}

export interface LeaseStatus {
  readonly key: SessionKey
  readonly pid: number
  readonly ageMs: number
  /** Negative once it ran out. */
  readonly expiresInMs: number
  /** Its process is provably gone: who works next takes the session over at once. */
  readonly abandoned: boolean
}

export type ServiceName = 'embedder' | 'sink'

/** The circuit breaker of a service, as the last process that used it left it. */
export interface BreakerStatus {
  readonly service: ServiceName
  readonly state: 'closed' | 'open' | 'half-open'
  readonly failure: Failure | undefined
  /** Epoch milliseconds. */
  readonly since: number
  readonly retryAt: number | undefined
}

/** What a tick did; only ticks that did something are noted. */
export interface TickNote {
  readonly at: number
  readonly durationMs: number
  readonly sessions: number
  readonly messages: number
}

/** `elsewhere`: see `ObserveReport`. */
export interface ListingNote {
  readonly at: number
  readonly sessions: number
  readonly elsewhere?: number
}

/** What a process wants remembered beside the transitions. */
export type IndexNote =
  | { readonly kind: 'tick'; readonly tick: TickNote }
  | ({ readonly kind: 'listing' } & ListingNote)
  | { readonly kind: 'breaker'; readonly breaker: BreakerStatus }
  | { readonly kind: 'count'; readonly name: CounterName; readonly by: number }

export interface IndexStatus {
  readonly queue: { readonly ready: number; readonly leased: number; readonly backoff: number }
  readonly lanes: readonly LaneStatus[]
  /** The first to end first. */
  readonly leases: readonly LeaseStatus[]
  /** Earlier owners that lost their session, and that may still have a word to the sink under way. */
  readonly suspects: number
  readonly wal: { readonly records: number; readonly bytes: number; readonly oldestAgeMs: number | null }
  /** Sessions that are known; of the space that is worked in, what the ledger holds. */
  readonly ledger: {
    readonly sessions: number
    readonly messages: number
    readonly documents: number
    readonly quarantined: number
    readonly truncatedBytes: number
  }
  /** Messages that no session's reading could put into the index, since their ids do not fit its keys. */
  readonly leftOut: number
  /** Of the session that waits or runs longest. */
  readonly oldestPendingAgeMs: number | null
  /** When the sink last took documents and the ledger noted it, epoch milliseconds. */
  readonly lastUpsertAt: number | null
  /** The age of the session that was looked at longest ago; null when none was. */
  readonly oldestCheckedAgeMs: number | null
  readonly lastError: LastError | null
  readonly dead: number
  readonly spaces: readonly SpaceRow[]
  /** Sessions that the space that is being built still lacks. */
  readonly toRebuild: number
  /** Processes that have the index running, those of this machine that are provably gone left out. */
  readonly running: readonly { readonly pid: number; readonly since: number }[]
  readonly lastTick: TickNote | null
  readonly listing: ListingNote | null
  readonly breakers: readonly BreakerStatus[]
  readonly counters: Counters
}

/** What is kept of the note. */
export function listingOf({ at, sessions, elsewhere = 0 }: ListingNote): ListingNote {
  return { at, sessions, ...(elsewhere > 0 && { elsewhere }) }
}
