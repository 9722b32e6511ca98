/**
 * Walks over the bytes of a snapshot of jcode: from value to value, exact to the bracket. Strings are passed from quote to quote, so what
 * they hold costs little.
 */
import { BACKSLASH, BROKEN, CLOSE_BRACE, CLOSE_BRACKET, COMMA, isScalar, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import type { DocumentRange } from './log-adapter.js'

/** Behind any value, as far as brackets and quotes tell; BROKEN where there is none, or none that ends. */
export function afterValue(bytes: Buffer, start: number): number {
  const first = bytes[start]
  if (first === QUOTE) return afterString(bytes, start)
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return afterNested(bytes, start)
  let end = start
  while (end < bytes.length && isScalar(bytes[end] as number)) end++
  return end === start ? BROKEN : end
}

/** Behind the bracket that closes the one at `open`. `items` takes what stands between the commas of the list, without blanks around it. */
export function afterNested(bytes: Buffer, open: number, items?: DocumentRange[]): number {
  const { length } = bytes
  let depth = 1
  let start = open + 1
  let isTaken = false
  for (let at = open + 1; at < length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) {
      const after = afterString(bytes, at)
      if (after === BROKEN) return BROKEN
      at = after - 1
    } else if (byte === COMMA) {
      if (depth > 1 || items === undefined) continue
      addItem(bytes, start, at, items)
      start = at + 1
      isTaken = false
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      // Two items with no comma between them.
      if (depth === 1 && isTaken && items !== undefined) return BROKEN
      isTaken ||= depth === 1
      depth++
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--
      if (depth > 0) continue
      if (items !== undefined) addItem(bytes, start, at, items)
      return at + 1
    }
  }
  return BROKEN
}

function addItem(bytes: Buffer, from: number, to: number, items: DocumentRange[]): void {
  let [start, end] = [from, to]
  while (start < end && isBlank(bytes[start])) start++
  while (end > start && isBlank(bytes[end - 1])) end--
  if (start < end) items.push({ start, end })
}

/** Behind the closing quote: the first one with an even number of backslashes before it. */
export function afterString(bytes: Buffer, open: number): number {
  for (let quote = bytes.indexOf(QUOTE, open + 1); quote >= 0; quote = bytes.indexOf(QUOTE, quote + 1)) {
    let slash = quote
    while (bytes[slash - 1] === BACKSLASH) slash--
    if ((quote - slash) % 2 === 0) return quote + 1
  }
  return BROKEN
}

export function afterBlanks(bytes: Buffer, start: number): number {
  let at = start
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++
  return at
}

export function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}

/** Behind the byte order mark that the bytes may begin with. */
export function afterMark(bytes: Buffer): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
}
