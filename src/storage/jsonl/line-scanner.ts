/**
 * Cuts the bytes of a log into lines, whatever pieces they come in. It says where each line stands, to the byte, and never gives
 * half a line: what follows the last newline is the rest, about which the caller decides.
 *
 * It knows nothing of JSON and throws nothing. A line costs no allocation; one that spans pieces is moved to the start of the buffer.
 */

/** A place between two lines. */
export interface LogPlace {
  /** Bytes from the start of the text. */
  readonly offset: number
  /** How many lines, blank ones too, end before it. */
  readonly line: number
}

export const LOG_START: LogPlace = { offset: 0, line: 0 }

/** 'NUL-filled': a block that a power loss left unwritten. 'too long': a line of more than `maxLine` bytes. */
export type LineDamage = 'NUL-filled' | 'too long'

export interface LineVisitor {
  /**
   * A line without its end (one CR before the newline belongs to it); blank lines are counted and not given. `bytes` are valid only
   * during the call. `offset` is where `bytes[start]` stands in the text, `line` is the line's number, counted from 1. `until` is how far
   * `bytes` hold what follows in the text.
   */
  visit(bytes: Buffer, start: number, end: number, offset: number, line: number, until: number): void
  /**
   * Bytes that are no line. The NULs that a line begins with: what follows them is given as a line of its own, with the same number.
   * A line that is too long: all of it, told when its end was met. `length` in bytes, without the line's end.
   */
  damaged(offset: number, length: number, line: number, reason: LineDamage): void
}

/** What follows the last newline. It is data only when it is one whole object, since no beginning of an object is one. */
export interface Rest {
  /** Where it begins, with the NULs before it: here a later scan goes on. */
  readonly offset: number
  /** Bytes up to where was read; at least 1. */
  readonly length: number
  /** Its number, counted from 1. */
  readonly line: number
  /**
   * Its content, without the NULs before it and a CR behind it; `bytes[start]` stands at `contentOffset`. Empty (`start === end`)
   * when it is blank, or only NULs, or too long. Valid until the scanner is fed again.
   */
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly contentOffset: number
  /** How many NULs it begins with. */
  readonly nuls: number
  /** Bytes behind the NULs, when they are too many for a line; else 0. */
  readonly tooLong: number
}

export interface ScannerOptions {
  /** @default LOG_START */
  readonly from?: LogPlace | undefined
  /** Bytes; longer lines are skipped. @default 33554432 */
  readonly maxLine?: number | undefined
  /** What it reads into first; it is not kept when a line outgrows it. @default 1 MiB of its own */
  readonly buffer?: Buffer | undefined
}

const MAX_LINE = 2 ** 25
const BUFFER = 2 ** 20
/** Less room than this is not worth a read. */
const ROOM = 2 ** 12

const NEWLINE = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const TAB = 0x09
const NUL = 0x00
const OPEN_BRACE = 0x7b
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf]

export class LineScanner {
  readonly #visitor: LineVisitor
  readonly #maxLine: number
  #buffer: Buffer
  /** Where the line that has no end yet begins in the text, and how many lines end before it. */
  #offset: number
  #line: number
  /** Its bytes that were let go: the NULs it begins with, then what was skipped because it is too long. */
  #nuls = 0
  #skipped = 0
  /** Its other bytes: from `#start` to `#end` in the buffer. */
  #start = 0
  #end = 0
  /** How often room was made: from the second time on, what was taken before is moved for it. */
  rooms = 0

  constructor(visitor: LineVisitor, { from = LOG_START, maxLine = MAX_LINE, buffer = Buffer.allocUnsafeSlow(BUFFER) }: ScannerOptions = {}) {
    this.#visitor = visitor
    this.#maxLine = maxLine
    this.#buffer = buffer
    this.#offset = from.offset
    this.#line = from.line
  }

  /** After the last line that has an end. */
  get place(): LogPlace {
    return { offset: this.#offset, line: this.#line }
  }

  /** Up to where bytes of the text were taken. */
  get read(): number {
    return this.#offset + this.#nuls + this.#skipped + this.#end - this.#start
  }

  /** Of the bytes right before `place` as many as asked for; undefined where they are not held any more. Valid until `room`. */
  before(length: number): Buffer | undefined {
    return length <= this.#start && this.#nuls === 0 && this.#skipped === 0 ? this.#buffer.subarray(this.#start - length, this.#start) : undefined
  }

  /** What to read into; never empty, and valid until `filled`. */
  room(): Buffer {
    this.rooms++
    const { length } = this.#buffer
    const held = this.#end - this.#start
    if (length - held < Math.min(ROOM, length / 2)) {
      const larger = Buffer.allocUnsafeSlow(Math.min(2 * length, this.#maxLine + 1 + ROOM))
      this.#buffer.copy(larger, 0, this.#start, this.#end)
      this.#buffer = larger
    } else this.#buffer.copyWithin(0, this.#start, this.#end)
    this.#start = 0
    this.#end = held
    return this.#buffer.subarray(held)
  }

  /** So many bytes were read into `room`. Visits every line that they complete. */
  filled(count: number): void {
    let from = this.#end
    this.#end += count
    // Behind the end stand bytes of earlier reads.
    const taken = this.#buffer.subarray(0, this.#end)
    for (let newline = taken.indexOf(NEWLINE, from); newline >= 0; newline = taken.indexOf(NEWLINE, from)) {
      if (this.#isUsual(newline)) this.#usual(newline)
      else this.#ended(newline)
      from = newline + 1
    }
    this.#letGo()
  }

  /** Nothing stands around the line, as nothing does around nearly all: no NULs, no mark, no CR; it is not blank, nor too long. */
  #isUsual(newline: number): boolean {
    const bytes = this.#buffer
    const start = this.#start
    if (bytes[start] !== OPEN_BRACE || bytes[newline - 1] === RETURN) return false
    return this.#nuls === 0 && this.#skipped === 0 && newline - start <= this.#maxLine
  }

  #usual(newline: number): void {
    const start = this.#start
    this.#visitor.visit(this.#buffer, start, newline, this.#offset, this.#line + 1, this.#end)
    this.#offset += newline + 1 - start
    this.#line++
    this.#start = newline + 1
  }

  /** Undefined when what was read ends with a newline, or nothing was read. */
  rest(): Rest | undefined {
    const { read } = this
    if (read === this.#offset) return undefined
    const bytes = this.#buffer
    const start = this.#start + this.#mark(this.#end)
    let end = this.#beforeReturn(this.#end)
    const held = this.#skipped + end - this.#start
    const tooLong = held > this.#maxLine ? held : 0
    if (tooLong > 0 || isBlank(bytes, start, end)) end = start
    const contentOffset = read - (this.#end - start)
    const [offset, nuls] = [this.#offset, this.#nuls]
    return { offset, length: read - offset, line: this.#line + 1, bytes, start, end, contentOffset, nuls, tooLong }
  }

  #ended(newline: number): void {
    const bytes = this.#buffer
    const line = this.#line + 1
    const end = this.#beforeReturn(newline)
    if (this.#skipped === 0) this.#passNuls(end)
    if (this.#nuls > 0) this.#visitor.damaged(this.#offset, this.#nuls, line, 'NUL-filled')
    const length = this.#skipped + end - this.#start
    if (length > this.#maxLine) this.#visitor.damaged(this.#offset + this.#nuls, length, line, 'too long')
    else {
      const mark = this.#mark(end)
      const start = this.#start + mark
      if (!isBlank(bytes, start, end)) this.#visitor.visit(bytes, start, end, this.#offset + this.#nuls + mark, line, this.#end)
    }
    this.#offset += this.#nuls + this.#skipped + newline + 1 - this.#start
    this.#line = line
    this.#start = newline + 1
    this.#nuls = 0
    this.#skipped = 0
  }

  /** Holds no more of a line without an end than it may have: no run of NULs, and nothing of a line that is too long. */
  #letGo(): void {
    if (this.#skipped === 0) this.#passNuls(this.#end)
    // The last byte may be a CR that belongs to the line's end.
    const last = this.#end - 1
    if (this.#skipped + last - this.#start <= this.#maxLine) return
    this.#skipped += last - this.#start
    this.#start = last
  }

  #passNuls(end: number): void {
    const bytes = this.#buffer
    let at = this.#start
    while (at < end && bytes[at] === NUL) at++
    this.#nuls += at - this.#start
    this.#start = at
  }

  /** The length of the byte order mark that the text begins with. */
  #mark(end: number): number {
    if (this.#offset > 0 || this.#nuls > 0 || this.#skipped > 0 || end - this.#start < BYTE_ORDER_MARK.length) return 0
    return BYTE_ORDER_MARK.every((byte, at) => this.#buffer[this.#start + at] === byte) ? BYTE_ORDER_MARK.length : 0
  }

  #beforeReturn(end: number): number {
    return end > this.#start && this.#buffer[end - 1] === RETURN ? end - 1 : end
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]
    if (byte !== SPACE && byte !== TAB && byte !== RETURN) return false
  }
  return true
}
