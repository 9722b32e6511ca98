/** Spans: the bytes of one leaf, where they came from, and the one place where they are parsed. */
import { isUtf8 } from 'node:buffer'
import { StorageError } from '../core/errors.js'
import { type EntityKey, encodeKey } from '../core/keys.js'
import type { Generation } from './generation.js'
import type { Slab } from './slab.js'

/** Where bytes came from: a whole file, a range of lines in one, or a row of a database. */
export interface SpanSource {
  /** Absolute path of the file or the database. */
  readonly path: string
  /** Table of a row; its id is in the span's key. */
  readonly table?: string
  /** What the row says its record is, where that is a column and not in the document. */
  readonly type?: string
}

/**
 * The bytes of one leaf. Valid until the span, or the reading that it belongs to, is disposed.
 * @throws StorageError SPAN_DISPOSED from every access after that
 */
export interface Span extends Disposable {
  readonly key: EntityKey
  readonly source: SpanSource
  /** Bytes. */
  readonly length: number
  /** Undefined only where a reading asked for no generations (a straight full read). */
  readonly generation: Generation | undefined
  /** A view, not a copy. Copy what must live longer. */
  bytes(): Uint8Array
  /** The bytes decoded as UTF-8. */
  text(): string
}

/** A span inside a slab: no copy, no string, no parse. */
export class SlabSpan implements Span {
  readonly key: EntityKey
  readonly source: SpanSource
  readonly generation: Generation | undefined
  readonly length: number
  readonly #slab: Slab
  readonly #start: number
  #chunk: Buffer | undefined

  constructor(key: EntityKey, source: SpanSource, generation: Generation | undefined, slab: Slab, start: number, length: number) {
    this.key = key
    this.source = source
    this.generation = generation
    this.length = length
    this.#slab = slab
    this.#chunk = slab.chunk
    this.#start = start
  }

  bytes(): Uint8Array {
    return this.#live().subarray(this.#start, this.#start + this.length)
  }

  text(): string {
    return this.#live().toString('utf8', this.#start, this.#start + this.length)
  }

  #live(): Buffer {
    if (this.#chunk !== undefined && !this.#slab.disposed) return this.#chunk
    throw new StorageError('SPAN_DISPOSED', { reason: 'the span has ended', path: this.source.path, key: encodeKey(this.key) })
  }

  [Symbol.dispose](): void {
    this.#chunk = undefined
  }
}

/** A span with a buffer of its own, outside any slab: for single records that outlive the reading. */
export class OwnedSpan implements Span {
  readonly key: EntityKey
  readonly source: SpanSource
  readonly generation: Generation | undefined
  readonly length: number
  #bytes: Buffer | undefined

  constructor(key: EntityKey, source: SpanSource, generation: Generation | undefined, bytes: Buffer) {
    this.key = key
    this.source = source
    this.generation = generation
    this.length = bytes.length
    this.#bytes = bytes
  }

  static copyOf(span: Span): OwnedSpan {
    return new OwnedSpan(span.key, span.source, span.generation, Buffer.from(span.bytes()))
  }

  bytes(): Uint8Array {
    return this.#live()
  }

  text(): string {
    return this.#live().toString('utf8')
  }

  #live(): Buffer {
    if (this.#bytes !== undefined) return this.#bytes
    throw new StorageError('SPAN_DISPOSED', { reason: 'the span has ended', path: this.source.path, key: encodeKey(this.key) })
  }

  [Symbol.dispose](): void {
    this.#bytes = undefined
  }
}

/**
 * Parses the document of a span. Every record of this library is parsed here and nowhere else.
 * @throws StorageError CORRUPT_RECORD, its reason one of: empty, NUL-filled, invalid UTF-8, truncated, not JSON
 * @throws StorageError SPAN_DISPOSED
 */
export function parseSpan(span: Span): unknown {
  const text = span.text()
  try {
    const value: unknown = JSON.parse(text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text)
    // A replacement character is either in the document or stands for bytes that are no UTF-8.
    if (!text.includes('\uFFFD') || isUtf8(span.bytes())) return value
  } catch (error) {
    if (error instanceof StorageError) throw error
  }
  const reason = damageOf(span.bytes(), text)
  throw new StorageError('CORRUPT_RECORD', { reason, path: span.source.path, key: encodeKey(span.key) })
}

const BYTE_ORDER_MARK = 0xfeff

/** What is wrong with bytes that do not parse. */
function damageOf(bytes: Uint8Array, text: string): string {
  if (text.trim() === '') return 'empty'
  if (bytes.every((byte) => byte === 0)) return 'NUL-filled'
  if (!isUtf8(bytes)) return 'invalid UTF-8'
  return endsOpen(text) ? 'truncated' : 'not JSON'
}

/** True when the text ends inside a string or before its outermost bracket closes. */
function endsOpen(text: string): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
  }
  return inString || depth > 0
}
