/** WAL records: what is needed to bring the sink and the ledger one step on, without reading the session or embedding again. */

import type { MessageId } from '../core/ids.js'
import { messageKey, type SessionKey } from '../core/keys.js'
import type { SessionMeta } from '../tree/types.js'
import { rowOf, type Upsert } from './diff.js'
import type { Embedded, EmbeddedPiece } from './embedding/embedding.js'
import { type Engine, recordOf } from './engine.js'
import type { HeldLease } from './lease.js'
import type { DocumentMetadata } from './ports.js'
import type { Claim, DeadMessage, LedgerEntry, WalRecord, WalRow } from './state/rows.js'
import { documentId } from './text/document.js'

/** Whole messages, cut into groups of about `recordSize` chunks whose texts and vectors fit the budget of one record. */
export function inBatches(upserts: readonly Upsert[], { limits, embedder }: Pick<Engine, 'limits' | 'embedder'>): Upsert[][] {
  const { recordSize, maxInflightBytes, concurrency } = limits
  // A record stands in memory about twice: as it is made, and as its bytes are written.
  const budget = maxInflightBytes / (2 * concurrency)
  const batches: Upsert[][] = []
  let open: Upsert[] = []
  let chunks = 0
  let bytes = 0
  for (const upsert of upserts) {
    const texts = upsert.projected.chunks
    const size = texts.reduce((sum, text) => sum + 2 * text.length + 4 * embedder.dimensions, 0)
    if (open.length > 0 && (chunks >= recordSize || bytes + size > budget)) {
      batches.push(open)
      open = []
      chunks = 0
      bytes = 0
    }
    open.push(upsert)
    chunks += Math.max(1, texts.length)
    bytes += size
  }
  if (open.length > 0) batches.push(open)
  return batches
}

export interface Messages {
  readonly batch: readonly Upsert[]
  readonly meta: SessionMeta
  /** Excluded meanwhile: what was embedded is dropped. */
  readonly isOut: () => boolean
}

export interface MadeRecord {
  /** Of the messages all of whose texts were embedded or put aside; undefined when there are none. */
  readonly record: WalRecord | undefined
  /** Of the vectors of all of them, as far as they got. */
  readonly keys: readonly string[]
  /** Why it lacks the others, see `Embedded`. */
  readonly ended: Embedded['ended']
}

/** Embeds what nobody holds yet, and puts down everything that the rest of the way needs. */
export async function upsertRecord(engine: Engine, { batch, meta, isOut }: Messages, lease: HeldLease): Promise<MadeRecord> {
  const { claim, signal } = lease
  const titled = { ...meta, title: await engine.projectTitle(meta.title) }
  const texts = [...new Set(batch.flatMap(({ projected }) => projected.chunks))]
  const { pieces, keys, computed, ended } = await engine.embedding.embed(texts, { signal, stopping: engine.stopping, isOut })
  const made: RecordParts = { rows: [], deletes: [], ledger: [], dead: [], vectors: new Map() }
  for (const upsert of batch) addMessage(made, upsert, { engine, claim, meta: titled, pieces })
  if (made.ledger.length === 0) return { record: undefined, keys, ended }
  const { rows, deletes, ledger, dead } = made
  const dimensions = rows.length === 0 ? 0 : engine.embedder.dimensions
  const counted = { embedded: computed, cached: Math.max(0, rows.length - computed) }
  const projectName = engine.projectName === '' ? undefined : engine.projectName
  const record = { key: meta.key, space: claim.space, createdAt: engine.clock.now(), projectName, rows, deletes, ledger, drop: [], dead, ...counted }
  return { record: { ...record, dimensions, matrix: matrixOf(made, dimensions) }, keys, ended }
}

interface RecordParts {
  readonly rows: WalRow[]
  readonly deletes: string[]
  readonly ledger: LedgerEntry[]
  readonly dead: DeadMessage[]
  /** The rows of the matrix by embedding key. */
  readonly vectors: Map<string, { readonly place: number; readonly vector: Float32Array }>
}

interface RecordContext {
  readonly engine: Engine
  readonly claim: Claim
  readonly meta: SessionMeta
  readonly pieces: Embedded['pieces']
}

/** Nothing of a message that was not embedded as a whole. A text that was cut has several documents, and those that follow it move on. */
function addMessage(made: RecordParts, upsert: Upsert, { engine, claim, meta, pieces }: RecordContext): void {
  const { node, projected, oldChunks } = upsert
  const found = projected.chunks.map((text) => pieces.get(text))
  if (!found.every((part) => part !== undefined)) return
  const chunks: string[] = []
  const { message } = node.key
  for (const piece of found.flat()) {
    const chunk = chunks.length
    const id = documentId(engine.namespace, node.key, chunk)
    if ('failure' in piece) {
      made.dead.push({ message, chunk, ...piece.failure })
      if (chunk < oldChunks) made.deletes.push(id)
      chunks.push('')
    } else {
      made.rows.push({ id, text: piece.text, vector: placeOf(made, piece), metadata: metadataOf(upsert, meta, chunk, claim) })
      chunks.push(piece.key)
    }
  }
  for (let chunk = chunks.length; chunk < oldChunks; chunk++) made.deletes.push(documentId(engine.namespace, node.key, chunk))
  made.ledger.push({ message, row: rowOf(upsert, { chunks, at: upsert.seen, rev: claim.token }) })
}

/** Equal texts share a row of the matrix. */
function placeOf({ vectors }: RecordParts, { key, vector }: EmbeddedPiece): number {
  const held = vectors.get(key)
  if (held !== undefined) return held.place
  const place = vectors.size
  vectors.set(key, { place, vector })
  return place
}

function matrixOf({ vectors }: RecordParts, dimensions: number): Float32Array {
  const matrix = new Float32Array(vectors.size * dimensions)
  for (const { place, vector } of vectors.values()) matrix.set(vector, place * dimensions)
  return matrix
}

function metadataOf({ node, projected }: Upsert, meta: SessionMeta, chunk: number, { token, space }: Claim): DocumentMetadata {
  const { role, created } = recordOf(node, meta)
  return {
    agent: node.key.agent,
    session_id: node.key.session,
    message_id: node.key.message,
    chunk,
    role,
    created_at: created,
    text_hash: projected.textHash,
    project_id: meta.project,
    directory: meta.directory,
    title: meta.title,
    source: meta.source.kind,
    rev: token,
    space,
    ...(node.log?.trait === 'inherited' && { inherited: true }),
  }
}

/** The documents of removed messages, in records of at most `size` deletions (a message is never split). */
export function deletionRecords(
  engine: Engine,
  { key, space }: Pick<Claim, 'key' | 'space'>,
  removed: readonly LedgerEntry[],
  size: number,
): WalRecord[] {
  const records: WalRecord[] = []
  let deletes: string[] = []
  let drop: MessageId[] = []
  const close = (): void => {
    if (drop.length > 0) records.push(deletionRecord({ key, space }, deletes, drop, engine.clock.now()))
    deletes = []
    drop = []
  }
  for (const { message, row } of removed) {
    deletes.push(...documentIds(engine.namespace, key, message, row.chunks.length))
    drop.push(message)
    if (deletes.length >= size || drop.length >= size) close()
  }
  close()
  return records
}

export function deletionRecord(
  { key, space }: Pick<WalRecord, 'key' | 'space'>,
  deletes: readonly string[],
  drop: readonly MessageId[],
  createdAt: number,
): WalRecord {
  return { key, space, createdAt, rows: [], deletes, ledger: [], drop, dead: [], embedded: 0, cached: 0, dimensions: 0, matrix: new Float32Array(0) }
}

/** In the place of a record that must not reach the sink any more: what it, or a part of it, would have left there goes. */
export function withdrawalOf({ key, space, createdAt, rows, deletes, ledger, drop, embedded, cached }: WalRecord): WalRecord {
  const ids = [...rows.map(({ id }) => id), ...deletes]
  const messages = [...ledger.map(({ message }) => message), ...drop]
  return { ...deletionRecord({ key, space }, ids, messages, createdAt), embedded, cached }
}

export function documentIds(namespace: string, key: SessionKey, message: MessageId, chunks: number): string[] {
  return Array.from({ length: chunks }, (_, chunk) => documentId(namespace, messageKey(key, message), chunk))
}

export function pages<T>(items: readonly T[], size: number): T[][] {
  const cut: T[][] = []
  for (let from = 0; from < items.length; from += size) cut.push(items.slice(from, from + size))
  return cut
}
