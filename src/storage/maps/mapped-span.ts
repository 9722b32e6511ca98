/** A span inside a mapped file: its bytes are the system's pages of the file, and no read, copy or parse made them. */
import { StorageError } from '../../core/errors.js'
import { type EntityKey, encodeKey } from '../../core/keys.js'
import type { Generation } from '../generation.js'
import type { Span, SpanSource } from '../span.js'
import type { FileMap } from './file-map.js'

/** What a span ends with: the slab of its reading. */
export interface SpanScope {
  readonly disposed: boolean
}

/**
 * Beside SPAN_DISPOSED every access may throw STALE_SPAN: the file is looked at again before each. The bytes themselves are to be used at once
 * or copied, as a file that shrinks while they are used ends the process (see file-map.ts).
 */
export class MappedSpan implements Span {
  readonly key: EntityKey
  readonly source: SpanSource
  readonly generation: Generation | undefined
  readonly length: number
  readonly mapped = true
  readonly #scope: SpanScope
  readonly #offset: number
  #map: FileMap | undefined

  constructor(
    key: EntityKey,
    source: SpanSource,
    generation: Generation | undefined,
    scope: SpanScope,
    map: FileMap,
    offset: number,
    length: number,
  ) {
    this.key = key
    this.source = source
    this.generation = generation
    this.length = length
    this.#scope = scope
    this.#map = map
    this.#offset = offset
  }

  /** @throws StorageError SPAN_DISPOSED, STALE_SPAN */
  bytes(): Uint8Array {
    return this.#live()
  }

  /** @throws StorageError SPAN_DISPOSED, STALE_SPAN */
  text(): string {
    return this.#live().toString('utf8')
  }

  #live(): Buffer {
    if (this.#scope.disposed) this.#map = undefined
    if (this.#map !== undefined) return this.#map.bytes(this.#offset, this.length, this.key)
    throw new StorageError('SPAN_DISPOSED', { reason: 'the span has ended', path: this.source.path, key: encodeKey(this.key) })
  }

  [Symbol.dispose](): void {
    this.#map = undefined
  }
}
