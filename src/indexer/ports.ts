/** Ports: what the indexer needs from the outside. */
import type { Agent } from '../core/keys.js'

/** Turns texts into vectors of one space. */
export interface Embedder {
  readonly name: string
  /** Names the vector space: provider, model, version, dimensions. Vectors of two spaces are never compared. */
  readonly space: string
  readonly dimensions: number
  /** The texts leave this machine. @default false */
  readonly remote?: boolean | undefined
  /** Texts longer than this, in UTF-16 units, are cut in halves before they are given. @default any length is taken */
  readonly maxCharacters?: number | undefined
  /**
   * Gives texts.length * dimensions numbers, row-major, in the order of the texts. Never given an empty text.
   * @throws StorageError EMBEDDER_UNAVAILABLE, EMBEDDER_REFUSED, EMBEDDER_CHANGED (all that wait for the service are at fault, no text);
   * TEXT_REFUSED, TEXT_TOO_LONG (one of the texts is); EMBEDDING_INVALID; anything else may be either
   */
  embed(texts: readonly string[], options: { readonly kind: 'document' | 'query'; readonly signal?: AbortSignal | undefined }): Promise<Float32Array>
  /**
   * How many of these texts, from the first on, to give in the next call: each answer is kept before the next is asked for.
   * At least 1. @default all of them
   */
  batch?(texts: readonly string[]): number
  /** Whether the service answers and is still what `space` names; embeds nothing. Throws as `embed` does. */
  check?(signal?: AbortSignal): Promise<void>
}

/** Takes secrets out of a text before it leaves the machine. */
export interface Redactor {
  /** Names what it takes out, with its version: with another name, documents are written again. */
  readonly name: string
  redact(text: string): Promise<{ readonly text: string; readonly redacted: number }>
}

/** What a sink knows of a document beside its text. */
export interface DocumentMetadata {
  readonly agent: Agent
  readonly session_id: string
  readonly message_id: string
  readonly chunk: number
  readonly role: string
  /** Epoch milliseconds. */
  readonly created_at: number
  readonly text_hash: string
  readonly project_id: string
  readonly directory: string
  readonly title: string
  /** The kind of store the message was read from. */
  readonly source: string
  /** The fencing token of the write: of two, the greater is newer. */
  readonly rev: number
  /** The id of the vector space, see `SpaceRow`. */
  readonly space: string
  /** Its session copied the message from the one that it was forked from, as its log tells. */
  readonly inherited?: boolean
}

export interface SinkRow {
  readonly id: string
  readonly text: string
  readonly vector: Float32Array
  readonly metadata: DocumentMetadata
}

/** All given fields must match. */
export interface SinkFilter {
  /** The id of a project, or a folder as in `directory`. */
  readonly project?: string
  /** A folder: what ran in it or below it. `C:\work` and `C:/work` are the same one. */
  readonly directory?: string
  readonly role?: string
  readonly agent?: string
  readonly session?: string
  /** The kind of store that the message was read from. */
  readonly source?: string
  /** Epoch milliseconds, inclusive. */
  readonly since?: number
  readonly until?: number
}

export interface SinkHit {
  readonly id: string
  readonly score: number
  readonly text: string
  readonly metadata: DocumentMetadata
}

/** What the sink holds under an id. */
export interface HeldDocument {
  readonly id: string
  readonly text_hash: string
  /** 0 where a document was written before there were any. */
  readonly rev: number
}

/** Where vectors go. Both writes are idempotent by id and are done when their promise resolves. */
export interface Sink extends AsyncDisposable {
  readonly name: string
  /** The space of its vectors, as far as it was known when the sink was opened. */
  readonly space?: string | undefined
  /** The texts leave this machine. @default false */
  readonly remote?: boolean | undefined
  /**
   * @throws StorageError SINK_UNAVAILABLE, SINK_MISMATCH (no document is at fault); SINK_REFUSED: with the id of a document as `key`,
   * that one is refused for good, without a key all are, as with wrong credentials; anything else may be either
   */
  upsert(rows: readonly SinkRow[], options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  delete(ids: readonly string[], options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  count(): Promise<number>
  ids(filter?: SinkFilter): AsyncIterable<HeldDocument>
  nearest(vector: Float32Array, limit: number, filter?: SinkFilter): Promise<readonly SinkHit[]>
  matching(query: string, limit: number, filter?: SinkFilter): Promise<readonly SinkHit[]>
  /** The cosine of each of these documents, in their order; undefined where there is none of that id. Spares search a scan of all vectors. */
  cosines?(vector: Float32Array, ids: readonly string[]): Promise<readonly (number | undefined)[]>
  /**
   * Wipes what deleted documents left behind in its files: their bytes and their terms. Costs time in proportion to all that it holds.
   * A sink that cannot promise it does not have it.
   */
  scrub?(): Promise<void>
  /** Removes the collection itself, with all that is left in it. The sink is of no use afterwards. */
  drop?(): Promise<void>
}

/** A message as text to embed. */
export interface ProjectedMessage {
  readonly chunks: readonly string[]
  /** Bytes beyond the budget of one message, left out. */
  readonly truncatedBytes: number
  readonly textHash: string
  /** Secrets that were taken out. @default 0 */
  readonly redacted?: number | undefined
}
