/** Documents as Chroma keeps them, and writes in the sizes that it takes. */
import { StorageError } from '../../core/errors.js'
import { isAgent } from '../../core/keys.js'
import type { DocumentMetadata, SinkHit, SinkRow } from '../ports.js'
import { folderKeys } from './chroma-filter.js'

type Scalar = string | number | boolean

/**
 * Every key on every document, none of them null: an upsert merges with the metadata that is there, so a key that is left out
 * keeps its old value.
 */
export function chromaMetadata(metadata: DocumentMetadata): Record<string, Scalar> {
  const {
    agent,
    session_id,
    message_id,
    chunk,
    role,
    created_at,
    text_hash,
    project_id,
    directory,
    title,
    source,
    rev,
    space,
    inherited = false,
  } = metadata
  const own = { agent, session_id, message_id, chunk, role, created_at, text_hash, project_id, directory, title, source, rev, space, inherited }
  const all: Record<string, Scalar> = { ...own, ...folderKeys(directory) }
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, typeof value === 'string' ? wellFormed(value) : value]))
}

/** Half a character is no Unicode, and a request with one is refused as a whole. */
export function wellFormed(text: string): string {
  return text.toWellFormed()
}

/** @throws StorageError STATE_DAMAGED */
export function toMetadata(given: Readonly<Record<string, unknown>> | null | undefined): DocumentMetadata {
  const text = (name: string): string => String(given?.[name] ?? '')
  const number = (name: string): number => Number(given?.[name] ?? 0)
  const agent = text('agent')
  if (!isAgent(agent)) throw new StorageError('STATE_DAMAGED', { reason: 'a document of the collection names an unknown agent' })
  return {
    agent,
    session_id: text('session_id'),
    message_id: text('message_id'),
    chunk: number('chunk'),
    role: text('role'),
    created_at: number('created_at'),
    text_hash: text('text_hash'),
    project_id: text('project_id'),
    directory: text('directory'),
    title: text('title'),
    source: text('source'),
    rev: number('rev'),
    space: text('space'),
    ...(given?.inherited === true && { inherited: true }),
  }
}

export interface Columns {
  readonly ids: readonly string[]
  readonly documents?: readonly (string | null | undefined)[]
  readonly metadatas?: readonly (Readonly<Record<string, unknown>> | null | undefined)[]
}

/** Column-wise answers as documents; `score` is asked for the place of each. */
export function toHits({ ids, documents = [], metadatas = [] }: Columns, score: (place: number) => number): SinkHit[] {
  return ids.map((id, i) => ({ id, score: score(i), text: documents[i] ?? '', metadata: toMetadata(metadatas[i]) }))
}

/** Best first; equal scores by id. */
export function inOrder(hits: readonly SinkHit[]): SinkHit[] {
  return [...hits].sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
}

/** Bytes of a request; the server takes ten times as many. */
const TARGET_BYTES = 4 * 2 ** 20
/** A float32 in base64, and in text for servers that know no base64, about. */
const BYTES_PER_NUMBER = 12
/** Of the keys and values of the metadata, about. */
const METADATA_BYTES = 2048

/** Rows of one request each: at most `most`, and about as many bytes as are good for a server. Each id once, the last row of it. */
export function* batchesOf(rows: readonly SinkRow[], most: number): Generator<readonly SinkRow[]> {
  let batch: SinkRow[] = []
  let bytes = 0
  for (const row of new Map(rows.map((row) => [row.id, row])).values()) {
    const more = Buffer.byteLength(row.text) + row.vector.length * BYTES_PER_NUMBER + METADATA_BYTES
    if (batch.length > 0 && (batch.length >= most || bytes + more > TARGET_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(row)
    bytes += more
  }
  if (batch.length > 0) yield batch
}

export function* pagesOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
