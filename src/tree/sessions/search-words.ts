/**
 * The words of a text as a search for sessions compares them: without case and accents.
 *
 * They are those of FTS5's unicode61 for the letters that both know, and whole words where unicode61 cuts at vowel signs. A table that
 * holds `searchWords(text).join(' ')` under the tokenizer `ascii` has exactly these words, on every version of SQLite.
 */

const WORD = /[\p{L}\p{N}\p{Co}][\p{L}\p{M}\p{N}\p{Co}]*/gu
/** The accents of Latin, Greek and Cyrillic; the marks of other scripts are letters to their readers. */
const ACCENT = /[\u0300-\u036f]/g
const ASCII = /^[\0-\x7f]*$/

/** A title may have any length, and a word of some millions of letters is more than an expression can match. */
const MOST = 2 ** 16

/** Of the first 65,536 characters, in their order, each as often as it stands there. */
export function searchWords(text: string): readonly string[] {
  return fold(text.slice(0, MOST)).match(WORD) ?? []
}

/** Without case and accents. A final sigma is a sigma. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  return text.normalize('NFD').replace(ACCENT, '').toLowerCase().replaceAll('ς', 'σ').normalize('NFC')
}

/** Whether all of the words stand in a text; the last one may be the beginning of a word. */
export function hasWords(words: ReadonlySet<string>, wanted: readonly string[]): boolean {
  const last = wanted.at(-1)
  if (last === undefined) return true
  if (!wanted.slice(0, -1).every((word) => words.has(word))) return false
  if (words.has(last)) return true
  for (const word of words) if (word.startsWith(last)) return true
  return false
}

/** The words as an expression for FTS5: all of them, the last one as a prefix. They hold no quotes, so none must be escaped. */
export function ftsExpression(words: readonly string[]): string {
  return words.map((word, at) => `"${word}"${at === words.length - 1 ? '*' : ''}`).join(' ')
}
