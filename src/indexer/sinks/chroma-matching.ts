/**
 * Full text on Chroma, which finds texts by an expression and does not rank them: each word of the query is looked for on the server,
 * the texts with the rarest words are fetched, and these are ranked here, by the same words and the same BM25 as in the local sink.
 */
import type { SinkFilter, SinkHit } from '../ports.js'
import type { SpaceCollection } from './chroma-collection.js'
import { chromaFilter } from './chroma-filter.js'
import { inOrder, pagesOf, toHits } from './chroma-rows.js'
import type { Where } from './chroma-server.js'
import { type Occurrences, occurrencesIn, type Phrase, phrasesOf, rarity, type Statistics, scoreOf } from './ranking.js'

export interface MatchingLimits {
  /** Documents of one request. */
  readonly page: number
  /** Ids of one request. Each looks through all texts again. */
  readonly idPage: number
  /** Ids that are asked for of one word. A word that more texts hold tells little. */
  readonly idsPerWord: number
  /** Texts that are fetched and ranked. */
  readonly candidates: number
}

/** Words of a query that are looked for. */
const MOST_WORDS = 24

export async function matchingIn(
  collection: SpaceCollection,
  query: string,
  limit: number,
  filter: SinkFilter,
  limits: MatchingLimits,
): Promise<readonly SinkHit[]> {
  const phrases = phrasesOf(query)
  if (phrases.length === 0 || limit < 1) return []
  const { where, passes } = chromaFilter(filter)
  const words = [...new Set(phrases.flatMap(({ tokens }) => tokens))].sort((a, b) => b.length - a.length).slice(0, MOST_WORDS)
  const [count, holders] = await Promise.all([countOf(collection), holdersOfAll(collection, words, where, limits)])
  const candidates = candidatesOf(phrases, holders, count).slice(0, Math.max(limit, limits.candidates))
  const hits = (await textsOf(collection, candidates, limits)).filter(({ metadata }) => passes?.(metadata) ?? true)
  return inOrder(scored(hits, phrases, { count, holders })).slice(0, limit)
}

/** Not scored yet. */
async function textsOf(collection: SpaceCollection, ids: readonly string[], { page }: MatchingLimits): Promise<readonly SinkHit[]> {
  const texts: SinkHit[] = []
  for (const some of pagesOf(ids, page)) {
    const found = await collection.read((documents) => documents.get({ ids: some, include: ['documents', 'metadatas'] }))
    if (found !== undefined) texts.push(...toHits(found, () => 0))
  }
  return texts
}

async function countOf(collection: SpaceCollection): Promise<number> {
  return (await collection.read((documents) => documents.count())) ?? 0
}

const WORDS_AT_A_TIME = 4

/** The documents that may hold a word. */
interface Holders {
  /** Of those that pass the filter. */
  readonly ids: ReadonlySet<string>
  /** In all: how rare a word is does not depend on the filter. */
  readonly count: number
}

const NOBODY: Holders = { ids: new Set(), count: 0 }

async function holdersOfAll(
  collection: SpaceCollection,
  words: readonly string[],
  where: Where | undefined,
  limits: MatchingLimits,
): Promise<ReadonlyMap<string, Holders>> {
  const holders = new Map<string, Holders>()
  for (const some of pagesOf(words, WORDS_AT_A_TIME)) {
    const found = await Promise.all(some.map((word) => holdersOf(collection, word, where, limits)))
    for (const [i, word] of some.entries()) holders.set(word, found[i] ?? NOBODY)
  }
  return holders
}

async function holdersOf(collection: SpaceCollection, word: string, where: Where | undefined, limits: MatchingLimits): Promise<Holders> {
  const [ids, all] = await Promise.all([
    idsWith(collection, word, where, limits),
    where === undefined ? undefined : idsWith(collection, word, undefined, limits),
  ])
  return { ids, count: (all ?? ids).size }
}

async function idsWith(collection: SpaceCollection, word: string, where: Where | undefined, limits: MatchingLimits): Promise<ReadonlySet<string>> {
  const whereDocument = { $regex: expressionOf(word) }
  const size = limits.idPage
  const ids = new Set<string>()
  for (let offset = 0; offset < limits.idsPerWord; offset += size) {
    const page = await collection.read((texts) =>
      texts.get({ whereDocument, include: [], limit: size, offset, ...(where === undefined ? {} : { where }) }),
    )
    for (const id of page?.ids ?? []) ids.add(id)
    if (page === undefined || page.ids.length < size) break
  }
  return ids
}

/** Those that may hold one of the phrases, the rarest words first; of equals, what was stored last. */
function candidatesOf(phrases: readonly Phrase[], holders: ReadonlyMap<string, Holders>, count: number): readonly string[] {
  const weights = new Map<string, number>()
  for (const { tokens } of phrases) {
    const [first, ...others] = tokens.flatMap((token) => holders.get(token) ?? []).sort((a, b) => a.count - b.count)
    if (first === undefined) continue
    const together = [...first.ids].filter((id) => others.every(({ ids }) => ids.has(id)))
    for (const id of together.reverse()) weights.set(id, (weights.get(id) ?? 0) + rarity(count, first.count))
  }
  return [...weights].sort(([, a], [, b]) => b - a).map(([id]) => id)
}

interface Known {
  readonly count: number
  readonly holders: ReadonlyMap<string, Holders>
}

function scored(hits: readonly SinkHit[], phrases: readonly Phrase[], known: Known): readonly SinkHit[] {
  const memo = new Map<string, string>()
  const found = hits.map((hit) => ({ hit, ...occurrencesIn(hit.text, phrases, memo) }))
  const statistics = statisticsOf(found, phrases, known)
  return found.map(({ hit, ...occurrences }) => ({ ...hit, score: scoreOf(occurrences, statistics) })).filter(({ score }) => score > 0)
}

/** How many hold each phrase: counted, as far as all that may hold it were fetched, else in proportion to those that were. */
function statisticsOf(
  found: readonly (Occurrences & { readonly hit: SinkHit })[],
  phrases: readonly Phrase[],
  { count, holders }: Known,
): Statistics {
  const frequencies = phrases.map(({ tokens }, i) => {
    const [rarest = NOBODY] = tokens.map((token) => holders.get(token) ?? NOBODY).sort((a, b) => a.count - b.count)
    const looked = found.filter(({ hit }) => rarest.ids.has(hit.id)).length
    const held = found.filter(({ weights }) => (weights[i] ?? 0) > 0).length
    return looked === 0 ? held : Math.max(held, (held * rarest.count) / looked)
  })
  const length = found.reduce((sum, { length }) => sum + length, 0)
  return { count: Math.max(count, found.length), frequencies, averageLength: Math.max(1, length / Math.max(1, found.length)) }
}

/** What a word stands behind. Inside of a word another one begins with a capital: `findTheCat`. */
const BEFORE = '(?:^|[^\\p{L}\\p{M}\\p{N}])'

/**
 * Finds all that has the stem, and more: Latin letters in any case and with any accent, at the beginning of longer words too.
 * What a stem may have in the place of its last letters is left out of the expression (`retri` is the stem of `retry`).
 */
export function expressionOf(stem: string): string {
  const isEnglish = /^[a-z]{3,}$/.test(stem)
  const fixed = isEnglish ? stem.replace(/(?:[eiy]|(?<=b)l)$/, '') : stem
  const [first = '', ...rest] = fixed
  const others = rest.map((letter) => accented(letter)).join('')
  if (!/^[a-z]/.test(first)) return `(?i)${accented(first)}${others}`
  const capital = `[${first.toUpperCase()}${(ACCENTED.get(first) ?? '').toUpperCase()}]`
  return `(?:${BEFORE}(?i:${accented(first)})|${capital}[\\x{300}-\\x{36f}]*)(?i:${others})`
}

function accented(letter: string): string {
  const forms = ACCENTED.get(letter)
  return forms === undefined ? letter : `[${letter}${forms}][\\x{300}-\\x{36f}]*`
}

/** The letters of Latin-1 and Latin Extended-A, by their ASCII letter. */
const ACCENTED: ReadonlyMap<string, string> = accents()

function accents(): Map<string, string> {
  const forms = new Map<string, string>()
  for (let code = 0xe0; code < 0x180; code++) {
    const letter = String.fromCharCode(code)
    const base = letter.normalize('NFD').charAt(0)
    if (base >= 'a' && base <= 'z' && letter === letter.toLowerCase()) forms.set(base, `${forms.get(base) ?? ''}${letter}`)
  }
  return forms
}
