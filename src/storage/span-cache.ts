/**
 * A byte-budgeted cache of single records, least recently used out first.
 * Entries are copies outside any slab, named by key and generation: a newer generation is another entry, never a wrong hit.
 */

import { type EntityKey, encodeKey } from '../core/keys.js'
import type { Generation } from './generation.js'
import { OwnedSpan, type Span, type SpanSource } from './span.js'

interface Entry {
  readonly bytes: Buffer
  readonly source: SpanSource
}

export class SpanCache {
  /** Bytes of content it may hold. */
  readonly budget: number
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(budget: number) {
    this.budget = budget
  }

  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#entries.size
  }

  /** The cached record of this version, as a span that outlives the cache entry. */
  get(key: EntityKey, generation: Generation): Span | undefined {
    const name = nameOf(key, generation)
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    return new OwnedSpan(key, entry.source, generation, entry.bytes)
  }

  /** Keeps a copy of the span's bytes. Spans without a generation, and records above the whole budget, are not kept. */
  put(span: Span): void {
    if (span.generation === undefined || span.length > this.budget) return
    this.remove(span.key, span.generation)
    this.#entries.set(nameOf(span.key, span.generation), { bytes: Buffer.from(span.bytes()), source: span.source })
    this.#bytes += span.length
    this.prune(this.budget)
  }

  /** True when there was such an entry. */
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

  /** Drops the least recently used entries until at most `bytes` are held; how many were dropped. */
  prune(bytes: number): number {
    let dropped = 0
    for (const [name, entry] of this.#entries) {
      if (this.#bytes <= bytes) break
      this.#entries.delete(name)
      this.#bytes -= entry.bytes.length
      dropped++
    }
    return dropped
  }
}

function nameOf(key: EntityKey, generation: Generation): string {
  return `${encodeKey(key)}\u0001${generation}`
}
