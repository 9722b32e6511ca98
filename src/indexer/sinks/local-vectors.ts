/**
 * The vectors of the local sink: read once, then kept in memory as long as no other process writes.
 *
 * Invariant: what is kept equals the file at the version `#version`, plus this handle's own writes since.
 * SQLite moves `data_version` when anybody else commits, and never for one's own commits.
 */
import { StorageError } from '../../core/errors.js'
import type { SqliteDatabase, SqlValue } from '../../storage/sqlite/driver.js'
import type { SinkRow } from '../ports.js'
import type { Condition } from './local-filter.js'
import { Best, dot, type Neighbour, scaleOf, VectorMatrix } from './vectors.js'

export interface LocalVectorsOptions {
  readonly path: string
  /** '': any. */
  readonly space: string
  readonly maxBytes: number
}

export class LocalVectors {
  readonly #database: SqliteDatabase
  readonly #options: LocalVectorsOptions
  #kept: { readonly matrix: VectorMatrix; readonly version: number } | undefined

  constructor(database: SqliteDatabase, options: LocalVectorsOptions) {
    this.#database = database
    this.#options = options
    const space = this.#meta('space')
    if (options.space !== '' && space !== undefined && space !== options.space && !this.#isEmpty()) {
      throw this.#mismatch(`it holds vectors of ${space}, not of ${options.space}`)
    }
  }

  /** What was asked for, else what is held. */
  get space(): string | undefined {
    return this.#options.space === '' ? this.#meta('space') : this.#options.space
  }

  /**
   * The first vectors of an empty sink choose its length and its space; later ones must fit. Called in the transaction that stores them.
   * @throws StorageError SINK_MISMATCH
   */
  adopt(rows: readonly SinkRow[]): void {
    const given = String(rows[0]?.vector.length)
    const { space } = this.#options
    if (this.#isEmpty()) {
      this.#setMeta('dimensions', given)
      this.#setMeta('space', space)
      return
    }
    const dimensions = this.#meta('dimensions')
    if (dimensions !== given) throw this.#mismatch(`it holds vectors of ${dimensions} numbers, not of ${given}`)
    const held = this.#meta('space') ?? ''
    if (space !== '' && held !== '' && held !== space) throw this.#mismatch(`it holds vectors of ${held}, not of ${space}`)
    if (space !== '' && held === '') this.#setMeta('space', space)
  }

  noteStored(doc: number, { id, vector }: SinkRow): void {
    const kept = this.#kept
    if (kept === undefined) return
    if (kept.matrix.dimensions === vector.length) kept.matrix.set(doc, id, vector)
    if (kept.matrix.dimensions !== vector.length || kept.matrix.bytes > this.#options.maxBytes) this.#kept = undefined
  }

  noteRemoved(doc: number): void {
    this.#kept?.matrix.delete(doc)
  }

  /** @throws StorageError SINK_MISMATCH when the query has another length than the vectors */
  nearest(query: Float32Array, limit: number, condition: Condition | undefined): readonly Neighbour[] {
    const dimensions = this.#dimensionsFor(query)
    if (dimensions === 0) return []
    const matrix = this.#matrix(dimensions)
    if (matrix === undefined) return this.#scan(query, limit, condition)
    return matrix.nearest(query, limit, condition && this.#docs(condition))
  }

  /**
   * The cosines of these documents alone, without reading the others.
   * @throws StorageError SINK_MISMATCH when the query has another length than the vectors
   */
  cosines(query: Float32Array, ids: readonly string[]): readonly (number | undefined)[] {
    const dimensions = this.#dimensionsFor(query)
    const scale = scaleOf(query)
    const stored = this.#database.prepare('SELECT vector FROM vectors WHERE doc = (SELECT doc FROM documents WHERE id = ?)')
    return ids.map((id) => {
      const blob = stored.get(id)?.[0]
      if (blob === undefined) return undefined
      const vector = this.#floats(blob, dimensions)
      return dot(query, vector, 0) * scale * scaleOf(vector)
    })
  }

  clear(): void {
    this.#kept = undefined
  }

  /** The length of all vectors, which must be that of the query; 0 when there are none. */
  #dimensionsFor(query: Float32Array): number {
    const dimensions = Number(this.#meta('dimensions') ?? 0)
    if (dimensions === 0 || this.#isEmpty()) return 0
    if (query.length !== dimensions) throw this.#mismatch(`it holds vectors of ${dimensions} numbers, the query has ${query.length}`)
    return dimensions
  }

  #docs({ sql, values }: Condition): readonly number[] {
    const rows = this.#database.prepare(`SELECT doc FROM documents WHERE ${sql}`).all(...values)
    return rows.map(([doc]) => Number(doc))
  }

  /** Everything in memory, or undefined when that would be too much. */
  #matrix(dimensions: number): VectorMatrix | undefined {
    // read before the vectors: a commit between the two reads moves it, so nothing old is taken for new
    const version = this.#number('PRAGMA data_version')
    if (this.#kept?.version === version) return this.#kept.matrix
    this.#kept = undefined
    const rows = this.#number('SELECT count(*) FROM documents')
    if (rows * dimensions * 4 > this.#options.maxBytes) return undefined
    const matrix = new VectorMatrix(dimensions, rows)
    // ids come from their index alone; a join would read the texts as well
    const ids = new Map(
      this.#database
        .prepare('SELECT doc, id FROM documents')
        .all()
        .map(([doc, id]) => [Number(doc), String(id)]),
    )
    for (const [doc, vector] of this.#database.prepare('SELECT doc, vector FROM vectors').iterate()) {
      matrix.set(Number(doc), ids.get(Number(doc)) ?? '', this.#floats(vector, dimensions))
    }
    this.#kept = { matrix, version }
    return matrix
  }

  /** The same answer, row by row from the file. */
  #scan(query: Float32Array, limit: number, condition: Condition | undefined): readonly Neighbour[] {
    const best = new Best(limit)
    const scale = scaleOf(query)
    const where = condition === undefined ? '' : ` WHERE ${condition.sql}`
    const stored = this.#database.prepare(`SELECT d.doc, d.id, v.vector FROM documents d JOIN vectors v ON v.doc = d.doc${where}`)
    for (const [doc, id, blob] of stored.iterate(...(condition?.values ?? []))) {
      const vector = this.#floats(blob, query.length)
      const score = dot(query, vector, 0) * scale * scaleOf(vector)
      if (score >= best.floor) best.offer({ doc: Number(doc), id: String(id), score })
    }
    return best.inOrder()
  }

  #floats(blob: SqlValue | undefined, dimensions: number): Float32Array {
    if (!(blob instanceof Uint8Array) || blob.byteLength !== dimensions * 4) {
      throw new StorageError('STATE_DAMAGED', { reason: 'a stored vector has another length than the others', path: this.#options.path })
    }
    if (blob.byteOffset % 4 === 0) return new Float32Array(blob.buffer, blob.byteOffset, dimensions)
    return new Float32Array(blob.slice().buffer)
  }

  #isEmpty(): boolean {
    return this.#number('SELECT EXISTS (SELECT 1 FROM documents)') === 0
  }

  #meta(name: string): string | undefined {
    const value = this.#database.prepare('SELECT value FROM meta WHERE name = ?').get(name)?.[0]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  #setMeta(name: string, value: string): void {
    this.#database.prepare('REPLACE INTO meta (name, value) VALUES (?, ?)').run(name, value)
  }

  #number(sql: string): number {
    return Number(this.#database.prepare(sql).get()?.[0])
  }

  #mismatch(reason: string): StorageError {
    return new StorageError('SINK_MISMATCH', { reason, path: this.#options.path })
  }
}
