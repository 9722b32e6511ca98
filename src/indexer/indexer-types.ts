/** The public face of the indexer. */
import type { Clock } from '../core/clock.js'
import type { SessionKey } from '../core/keys.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import type { EmbedCache } from './embedding/embed-cache.js'
import type { IndexProgress, Limits } from './engine.js'
import type { Exclusion } from './exclusion.js'
import type { ForgetReport } from './forget.js'
import type { ObserveReport } from './observe.js'
import type { Embedder, Redactor, Sink } from './ports.js'
import type { SessionSource } from './source.js'
import type { DeadLetter, Failure } from './state/rows.js'
import type { IndexStore } from './state/state.js'
import type { BreakerStatus, IndexStatus } from './state/status.js'
import type { VerifyOptions, VerifyReport } from './verify/verify.js'

export interface IndexerOptions extends Partial<Limits> {
  /** An open set of sessions, or a source of one's own. A set that was narrowed with `store` is refused. */
  readonly sessions: Sessions | SessionSource
  readonly state: IndexStore
  readonly embedder: Embedder
  /** Of the embedder's space. */
  readonly sink: Sink
  /** Sinks of the spaces that the index was built in before; deletions reach them too, and they are emptied once the new space is live. @default none */
  readonly former?: readonly Sink[] | undefined
  /** Build the index anew when it is of another space, beside the old one, which is searched until then. @default false: refuse with SINK_MISMATCH */
  readonly rebuild?: boolean | undefined
  /** Vectors held by text. @default none: a crash between an embedding and its WAL record repeats at most one record */
  readonly cache?: EmbedCache | undefined
  /** Takes secrets out of every text before it is embedded or stored. @default none */
  readonly redact?: Redactor | undefined
  /** @default true */
  readonly walEnabled?: boolean | undefined
  /** Begins every document id, so that several machines may share a sink. @default 'local' */
  readonly namespace?: string | undefined
  /**
   * Left out before anything is embedded; what was indexed of it before leaves the sink.
   * A function is asked anew before each decision, so that what other processes exclude counts at once.
   */
  readonly exclude?: Exclusion | (() => Exclusion) | undefined
  /** @default the system's */
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1), for the jitter of backoffs. @default the system's */
  readonly random?: (() => number) | undefined
  /** Called at the crash points of docs/indexer.md. */
  readonly failpoint?: ((name: string) => void) | undefined
  readonly onProgress?: ((event: IndexProgress) => void) | undefined
  /** Ends whatever runs, as `stop` does. */
  readonly signal?: AbortSignal | undefined
}

export interface DrainReport {
  readonly claims: number
  /** Sessions whose run ended well. */
  readonly sessions: number
  readonly messages: number
  /** Written to the sink. */
  readonly documents: number
  readonly deleted: number
  readonly embedded: number
  readonly cached: number
  readonly replayed: number
  /** Claims that ended in a backoff. */
  readonly failed: number
  /** Claims that wait for a service that is down. */
  readonly deferred: number
  /** The signal ended it; what is left stays queued. */
  readonly stopped: boolean
}

export interface TickReport extends DrainReport {
  /** Undefined when the sessions were listed so recently, or their stores so surely unchanged, that they were not again, or could not be (`listFailure`). */
  readonly observed: ObserveReport | undefined
  /** A listing that failed ends no tick: what is queued goes on. */
  readonly listFailure: { readonly code: string; readonly reason: string } | undefined
  readonly scanned: number
  readonly durationMs: number
}

export interface IndexerStatus extends IndexStatus {
  /** Whether this indexer was started and not stopped. */
  readonly started: boolean
  /** Why the loop of `start` stumbled last, until it ran through again; it ended for good when `started` is false. */
  readonly failure: Failure | undefined
  readonly services: readonly BreakerStatus[]
  readonly space: string
  readonly cache: { readonly hits: number; readonly misses: number } | undefined
}

export interface WalStatus {
  readonly records: number
  readonly bytes: number
  readonly oldestAgeMs: number | null
  readonly sessions: readonly { readonly key: SessionKey; readonly documents: number; readonly bytes: number; readonly ageMs: number }[]
}

export type IndexEvent = IndexProgress['kind']

export interface Indexer extends AsyncDisposable {
  /** Lists the sessions and queues what changed. */
  observe(signal?: AbortSignal): Promise<ObserveReport>
  /** Works until nothing is runnable now. Stopping it by the signal is no error. */
  drain(signal?: AbortSignal): Promise<DrainReport>
  /** One listing, at most `maxSessions` claims, a step of the slow scan. Ticks never overlap: a second call waits for the first. */
  tick(options?: { readonly maxSessions?: number; readonly signal?: AbortSignal }): Promise<TickReport>
  /** Keeps the index up to date until `stop`: drains until idle, then waits for the next poll. Resolves after the first listing. */
  start(): Promise<void>
  /** Begins nothing new, lets the embedding that is under way end (`drainMs`) and keeps it in the WAL, frees the leases. Safe to call twice. */
  stop(): Promise<void>
  /** Looks at a session again, whatever its revision. False when the index does not know it even after a listing. */
  enqueue(session: SessionKey): Promise<boolean>
  /** Reads and writes a session anew; with the cache that embeds nothing. False when the index does not know it. */
  resetSession(session: SessionKey): Promise<boolean>
  status(): Promise<IndexerStatus>
  walStatus(): Promise<WalStatus>
  /** Sends pending records to the sink, at most `limit`; reads no session and embeds nothing. */
  walRecover(options?: { readonly limit?: number; readonly signal?: AbortSignal }): Promise<{ readonly records: number; readonly documents: number }>
  deadLetters(): Promise<readonly DeadLetter[]>
  /** Tries dead letters again, all when no ids are given; gives the number of those that will be. */
  retry(ids?: readonly string[]): Promise<number>
  /** Gives dead letters up. */
  drop(ids?: readonly string[]): Promise<number>
  /** Compares source, ledger and sink, and says where they differ. */
  verify(options?: VerifyOptions): Promise<VerifyReport>
  /** A session that is still in its store is indexed again when it is observed; exclude it to keep it out. */
  forget(keys: readonly SessionKey[], signal?: AbortSignal): Promise<ForgetReport>
  /** Calls back at each event of the kind; gives the function that ends it. */
  on<K extends IndexEvent>(kind: K, listener: (event: Extract<IndexProgress, { readonly kind: K }>) => void): () => void
}
