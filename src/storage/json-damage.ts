/** What is wrong with the bytes of a document that does not parse, and at which byte. Good documents never come here. */
import { isUtf8 } from 'node:buffer'

export const JSON_DAMAGES = ['empty', 'NUL-filled', 'invalid UTF-8', 'truncated', 'not JSON'] as const
export type JsonDamage = (typeof JSON_DAMAGES)[number]

export interface JsonFlaw {
  readonly damage: JsonDamage
  /** In bytes from the start: the first NUL of a run, the first byte that is no UTF-8 or cannot stand there; of a cut text its length. */
  readonly offset: number
}

/** The first flaw of a text by RFC 8259, behind a byte order mark if there is one; undefined where it has none. */
export function jsonFlaw(bytes: Uint8Array): JsonFlaw | undefined {
  const start = hasMark(bytes) ? 3 : 0
  if (isBlank(bytes, start)) return { damage: 'empty', offset: 0 }
  const run = nulRun(bytes)
  if (run !== undefined) return { damage: 'NUL-filled', offset: run }
  const stray = isUtf8(bytes) ? undefined : strayByte(bytes)
  if (stray !== undefined && !stray.cut) return { damage: 'invalid UTF-8', offset: stray.offset }
  const offset = new Scanner(bytes, start).flaw()
  // The text may be cut in the middle of a character; a text that is whole by then has a stray byte behind it.
  if (stray !== undefined && offset !== bytes.length) return { damage: 'invalid UTF-8', offset: stray.offset }
  return offset === undefined ? undefined : { damage: offset === bytes.length ? 'truncated' : 'not JSON', offset }
}

/** How far a value that begins at `start` is JSON: behind it where it is whole, else where it stops to be one. Costs what it walks. */
export function jsonReach(bytes: Uint8Array, start: number): { readonly end: number; readonly isWhole: boolean } {
  return new Scanner(bytes, start).reach()
}

function hasMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
}

function isBlank(bytes: Uint8Array, start: number): boolean {
  let at = start
  while (isSpace(bytes[at])) at++
  return at === bytes.length
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** NULs in a row that no text of another encoding has: a hole that a crash left. */
const RUN = 4

/** Where a file was never written: several NULs, or a tail of them. Single ones may be UTF-16. */
function nulRun(bytes: Uint8Array): number | undefined {
  let end = 0
  for (let at = bytes.indexOf(0); at !== -1; at = bytes.indexOf(0, end)) {
    end = at
    while (bytes[end] === 0) end++
    const isTail = end === bytes.length && (end - at > 1 || at === 0)
    if (end - at >= RUN || isTail) return at
  }
  return undefined
}

/** The first byte that begins no UTF-8 character; `cut` when the text just ends in the middle of one. */
function strayByte(bytes: Uint8Array): { readonly offset: number; readonly cut: boolean } | undefined {
  let at = 0
  while (at < bytes.length) {
    const length = characterLength(bytes, at)
    if (length <= 0) return { offset: at, cut: length === CUT }
    at += length
  }
  return undefined
}

const STRAY = 0
const CUT = -1

/** Bytes of the character that begins here, STRAY where none does, CUT where the text ends within it. */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0
  if (lead < 0x80) return 1
  const length = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0
  for (let n = 1; n < length; n++) {
    const byte = bytes[at + n]
    if (byte === undefined) return CUT
    // Overlong forms, surrogates, and what is beyond U+10FFFF show in the second byte.
    const low = n > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
    const high = n > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
    if (byte < low || byte > high) return STRAY
  }
  return length
}

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'))
const LITERALS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]))

/** Walks over one document without building it and without recursion. Every step leaves `#at` at the flaw when it gives false. */
class Scanner {
  readonly #bytes: Uint8Array
  #at: number
  /** Behind the value that was walked over last. */
  #end = 0
  /** The closing brackets that are still to come. */
  readonly #open: number[] = []

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes
    this.#at = start
  }

  flaw(): number | undefined {
    return this.#document() && this.#at === this.#bytes.length ? undefined : this.#at
  }

  reach(): { readonly end: number; readonly isWhole: boolean } {
    const isWhole = this.#document()
    return { end: isWhole ? this.#end : this.#at, isWhole }
  }

  #document(): boolean {
    while (this.#value()) {
      // Behind a value: the end of the document, of its parent, or the next sibling.
      for (;;) {
        this.#end = this.#at
        const byte = this.#next()
        const close = this.#open.at(-1)
        if (close === undefined) return true
        if (byte === close) {
          this.#open.pop()
          this.#at++
        } else if (byte === COMMA) {
          this.#at++
          if (close === CLOSE_BRACE && !this.#name()) return false
          break
        } else return false
      }
    }
    return false
  }

  /** A scalar, an empty list or object, or the way to the first value inside one. */
  #value(): boolean {
    for (;;) {
      const byte = this.#next()
      if (byte !== OPEN_BRACE && byte !== OPEN_BRACKET) return this.#scalar(byte)
      const close = byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET
      this.#at++
      if (this.#next() === close) {
        this.#at++
        return true
      }
      this.#open.push(close)
      if (close === CLOSE_BRACE && !this.#name()) return false
    }
  }

  /** A member's name and its colon. */
  #name(): boolean {
    if (this.#next() !== QUOTE || !this.#string() || this.#next() !== COLON) return false
    this.#at++
    return true
  }

  #scalar(byte: number | undefined): boolean {
    if (byte === QUOTE) return this.#string()
    if (byte === MINUS || isDigit(byte)) return this.#number()
    const word = byte === undefined ? undefined : LITERALS.get(byte)
    if (word === undefined) return false
    for (const expected of word) {
      if (this.#bytes[this.#at] !== expected) return false
      this.#at++
    }
    return true
  }

  #string(): boolean {
    this.#at++
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined || byte < 0x20) return false
      this.#at++
      if (byte === QUOTE) return true
      if (byte === BACKSLASH && !this.#escape()) return false
    }
  }

  #escape(): boolean {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) return false
    if (byte !== 0x75 && !ESCAPED.has(byte)) return false
    this.#at++
    for (let digits = byte === 0x75 ? 4 : 0; digits > 0; digits--) {
      if (!isHexDigit(this.#bytes[this.#at])) return false
      this.#at++
    }
    return true
  }

  #number(): boolean {
    if (this.#bytes[this.#at] === MINUS) this.#at++
    if (this.#bytes[this.#at] === 0x30) this.#at++
    else if (!this.#digits()) return false
    if (this.#bytes[this.#at] === 0x2e) {
      this.#at++
      if (!this.#digits()) return false
    }
    const exponent = this.#bytes[this.#at]
    if (exponent !== 0x65 && exponent !== 0x45) return true
    this.#at++
    const sign = this.#bytes[this.#at]
    if (sign === 0x2b || sign === MINUS) this.#at++
    return this.#digits()
  }

  #digits(): boolean {
    const start = this.#at
    while (isDigit(this.#bytes[this.#at])) this.#at++
    return this.#at > start
  }

  /** The next byte that is no white space. */
  #next(): number | undefined {
    while (isSpace(this.#bytes[this.#at])) this.#at++
    return this.#bytes[this.#at]
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number | undefined): boolean {
  return isDigit(byte) || (byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
}
