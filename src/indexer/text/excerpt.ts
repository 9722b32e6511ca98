/** The part of a text that shows why it was found. */
import { onOneLine, piecesOf, windowsOf, wordsOf } from './words.js'

/** At most `length` UTF-16 units on one line, with `…` where the text goes on; around the densest group of the query's words. */
export function excerptOf(text: string, query: string, length: number): string {
  const flat = onOneLine(text)
  if (flat.length <= length) return flat
  const inner = length - 2
  const focus = densest(occurrences(flat, query), inner)
  const start = startOf(flat, Math.min(Math.max(0, focus - Math.floor(inner / 4)), flat.length - inner), focus)
  const end = endOf(flat, Math.min(flat.length, start + inner))
  return `${start > 0 ? '…' : ''}${flat.slice(start, end).trim()}${end < flat.length ? '…' : ''}`
}

interface Occurrence {
  readonly at: number
  readonly end: number
  readonly term: string
}

const MOST_TERMS = 64
/** In UTF-16 units: of a longer word, its beginning is looked for. */
const LONGEST_TERM = 64
const MOST_OCCURRENCES = 2000

/** Where the words of the query begin a word of the text; else where they stand inside one; else where a word begins as they do. */
function occurrences(text: string, query: string): readonly Occurrence[] {
  const terms = termsOf(query)
  for (const [before, wanted] of [[WORD_BEGINS, terms] as const, ['', terms] as const, [WORD_BEGINS, terms.map(stemOf)] as const]) {
    const found = wanted.length === 0 ? [] : matchesOf(text, patternOf(before, wanted))
    if (found.length > 0) return found
  }
  return []
}

function termsOf(query: string): readonly string[] {
  const terms = new Set<string>()
  for (const word of wordsOf(query)) {
    for (const term of [word, ...piecesOf(word)]) terms.add(windowsOf(term, LONGEST_TERM)[0] ?? '')
    if (terms.size >= MOST_TERMS) break
  }
  return [...terms].slice(0, MOST_TERMS)
}

const WORD_BEGINS = '(?<![\\p{L}\\p{N}])'

/** Words hold letters, marks, digits and underscores only, so nothing of them is syntax. */
function patternOf(before: string, words: readonly string[]): RegExp {
  const longestFirst = [...words].sort((a, b) => b.length - a.length)
  return new RegExp(`${before}(?:${longestFirst.join('|')})`, 'giu')
}

/** What other forms of the word begin with, roughly. */
function stemOf(word: string): string {
  const characters = [...word]
  return characters.slice(0, Math.max(4, Math.ceil(characters.length * 0.6))).join('')
}

function matchesOf(text: string, pattern: RegExp): readonly Occurrence[] {
  const found: Occurrence[] = []
  for (const match of text.matchAll(pattern)) {
    found.push({ at: match.index, end: match.index + match[0].length, term: match[0].toLowerCase() })
    if (found.length === MOST_OCCURRENCES) break
  }
  return found
}

/** Where the window begins that holds the most letters of different terms; 0 when there is none. */
function densest(found: readonly Occurrence[], length: number): number {
  let best = { weight: 0, at: 0 }
  for (const [i, first] of found.entries()) {
    const seen = new Set<string>()
    let weight = 0
    for (let j = i; j < found.length; j++) {
      const next = found[j]
      if (next === undefined || next.end > first.at + (length * 3) / 4) break
      if (!seen.has(next.term)) weight += next.term.length
      seen.add(next.term)
    }
    if (weight > best.weight) best = { weight, at: first.at }
  }
  return best.at
}

const LONGEST_STEP = 24

/** The next beginning of a word from `at` on, but not past `limit`. */
function startOf(text: string, at: number, limit: number): number {
  if (at === 0) return 0
  const space = text.indexOf(' ', at - 1)
  if (space >= 0 && space + 1 <= Math.min(limit, at + LONGEST_STEP)) return space + 1
  return splits(text, at) ? at + 1 : at
}

/** The last end of a word before `at`, unless that is far. */
function endOf(text: string, at: number): number {
  if (at === text.length) return at
  const space = text.lastIndexOf(' ', at)
  if (space > at - LONGEST_STEP) return space
  return splits(text, at) ? at - 1 : at
}

function splits(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00
}
