/** What every step of the indexer works with, and how its failures are named. */
import { createHash } from 'node:crypto'
import type { Clock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import type { SessionId } from '../core/ids.js'
import type { SessionKey } from '../core/keys.js'
import type { MessageNode, SessionMeta } from '../tree/types.js'
import type { Breaker } from './breaker.js'
import type { EmbedCache } from './embedding/embed-cache.js'
import type { Embedding } from './embedding/embedding.js'
import type { Turn } from './embedding/turn.js'
import type { Exclusion } from './exclusion.js'
import type { ObserveReport } from './observe.js'
import type { Embedder, ProjectedMessage, Sink } from './ports.js'
import type { SessionSource } from './source.js'
import type { Failure, SpaceRow } from './state/rows.js'
import type { IndexStore } from './state/state.js'
import type { BreakerStatus } from './state/status.js'
import { PROJECTION_VERSION } from './text/document.js'

export interface Limits {
  /** Texts per call of the embedder; what it answered is cached at once. @default 32 */
  readonly batchSize: number
  /** Chunks per WAL record, about: a message is never split between records. @default 256 */
  readonly recordSize: number
  /** Documents per call of the sink. @default 256 */
  readonly sinkBatchSize: number
  /** Messages written per claim; what is left goes to the tail of the queue. @default 200 */
  readonly quantum: number
  /** A last message without a sign of its end is final after so many quiet milliseconds. @default 10_000 */
  readonly settleMs: number
  /** A message whose writer died is taken as it is after so many quiet milliseconds. @default 900_000 */
  readonly abandonMs: number
  /** Milliseconds until a session with a message that is still written is looked at again. @default 10_000 */
  readonly settleRecheckMs: number
  /** Milliseconds until a session that could not be read as a whole may be read again. @default 120_000 */
  readonly incompleteRecheckMs: number
  /** Full jitter: uniform in [0, cap), the cap doubling from base to max. Milliseconds. @default 2000, 120_000 */
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Milliseconds between two looks at other owners' leases. @default 1000 */
  readonly sweepMs: number
  /** How long `forget` waits for another owner, in milliseconds. @default 120_000 */
  readonly forgetWaitMs: number
  /** Sessions worked on at a time; there is one call of the embedder and one of the sink at a time all the same. @default 2 */
  readonly concurrency: number
  /** Bytes of text and vectors held at a time, about; and of a session's messages read at a time. @default 67_108_864 */
  readonly maxInflightBytes: number
  /** Bytes of write-ahead records beyond which nothing new is embedded until the sink took some. @default 1_073_741_824 */
  readonly maxWalBytes: number
  /** Milliseconds between two looks for work, of `start`. @default 2000 */
  readonly pollMs: number
  /** Milliseconds between two listings of the sessions, of `start`. @default 3000 */
  readonly listRefreshMs: number
  /** Claims of one tick. @default 10 */
  readonly sessionsPerTick: number
  /** Sessions that a poll takes from those that were looked at longest ago; 0: no slow scan. @default 3 */
  readonly slowScanBatch: number
  /** A session is not scanned more often than this. Milliseconds. @default 120_000 */
  readonly slowScanIntervalMs: number
  /** Sessions per transaction of a listing, which always goes to its end. At most 256. @default 200 */
  readonly listPage: number
  /** Write-ahead records that one tick and one `walRecover` send at most. @default 25 */
  readonly walRecoverLimit: number
  /** How long a stop lets an embedding end that is under way, in milliseconds. @default 30_000 */
  readonly drainMs: number
}

export type IndexProgress =
  | { readonly kind: 'claimed' | 'released' | 'removed' | 'lost'; readonly key: SessionKey }
  | {
      readonly kind: 'committed'
      readonly key: SessionKey
      readonly messages: number
      readonly documents: number
      readonly deleted: number
      readonly embedded: number
      readonly cached: number
      /** The record was written by an earlier run. */
      readonly replayed: boolean
    }
  | { readonly kind: 'failed'; readonly key: SessionKey; readonly failure: Failure; readonly error: unknown }
  /** A record that cannot be decoded, or a text that is refused for good, was put aside. */
  | { readonly kind: 'quarantined'; readonly key: SessionKey; readonly code: string }
  | { readonly kind: 'deferred'; readonly key: SessionKey; readonly failure: Failure }
  | { readonly kind: 'repaired'; readonly key: SessionKey; readonly documents: number }
  | { readonly kind: 'breaker'; readonly breaker: BreakerStatus }
  | { readonly kind: 'observed'; readonly report: ObserveReport }
  | { readonly kind: 'space'; readonly space: SpaceRow }
  /** What no session is at fault for, and what is tried again later: a listing, the emptying of a former space, the loop of `start`. */
  | { readonly kind: 'error'; readonly during: 'listing' | 'retiring' | 'loop'; readonly failure: Failure; readonly error: unknown }
  | { readonly kind: 'left-out'; readonly key: SessionKey; readonly code: 'KEY_TOO_LONG' }

export interface Engine {
  readonly sessions: SessionSource
  /** The observed revision of each session in the last listing of this process, by encoded key. */
  readonly listed: Map<string, string>
  /** What started each session of that listing, by encoded key. */
  readonly parents: Map<string, SessionId>
  /** The revisions of copies that lack what is indexed of a session and ended before it, by encoded key. */
  readonly behind: Map<string, string>
  readonly state: IndexStore
  readonly embedder: Embedder
  /** Of the space that is worked in. */
  readonly sink: Sink
  /** Of spaces that the index was built in before, as far as they still hold documents: deletions reach them too. */
  readonly former: readonly Sink[]
  readonly breakers: { readonly embedder: Breaker; readonly sink: Breaker }
  /** The embedder behind its breaker and the cache. */
  readonly embedding: Embedding
  /** There is one call of a sink at a time. */
  readonly sinkTurn: Turn
  /** Aborted when no new work is to be begun; what is paid for is still put into the WAL. */
  readonly stopping: AbortSignal
  /** False: the sink is written to without write-ahead records. Stays exact, but a crash may repeat embeddings that no cache holds. */
  readonly walEnabled: boolean
  /** From a message to the text that is embedded; takes secrets out where that is asked for. These three come from `projector({ redact })`. */
  readonly project: (node: MessageNode) => Promise<ProjectedMessage>
  /** From the title of a session to what its documents carry; takes secrets out likewise. */
  readonly projectTitle: (title: string) => Promise<string>
  /** Names what these two do beside the rules of PROJECTION_VERSION; '' for nothing. */
  readonly projectName: string
  readonly cache: EmbedCache | undefined
  readonly namespace: string
  /** Asked anew before each decision, since another process may have excluded more. */
  readonly exclude: () => Exclusion
  readonly clock: Clock
  readonly random: () => number
  readonly limits: Limits
  readonly failpoint: (name: string) => void
  /** Never throws. */
  readonly progress: (event: IndexProgress) => void
}

/** The sink that holds the documents of a space. @throws StorageError SINK_FAILED when the caller gave none for it */
export async function sinkOf(
  { sink, former, embedder, state }: Pick<Engine, 'sink' | 'former' | 'embedder' | 'state'>,
  space: string,
): Promise<Sink> {
  const name = (await state.spaces()).find(({ id }) => id === space)?.space
  if (name === undefined || name === embedder.space) return sink
  const found = former.find((one) => one.space === name)
  if (found !== undefined) return found
  throw new StorageError('SINK_FAILED', { reason: 'the sink of an earlier space of the index was not opened' })
}

/** Names what a session puts on each of its documents, and the rules by which text is made: `projectName` is that of the engine. */
export function metaHashOf(meta: SessionMeta, projectName: string): string {
  return shortHash([`${PROJECTION_VERSION}${projectName}`, meta.title, meta.directory, meta.project, meta.source.kind])
}

/** What a message puts on each of its documents. A damaged one is of no known role, and as old as its session. */
export function recordOf({ message }: MessageNode, meta: SessionMeta): { readonly role: string; readonly created: number } {
  if (message === undefined || message.role === 'unknown') return { role: 'unknown', created: meta.created }
  return { role: message.role, created: message.time.created }
}

/** Names what the documents of a message carry beside their text; begins with the name of what is the session's. */
export function documentMeta(metaHash: string, node: MessageNode, meta: SessionMeta): string {
  const { role, created } = recordOf(node, meta)
  return `${metaHash} ${role} ${created}`
}

/** Whether documents carry what the session has now. */
export function carries(documents: string, metaHash: string): boolean {
  return documents.split(' ', 1)[0] === metaHash
}

/** A session is looked at again when any of this differs. */
export function observedRevision(revision: string, meta: SessionMeta, projectName: string): string {
  return shortHash([revision, metaHashOf(meta, projectName), meta.revert ?? ''])
}

function shortHash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)
}

/** Milliseconds, for the n-th failure in a row after `failures` others. */
export function backoffMs(failures: number, random: () => number, { backoffBaseMs, backoffMaxMs }: Limits): number {
  return random() * Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(failures, 30))
}
