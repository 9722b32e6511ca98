/** Words of prose and code, for lexical features and for full text. */

/** A run of letters, marks, digits and underscores: a word, a number or an identifier. */
const WORD = /[\p{L}\p{M}\p{N}_]+/gu
const ASCII_WORD = /[A-Za-z0-9_]+/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII is meant
const ASCII = /^[\u0000-\u007f]*$/

export function wordsOf(text: string): readonly string[] {
  return text.match(ASCII.test(text) ? ASCII_WORD : WORD) ?? []
}

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
