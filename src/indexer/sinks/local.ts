/** The sink that needs no server: one SQLite file with the documents, their vectors and a full text index. */
import { join, resolve } from 'node:path'
import { StorageError } from '../../core/errors.js'
import { checkBoolean, checkNumber, checkText, LONGEST_MS, withDefaults } from '../../core/options.js'
import type { SqliteDatabase, SqliteStatement, SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import { createTurn } from '../embedding/turn.js'
import type { HeldDocument, Sink, SinkFilter, SinkHit, SinkRow } from '../ports.js'
import { matchExpression, piecesText } from './full-text.js'
import {
  emptyDatabase,
  leaveWalMode,
  localFailure,
  openLocalDatabase,
  removeDatabase,
  schemaVersionOf,
  scrubDatabase,
  snapshot,
  transact,
  whenFree,
} from './local-database.js'
import { conditionOf } from './local-filter.js'
import { openReadOnlyDatabase } from './local-read-only.js'
import { fieldsOf, INSERT_NEW, selectByDoc, selectMatching, selectPage, toHit, UPDATE } from './local-rows.js'
import { LocalVectors } from './local-vectors.js'
import { checkVectors } from './vectors.js'

export interface LocalSinkOptions {
  /** The file; its folder is made when it is missing. */
  readonly path: string
  /** The space of the embedder. Given: a sink that holds vectors of another space is refused. @default '' (not checked) */
  readonly space?: string
  /** Vectors up to this many bytes are kept in memory between searches; more are read from the file each time. @default 536_870_912 */
  readonly maxVectorBytes?: number
  /** How long a call waits for another process that writes, in milliseconds. A write holds up no thread meanwhile. @default 5000 */
  readonly busyTimeoutMs?: number
  /**
   * Only to search: nothing is made, changed or given another mode, and a folder that cannot be written is no obstacle.
   * Where SQLite can, it puts its -shm beside the file, which readers and writers share. @default false
   */
  readonly readOnly?: boolean
}

const localDefaults: Required<LocalSinkOptions> = {
  path: '',
  space: '',
  maxVectorBytes: 512 * 2 ** 20,
  busyTimeoutMs: 5000,
  readOnly: false,
}

/**
 * Vectors are searched exactly, so a search costs time in proportion to the documents that pass the filter.
 * Any number of processes may have one file open. Every call is one transaction: it is done as a whole or not at all.
 * @throws StorageError INVALID_OPTION, STATE_TOO_NEW, STORE_UNSUPPORTED, STATE_UNAVAILABLE, STATE_DAMAGED, SINK_MISMATCH, SINK_FAILED;
 * with `readOnly` also STORE_MISSING, STORE_UNREADABLE, STORE_TOO_LARGE_TO_COPY
 */
export async function openLocalSink(options: LocalSinkOptions): Promise<Sink> {
  const { path, space, maxVectorBytes, busyTimeoutMs, readOnly } = withDefaults(localDefaults, options)
  if (path === '') throw new StorageError('INVALID_OPTION', { reason: 'the local sink needs a path' })
  checkText('path', path)
  if (space !== '') checkText('space', space)
  checkBoolean('readOnly', readOnly)
  checkNumber('maxVectorBytes', maxVectorBytes, 0)
  checkNumber('busyTimeoutMs', busyTimeoutMs, 0, LONGEST_MS)
  const place = resolve(path)
  const timeoutMs = Math.floor(busyTimeoutMs)
  const database = await (readOnly ? openReadOnlyDatabase(place, timeoutMs) : openLocalDatabase(place, timeoutMs))
  try {
    const vectors = new LocalVectors(database, { path: place, space, maxBytes: maxVectorBytes })
    return new LocalSink(database, vectors, { path: place, readOnly, waitMs: timeoutMs })
  } catch (error) {
    database[Symbol.dispose]()
    throw localFailure(error, place)
  }
}

/** The file of a space's documents in the folder of an index. The first space has the plain name, which older versions know. */
export function localSinkPath(directory: string, spaceId: string, { isFirst }: { readonly isFirst: boolean }): string {
  return join(directory, isFirst ? 'documents.db' : `documents-${spaceId}.db`)
}

const IDS_PER_PAGE = 1000

class LocalSink implements Sink {
  readonly name = 'local'
  readonly space: string | undefined
  readonly #database: SqliteDatabase
  readonly #path: string
  readonly #readOnly: boolean
  readonly #waitMs: number
  /** Of the schema; below that of this program only where the file was opened to be read. */
  readonly #version: number
  readonly #vectors: LocalVectors
  /** By their SQL, which is one of few. */
  readonly #statements = new Map<string, SqliteStatement>()
  readonly #turn = createTurn()
  #open = true

  constructor(
    database: SqliteDatabase,
    vectors: LocalVectors,
    { path, readOnly, waitMs }: { readonly path: string; readonly readOnly: boolean; readonly waitMs: number },
  ) {
    this.#database = database
    this.#path = path
    this.#readOnly = readOnly
    this.#waitMs = waitMs
    this.#vectors = vectors
    this.#version = schemaVersionOf(database)
    this.space = vectors.space
  }

  async upsert(rows: readonly SinkRow[], options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#beginWrite(options.signal)
    if (rows.length === 0) return
    checkVectors(rows)
    await this.#write(() => {
      const docs = transact(this.#database, () => {
        this.#vectors.adopt(rows)
        let next = Number(this.#prepare('SELECT coalesce(max(doc), 0) FROM documents').get()?.[0]) + 1
        return rows.map((row) => {
          const doc = this.#store(row, next)
          if (doc === next) next++
          return doc
        })
      })
      for (const [i, row] of rows.entries()) this.#vectors.noteStored(docs[i] ?? 0, row)
    }, options.signal)
  }

  async delete(ids: readonly string[], options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#beginWrite(options.signal)
    if (ids.length === 0) return
    await this.#write(() => {
      const docs = transact(this.#database, () => ids.map((id) => this.#remove(id)))
      for (const doc of docs) if (doc !== undefined) this.#vectors.noteRemoved(doc)
    }, options.signal)
  }

  async count(): Promise<number> {
    this.#begin()
    return this.#attempt(() => Number(this.#prepare('SELECT count(*) FROM documents').get()?.[0]))
  }

  /** In pages, so that no read transaction waits for the consumer: what is written meanwhile may or may not be met. */
  async *ids(filter: SinkFilter = {}): AsyncIterable<HeldDocument> {
    const condition = conditionOf(filter)
    const sql = selectPage(this.#version, condition, IDS_PER_PAGE)
    for (let after: SqlValue = -1; ; ) {
      this.#begin()
      const page: readonly SqlRow[] = this.#attempt(() => this.#prepare(sql).all(after, ...(condition?.values ?? [])))
      for (const [doc = null, id, hash, rev] of page) {
        after = doc
        yield { id: String(id), text_hash: String(hash), rev: Number(rev) }
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
        const row = this.#prepare(selectByDoc(this.#version))
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
    const most = Math.floor(limit)
    const rows = this.#attempt(() =>
      this.#prepare(selectMatching(this.#version, condition)).all(...(condition?.values ?? []), expression, most - 1, most),
    )
    return rows.map((row) => toHit(row))
  }

  async cosines(vector: Float32Array, ids: readonly string[]): Promise<readonly (number | undefined)[]> {
    this.#begin()
    return this.#attempt(() => snapshot(this.#database, () => this.#vectors.cosines(vector, ids)))
  }

  async scrub(): Promise<void> {
    this.#beginWrite()
    this.#attempt(() => scrubDatabase(this.#database, this.#path))
  }

  async drop(): Promise<void> {
    if (!this.#open) return
    this.#beginWrite()
    this.#attempt(() => emptyDatabase(this.#database, this.#path))
    const isAlone = this.#attempt(() => leaveWalMode(this.#database))
    await this[Symbol.asyncDispose]()
    if (isAlone) removeDatabase(this.#path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return
    this.#open = false
    this.#statements.clear()
    this.#vectors.clear()
    this.#database[Symbol.dispose]()
  }

  /**
   * Stores the row as `next`, or as the document that it is already; gives its number.
   * Words are written again only when the text is another one: a replaced row leaves its mark on the statistics that rank
   * all others, and a record delivered a second time after a crash must change no answer.
   */
  #store(row: SinkRow, next: number): number {
    const { id, text, vector } = row
    const fields = fieldsOf(row)
    const isNew = this.#prepare(INSERT_NEW).run(next, ...fields) === 1
    const [held, heldText] = isNew ? [next, undefined] : (this.#prepare('SELECT doc, text FROM documents WHERE id = ?').get(id) ?? [])
    const doc = Number(held)
    if (!isNew) this.#prepare(UPDATE).run(...fields, doc)
    const verb = isNew ? 'INSERT' : 'REPLACE'
    if (heldText !== text) this.#prepare(`${verb} INTO words (rowid, text, pieces) VALUES (?, ?, ?)`).run(doc, text, piecesText(text))
    const blob = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
    this.#prepare(`${verb} INTO vectors (doc, vector) VALUES (?, ?)`).run(doc, blob)
    return doc
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

  /** After those that were asked for before, once no other process writes; `work` may be done again. */
  async #write(work: () => void, signal = new AbortController().signal): Promise<void> {
    try {
      await this.#turn(() => whenFree(this.#database, { waitMs: this.#waitMs, check: () => this.#beginWrite(signal) }, work), signal)
    } catch (error) {
      signal.throwIfAborted()
      throw localFailure(error, this.#path)
    }
  }

  #beginWrite(signal?: AbortSignal): void {
    this.#begin(signal)
    if (this.#readOnly) throw new StorageError('INVALID_OPTION', { reason: 'the sink was opened to be read only', path: this.#path })
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
