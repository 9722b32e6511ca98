/**
 * Words of prose and code, for lexical features and for full text.
 *
 * V8 keeps a place on its stack for each repetition of a class, and throws at some millions of them; so no repetition
 * here goes beyond LONGEST_WORD, whatever the text.
 */

/** In UTF-16 units; a longer run of letters and digits counts as several words. */
const LONGEST_WORD = 65_536
/** A run of letters, marks, digits and underscores: a word, a number or an identifier. In a text that is no longer than a word may be. */
const WORD = /[\p{L}\p{M}\p{N}_]+/gu
const ASCII_WORD = /[A-Za-z0-9_]+/g
const NOT_ASCII = /[\u0080-\uffff]/

export function wordsOf(text: string): readonly string[] {
  const words = windowsOf(text, LONGEST_WORD).map((window) => window.match(NOT_ASCII.test(window) ? WORD : ASCII_WORD) ?? [])
  return words.length === 1 ? (words[0] ?? []) : words.flat()
}

/** The text in windows of at most `length` units, each cut after its last white space if it has any near its end, never within a character. */
export function windowsOf(text: string, length: number): readonly string[] {
  if (text.length <= length) return [text]
  const windows: string[] = []
  for (let start = 0; start < text.length; ) {
    const end = start + length < text.length ? cutBefore(text, start, start + length) : text.length
    windows.push(text.slice(start, end))
    start = end
  }
  return windows
}

const FARTHEST_CUT = 1000
const SPACE = /\s/

function cutBefore(text: string, start: number, last: number): number {
  const first = Math.max(start + 1, last - FARTHEST_CUT)
  for (let at = last; at > first; at--) if (SPACE.test(text.charAt(at - 1))) return at
  const splitsPair = (text.charCodeAt(last) & 0xfc00) === 0xdc00
  return splitsPair && last - 1 > start ? last - 1 : last
}

/** All on one line, each run of white space as one space. */
export function onOneLine(text: string): string {
  let flat = text.replace(SPACES, ' ')
  // a run may have been longer than the expression takes at once
  while (flat.includes('  ')) flat = flat.replace(SPACES, ' ')
  return flat.trim()
}

const SPACES = /\s{1,1000}/g

const COMPOUND = /_|[\p{Ll}\p{N}]\p{Lu}|\p{Lu}{2}\p{Ll}/u
const LOWER_TO_UPPER = /(\p{Ll}\p{N}*)(\p{Lu})/gu
const ACRONYM_TO_WORD = /(\p{Lu})(\p{Lu}\p{Ll})/gu

/** The pieces of an identifier: `parseHTTPHead` -> parse, HTTP, Head; `next_run_at` -> next, run, at. A plain word has none. */
export function piecesOf(word: string): readonly string[] {
  if (isPlain(word) || !COMPOUND.test(word)) return []
  const pieces = word
    .replace(LOWER_TO_UPPER, '$1_$2')
    .replace(ACRONYM_TO_WORD, '$1_$2')
    .split('_')
    .filter((piece) => piece !== '')
  return pieces[0] === word ? [] : pieces
}

/** Most words: small ASCII letters, but for the first. Told without a regular expression. */
function isPlain(word: string): boolean {
  for (let i = 1; i < word.length; i++) {
    const code = word.charCodeAt(i)
    if (code < 97 || code > 122) return false
  }
  return word.charCodeAt(0) !== 95
}

/** A run of a script that is written without spaces between its words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\u30fc]{2,}/gu
const FIRST_UNSPACED = 0x0e00

/** The overlapping pairs of characters in runs of unspaced scripts, where words cannot be told apart without a dictionary. */
export function pairsOf(word: string): readonly string[] {
  const pairs: string[] = []
  if (!reachesUnspaced(word)) return pairs
  for (const [run] of word.matchAll(UNSPACED)) {
    const characters = [...run]
    for (let i = 1; i < characters.length; i++) pairs.push(`${characters[i - 1]}${characters[i]}`)
  }
  return pairs
}

function reachesUnspaced(word: string): boolean {
  for (let i = 0; i < word.length; i++) if (word.charCodeAt(i) >= FIRST_UNSPACED) return true
  return false
}
