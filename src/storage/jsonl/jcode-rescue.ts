/**
 * What is whole of a jcode snapshot that is not: fields up to the damage, messages before and behind it, fields behind it. What a crash, a
 * full disk or an editor did to one place hides nothing that stands elsewhere.
 */
import { jsonFlaw, jsonReach } from '../json-damage.js'
import { promptsAmong } from './jcode-prompts.js'
import { type HeavyField, isHeavy, MESSAGES, othersIn, valueAt } from './jcode-split.js'
import { afterBlanks, afterMark, afterNested, afterValue, isBlank } from './jcode-walk.js'
import { BROKEN, CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import type { DocumentRange, SplitDocument } from './log-adapter.js'
import { Skim } from './skim.js'

/**
 * Walks that lead to nothing go over so many bytes together, for each of the document: it may be nothing but beginnings. Those from field to
 * field pass over strings at once.
 */
const WALKS = 8
const FIELD_WALKS = 64

/** So long may be what was put before a name. */
const NEAR = 16

/** Of any bytes that `splitJcode` refuses. */
export function rescueJcode(bytes: Buffer): SplitDocument {
  return new Rescue(bytes).read()
}

class Rescue {
  readonly #bytes: Buffer
  readonly #messages: DocumentRange[] = []
  readonly #damage: DocumentRange[] = []
  readonly #heavy = new Map<string, HeavyField>()
  /** Fields that are light, with their names. */
  readonly #light: DocumentRange[] = []
  /** Where in the field the damage begins. */
  #broken: number | undefined
  #hasList = false
  #walked = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  read(): SplitDocument {
    const bytes = this.#bytes
    const start = afterBlanks(bytes, afterMark(bytes))
    const open = this.#findOpening(start)
    this.#lose(start, open)
    this.#readFields(bytes[open] === OPEN_BRACE ? open + 1 : open)
    const [messages, light] = [this.#messages, this.#light]
    return {
      messages,
      others: othersIn(bytes, this.#heavy),
      get rest() {
        const fields = light.map((field) => bytes.toString('utf8', field.start, field.end))
        return Buffer.from(`{${[...fields, `"${MESSAGES}":[${promptsAmong(bytes, messages).join(',')}]`].join(',')}}`)
      },
      damage: this.#damage,
      flaw: this.#damage.length === 0 ? flawOf(bytes) : undefined,
    }
  }

  /** The bracket that the document begins with; of one that has lost it the first byte, since the next bracket is that of something in it. */
  #findOpening(start: number): number {
    const bytes = this.#bytes
    const [brace, quote] = [OPEN_BRACE, QUOTE].map((byte) => bytes.indexOf(byte, start)) as [number, number]
    return brace >= 0 && (quote < 0 || brace < quote) ? brace : start
  }

  #readFields(from: number): void {
    const bytes = this.#bytes
    for (let at = afterBlanks(bytes, from); at < bytes.length; ) {
      if (bytes[at] === CLOSE_BRACE) {
        // What follows the messages' end is of an older version, if it is of any.
        const next = this.#hasList || isOver(bytes, at + 1) ? bytes.length : this.#nextField(at + 1, NEAR)
        this.#lose(next < bytes.length ? at : at + 1, next)
        at = next
        continue
      }
      const end = this.#readField(at)
      if (end === BROKEN) {
        const broken = this.#broken ?? at
        at = this.#nextField(broken, this.#broken === undefined ? NEAR : nearOf(bytes, broken))
        this.#broken = undefined
        this.#lose(broken, at)
      } else at = afterComma(bytes, end)
    }
  }

  /** Returns where it ends. */
  #readField(from: number): number {
    const bytes = this.#bytes
    // A text that has lost its end has ended at the quote that the next name begins with.
    const at = bytes[from] !== QUOTE && bytes[from - 1] === QUOTE ? from - 1 : from
    const place = valueAt(bytes, at)
    if (place === undefined) return BROKEN
    const { name, start } = place
    // The name may be harmed as the value may.
    if (!jsonReach(bytes, at).isWhole) return BROKEN
    if (name === MESSAGES && bytes[start] === OPEN_BRACKET && !this.#hasList) return this.#readMessages(start)
    const items: DocumentRange[] = []
    const end = name !== undefined && bytes[start] === OPEN_BRACKET ? afterNested(bytes, start, items) : afterValue(bytes, start)
    if (end === BROKEN || !isJson(bytes, start, end)) {
      this.#broken = start
      return BROKEN
    }
    if (name !== undefined && isHeavy(name, bytes[start])) this.#heavy.set(name, { start, end, items })
    else this.#light.push({ start: at, end })
    return end
  }

  /** Returns where the list ends. */
  #readMessages(open: number): number {
    const bytes = this.#bytes
    this.#hasList = true
    for (let at = afterBlanks(bytes, open + 1); at < bytes.length; ) {
      if (bytes[at] === CLOSE_BRACKET) {
        const next = isClosing(bytes, at + 1) ? BROKEN : this.#nextMessage(at + 1)
        if (next === BROKEN) return at + 1
        this.#lose(at, next)
        at = next
        continue
      }
      const { end, isWhole } = jsonReach(bytes, at)
      if (isWhole && bytes[at] === OPEN_BRACE && isJson(bytes, at, end)) {
        this.#messages.push({ start: at, end })
        at = afterComma(bytes, end)
        continue
      }
      let next = this.#nextMessage(at + 1)
      if (next < 0) next = closeAfter(bytes, at)
      if (next < 0) {
        this.#broken = at
        return BROKEN
      }
      this.#lose(at, next)
      at = next
    }
    return bytes.length
  }

  /** Where the next message stands that is whole; -1 where none is. */
  #nextMessage(from: number): number {
    const bytes = this.#bytes
    for (let at = bytes.indexOf(OPEN_BRACE, from); at >= 0 && this.#hasBreath(WALKS); at = bytes.indexOf(OPEN_BRACE, at + 1)) {
      const name = afterBlanks(bytes, at + 1)
      if (bytes.compare(FIRST, 0, FIRST.length, name, Math.min(name + FIRST.length, bytes.length)) !== 0) continue
      const { end, isWhole } = jsonReach(bytes, at)
      this.#walked += end - at
      if (!isWhole || message.run(bytes, at, end) === BROKEN || ![ID, ROLE, CONTENT].every((slot) => message.has(slot))) continue
      const next = bytes[afterBlanks(bytes, end)]
      if ((next === undefined || next === COMMA || next === CLOSE_BRACKET) && isJson(bytes, at, end)) return at
    }
    return -1
  }

  /**
   * Where the next field of the snapshot stands, and not one of something in it: only from there on everything leads to the end.
   * Its messages may follow what is no name, within so many bytes, without a comma.
   */
  #nextField(from: number, near: number): number {
    const bytes = this.#bytes
    for (let at = bytes.indexOf(QUOTE, from); at >= 0 && this.#hasBreath(FIELD_WALKS); at = bytes.indexOf(QUOTE, at + 1)) {
      const isNext = at > from && isParted(bytes, at)
      if (!isNext && at >= from + near) continue
      const place = valueAt(bytes, at)
      if (place === undefined) continue
      const areMessages = !this.#hasList && place.name === MESSAGES && bytes[place.start] === OPEN_BRACKET
      if (areMessages || (isNext && this.#leadsToEnd(at))) return at
    }
    return bytes.length
  }

  #leadsToEnd(from: number): boolean {
    const bytes = this.#bytes
    for (let at = from; ; ) {
      const place = valueAt(bytes, at)
      const end = place === undefined ? BROKEN : afterValue(bytes, place.start)
      if (end === BROKEN) {
        this.#walked += place === undefined ? at - from : bytes.length - from
        return false
      }
      const next = afterBlanks(bytes, end)
      if (bytes[next] === COMMA) at = afterBlanks(bytes, next + 1)
      else {
        this.#walked += next - from
        return bytes[next] === CLOSE_BRACE && isOver(bytes, next + 1)
      }
    }
  }

  #hasBreath(walks: number): boolean {
    return this.#walked <= walks * this.#bytes.length
  }

  /** What parts the range from its neighbours is none of it. A whole object would be taken for a message: it is told as a flaw. */
  #lose(from: number, to: number): void {
    const bytes = this.#bytes
    let [start, end] = [from, to]
    while (start < end && isBetween(bytes[start])) start++
    while (end > start && isBetween(bytes[end - 1])) end--
    if (start < end && !(bytes[start] === OPEN_BRACE && isJson(bytes, start, end))) this.#damage.push({ start, end })
  }
}

const [ID, ROLE, CONTENT] = [0, 1, 2] as const
const message = new Skim({ id: ID, role: ROLE, content: CONTENT })
/** What every message of jcode begins with. */
const FIRST = Buffer.from('"id"')

function flawOf(bytes: Buffer): SplitDocument['flaw'] {
  const { damage, offset } = jsonFlaw(bytes) ?? { damage: 'not JSON', offset: 0 }
  return { offset, reason: damage }
}

function isJson(bytes: Buffer, start: number, end: number): boolean {
  return jsonFlaw(bytes.subarray(start, end)) === undefined
}

/** Behind the comma that follows, or at what stands in its place. */
function afterComma(bytes: Buffer, end: number): number {
  const next = afterBlanks(bytes, end)
  return bytes[next] === COMMA ? afterBlanks(bytes, next + 1) : next
}

/** The bracket that closes the list behind the value; -1 where none does. */
function closeAfter(bytes: Buffer, at: number): number {
  const end = afterValue(bytes, at)
  const next = end === BROKEN ? BROKEN : afterBlanks(bytes, end)
  return next !== BROKEN && bytes[next] === CLOSE_BRACKET ? next : BROKEN
}

/** How far from a broken value the next name may stand without a comma: a text that has lost its end ends at that name's quote. */
function nearOf(bytes: Buffer, start: number): number {
  if (bytes[start] === OPEN_BRACE || bytes[start] === OPEN_BRACKET) return 0
  return bytes[start] === QUOTE ? afterValue(bytes, start) - start : NEAR
}

/** What follows the end of a list. */
function isClosing(bytes: Buffer, from: number): boolean {
  const next = bytes[afterBlanks(bytes, from)]
  return next === undefined || next === COMMA || next === CLOSE_BRACE
}

/** A comma stands before it. */
function isParted(bytes: Buffer, at: number): boolean {
  let before = at - 1
  while (isBlank(bytes[before])) before--
  return bytes[before] === COMMA
}

function isBetween(byte: number | undefined): boolean {
  return byte === COMMA || isBlank(byte)
}

/** Nothing follows, but for what was never written. */
function isOver(bytes: Buffer, from: number): boolean {
  let at = from
  while (at < bytes.length && (bytes[at] === 0 || isBlank(bytes[at]))) at++
  return at === bytes.length
}
