/** Full text in SQLite's FTS5: what is indexed of a text, and what a person's words ask for. */
import { pairsOf, piecesOf, windowsOf, wordsOf } from '../words.js'

/**
 * Underscores part words, so `parse_span` is found by each word and, as a phrase, by the whole; accents do not count.
 * English words are found by their stem: `retries` by `retry`.
 */
export const TOKENIZER = "porter unicode61 remove_diacritics 2 categories 'L* N* Co M*'"

/** The second column: pieces of identifiers and pairs of unspaced scripts, which the tokenizer does not tell apart. */
export function piecesText(text: string): string {
  return wordsOf(text).flatMap(partsOf).join(' ')
}

function partsOf(word: string): readonly string[] {
  const pieces = piecesOf(word)
  const pairs = pairsOf(word)
  return pairs.length === 0 ? pieces : [...pieces, ...pairs]
}

const MOST_TERMS = 32
/** In UTF-16 units; what is longer is looked for by its beginning. */
const LONGEST_QUERY = 4096
const SHORTEST_PREFIX = 3
/** A phrase in double quotes, or a run without spaces. */
const TERM = /"([^"]+)"|[^\s"]+/gu
// biome-ignore lint/suspicious/noControlCharactersInRegex: FTS5 would end its expression at a NUL
const CONTROL = /[\u0000-\u001f\u007f]/g

/**
 * An FTS5 expression that finds texts with any of the words, or undefined when there is no word to look for.
 * Everything of the query stands inside quotes, so nothing of it is syntax. The last word also matches as a beginning.
 */
export function matchExpression(query: string): string | undefined {
  const beginning = windowsOf(query, LONGEST_QUERY)[0] ?? ''
  const terms = [...beginning.replace(CONTROL, ' ').matchAll(TERM)].map(([whole, phrase]) => ({
    text: phrase ?? whole,
    isPhrase: phrase !== undefined,
  }))
  const wanted = terms.filter(({ text }) => wordsOf(text).some((word) => /[^_]/.test(word))).slice(0, MOST_TERMS)
  const alternatives = new Set(wanted.flatMap(({ text, isPhrase }) => (isPhrase ? [quoted(text)] : alternativesOf(text))))
  const last = wanted.at(-1)
  if (last !== undefined && !last.isPhrase && isPrefix(last.text)) alternatives.add(`${quoted(last.text)} *`)
  return alternatives.size === 0 ? undefined : [...alternatives].join(' OR ')
}

function isPrefix(term: string): boolean {
  return (wordsOf(term).at(-1) ?? '').length >= SHORTEST_PREFIX
}

/** The term as a phrase, its words, and the phrase that its pieces make: the more of them match, the higher the rank. */
function alternativesOf(term: string): readonly string[] {
  const words = wordsOf(term)
  const pieces = words.flatMap(partsOf)
  return [term, ...words, ...(pieces.length === 0 ? [] : [pieces.join(' ')])].map(quoted)
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', ' ')}"`
}
