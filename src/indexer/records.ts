/** WAL records: texts become vectors here, and leave for the sink here. */

import { StorageError } from '../core/errors.js'
import type { MessageId } from '../core/ids.js'
import { messageKey, type SessionKey } from '../core/keys.js'
import type { SessionMeta } from '../tree/types.js'
import { rowOf, type Upsert } from './diff.js'
import { documentId } from './document.js'
import { embeddingKey } from './embed-cache.js'
import { type Engine, recordOf } from './engine.js'
import { outside } from './faults.js'
import type { HeldLease } from './lease.js'
import type { DocumentMetadata } from './ports.js'
import type { Claim, LedgerEntry, WalRecord, WalRow } from './state-rows.js'

/** Whole messages, cut into groups of about `size` chunks. */
export function inBatches(upserts: readonly Upsert[], size: number): Upsert[][] {
  const batches: Upsert[][] = []
  let open: Upsert[] = []
  let chunks = 0
  for (const upsert of upserts) {
    open.push(upsert)
    chunks += Math.max(1, upsert.projected.chunks.length)
    if (chunks < size) continue
    batches.push(open)
    open = []
    chunks = 0
  }
  if (open.length > 0) batches.push(open)
  return batches
}

/** Embeds what no cache holds, and puts down everything that the rest of the way needs. */
export async function upsertRecord(engine: Engine, batch: readonly Upsert[], meta: SessionMeta, lease: HeldLease): Promise<WalRecord> {
  const { claim, signal } = lease
  const now = engine.clock.now()
  const title = await engine.projectTitle(meta.title)
  const rows: WalRow[] = []
  const ledger: LedgerEntry[] = []
  const deletes: string[] = []
  const texts = new Map<string, string>()
  const order = new Map<string, number>()
  for (const upsert of batch) {
    const { node, projected, oldChunks } = upsert
    const keys = projected.chunks.map((text) => embeddingKey(engine.embedder.space, 'document', text))
    for (const [chunk, text] of projected.chunks.entries()) {
      const key = keys[chunk] ?? ''
      texts.set(key, text)
      if (!order.has(key)) order.set(key, order.size)
      const id = documentId(engine.namespace, node.key, chunk)
      rows.push({ id, text, vector: order.get(key) ?? 0, metadata: metadataOf(upsert, { ...meta, title }, chunk, claim) })
    }
    for (let chunk = keys.length; chunk < oldChunks; chunk++) deletes.push(documentId(engine.namespace, node.key, chunk))
    ledger.push({ message: node.key.message, row: rowOf(upsert, { chunks: keys, at: now, rev: claim.token }) })
  }
  const { matrix, embedded } = await vectorsOf(engine, texts, signal)
  const dimensions = rows.length === 0 ? 0 : engine.embedder.dimensions
  return {
    key: meta.key,
    space: claim.space,
    createdAt: now,
    rows,
    deletes,
    ledger,
    drop: [],
    dead: [],
    embedded,
    cached: rows.length - embedded,
    dimensions,
    matrix,
  }
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
  }
}

/** One row per text, in the order of the map. Each response is cached at once, so what was paid for survives a crash. */
async function vectorsOf(
  engine: Engine,
  texts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<{ matrix: Float32Array; embedded: number }> {
  const { embedder, cache, limits } = engine
  const { dimensions } = embedder
  const matrix = new Float32Array(texts.size * dimensions)
  const missing: { readonly at: number; readonly key: string; readonly text: string }[] = []
  let at = 0
  for (const [key, text] of texts) {
    const held = cache?.get(key)
    if (held?.length === dimensions) matrix.set(held, at * dimensions)
    else missing.push({ at, key, text })
    at++
  }
  for (let from = 0; from < missing.length; from += limits.batchSize) {
    const page = missing.slice(from, from + limits.batchSize)
    signal.throwIfAborted()
    engine.failpoint('c')
    const texts = page.map(({ text }) => text)
    const vectors = await outside('EMBEDDER_FAILED', () => embedder.embed(texts, { kind: 'document', signal }))
    checkVectors(vectors, page.length, dimensions)
    const entries = page.map(({ key }, i) => ({ key, vector: vectors.subarray(i * dimensions, (i + 1) * dimensions) }))
    await cache?.put(entries)
    for (const [i, { vector }] of entries.entries()) matrix.set(vector, (page[i]?.at ?? 0) * dimensions)
  }
  return { matrix, embedded: missing.length }
}

function checkVectors(vectors: Float32Array, texts: number, dimensions: number): void {
  if (vectors.length !== texts * dimensions) {
    throw new StorageError('EMBEDDING_INVALID', { reason: `${texts} texts gave ${vectors.length} numbers, not ${texts * dimensions}` })
  }
  if (!vectors.every(Number.isFinite)) throw new StorageError('EMBEDDING_INVALID', { reason: 'a vector holds a number that is not finite' })
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

/** Brings the sink and the ledger one record on. Safe to repeat from any point: the record holds all that is needed. */
export async function writeRecord(engine: Engine, lease: HeldLease, record: WalRecord): Promise<void> {
  const seq = await engine.state.walAppend(lease.claim, record)
  engine.failpoint('e')
  await applyRecord(engine, lease, seq, record, false)
}

export async function applyRecord(engine: Engine, lease: HeldLease, seq: number, record: WalRecord, replayed: boolean): Promise<void> {
  const { sink, state, limits, failpoint } = engine
  const { signal } = lease
  for (const page of pages(record.rows, limits.sinkBatchSize)) {
    const { dimensions, matrix } = record
    const rows = page.map(({ id, text, vector, metadata }) => ({
      id,
      text,
      metadata,
      vector: matrix.subarray(vector * dimensions, (vector + 1) * dimensions),
    }))
    await lease.guard()
    await outside('SINK_FAILED', () => sink.upsert(rows, { signal }))
    failpoint('f')
  }
  for (const ids of pages(record.deletes, limits.sinkBatchSize)) {
    await lease.guard()
    await outside('SINK_FAILED', () => sink.delete(ids, { signal }))
    failpoint('k')
  }
  failpoint('g')
  await state.commit(lease.claim, { wal: { seq, record, replayed } })
  failpoint('h')
  engine.progress({
    kind: 'committed',
    key: record.key,
    messages: record.ledger.length,
    documents: record.rows.length,
    deleted: record.deletes.length,
    embedded: record.embedded,
    cached: record.cached,
    replayed,
  })
}

export function pages<T>(items: readonly T[], size: number): T[][] {
  const cut: T[][] = []
  for (let from = 0; from < items.length; from += size) cut.push(items.slice(from, from + size))
  return cut
}
