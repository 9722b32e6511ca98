/**
 * What the fields of a line say, found in its bytes or in its document: the answers are the same. A line of a log that is read straight
 * through is parsed once, and what it is then told from its document; any other is not parsed here.
 */
import { timeIn } from '../../core/agents/message-draft.js'
import { isDocument } from '../../core/documents.js'
import { parseText } from '../span.js'
import { isoTime } from './iso-time.js'
import type { LogIndex, LogLine } from './log-index.js'
import { Skim } from './skim.js'
import { type Field, highest, type Level, levelOf, type SkimShape } from './skim-shape.js'
import type { Words } from './words.js'

export interface Fields {
  has(slot: number): boolean
  /** Of a value that is a string; undefined for anything else, and where there is none. */
  text(slot: number): string | undefined
  /** What a known word means. */
  word<T>(words: Words<T>, slot: number): T | undefined
  /** Epoch milliseconds, of an ISO time or of a number of them. */
  time(slot: number): number | undefined
  is(slot: number, value: true | null): boolean
  isText(slot: number): boolean
  /** A text that is not empty. */
  isFilled(slot: number): boolean
  isObject(slot: number): boolean
}

/** One line at a time: the last that was read. What the shape calls at the end of an item asks `now`, not what it is given. */
export class LineFields {
  readonly skim: Skim
  readonly #inBytes: SkimmedFields
  readonly #inDocument: DocumentFields
  now: Fields

  constructor(shape: SkimShape, skim = new Skim(shape)) {
    this.skim = skim
    this.#inBytes = new SkimmedFields(skim)
    this.#inDocument = new DocumentFields(shape, skim)
    this.now = this.#inBytes
  }

  /**
   * Whether the bytes are one whole object. The line of a log that lasts is parsed, unless `fits` refuses what its document says. Of a
   * field that stands twice the last counts.
   */
  read(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex, fits?: () => boolean): boolean {
    const document = log.lasting ? documentIn(bytes, start, end) : undefined
    if (document === undefined) return this.readBytes(bytes, start, end)
    this.now = this.#inDocument
    this.#inDocument.fill(document)
    if (fits !== undefined && !fits()) return this.readBytes(bytes, start, end)
    line.parsed = { document, isShared: false }
    return true
  }

  readBytes(bytes: Buffer, start: number, end: number): boolean {
    this.now = this.#inBytes
    return this.skim.whole(bytes, start, end)
  }
}

/** Undefined for what is damaged or no object. */
function documentIn(bytes: Buffer, start: number, end: number): Record<string, unknown> | undefined {
  const document = parseText(bytes.toString('utf8', start, end))
  return isDocument(document) ? document : undefined
}

const QUOTE = 0x22
const TRUE = Buffer.from('true')
const NULL = Buffer.from('null')
const OPEN_BRACE = 0x7b

class SkimmedFields implements Fields {
  readonly #skim: Skim

  constructor(skim: Skim) {
    this.#skim = skim
  }

  has(slot: number): boolean {
    return this.#skim.has(slot)
  }

  text(slot: number): string | undefined {
    return this.#skim.text(slot)
  }

  word<T>(words: Words<T>, slot: number): T | undefined {
    return words.in(this.#skim, slot)
  }

  time(slot: number): number | undefined {
    const { bytes, from, to } = this.#skim
    return isoTime(bytes, from[slot] as number, to[slot] as number)
  }

  is(slot: number, value: true | null): boolean {
    const { bytes, from, to } = this.#skim
    const start = from[slot] as number
    const word = value === true ? TRUE : NULL
    return start >= 0 && bytes.compare(word, 0, word.length, start, to[slot]) === 0
  }

  isText(slot: number): boolean {
    return this.#begins(slot, QUOTE)
  }

  isFilled(slot: number): boolean {
    return this.isText(slot) && (this.#skim.to[slot] as number) - (this.#skim.from[slot] as number) > 2
  }

  isObject(slot: number): boolean {
    return this.#begins(slot, OPEN_BRACE)
  }

  #begins(slot: number, byte: number): boolean {
    const from = this.#skim.from[slot] as number
    return from >= 0 && this.#skim.bytes[from] === byte
  }
}

interface DocumentField {
  readonly name: string
  readonly slot: number
  readonly inside: readonly DocumentField[] | undefined
  readonly items: DocumentItems | undefined
}

interface DocumentItems {
  readonly fields: readonly DocumentField[]
  readonly slots: readonly number[]
  readonly end: NonNullable<Field['items']>['end']
}

class DocumentFields implements Fields {
  readonly #skim: Skim
  readonly #fields: readonly DocumentField[]
  readonly #begins: readonly (() => void)[]
  readonly #values: unknown[]

  constructor(shape: SkimShape, skim: Skim) {
    this.#skim = skim
    const level = levelOf(shape)
    this.#fields = fieldsOf(level)
    this.#begins = level.begins
    this.#values = new Array<unknown>(1 + highest(shape)).fill(undefined)
  }

  fill(document: Record<string, unknown>): void {
    this.#values.fill(undefined)
    for (const begin of this.#begins) begin()
    this.#take(document, this.#fields)
  }

  has(slot: number): boolean {
    return this.#values[slot] !== undefined
  }

  text(slot: number): string | undefined {
    const value = this.#values[slot]
    return typeof value === 'string' ? value : undefined
  }

  word<T>(words: Words<T>, slot: number): T | undefined {
    const value = this.#values[slot]
    return typeof value === 'string' ? words.of(value) : undefined
  }

  time(slot: number): number | undefined {
    return timeIn(this.#values[slot])
  }

  is(slot: number, value: true | null): boolean {
    return this.#values[slot] === value
  }

  isText(slot: number): boolean {
    return typeof this.#values[slot] === 'string'
  }

  isFilled(slot: number): boolean {
    const value = this.#values[slot]
    return typeof value === 'string' && value !== ''
  }

  isObject(slot: number): boolean {
    return isDocument(this.#values[slot])
  }

  #take(document: Record<string, unknown>, fields: readonly DocumentField[]): void {
    for (let at = 0; at < fields.length; at++) {
      const { name, slot, inside, items } = fields[at] as DocumentField
      const value = document[name]
      if (value === undefined) continue
      if (slot >= 0) this.#values[slot] = value
      if (inside !== undefined && isDocument(value)) this.#take(value, inside)
      else if (items !== undefined && Array.isArray(value)) this.#each(value, items)
    }
  }

  #each(list: readonly unknown[], { fields, slots, end }: DocumentItems): void {
    for (const item of list) {
      if (!isDocument(item)) continue
      for (const slot of slots) this.#values[slot] = undefined
      this.#take(item, fields)
      end(this.#skim)
    }
  }
}

function fieldsOf({ byLength }: Level): readonly DocumentField[] {
  return byLength.flat().map(({ name, slot, inside, items }) => ({
    name: new TextDecoder().decode(name),
    slot,
    inside: inside && fieldsOf(inside),
    items: items && { fields: fieldsOf(items.level), slots: items.level.slots, end: items.end },
  }))
}
