/** Search: full text and nearest vectors, fused by reciprocal rank into one hit per message, and one for all copies of a text. */
import { StorageError } from '../core/errors.js'
import type { Agent } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import type { DocumentMetadata, Embedder, Sink, SinkFilter, SinkHit } from './ports.js'
import { countMessages, countPlaces, type HitCopy, isOrigin, messageOf, placesOfText, toCopy } from './search-copies.js'
import { excerptOf } from './text/excerpt.js'
import { onOneLine } from './text/words.js'

export interface SearchOptions extends SinkFilter {
  /** Hits at most; 0 gives none. @default 10 */
  readonly limit?: number
  /**
   * How much the nearest vectors count. The full text counts 1, and 1 more for texts that hold the query as written.
   * @default 1; 0.25 for a lexical space (`hash/...`), whose vectors know no more than the full text and are less exact
   */
  readonly vectorWeight?: number
  /** Length of the excerpt, in UTF-16 units. @default 240 */
  readonly excerptCharacters?: number
  /** What the sink cannot filter by: hits are asked for until enough of them are kept, which may take all that match. */
  readonly keep?: (document: DocumentMetadata) => boolean
  readonly signal?: AbortSignal | undefined
}

export interface SearchHit {
  /** Orders the hits of one search; says nothing across searches. */
  readonly score: number
  readonly agent: Agent
  readonly session: string
  readonly message: string
  readonly role: string
  /** The part of the document around the match, on one line. */
  readonly text: string
  readonly title: string
  readonly directory: string
  /** The kind of store that the message was read from. */
  readonly source: string
  /** Epoch milliseconds. */
  readonly created: number
  /** The document that matched best: one chunk of the message. */
  readonly document: { readonly id: string; readonly chunk: number; readonly text: string }
  /**
   * Messages of other sessions with the same text of the same agent and role, as forks and resumed sessions copy it (a short text counts
   * as copied only when it is of the same time, or when a log tells). The hit is of the session that they
   * come from, where that is known, else the oldest.
   */
  readonly copies: readonly HitCopy[]
}

const SEARCH_OPTIONS = ['limit', 'vectorWeight', 'excerptCharacters', 'keep', 'signal']
const TEXT_FILTERS = ['project', 'directory', 'role', 'agent', 'session', 'source'] as const
const TIME_FILTERS = ['since', 'until'] as const
const FILTERS = [...TEXT_FILTERS, ...TIME_FILTERS] as const
/** The constant of reciprocal rank fusion: how little the first ranks differ from each other. */
const RANK_CONSTANT = 60
const LEXICAL_WEIGHT = 0.25

/**
 * Whether the embedder at hand is the one that the sink was filled with, as far as the sink tells. It is not while the index is searched
 * in its old space and built anew in another one: the search then goes by the full text alone.
 */
export function comparesVectors({ embedder, sink }: { readonly embedder: Pick<Embedder, 'space'>; readonly sink: Pick<Sink, 'space'> }): boolean {
  return sink.space === undefined || sink.space === embedder.space
}

/**
 * The same index and query give the same hits in the same order. An index without documents gives none.
 * Vectors of two spaces are never compared (`comparesVectors`).
 * @throws StorageError INVALID_OPTION, and what the embedder and the sink throw
 */
export async function searchIndex(
  index: { readonly embedder: Embedder; readonly sink: Sink },
  query: string,
  options: SearchOptions = {},
): Promise<readonly SearchHit[]> {
  const { limit = 10, vectorWeight = defaultWeight(index.embedder), excerptCharacters = 240, keep, signal } = options
  checkSearch(query, options)
  if (query.trim() === '' || limit < 1) return []
  const wanted: Wanted = { query, limit: Math.floor(limit), filter: filterOf(options), keep, vectorWeight, signal }
  const byText = await enoughHits((depth) => index.sink.matching(query, depth, wanted.filter), wanted)
  signal?.throwIfAborted()
  if (byText.length === 0 && (await index.sink.count()) === 0) return []
  const byVector = vectorWeight === 0 || !comparesVectors(index) ? [] : await vectorHits(index, byText, wanted)
  signal?.throwIfAborted()
  const rankings = [
    { weight: 1, hits: byText.filter(({ text }) => holdsWhole(text, query)) },
    { weight: 1, hits: byText },
    { weight: vectorWeight, hits: byVector },
  ]
  const best = fold(fuse(rankings)).slice(0, wanted.limit)
  return best.map((found) => toSearchHit(found, query, excerptCharacters))
}

/** @throws StorageError INVALID_OPTION; callers without types pass anything */
function checkSearch(query: unknown, options: SearchOptions): void {
  refuseUnknown(options, [...SEARCH_OPTIONS, ...FILTERS])
  if (typeof query !== 'string') throw new StorageError('INVALID_OPTION', { reason: `the query must be a text, not of type ${typeof query}` })
  checkNumber('limit', options.limit, 0, LAST_DEPTH)
  checkNumber('vectorWeight', options.vectorWeight, 0)
  checkNumber('excerptCharacters', options.excerptCharacters, 40)
  if (options.keep !== undefined && typeof options.keep !== 'function')
    throw new StorageError('INVALID_OPTION', { reason: 'keep must be a function' })
  for (const name of TEXT_FILTERS) {
    const given: unknown = options[name]
    if (given !== undefined && typeof given !== 'string')
      throw new StorageError('INVALID_OPTION', { reason: `${name} must be a text, not of type ${typeof given}` })
  }
  for (const name of TIME_FILTERS) {
    const given: unknown = options[name]
    if (given !== undefined && !Number.isFinite(given))
      throw new StorageError('INVALID_OPTION', { reason: `${name} must be a time in epoch milliseconds, not ${String(given)}` })
  }
}

function defaultWeight({ space }: Embedder): number {
  return isLexical(space) ? LEXICAL_WEIGHT : 1
}

function isLexical(space: string): boolean {
  return space.startsWith('hash/')
}

function filterOf(options: SearchOptions): SinkFilter {
  return Object.fromEntries(FILTERS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])))
}

interface Wanted {
  readonly query: string
  readonly limit: number
  readonly filter: SinkFilter
  readonly keep: SearchOptions['keep']
  readonly vectorWeight: number
  readonly signal: AbortSignal | undefined
}

/** The nearest documents; in a lexical space, where they count less than words, of those with the words if these are of enough places. */
async function vectorHits(
  { embedder, sink }: { readonly embedder: Embedder; readonly sink: Sink },
  byText: readonly SinkHit[],
  { query, limit, filter, keep, vectorWeight, signal }: Wanted,
): Promise<readonly SinkHit[]> {
  const vector = await embedder.embed([query], { kind: 'query', signal })
  const isEnough = isLexical(embedder.space) && vectorWeight < 1 && countPlaces(byText) >= limit
  const cosines = isEnough
    ? await sink.cosines?.(
        vector,
        byText.map(({ id }) => id),
      )
    : undefined
  const hits = cosines ? byCosine(byText, cosines) : await enoughHits((depth) => sink.nearest(vector, depth, filter), { limit, keep })
  return isLexical(embedder.space) ? hits.filter(({ score }) => score >= LEXICAL_FLOOR) : hits
}

function byCosine(hits: readonly SinkHit[], cosines: readonly (number | undefined)[]): readonly SinkHit[] {
  const scored = hits.flatMap((hit, i) => (cosines[i] === undefined ? [] : [{ ...hit, score: cosines[i] }]))
  return scored.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
}

/** Hashed features of unrelated texts collide; below this cosine a likeness is chance. */
const LEXICAL_FLOOR = 0.2
const FIRST_DEPTH = 100
const LAST_DEPTH = 10_000
/** How often the depth is quadrupled for the sake of other places, when there are enough messages: each time takes four times as long. */
const DEEPER_FOR_PLACES = 2

/** One long message has many chunks, and one text many copies, so more hits are asked for until they are of enough places. */
async function enoughHits(
  ask: (depth: number) => Promise<readonly SinkHit[]>,
  { limit, keep }: Pick<Wanted, 'limit' | 'keep'>,
): Promise<readonly SinkHit[]> {
  const lastDepth = keep === undefined ? LAST_DEPTH : Number.MAX_SAFE_INTEGER
  const first = Math.max(FIRST_DEPTH, limit * 4)
  for (let depth = first; ; depth *= 4) {
    const hits = await ask(depth)
    const kept = keep === undefined ? hits : hits.filter(({ metadata }) => keep(metadata))
    if (hits.length < depth || depth >= lastDepth || countPlaces(kept) >= limit) return kept
    if (depth >= first * 4 ** DEEPER_FOR_PLACES && countMessages(kept) >= limit) return kept
  }
}

const LONGEST_WHOLE = 1000
const BOUNDARY = '[\\p{L}\\p{M}\\p{N}_]'

/** True when the query stands in the text as it was written, but for case and spacing, and not inside longer words. */
function holdsWhole(text: string, query: string): boolean {
  if (query.length > LONGEST_WHOLE) return false
  const written = onOneLine(query)
    .replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    .replaceAll(' ', '\\s{1,1000}')
  return new RegExp(`(?<!${BOUNDARY})${written}(?!${BOUNDARY})`, 'iu').test(text)
}

interface Ranking {
  readonly weight: number
  readonly hits: readonly SinkHit[]
}

interface Candidate {
  readonly message: string
  /** Of the first ranking that has the message: a chunk with the words in it is shown rather than one that is merely near. */
  readonly hit: SinkHit
  readonly score: number
  /** The place where the message was first met, over all rankings. */
  readonly met: number
}

/** Sums weight / (60 + rank) over the rankings, rank being that of the message among messages; copies of one text share theirs. */
function fuse(rankings: readonly Ranking[]): readonly Candidate[] {
  const candidates = new Map<string, Candidate>()
  for (const { weight, hits } of rankings) {
    const ranked = new Set<string>()
    const ranks = new Map<string, number>()
    const placeOf = placesOfText(hits)
    for (const hit of hits) {
      const message = messageOf(hit)
      if (ranked.has(message)) continue
      ranked.add(message)
      const place = placeOf(hit)
      const rank = ranks.get(place) ?? ranks.size + 1
      ranks.set(place, rank)
      const known = candidates.get(message) ?? { message, hit, score: 0, met: candidates.size }
      candidates.set(message, { ...known, score: known.score + weight / (RANK_CONSTANT + rank) })
    }
  }
  return [...candidates.values()].sort((a, b) => b.score - a.score || a.met - b.met)
}

interface Found {
  readonly score: number
  /** The first is shown. */
  readonly hits: [SinkHit, ...SinkHit[]]
}

/** Copies of a text become one, in the place of the best. */
function fold(candidates: readonly Candidate[]): readonly Found[] {
  const placeOf = placesOfText(candidates.map(({ hit }) => hit))
  const found = new Map<string, Found>()
  for (const { hit, score } of candidates) {
    const place = placeOf(hit)
    const held = found.get(place)
    if (held === undefined) found.set(place, { score, hits: [hit] })
    else if (isOrigin(hit, held.hits[0])) held.hits.unshift(hit)
    else held.hits.push(hit)
  }
  return [...found.values()]
}

function toSearchHit({ score, hits: [hit, ...copies] }: Found, query: string, excerptCharacters: number): SearchHit {
  const { metadata, text, id } = hit
  return {
    score,
    agent: metadata.agent,
    session: metadata.session_id,
    message: metadata.message_id,
    role: metadata.role,
    text: excerptOf(text, query, excerptCharacters),
    title: metadata.title,
    directory: metadata.directory,
    source: metadata.source,
    created: metadata.created_at,
    document: { id, chunk: metadata.chunk, text },
    copies: copies.map(toCopy),
  }
}
