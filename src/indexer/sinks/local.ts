/** The sink that needs no server: one SQLite file with the documents, their vectors and a full text index. */
import { resolve } from 'node:path'
import { StorageError } from '../../core/errors.js'
import { isAgent } from '../../core/keys.js'
import { checkNumber, withDefaults } from '../../core/options.js'
import type { SqliteDatabase, SqliteStatement, SqlRow, SqlValue } from '../../storage/sqlite-driver.js'
import type { DocumentMetadata, Sink, SinkFilter, SinkHit, SinkRow } from '../ports.js'
import { matchExpression, piecesText } from './full-text.js'
import { localFailure, openLocalDatabase, snapshot, transact } from './local-database.js'
import { conditionOf } from './local-filter.js'
import { LocalVectors } from './local-vectors.js'

export interface LocalSinkOptions {
  /** The file; its folder is made when it is missing. */
  readonly path: string
  /** The space of the embedder. Given: a sink that holds vectors of another space is refused. @default '' (not checked) */
  readonly space?: string
  /** Vectors up to this many bytes are kept in memory between searches; more are read from the file each time. @default 536_870_912 */
  readonly maxVectorBytes?: number
  /** How long a call waits for another process that writes, in milliseconds. @default 5000 */
  readonly busyTimeoutMs?: number
}

const localDefaults: Required<LocalSinkOptions> = { path: '', space: '', maxVectorBytes: 512 * 2 ** 20, busyTimeoutMs: 5000 }

/**
 * Vectors are searched exactly, so a search costs time in proportion to the documents that pass the filter.
 * Any number of processes may have one file open. Every call is one transaction: it is done as a whole or not at all.
 * @throws StorageError INVALID_OPTION, STATE_TOO_NEW, STORE_UNSUPPORTED, STATE_UNAVAILABLE, STATE_DAMAGED, SINK_MISMATCH, SINK_FAILED
 */
export async function openLocalSink(options: LocalSinkOptions): Promise<Sink> {
  const { path, space, maxVectorBytes, busyTimeoutMs } = withDefaults(localDefaults, options)
  if (path === '') throw new StorageError('INVALID_OPTION', { reason: 'the local sink needs a path' })
  checkNumber('maxVectorBytes', maxVectorBytes, 0)
  checkNumber('busyTimeoutMs', busyTimeoutMs, 0)
  const place = resolve(path)
  const database = await openLocalDatabase(place, Math.floor(busyTimeoutMs))
  try {
    return new LocalSink(database, place, new LocalVectors(database, { path: place, space, maxBytes: maxVectorBytes }))
  } catch (error) {
    database[Symbol.dispose]()
    throw localFailure(error, place)
  }
}

const COLUMNS = [
  'id',
  'text',
  'agent',
  'session_id',
  'message_id',
  'chunk',
  'role',
  'created_at',
  'text_hash',
  'project_id',
  'directory',
  'title',
  'source',
]
const UPSERT = `INSERT INTO documents (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})
  ON CONFLICT (id) DO UPDATE SET ${COLUMNS.map((name) => `${name} = excluded.${name}`).join(', ')} RETURNING doc`
const SELECTED = COLUMNS.map((name) => `d.${name}`).join(', ')
const IDS_PER_PAGE = 1000
/** How much a match in the pieces of identifiers counts beside one in the text. */
const RANK = 'bm25(words, 1.0, 0.6)'

class LocalSink implements Sink {
  readonly name = 'local'
  readonly #database: SqliteDatabase
  readonly #path: string
  readonly #vectors: LocalVectors
  /** By their SQL, which is one of few. */
  readonly #statements = new Map<string, SqliteStatement>()
  #open = true

  constructor(database: SqliteDatabase, path: string, vectors: LocalVectors) {
    this.#database = database
    this.#path = path
    this.#vectors = vectors
  }

  async upsert(rows: readonly SinkRow[], options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#begin(options.signal)
    if (rows.length === 0) return
    this.#vectors.check(rows)
    this.#attempt(() => {
      const docs = transact(this.#database, () => {
        this.#vectors.adopt(rows)
        return rows.map((row) => this.#store(row))
      })
      for (const [i, row] of rows.entries()) this.#vectors.noteStored(docs[i] ?? 0, row)
    })
  }

  async delete(ids: readonly string[], options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#begin(options.signal)
    if (ids.length === 0) return
    this.#attempt(() => {
      const docs = transact(this.#database, () => ids.map((id) => this.#remove(id)))
      for (const doc of docs) if (doc !== undefined) this.#vectors.noteRemoved(doc)
    })
  }

  async count(): Promise<number> {
    this.#begin()
    return this.#attempt(() => Number(this.#prepare('SELECT count(*) FROM documents').get()?.[0]))
  }

  /** In pages, so that no read transaction waits for the consumer: what is written meanwhile may or may not be met. */
  async *ids(filter: SinkFilter = {}): AsyncIterable<{ readonly id: string; readonly text_hash: string }> {
    const condition = conditionOf(filter)
    const sql = `SELECT doc, id, text_hash FROM documents WHERE doc > ?${condition ? ` AND ${condition.sql}` : ''} ORDER BY doc LIMIT ${IDS_PER_PAGE}`
    for (let after: SqlValue = -1; ; ) {
      this.#begin()
      const page: readonly SqlRow[] = this.#attempt(() => this.#prepare(sql).all(after, ...(condition?.values ?? [])))
      for (const [doc = null, id, hash] of page) {
        after = doc
        yield { id: String(id), text_hash: String(hash) }
      }
      if (page.length < IDS_PER_PAGE) return
    }
  }

  /** Scored by cosine. */
  async nearest(vector: Float32Array, limit: number, filter: SinkFilter = {}): Promise<readonly SinkHit[]> {
    this.#begin()
    if (limit < 1) return []
    const condition = conditionOf(filter)
    return this.#attempt(() =>
      snapshot(this.#database, () => {
        const neighbours = this.#vectors.nearest(vector, Math.floor(limit), condition)
        const row = this.#prepare(`SELECT ${SELECTED} FROM documents d WHERE d.doc = ?`)
        return neighbours.flatMap(({ doc, score }) => {
          const found = row.get(doc)
          return found === undefined ? [] : [toHit(found, score)]
        })
      }),
    )
  }

  /** Scored by BM25, the more the better. */
  async matching(query: string, limit: number, filter: SinkFilter = {}): Promise<readonly SinkHit[]> {
    this.#begin()
    const expression = matchExpression(query)
    if (expression === undefined || limit < 1) return []
    const condition = conditionOf(filter)
    // the cross join keeps the full text index outside, and texts are read of the best only
    const sql = `SELECT ${SELECTED}, score FROM (
        SELECT words.rowid AS best, -${RANK} AS score FROM words CROSS JOIN documents m ON m.doc = words.rowid
        WHERE words MATCH ?${condition ? ` AND ${condition.sql}` : ''} ORDER BY score DESC, m.id LIMIT ?
      ) JOIN documents d ON d.doc = best ORDER BY score DESC, d.id`
    const rows = this.#attempt(() => this.#prepare(sql).all(expression, ...(condition?.values ?? []), Math.floor(limit)))
    return rows.map((row) => toHit(row, Number(row[COLUMNS.length])))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return
    this.#open = false
    this.#statements.clear()
    this.#vectors.clear()
    this.#database[Symbol.dispose]()
  }

  #store({ id, text, vector, metadata }: SinkRow): number {
    const doc = this.#prepare(UPSERT).get(...COLUMNS.map((name) => fieldOf(name, id, text, metadata)))?.[0] ?? null
    this.#prepare('REPLACE INTO words (rowid, text, pieces) VALUES (?, ?, ?)').run(doc, text, piecesText(text))
    this.#prepare('REPLACE INTO vectors (doc, vector) VALUES (?, ?)').run(doc, new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
    return Number(doc)
  }

  #remove(id: string): number | undefined {
    const doc = this.#prepare('DELETE FROM documents WHERE id = ? RETURNING doc').get(id)?.[0]
    if (doc === undefined) return undefined
    this.#prepare('DELETE FROM words WHERE rowid = ?').run(doc)
    this.#prepare('DELETE FROM vectors WHERE doc = ?').run(doc)
    return Number(doc)
  }

  #prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #begin(signal?: AbortSignal): void {
    signal?.throwIfAborted()
    if (!this.#open) throw new StorageError('SINK_FAILED', { reason: 'the sink is closed', path: this.#path })
  }

  #attempt<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw localFailure(error, this.#path)
    }
  }
}

function fieldOf(name: string, id: string, text: string, metadata: DocumentMetadata): SqlValue {
  if (name === 'id') return id
  return name === 'text' ? text : metadata[name as keyof DocumentMetadata]
}

function toHit(row: SqlRow, score: number): SinkHit {
  const text = (column: number): string => String(row[column])
  const agent = text(2)
  if (!isAgent(agent)) throw new StorageError('STATE_DAMAGED', { reason: 'a document of the sink names an unknown agent' })
  const metadata: DocumentMetadata = {
    agent,
    session_id: text(3),
    message_id: text(4),
    chunk: Number(row[5]),
    role: text(6),
    created_at: Number(row[7]),
    text_hash: text(8),
    project_id: text(9),
    directory: text(10),
    title: text(11),
    source: text(12),
  }
  return { id: text(0), score, text: text(1), metadata }
}
