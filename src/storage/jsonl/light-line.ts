/** What is light in a line that is not: an image of megabytes beside a prompt says nothing of the session, and is not parsed to know that. */
import { BACKSLASH, QUOTE } from './json-bytes.js'
import { LIGHT } from './log-adapter.js'
import { parsed } from './log-record.js'

/** Of a text so many bytes are kept: a prompt may stand behind much that an editor put before it. */
const TEXT = 2 ** 18
/** Of what is no text, in bytes: as much as a prompt that is one long word is asked for. */
const DATA = 4096
/** What has neither a blank nor an escape among its first bytes, nor any other letters than ASCII's, is data. */
const FIRST_WORD = 256

/** The document of a line; undefined for what is damaged. Of a line longer than `LIGHT` without the ends of its long strings. */
export function lightIn(bytes: Buffer, start: number, end: number): Record<string, unknown> | undefined {
  if (end - start <= LIGHT) return parsed(bytes, start, end)
  const light = lightened(bytes, start, end)
  return parsed(light, 0, light.length)
}

/** The same JSON with long strings cut off, in one walk from quote to quote. What is no JSON is none afterwards. */
export function lightened(bytes: Buffer, start: number, end: number): Buffer {
  const kept: Uint8Array[] = []
  let from = start
  for (let open = bytes.indexOf(QUOTE, start); open >= 0 && open < end; ) {
    const close = closing(bytes, open, end)
    if (close - open > DATA) {
      const cut = cutOf(bytes, open, close)
      kept.push(bytes.subarray(from, cut))
      from = close
    }
    open = close >= end ? -1 : bytes.indexOf(QUOTE, close + 1)
  }
  kept.push(bytes.subarray(from, end))
  return Buffer.concat(kept)
}

/** The quote that closes a string; `end` where none does. */
function closing(bytes: Buffer, open: number, end: number): number {
  for (let at = bytes.indexOf(QUOTE, open + 1); at >= 0 && at < end; at = bytes.indexOf(QUOTE, at + 1)) {
    let slash = at
    while (bytes[slash - 1] === BACKSLASH) slash--
    if ((at - slash) % 2 === 0) return at
  }
  return end
}

/** Up to where a string is kept: between two characters, and never within an escape. */
function cutOf(bytes: Buffer, open: number, close: number): number {
  const most = open + 1 + (isData(bytes, open + 1) ? DATA : TEXT)
  if (most >= close) return close
  let at = open + 1
  while (at < most) at += bytes[at] !== BACKSLASH ? 1 : bytes[at + 1] === LETTER_U ? 6 : 2
  while (at < close && ((bytes[at] as number) & 0xc0) === 0x80) at++
  return Math.min(at, close)
}

const LETTER_U = 0x75

function isData(bytes: Buffer, from: number): boolean {
  for (let at = from; at < from + FIRST_WORD; at++) {
    const byte = bytes[at] as number
    if (byte <= 0x20 || byte > 0x7e || byte === BACKSLASH) return false
  }
  return true
}
