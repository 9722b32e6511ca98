/** Texts in the columns of a terminal: wide characters take two, what stands on another character none. */
import stringWidth from 'string-width'
import { onOneLine } from './output.js'

const CHARACTERS = new Intl.Segmenter()
const ASCII = /^[\u0020-\u007e]*$/

/** How many columns a text without control characters takes. The time grows with the square of its length: of what may be long, see `startOf`. */
export function columnsOf(text: string): number {
  if (ASCII.test(text)) return text.length
  let columns = 0
  for (const { segment } of CHARACTERS.segment(text)) columns += widthOf(segment)
  return columns
}

/** Of the characters that were met: measuring one takes longer than finding where it ends. */
const widths = new Map<string, number>()
const MOST_WIDTHS = 10_000

function widthOf(character: string): number {
  const known = widths.get(character)
  if (known !== undefined) return known
  const width = stringWidth(character)
  if (widths.size < MOST_WIDTHS) widths.set(character, width)
  return width
}

export function padTo(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columnsOf(text)))
}

/** On one line, in at most `width` columns. */
export function clip(value: unknown, width = Number.POSITIVE_INFINITY): string {
  const line = onOneLine(value).trim()
  return startOf(line, width) === line ? line : `${startOf(line, width - 1)}…`
}

/** A path in at most `width` columns: its end tells more than its beginning. */
export function clipPath(path: string, width = Number.POSITIVE_INFINITY): string {
  const line = clip(path)
  return startOf(line, width) === line ? line : `…${endOf(line, width - 1)}`
}

/** As many whole characters of a line's beginning as there is room for, in columns. What is beyond is not looked at: it may be long. */
export function startOf(line: string, room: number): string {
  if (line.length * MOST_PER_UNIT <= room) return line
  if (ASCII.test(line)) return line.slice(0, Math.max(0, room))
  const near = line.slice(0, unitsOf(room))
  let columns = 0
  let last = 0
  for (const { segment, index } of CHARACTERS.segment(near)) {
    columns += widthOf(segment)
    if (columns > room) return line.slice(0, index)
    last = index
  }
  return near.length === line.length ? line : near.slice(0, last)
}

/** Likewise of its end. */
export function endOf(line: string, room: number): string {
  const near = line.slice(-unitsOf(room))
  let columns = columnsOf(near)
  if (columns <= room && near.length === line.length) return line
  for (const { segment, index } of CHARACTERS.segment(near)) {
    // The first one may lack its beginning.
    if (columns <= room && index > 0) return near.slice(index)
    columns -= widthOf(segment)
  }
  return ''
}

/** What is shown of a character that is made of more units than this for each column is cut. */
const MOST_UNITS = 16

function unitsOf(room: number): number {
  return MOST_UNITS * (Math.max(0, room) + 1)
}

/** No unit of UTF-16 takes more columns. */
const MOST_PER_UNIT = 2
