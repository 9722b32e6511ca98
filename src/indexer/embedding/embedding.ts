/**
 * Texts to vectors: from the cache, from a call that is under way for the same text, else from the embedder.
 *
 * There is one call of the embedder at a time, of at most `batchSize` texts, and each answer is in the cache before anything else is done.
 * A text that is too long for the embedder is cut in halves; one that it refuses is put aside, and everything else goes on.
 */
import type { Breaker } from '../breaker.js'
import type { Embedder } from '../ports.js'
import type { Failure } from '../state/rows.js'
import { type EmbedCache, embeddingKey } from './embed-cache.js'
import { EmbedJob } from './embed-job.js'
import type { Outcome } from './embed-page.js'
import { createStrikes, type Strikes } from './strikes.js'
import { createTurn, type Turn } from './turn.js'

export interface EmbeddedPiece {
  readonly text: string
  /** See `embeddingKey`. */
  readonly key: string
  readonly vector: Float32Array
}

export interface RefusedPiece {
  readonly failure: Failure
}

export type Piece = EmbeddedPiece | RefusedPiece

export interface Embedded {
  /** What became of each text, in order: one piece, or several when it was too long. Texts that `ended` left over are missing. */
  readonly pieces: ReadonlyMap<string, readonly Piece[]>
  /** Vectors that the embedder was called for. */
  readonly computed: number
  /** Of every vector that was found or made, also of a part of a text. */
  readonly keys: readonly string[]
  /** What ended it before the last text: a service that is down, a stop, or that they are out. */
  readonly ended: { readonly reason: unknown } | undefined
}

export interface EmbedSignals {
  /** Ends the call that is under way. */
  readonly signal: AbortSignal
  /** Once it is aborted no call is begun; the one under way ends. */
  readonly stopping: AbortSignal
  /** Asked before each call: true once the texts are not to be given to anybody any more. */
  readonly isOut?: (() => boolean) | undefined
}

export interface Embedding {
  /** @throws the reason of `signal` */
  embed(texts: readonly string[], signals: EmbedSignals): Promise<Embedded>
}

export interface EmbeddingOptions {
  readonly embedder: Embedder
  readonly cache: EmbedCache | undefined
  readonly breaker: Breaker
  readonly batchSize: number
  readonly failpoint: (name: string) => void
}

/** What the jobs of one embedder share. */
export interface EmbedShared extends EmbeddingOptions {
  readonly turn: Turn
  /** By text. */
  readonly inFlight: Map<string, Flight>
  /** The keys of texts that the embedder found too long. */
  readonly tooLong: Set<string>
  /** By key. */
  readonly strikes: Strikes
  readonly keyOf: (text: string) => string
}

/** A text that one job embeds, and for which others may wait. It lands with undefined when its job gave it up. */
export interface Flight {
  readonly promise: Promise<Outcome | undefined>
  readonly land: (outcome: Outcome | undefined) => void
}

export function createEmbedding(options: EmbeddingOptions): Embedding {
  const { space } = options.embedder
  const keyOf = (text: string): string => embeddingKey(space, 'document', text)
  const shared: EmbedShared = { ...options, turn: createTurn(), inFlight: new Map(), tooLong: new Set(), strikes: createStrikes(), keyOf }
  return { embed: (texts, signals) => new EmbedJob(shared, signals).run(texts) }
}
