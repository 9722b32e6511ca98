/**
 * When a log was written last, as the lines near its end tell: agents write lines again with the times that they had, so the newest of them
 * counts. To ask every line would make a listing dearer by a sixth.
 */
import { timeIn } from '../../core/agents/message-draft.js'
import { CLOSE_BRACE, CLOSE_BRACKET, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import type { LogAdapter } from './log-adapter.js'

/** Lines that end within so many bytes of the end of a file are asked for their time. */
const NEAR_END = 16 * 1024

/** The end of a line in the log, and its time: what stands behind is older. */
export type LateTime = readonly [end: number, time: number]

/** Characters of a time as nearly every line has it: `2026-01-20T15:03:49.065Z`. */
const TIME_LENGTH = 24

export class LineTimes {
  readonly #adapter: LogAdapter
  /** Falling: a line counts while none behind it is newer. */
  readonly #late: LateTime[]
  #near = 0

  /** `late`: of a log that is read on. */
  constructor(adapter: LogAdapter, late: readonly LateTime[] = []) {
    this.#adapter = adapter
    this.#late = [...late]
  }

  /** Of the text that is read; where nobody knows it before it is there, every line counts as near its end. */
  set size(bytes: number) {
    this.#near = bytes - NEAR_END
  }

  /** A line that ends at `until` in the log. */
  see(bytes: Buffer, start: number, end: number, until: number): void {
    if (until < this.#near) return
    const place = this.#adapter.timePlace?.(bytes, start, end) ?? -1
    const time =
      place >= 0 && isTime(bytes, place) ? timeIn(bytes.toString('latin1', place, place + TIME_LENGTH)) : this.#adapter.timeOf(bytes, start, end)
    if (time === undefined) return
    while ((this.#late.at(-1)?.[1] ?? Number.POSITIVE_INFINITY) <= time) this.#late.pop()
    this.#late.push([until, time])
  }

  get late(): readonly LateTime[] {
    return this.#late.filter(([end]) => end >= this.#near)
  }
}

const ZERO = 0x30
const [DASH, COLON, DOT, LETTER_T, LETTER_Z] = [0x2d, 0x3a, 0x2e, 0x54, 0x5a] as const

/** A time that a calendar has, in UTC, to the millisecond. */
function isTime(bytes: Buffer, at: number): boolean {
  if (bytes[at + 4] !== DASH || bytes[at + 7] !== DASH || bytes[at + 10] !== LETTER_T || bytes[at + 13] !== COLON) return false
  if (bytes[at + 16] !== COLON || bytes[at + 19] !== DOT || bytes[at + 23] !== LETTER_Z) return false
  if (!isUpTo(bytes, at, 99) || !isUpTo(bytes, at + 2, 99) || !isDate(bytes, at + 5, 12) || !isDate(bytes, at + 8, 31)) return false
  if (!isUpTo(bytes, at + 11, 23) || !isUpTo(bytes, at + 14, 59) || !isUpTo(bytes, at + 17, 59)) return false
  return isUpTo(bytes, at + 20, 99) && isUpTo(bytes, at + 21, 99)
}

function isDate(bytes: Buffer, at: number, most: number): boolean {
  return isUpTo(bytes, at, most) && (bytes[at] !== ZERO || bytes[at + 1] !== ZERO)
}

/** Two digits of a number that is no larger. */
function isUpTo(bytes: Buffer, at: number, most: number): boolean {
  const tens = (bytes[at] as number) - ZERO
  const ones = (bytes[at + 1] as number) - ZERO
  return tens >= 0 && ones >= 0 && ones <= 9 && tens * 10 + ones <= most
}

const NAME = Buffer.from('"timestamp":"')
const TIME = NAME.length
/** Bytes of the short fields that stand around a time. */
const AROUND = 320

/** Of a line with its time among the fields that stand before anything nested. */
export function timeAhead(bytes: Buffer, start: number, end: number): number {
  const last = Math.min(start + AROUND, end - TIME - TIME_LENGTH - 1)
  for (let at = start + 1; at <= last; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) {
      if (bytes[at + 1] === LETTER && isTimeAt(bytes, at, end)) return at + TIME
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return -1
  }
  return -1
}

/** Of a line with its time among the fields that stand behind everything nested, or before it. */
export function timeAround(bytes: Buffer, start: number, end: number): number {
  const first = Math.max(start + 1, end - AROUND)
  for (let at = end - 2; at >= first; at--) {
    const byte = bytes[at] as number
    if (byte === QUOTE) {
      if (bytes[at + 1] === LETTER && isTimeAt(bytes, at, end)) return at + TIME
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) break
  }
  return timeAhead(bytes, start, end)
}

const LETTER = 0x74

function isTimeAt(bytes: Buffer, at: number, end: number): boolean {
  const close = at + TIME + TIME_LENGTH
  if (close >= end || bytes[close] !== QUOTE) return false
  for (let place = 0; place < TIME; place++) if (bytes[at + place] !== NAME[place]) return false
  return true
}
