/** Vectors packed in memory, searched exactly by cosine. */
import { StorageError } from '../../core/errors.js'
import type { SinkRow } from '../ports.js'

export interface Neighbour {
  /** The row of the document in the database. */
  readonly doc: number
  readonly id: string
  /** The cosine. */
  readonly score: number
}

/** @throws StorageError EMBEDDING_INVALID unless all rows have finite vectors of one length */
export function checkVectors(rows: readonly SinkRow[]): void {
  const dimensions = rows[0]?.vector.length ?? 0
  for (const { id, vector } of rows) {
    if (vector.length !== dimensions || dimensions === 0) {
      throw new StorageError('EMBEDDING_INVALID', { reason: `vectors of ${dimensions} and of ${vector.length} numbers in one call`, key: id })
    }
    if (!vector.every(Number.isFinite)) {
      throw new StorageError('EMBEDDING_INVALID', { reason: 'a vector holds a number that is not finite', key: id })
    }
  }
}

/** Rows by place: the last row takes the place of a deleted one. Memory: 4 bytes a number and about 150 a row. */
export class VectorMatrix {
  readonly dimensions: number
  #values: Float32Array
  /** 1 / length of each row; 0 for a row of length 0, which is at a right angle to everything. */
  #scales: Float64Array
  readonly #docs: number[] = []
  readonly #ids: string[] = []
  readonly #places = new Map<number, number>()

  constructor(dimensions: number, rows: number) {
    this.dimensions = dimensions
    this.#values = new Float32Array(dimensions * rows)
    this.#scales = new Float64Array(rows)
  }

  get bytes(): number {
    return this.#values.byteLength
  }

  set(doc: number, id: string, vector: Float32Array): void {
    const place = this.#places.get(doc) ?? this.#docs.length
    if (place === this.#scales.length) this.#grow()
    this.#values.set(vector, place * this.dimensions)
    this.#scales[place] = scaleOf(vector)
    this.#docs[place] = doc
    this.#ids[place] = id
    this.#places.set(doc, place)
  }

  delete(doc: number): void {
    const place = this.#places.get(doc)
    if (place === undefined) return
    const last = this.#docs.length - 1
    const lastDoc = this.#docs[last] ?? 0
    this.#values.copyWithin(place * this.dimensions, last * this.dimensions, (last + 1) * this.dimensions)
    this.#scales[place] = this.#scales[last] ?? 0
    this.#docs[place] = lastDoc
    this.#ids[place] = this.#ids[last] ?? ''
    this.#places.set(lastDoc, place)
    this.#places.delete(doc)
    this.#docs.pop()
    this.#ids.pop()
  }

  /** The best rows, best first; of all rows, or of those in `docs`. */
  nearest(query: Float32Array, limit: number, docs?: Iterable<number>): readonly Neighbour[] {
    const best = new Best(limit)
    const scale = scaleOf(query)
    if (docs === undefined) for (let place = 0; place < this.#docs.length; place++) this.#offer(best, query, scale, place)
    else {
      for (const doc of docs) {
        const place = this.#places.get(doc)
        if (place !== undefined) this.#offer(best, query, scale, place)
      }
    }
    return best.inOrder()
  }

  #offer(best: Best, query: Float32Array, scale: number, place: number): void {
    const score = dot(query, this.#values, place * this.dimensions) * scale * (this.#scales[place] ?? 0)
    if (score >= best.floor) best.offer({ doc: this.#docs[place] ?? 0, id: this.#ids[place] ?? '', score })
  }

  #grow(): void {
    const rows = Math.max(64, Math.ceil(this.#scales.length * 1.5))
    const values = new Float32Array(rows * this.dimensions)
    const scales = new Float64Array(rows)
    values.set(this.#values)
    scales.set(this.#scales)
    this.#values = values
    this.#scales = scales
  }
}

/** 1 / length, or 0. */
export function scaleOf(vector: Float32Array): number {
  const length = Math.sqrt(dot(vector, vector, 0))
  return length > 0 ? 1 / length : 0
}

/** The product of `vector` with the row of `rows` at `offset`. Four sums at once: the additions need not wait for each other. */
export function dot(vector: Float32Array, rows: Float32Array, offset: number): number {
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  // in bounds by construction; a check per number would cost a third of the speed
  for (const end = vector.length - 3; i < end; i += 4) {
    const at = offset + i
    a += (vector[i] as number) * (rows[at] as number)
    b += (vector[i + 1] as number) * (rows[at + 1] as number)
    c += (vector[i + 2] as number) * (rows[at + 2] as number)
    d += (vector[i + 3] as number) * (rows[at + 3] as number)
  }
  for (; i < vector.length; i++) a += (vector[i] as number) * (rows[offset + i] as number)
  return a + b + (c + d)
}

/** The best `limit` neighbours seen: a heap with the worst of them on top. Equal scores are ordered by id. */
export class Best {
  readonly #limit: number
  readonly #heap: Neighbour[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** What scores less cannot get in. */
  get floor(): number {
    const [worst] = this.#heap
    return worst === undefined || this.#heap.length < this.#limit ? Number.NEGATIVE_INFINITY : worst.score
  }

  offer(candidate: Neighbour): void {
    const heap = this.#heap
    const [worst] = heap
    if (heap.length < this.#limit) this.#rise(heap.push(candidate) - 1)
    else if (worst !== undefined && isBetter(candidate, worst)) {
      heap[0] = candidate
      this.#sink()
    }
  }

  inOrder(): readonly Neighbour[] {
    return this.#heap.sort((a, b) => (isBetter(a, b) ? -1 : 1))
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!this.#swapIfWorse(at, parent)) return
      at = parent
    }
  }

  #sink(): void {
    for (let at = 0; ; ) {
      const left = at * 2 + 1
      const child = this.#isWorse(left + 1, left) ? left + 1 : left
      if (!this.#swapIfWorse(child, at)) return
      at = child
    }
  }

  #isWorse(one: number, other: number): boolean {
    const a = this.#heap[one]
    const b = this.#heap[other]
    return a !== undefined && b !== undefined && isBetter(b, a)
  }

  #swapIfWorse(child: number, parent: number): boolean {
    const [a, b] = [this.#heap[child], this.#heap[parent]]
    if (a === undefined || b === undefined || !isBetter(b, a)) return false
    this.#heap[child] = b
    this.#heap[parent] = a
    return true
  }
}

function isBetter(a: Neighbour, b: Neighbour): boolean {
  return a.score > b.score || (a.score === b.score && a.id < b.id)
}
