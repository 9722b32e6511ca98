/**
 * A byte-budgeted cache of single records, least recently used out first.
 * Entries are copies outside any slab, named by key and generation: a newer generation is another entry, never a wrong hit. One whose file or
 * database is known to have been written to after it was read is not served either, whatever its generation says.
 */
import type { DirtyTracker } from '../core/dirty-tracker.js'
import { type EntityKey, encodeKey } from '../core/keys.js'
import type { Generation } from './generation.js'
import { OwnedSpan, type Span, type SpanSource } from './span.js'

interface Entry {
  readonly bytes: Buffer
  readonly source: SpanSource
  /** The tick at which it was read. */
  readonly readAt: number
  /** Spans that keep it from being dropped. */
  pins: number
}

export class SpanCache {
  /** Bytes of content it may hold; pinned entries may take it above that. */
  readonly budget: number
  readonly #dirty: DirtyTracker | undefined
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(budget: number, dirty?: DirtyTracker) {
    this.budget = budget
    this.#dirty = dirty
  }

  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#entries.size
  }

  /** The cached record of this version, as a span that outlives the cache entry. */
  get(key: EntityKey, generation: Generation): Span | undefined {
    const entry = this.#served(key, generation)
    return entry && new OwnedSpan(key, entry.source, generation, entry.bytes)
  }

  /** Likewise, and until the span is disposed its entry stays, whatever else is cached. */
  pin(key: EntityKey, generation: Generation): Span | undefined {
    const entry = this.#served(key, generation)
    if (entry === undefined) return undefined
    entry.pins++
    return new PinnedSpan(key, entry.source, generation, entry.bytes, () => {
      entry.pins--
      this.prune(this.budget)
    })
  }

  /**
   * Keeps a copy of the span's bytes. Spans without a generation, and records above the whole budget, are not kept.
   * `readAt`: the tick before it was read. @default now, where nobody could write to it in between
   */
  put(span: Span, readAt = this.#dirty?.clock.now ?? 0): void {
    if (span.generation === undefined || span.length > this.budget) return
    this.remove(span.key, span.generation)
    this.#entries.set(nameOf(span.key, span.generation), { bytes: Buffer.from(span.bytes()), source: span.source, readAt, pins: 0 })
    this.#bytes += span.length
    this.prune(this.budget)
  }

  /** True when there was such an entry. A span of it that is pinned keeps its bytes. */
  remove(key: EntityKey, generation: Generation): boolean {
    const name = nameOf(key, generation)
    const entry = this.#entries.get(name)
    if (entry === undefined) return false
    this.#bytes -= entry.bytes.length
    return this.#entries.delete(name)
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  /** Drops the least recently used entries that nobody pins until at most `bytes` are held; how many were dropped. */
  prune(bytes: number): number {
    let dropped = 0
    for (const [name, entry] of this.#entries) {
      if (this.#bytes <= bytes) break
      if (entry.pins > 0) continue
      this.#entries.delete(name)
      this.#bytes -= entry.bytes.length
      dropped++
    }
    return dropped
  }

  #served(key: EntityKey, generation: Generation): Entry | undefined {
    const name = nameOf(key, generation)
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    if ((this.#dirty?.tickOf(entry.source.path) ?? 0) > entry.readAt) {
      this.remove(key, generation)
      return undefined
    }
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    return entry
  }
}

class PinnedSpan extends OwnedSpan {
  #release: (() => void) | undefined

  constructor(key: EntityKey, source: SpanSource, generation: Generation, bytes: Buffer, release: () => void) {
    super(key, source, generation, bytes)
    this.#release = release
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]()
    this.#release?.()
    this.#release = undefined
  }
}

function nameOf(key: EntityKey, generation: Generation): string {
  return `${encodeKey(key)}\u0001${generation}`
}
