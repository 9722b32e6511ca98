/**
 * Finds fields in the bytes of a JSON object without building it: exact to the bracket, blind to what stands inside values
 * that nobody asks for. So a line of megabytes costs a walk over its structure, and no object.
 *
 * It is no validator: only what it walks over must be whole. `parseSpan` has the last word on every line.
 */

import { BACKSLASH, BROKEN, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, isScalar, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import { mayBeEscaped, says, textAt } from './json-text.js'
import { type Field, highest, type Level, levelOf, type SkimShape } from './skim-shape.js'

/** The bytes that were found: `from[slot]` and `to[slot]`, quotes included; `from` is -1 where there is no such field. */
export interface Skimmed {
  readonly bytes: Buffer
  readonly from: Int32Array
  readonly to: Int32Array
}

const SPACE = 0x20

export class Skim implements Skimmed {
  bytes: Buffer
  readonly from: Int32Array
  readonly to: Int32Array
  readonly #top: Level
  #end = 0

  constructor(shape: SkimShape) {
    this.#top = levelOf(shape)
    const slots = 1 + highest(shape)
    this.from = new Int32Array(slots)
    this.to = new Int32Array(slots)
    this.bytes = NOTHING
  }

  /**
   * Walks over the object that begins at `start` (blanks may stand before it). Returns where the object ends, or -1 when it does
   * not end before `end` or is no object; what was found until then stays found. Of a field that stands twice the last counts,
   * with what is inside it.
   */
  run(bytes: Buffer, start: number, end: number): number {
    this.bytes = bytes
    this.#end = end
    this.from.fill(-1)
    for (const begin of this.#top.begins) begin()
    const at = afterBlanks(bytes, start, end)
    if (at >= end || bytes[at] !== OPEN_BRACE) return BROKEN
    return this.#object(at, this.#top)
  }

  /** As `run`, and true only when nothing but blanks follows: the bytes are one object, as far as brackets and strings tell. */
  whole(bytes: Buffer, start: number, end: number): boolean {
    const after = this.run(bytes, start, end)
    return after !== BROKEN && afterBlanks(bytes, after, end) === end
  }

  has(slot: number): boolean {
    return (this.from[slot] as number) >= 0
  }

  /** The text of a value that is a string; undefined for anything else, and where there is none. */
  text(slot: number): string | undefined {
    return textAt(this.bytes, this.from[slot] as number, this.to[slot] as number)
  }

  #object(open: number, level: Level): number {
    const { bytes } = this
    const end = this.#end
    let at = afterBlanks(bytes, open + 1, end)
    if (at < end && bytes[at] === CLOSE_BRACE) return at + 1
    while (at < end && bytes[at] === QUOTE) {
      const afterName = this.#string(at)
      if (afterName === BROKEN) return BROKEN
      const field = fieldAt(level, bytes, at + 1, afterName - 1)
      at = afterBlanks(bytes, afterName, end)
      if (at >= end || bytes[at] !== COLON) return BROKEN
      at = afterBlanks(bytes, at + 1, end)
      const after = field === undefined ? this.#skip(at) : this.#take(at, field)
      if (after === BROKEN) return BROKEN
      at = afterBlanks(bytes, after, end)
      if (at >= end) return BROKEN
      if (bytes[at] === CLOSE_BRACE) return at + 1
      if (bytes[at] !== COMMA) return BROKEN
      at = afterBlanks(bytes, at + 1, end)
    }
    return BROKEN
  }

  #take(at: number, { slot, inside, items }: Field): number {
    if (at >= this.#end) return BROKEN
    if (inside !== undefined) {
      this.#forget(inside)
      const after = this.bytes[at] === OPEN_BRACE ? this.#object(at, inside) : this.#skip(at)
      return slot < 0 || after === BROKEN ? after : this.#found(slot, at, after)
    }
    if (items !== undefined) {
      this.#forget(items.level)
      items.begin?.()
      return this.bytes[at] === OPEN_BRACKET ? this.#list(at, items) : this.#skip(at)
    }
    const after = this.#skip(at)
    return after === BROKEN ? BROKEN : this.#found(slot, at, after)
  }

  #found(slot: number, from: number, to: number): number {
    this.from[slot] = from
    this.to[slot] = to
    return to
  }

  #list(open: number, { level, end: told }: NonNullable<Field['items']>): number {
    const { bytes } = this
    const end = this.#end
    let at = afterBlanks(bytes, open + 1, end)
    if (at < end && bytes[at] === CLOSE_BRACKET) return at + 1
    while (at < end) {
      let after: number
      if (bytes[at] === OPEN_BRACE) {
        this.#forget(level)
        after = this.#object(at, level)
        if (after !== BROKEN) told(this)
      } else after = this.#skip(at)
      if (after === BROKEN) return BROKEN
      at = afterBlanks(bytes, after, end)
      if (at >= end) return BROKEN
      if (bytes[at] === CLOSE_BRACKET) return at + 1
      if (bytes[at] !== COMMA) return BROKEN
      at = afterBlanks(bytes, at + 1, end)
    }
    return BROKEN
  }

  #forget({ slots, begins }: Level): void {
    for (const slot of slots) this.from[slot] = -1
    for (const begin of begins) begin()
  }

  /** Over any value. */
  #skip(at: number): number {
    const { bytes } = this
    const end = this.#end
    if (at >= end) return BROKEN
    const first = bytes[at]
    if (first === QUOTE) return this.#string(at)
    if (first === OPEN_BRACE || first === OPEN_BRACKET) return this.#nested(at)
    let next = at
    while (next < end && isScalar(bytes[next] as number)) next++
    return next === at ? BROKEN : next
  }

  #nested(open: number): number {
    const { bytes } = this
    const end = this.#end
    let depth = 1
    for (let at = open + 1; at < end; ) {
      const byte = bytes[at] as number
      if (byte === QUOTE) {
        at = this.#string(at)
        if (at === BROKEN) return BROKEN
        continue
      }
      at++
      if (byte < OPEN_BRACKET) continue
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at
    }
    return BROKEN
  }

  /** Over a string, from its opening quote to behind the closing one: the first one with an even number of backslashes before it. */
  #string(open: number): number {
    const { bytes } = this
    const end = this.#end
    for (let at = open + 1; ; ) {
      const quote = bytes.indexOf(QUOTE, at)
      if (quote < 0 || quote >= end) return BROKEN
      if (bytes[quote - 1] !== BACKSLASH) return quote + 1
      let slash = quote - 1
      while (slash > at && bytes[slash - 1] === BACKSLASH) slash--
      at = quote + 1
      if ((quote - slash) % 2 === 0) return at
    }
  }
}

function afterBlanks(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && (bytes[at] as number) <= SPACE && isBlank(bytes[at] as number)) at++
  return at
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function fieldAt({ byLength }: Level, bytes: Buffer, from: number, to: number): Field | undefined {
  const length = to - from
  for (const field of byLength[length] ?? NO_FIELDS) {
    const { name } = field
    let at = 0
    while (at < length && bytes[from + at] === name[at]) at++
    if (at === length) return field
  }
  return mayBeEscaped(bytes, from, to, byLength.length - 1) ? escapedField(byLength, bytes, from, to) : undefined
}

const NO_FIELDS: readonly Field[] = []

/** No program writes a name with escapes (`"\u0069d"`), and yet it is that name. */
function escapedField(byLength: Level['byLength'], bytes: Buffer, from: number, to: number): Field | undefined {
  for (const fields of byLength) for (const field of fields) if (says(bytes, from, to, field.name)) return field
  return undefined
}

const NOTHING = Buffer.alloc(0)
