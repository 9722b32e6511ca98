/** Strings in the bytes of a JSON document, as the texts that they say. Nothing here throws: a hostile line may be nothing but broken escapes. */
import { BACKSLASH, QUOTE } from './json-bytes.js'

/**
 * What the string says that stands from its opening quote to behind the closing one; undefined for anything else, and for a broken one. Raw
 * control characters, for which JSON.parse refuses the whole line, pass where nothing is escaped.
 */
export function textAt(bytes: Buffer, from: number, to: number): string | undefined {
  if (from < 0 || bytes[from] !== QUOTE) return undefined
  const escapes = escapesIn(bytes, from + 1, to - 1)
  if (escapes === NONE) return bytes.toString('utf8', from + 1, to - 1)
  return escapes === WHOLE ? (JSON.parse(bytes.toString('utf8', from, to)) as string) : undefined
}

/** Whether an escape stands between two quotes, in so few bytes that they may say a word of `longest` letters. */
export function mayBeEscaped(bytes: Buffer, from: number, to: number, longest: number): boolean {
  if (to - from > LONGEST_ESCAPE * longest) return false
  for (let at = from; at < to; at++) if (bytes[at] === BACKSLASH) return true
  return false
}

/** Whether the bytes between two quotes say a word of ASCII, its letters as they are or escaped as no program escapes them (`\u0069d`). */
export function says(bytes: Buffer, from: number, to: number, word: Uint8Array): boolean {
  let at = from
  for (let letter = 0; letter < word.length; letter++) {
    const byte = word[letter]
    if (bytes[at] === byte) at++
    else if (bytes[at] !== BACKSLASH) return false
    else if (bytes[at + 1] === LETTER_U && hexAt(bytes, at + 2) === byte) at += LONGEST_ESCAPE
    else if (bytes[at + 1] === SLASH && byte === SLASH) at += 2
    else return false
  }
  return at === to
}

/** Bytes of `\u0069`. */
const LONGEST_ESCAPE = 6
const LETTER_U = 0x75
const SLASH = 0x2f
/** What may stand behind a backslash, besides `u` and four digits. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'))

const [NONE, WHOLE, BROKEN] = [0, 1, 2] as const

/** Whether the bytes of a string have escapes, and whether JSON.parse would take these. */
function escapesIn(bytes: Buffer, from: number, to: number): typeof NONE | typeof WHOLE | typeof BROKEN {
  let [hasEscapes, hasControls] = [false, false]
  let at = from
  for (; at < to; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) return BROKEN
    if (byte < 0x20) hasControls = true
    if (byte !== BACKSLASH) continue
    hasEscapes = true
    const escaped = bytes[at + 1] as number
    if (escaped === LETTER_U && !Number.isNaN(hexAt(bytes, at + 2))) at += LONGEST_ESCAPE - 1
    else if (ESCAPED.has(escaped)) at++
    else return BROKEN
  }
  if (at !== to) return BROKEN
  return !hasEscapes ? NONE : hasControls ? BROKEN : WHOLE
}

/** The value of four hexadecimal digits; NaN where something else stands among them. */
function hexAt(bytes: Buffer, from: number): number {
  let value = 0
  for (let at = from; at < from + 4; at++) value = value * 16 + digitOf(bytes[at] ?? 0)
  return value
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN
}
