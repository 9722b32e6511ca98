/**
 * Full text outside of SQLite: tells texts apart by the same words as FTS5 does in the local sink, and scores them by the same BM25.
 * For sinks that find candidates but do not rank them.
 */
import { wordsOf } from '../text/words.js'
import { type Alternative, alternativesOf, piecesText } from './full-text.js'
import { stemOf } from './porter.js'

/** Words in a row, folded; the last may be the beginning of one. */
export interface Phrase {
  readonly tokens: readonly string[]
  readonly isPrefix: boolean
}

export function phrasesOf(query: string): readonly Phrase[] {
  const phrases = alternativesOf(query).map(({ text, isPrefix }: Alternative) => ({ tokens: tokensOf(text), isPrefix }))
  return phrases.filter(({ tokens }) => tokens.length > 0)
}

const COMBINING = /[\u0300-\u036f]/g
const ASCII_BASE = /^[A-Za-z][\u0300-\u036f]+$/

/** The words of a text as FTS5 keeps them: small, Latin letters without accents, by their stem. */
export function tokensOf(text: string, memo: Map<string, string> = new Map()): string[] {
  const tokens: string[] = []
  for (const word of wordsOf(text)) {
    for (const part of word.includes('_') ? word.split('_') : [word]) {
      const token = memo.get(part) ?? folded(part)
      memo.set(part, token)
      if (token !== '') tokens.push(token)
    }
  }
  return tokens
}

function folded(word: string): string {
  let plain = ''
  for (const character of word) {
    const parts = character.normalize('NFD')
    plain += ASCII_BASE.test(parts) ? parts.charAt(0) : character
  }
  return stemOf(plain.replace(COMBINING, '').toLowerCase())
}

/** What is known of one text: which phrases it holds, and how long it is. */
export interface Occurrences {
  /** Of each phrase, in the order of the phrases; what stands in the pieces of identifiers counts less. */
  readonly weights: readonly number[]
  readonly length: number
}

const PIECES_WEIGHT = 0.6

export function occurrencesIn(text: string, phrases: readonly Phrase[], memo: Map<string, string>): Occurrences {
  const words = tokensOf(text, memo)
  const pieces = tokensOf(piecesText(text), memo)
  const weights = phrases.map((phrase) => timesIn(words, phrase) + PIECES_WEIGHT * timesIn(pieces, phrase))
  return { weights, length: words.length + pieces.length }
}

function timesIn(tokens: readonly string[], { tokens: wanted, isPrefix }: Phrase): number {
  const last = wanted.length - 1
  let times = 0
  for (let at = 0; at + last < tokens.length; at++) {
    if (wanted.every((token, i) => (isPrefix && i === last ? tokens[at + i]?.startsWith(token) : tokens[at + i] === token))) times++
  }
  return times
}

const SATURATION = 1.2
const LENGTH_EFFECT = 0.75
/** Of phrases that half of all texts hold: they tell nothing, but a text with one comes before a text with none. */
const LEAST_IDF = 1e-6

export interface Statistics {
  /** Texts in all. */
  readonly count: number
  /** Texts that hold each phrase. */
  readonly frequencies: readonly number[]
  readonly averageLength: number
}

/** The more the better; 0 of a text that holds no phrase. */
export function scoreOf({ weights, length }: Occurrences, { count, frequencies, averageLength }: Statistics): number {
  const penalty = SATURATION * (1 - LENGTH_EFFECT + (LENGTH_EFFECT * length) / averageLength)
  let score = 0
  for (const [i, weight] of weights.entries()) {
    if (weight > 0) score += (rarity(count, frequencies[i] ?? 0) * weight * (SATURATION + 1)) / (weight + penalty)
  }
  return score
}

/** The inverse document frequency. */
export function rarity(count: number, frequency: number): number {
  return Math.max(LEAST_IDF, Math.log((count - frequency + 0.5) / (frequency + 0.5)))
}
