/** Spans: the bytes of one leaf, where they came from, and the one place where they are parsed. */
import { isUtf8 } from 'node:buffer'
import { StorageError } from '../core/errors.js'
import { type EntityKey, encodeKey } from '../core/keys.js'
import type { Generation } from './generation.js'
import { jsonFlaw } from './json-damage.js'
import type { JsonValidator } from './json-validator.js'
import type { Slab } from './slab.js'

/** Where bytes came from: a whole file, a range of lines in one, or a row of a database. */
export interface SpanSource {
  /** Absolute path of the file or the database. */
  readonly path: string
  /** Table of a row; its id is in the span's key. */
  readonly table?: string
  /** What the row says its record is, where that is a column and not in the document; 'answer' of a line that answers calls of a message's tools. */
  readonly type?: string
  /** Of a line of a log: bytes from the start of the file, of the unpacked text where it is packed. */
  readonly offset?: number
  /** Of a line of a log, counted from 1. */
  readonly line?: number
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
  /** Seen through a map of its file. */
  readonly mapped: boolean
  /** A view, not a copy. Copy what must live longer. */
  bytes(): Uint8Array
  /** The bytes decoded as UTF-8. */
  text(): string
  /** The document, where it was parsed already; given once, since typing a document changes it. */
  takeDocument?(): unknown
}

/** A document that was parsed before its record is asked for; undefined when it was taken. */
export interface Parsed {
  document: unknown
  /** Several records are made from it, and none of them changes it. */
  readonly isShared: boolean
}

/** A span inside a slab: no copy, no string, no parse. */
export class SlabSpan implements Span {
  readonly key: EntityKey
  readonly source: SpanSource
  readonly generation: Generation | undefined
  readonly length: number
  readonly mapped = false
  readonly #slab: Slab
  readonly #start: number
  #chunk: Buffer | undefined

  /** `chunk` is one of the slab's. */
  constructor(
    key: EntityKey,
    source: SpanSource,
    generation: Generation | undefined,
    slab: Slab,
    start: number,
    length: number,
    chunk: Buffer = slab.chunk,
  ) {
    this.key = key
    this.source = source
    this.generation = generation
    this.length = length
    this.#slab = slab
    this.#chunk = chunk
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
  readonly mapped = false
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
 * Parses the document of a span. Every record of this library is parsed here or by `parseText`, and nowhere else.
 * @throws StorageError CORRUPT_RECORD, its reason one of JSON_DAMAGES, with the offset; UNREADABLE_RECORD, SPAN_DISPOSED
 */
export function parseSpan(span: Span): unknown {
  const document = span.takeDocument?.()
  return document === undefined ? parseAnew(span) : document
}

/** A document that nobody else has, whatever was parsed already. @throws StorageError as `parseSpan` does */
export function parseAnew(span: Span): unknown {
  const text = textOf(span)
  try {
    const value: unknown = JSON.parse(text)
    if (isWhole(span, text)) return value
  } catch (error) {
    if (error instanceof StorageError) throw error
  }
  throw flawOf(span)
}

/** The document of a text that was decoded as UTF-8; undefined where it is damaged, or may be: then `parseSpan` tells. */
export function parseText(text: string): unknown {
  if (text.includes('\uFFFD')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Checks the syntax of the document of a span without building it, and gives its text, for a look at its outermost bracket.
 * @throws StorageError as `parseSpan` does
 */
export function checkSpan(span: Span, { isValid }: JsonValidator): string {
  const text = textOf(span)
  if (isValid(text) && isWhole(span, text)) return text
  throw flawOf(span)
}

const BYTE_ORDER_MARK = 0xfeff

/** Without its byte order mark. */
function textOf(span: Span): string {
  try {
    const text = span.text()
    return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text
  } catch (cause) {
    if (cause instanceof StorageError) throw cause
    throw new StorageError('UNREADABLE_RECORD', { reason: 'it is too long for a text', path: span.source.path, key: encodeKey(span.key) }, { cause })
  }
}

/** A replacement character is either in the document or stands for bytes that are no UTF-8. */
function isWhole(span: Span, text: string): boolean {
  return !text.includes('\uFFFD') || isUtf8(span.bytes())
}

function flawOf(span: Span): StorageError {
  const { damage, offset } = jsonFlaw(span.bytes()) ?? { damage: 'not JSON' }
  return new StorageError('CORRUPT_RECORD', { reason: damage, path: span.source.path, key: encodeKey(span.key), offset })
}
