/** Full text: what is indexed of a text, and what a person's words ask for, as an expression of SQLite's FTS5 too. */
import { pairsOf, piecesOf, windowsOf, wordsOf } from '../text/words.js'

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

/** One thing to look for: a word, or words in a row. */
export interface Alternative {
  readonly text: string
  /** Its last word may be the beginning of a longer one. */
  readonly isPrefix: boolean
}

/** What a query asks for: texts with any of these, the more the better. The last word also matches as a beginning. */
export function alternativesOf(query: string): readonly Alternative[] {
  const beginning = windowsOf(query, LONGEST_QUERY)[0] ?? ''
  const terms = [...beginning.replace(CONTROL, ' ').matchAll(TERM)].map(([whole, phrase]) => ({
    text: phrase ?? whole,
    isPhrase: phrase !== undefined,
  }))
  const wanted = terms.filter(({ text }) => wordsOf(text).some((word) => /[^_]/.test(word))).slice(0, MOST_TERMS)
  const texts = new Set(wanted.flatMap(({ text, isPhrase }) => (isPhrase ? [text] : formsOf(text)).map(unquoted)))
  const last = wanted.at(-1)
  const prefix = last !== undefined && !last.isPhrase && isPrefix(last.text) ? [{ text: unquoted(last.text), isPrefix: true }] : []
  return [...[...texts].map((text) => ({ text, isPrefix: false })), ...prefix]
}

/**
 * An FTS5 expression that finds texts with any of the alternatives, or undefined when there is no word to look for.
 * Everything of the query stands inside quotes, so nothing of it is syntax.
 */
export function matchExpression(query: string): string | undefined {
  const alternatives = alternativesOf(query).map(({ text, isPrefix }) => `"${text}"${isPrefix ? ' *' : ''}`)
  return alternatives.length === 0 ? undefined : alternatives.join(' OR ')
}

function isPrefix(term: string): boolean {
  return (wordsOf(term).at(-1) ?? '').length >= SHORTEST_PREFIX
}

/** The term as a phrase, its words, and the phrase that its pieces make: the more of them match, the higher the rank. */
function formsOf(term: string): readonly string[] {
  const words = wordsOf(term)
  const pieces = words.flatMap(partsOf)
  return [term, ...words, ...(pieces.length === 0 ? [] : [pieces.join(' ')])]
}

function unquoted(text: string): string {
  return text.replaceAll('"', ' ')
}
