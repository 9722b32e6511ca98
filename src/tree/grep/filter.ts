/**
 * Whether the bytes of a document may hold a text, without parsing them.
 *
 * Invariant: never false where the text stands in a string of the document, or in a string of a document that is written in a string of it.
 * JSON may write a character in several ways; what has only one is looked for as it is, the rest by its escapes. So the longest stretch
 * of the text is taken that holds neither quotes, backslashes, slashes nor control characters, and where a stretch is not found, an
 * escape (`\u00e9`) of one of its characters still makes the bytes worth a look, and so does one of an ASCII character, which hardly anybody
 * writes: it may be a piece of an escape in a document within the document.
 */
import type { FormatName } from '../../core/formats.js'

export type ByteFilter = (bytes: Uint8Array) => boolean

/** Undefined where the bytes cannot tell. */
export function byteFilter(text: string, ignoreCase: boolean): ByteFilter | undefined {
  // Half a pair may be found in a whole one, whose bytes do not hold it.
  if (HALF_PAIR.test(text)) return undefined
  const stretch = longest(text.split(OFTEN_ESCAPED))
  if (stretch === '') return undefined
  if (!ignoreCase) return exactFilter(stretch)
  const units = new Map([...new Set(unitsOf(stretch))].map((unit) => [unit, [unit]]))
  addCases(units)
  return anyCaseFilter(stretch, units)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes them
const OFTEN_ESCAPED = /["\\/\u0000-\u001f\u007f]/
const HALF_PAIR = /\p{Surrogate}/u
const ESCAPE = Buffer.from('\\u')

function exactFilter(stretch: string): ByteFilter {
  const wanted = Buffer.from(stretch)
  const units = new Set(unitsOf(stretch))
  return (given) => {
    const bytes = asBuffer(given)
    return bytes.includes(wanted) || hasEscape(bytes, units)
  }
}

/** In the sense of a regular expression with the flag `i` and without `u`: one unit for one unit. */
function anyCaseFilter(stretch: string, cases: ReadonlyMap<number, readonly number[]>): ByteFilter {
  const characters = [...stretch].map((character) => (character.length > 1 ? [character] : textsOf(cases.get(character.charCodeAt(0)) ?? [])))
  // Bytes as characters: then the expression reads a string of one byte each, the fastest there is.
  const expression = new RegExp(characters.map((texts) => `(?:${texts.map(hexOf).join('|')})`).join(''))
  const units = new Set([...cases.values()].flat())
  return (given) => {
    const bytes = asBuffer(given)
    return expression.test(bytes.toString('latin1')) || hasEscape(bytes, units)
  }
}

function textsOf(units: readonly number[]): readonly string[] {
  return units.map((unit) => String.fromCharCode(unit))
}

function hexOf(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}

/** Adds to each unit those that differ from it in case alone. */
function addCases(units: ReadonlyMap<number, number[]>): void {
  const wanted = new Map<number, number[]>()
  for (const [unit, list] of units) {
    if (unit < 0x80) list.push(...asciiCases(unit))
    else wanted.set(canonical(unit), [...(wanted.get(canonical(unit)) ?? []), unit])
  }
  if (wanted.size === 0) return
  for (let other = 0x80; other < 0x10000; other++) {
    for (const unit of wanted.get(canonical(other)) ?? []) if (unit !== other) units.get(unit)?.push(other)
  }
}

function asciiCases(unit: number): readonly number[] {
  const lower = unit | 0x20
  return lower >= 0x61 && lower <= 0x7a ? [unit ^ 0x20] : []
}

/** ECMA-262, Canonicalize, without the flag `u`. */
function canonical(unit: number): number {
  const upper = String.fromCharCode(unit).toUpperCase()
  const code = upper.charCodeAt(0)
  return upper.length > 1 || (unit >= 0x80 && code < 0x80) ? unit : code
}

function hasEscape(bytes: Buffer, units: ReadonlySet<number>): boolean {
  for (let at = bytes.indexOf(ESCAPE); at >= 0; at = bytes.indexOf(ESCAPE, at + 2)) {
    const unit = Number.parseInt(bytes.toString('latin1', at + 2, at + 6), 16)
    if ((unit >= 0x20 && unit < 0x7f) || units.has(unit)) return true
  }
  return false
}

/** Texts that hydrate writes out from JSON, where a document has these: its bytes then cannot tell. */
const WRITTEN_OUT: Partial<Record<FormatName, string>> = { v2: '"error"', codex: '"tools"' }
/** Files of texts may stand in base64 where a document has this, and names a text's type: an image does not. */
const FILE_MARKS: Partial<Record<FormatName, string>> = { v1: 'data:text', v2: '"mime"' }

/** Whether a document may hold texts that its bytes do not show. */
export function mayHide(given: Uint8Array, format: FormatName): boolean {
  const bytes = asBuffer(given)
  const mark = WRITTEN_OUT[format]
  if (mark !== undefined && bytes.includes(mark)) return true
  return bytes.includes(FILE_MARKS[format] ?? 'base64') && (bytes.includes('text/') || bytes.includes('text\\/'))
}

function longest(stretches: readonly string[]): string {
  return stretches.reduce((best, next) => (Buffer.byteLength(next) > Buffer.byteLength(best) ? next : best), '')
}

function unitsOf(text: string): readonly number[] {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
