/** Strings in the bytes of a JSON document, as the texts that they say. */
import { BACKSLASH, QUOTE } from './json-bytes.js'

/** What the string says that stands from its opening quote to behind the closing one; undefined for anything else, and for a broken one. */
export function textAt(bytes: Buffer, from: number, to: number): string | undefined {
  if (from < 0 || bytes[from] !== QUOTE) return undefined
  if (!hasEscapes(bytes, from + 1, to - 1)) return bytes.toString('utf8', from + 1, to - 1)
  try {
    return JSON.parse(bytes.toString('utf8', from, to)) as string
  } catch {
    return undefined
  }
}

export function hasEscapes(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] === BACKSLASH) return true
  return false
}
