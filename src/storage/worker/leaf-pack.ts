/**
 * Leaves on their way between threads: the bytes of all of them in one buffer, which is handed over and not copied,
 * and what is told of each in columns.
 */
import type { Document } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import type { EntityKey } from '../../core/keys.js'
import { issueOf, type StageIssue } from '../../core/stage.js'
import type { Generation } from '../generation.js'
import type { Slab } from '../slab.js'
import { SlabSpan, type Span, type SpanSource } from '../span.js'
import type { Leaf } from '../store.js'

export interface PackedLeaves {
  /** One leaf after the other; there may be room behind the last. */
  readonly bytes: ArrayBuffer
  /** Of each leaf; -1 where an issue stands in its place. */
  readonly lengths: Float64Array
  readonly sources: readonly SpanSource[]
  /** For each leaf, in `sources`. */
  readonly sourceAt: Uint32Array
  /** For each leaf. Missing where each has the one that was asked for. */
  readonly generations?: readonly (Generation | undefined)[] | undefined
  /** Of some leaves, by their places. */
  readonly issues: ReadonlyMap<number, StageIssue>
  readonly rows: ReadonlyMap<number, Document>
  readonly torn: ReadonlySet<number>
}

/** Copies leaves in as they come: a store may end their spans with the next one that it gives. */
export class LeafPacker {
  #bytes: Buffer
  #used = 0
  #asAsked = true
  readonly #lengths: number[] = []
  readonly #sources = new Map<SpanSource, number>()
  readonly #sourceAt: number[] = []
  readonly #generations: (Generation | undefined)[] = []
  readonly #issues = new Map<number, StageIssue>()
  readonly #rows = new Map<number, Document>()
  readonly #torn = new Set<number>()

  /** @param room Bytes that will be needed, as far as that is known */
  constructor(room = 0) {
    this.#bytes = Buffer.allocUnsafeSlow(room)
  }

  get leaves(): number {
    return this.#lengths.length
  }

  get used(): number {
    return this.#used
  }

  /** The last leaf was packed as a span. */
  get endsInSpan(): boolean {
    return (this.#lengths.at(-1) ?? -1) >= 0
  }

  add({ span, issue, row, torn }: PackableLeaf, asked?: Generation): void {
    const place = this.#lengths.length
    const bytes = span === undefined ? issue : bytesOf(span)
    if (span === undefined || !(bytes instanceof Uint8Array)) {
      if (bytes !== undefined && !(bytes instanceof Uint8Array)) this.#issues.set(place, bytes)
      this.#tell(-1, 0, asked, asked)
      return
    }
    this.#append(bytes)
    const source = this.#sources.get(span.source) ?? this.#sources.size
    this.#sources.set(span.source, source)
    this.#tell(bytes.length, source, span.generation, asked)
    if (row !== undefined) this.#rows.set(place, row)
    if (torn === true) this.#torn.add(place)
  }

  /** The leaves, and the buffers to be handed over with them. Nothing can be added after that. */
  finish(): { readonly pack: PackedLeaves; readonly transfer: ArrayBuffer[] } {
    const [lengths, sourceAt] = [Float64Array.from(this.#lengths), Uint32Array.from(this.#sourceAt)]
    const whole = this.#bytes.buffer as ArrayBuffer
    const bytes = this.#used < whole.byteLength / 2 ? whole.slice(0, this.#used) : whole
    const generations = this.#asAsked ? undefined : this.#generations
    const beside = { generations, issues: this.#issues, rows: this.#rows, torn: this.#torn }
    return { pack: { bytes, lengths, sources: [...this.#sources.keys()], sourceAt, ...beside }, transfer: [bytes, lengths.buffer, sourceAt.buffer] }
  }

  #tell(length: number, source: number, generation: Generation | undefined, asked: Generation | undefined): void {
    this.#lengths.push(length)
    this.#sourceAt.push(source)
    this.#generations.push(generation)
    this.#asAsked &&= generation === asked
  }

  #append(bytes: Uint8Array): void {
    if (this.#used + bytes.length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#used + bytes.length, 2 * this.#bytes.length, 4096))
      this.#bytes.copy(grown, 0, 0, this.#used)
      this.#bytes = grown
    }
    this.#bytes.set(bytes, this.#used)
    this.#used += bytes.length
  }
}

interface PackableLeaf {
  readonly span?: Span | undefined
  readonly issue?: StageIssue | undefined
  readonly row?: Document | undefined
  readonly torn?: boolean | undefined
}

/** A mapped file may have been truncated meanwhile. */
function bytesOf(span: Span): Uint8Array | StageIssue {
  try {
    return span.bytes()
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { ...issueOf(error, span.key, span.source.path), transient: error.retryable }
  }
}

/** Gives the leaves of a pack one by one, each as a span of a slab: no copy. */
export class LeafReader {
  readonly #pack: PackedLeaves
  readonly #bytes: Buffer
  #place = 0
  #start = 0

  constructor(pack: PackedLeaves) {
    this.#pack = pack
    this.#bytes = Buffer.from(pack.bytes)
  }

  /** The next leaf is the one in this place. */
  seek(place: number): void {
    this.#place = place
    this.#start = this.#pack.lengths.subarray(0, place).reduce((sum, length) => sum + Math.max(0, length), 0)
  }

  next(slab: Slab, key: EntityKey, asked?: Generation): Leaf {
    const place = this.#place++
    const { lengths, sources, sourceAt, generations, issues, rows, torn } = this.#pack
    const issue = issues.get(place)
    const [length = -1, source] = [lengths[place], sources[sourceAt[place] ?? 0]]
    if (issue !== undefined) return { issue }
    if (length < 0 || source === undefined) throw new RangeError(`there is no leaf ${place} in the answer`)
    if (slab.chunk !== this.#bytes) slab.adopt(this.#bytes)
    const span = new SlabSpan(key, source, generations === undefined ? asked : generations[place], slab, this.#start, length, this.#bytes)
    this.#start += length
    const row = rows.get(place)
    return { span, ...(row !== undefined && { row }), ...(torn.has(place) && { torn: true }) }
  }
}
