/** Search: full text and nearest vectors, fused by reciprocal rank into one hit per message. */
import type { Agent } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import { excerptOf } from './excerpt.js'
import type { Embedder, Sink, SinkFilter, SinkHit } from './ports.js'

export interface SearchOptions extends SinkFilter {
  /** Messages at most. @default 10 */
  readonly limit?: number
  /**
   * How much the nearest vectors count. The full text counts 1, and 1 more for texts that hold the query as written.
   * @default 1; 0.25 for a lexical space (`hash/...`), whose vectors know no more than the full text and are less exact
   */
  readonly vectorWeight?: number
  /** Length of the excerpt, in UTF-16 units. @default 240 */
  readonly excerptCharacters?: number
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
  /** Epoch milliseconds. */
  readonly created: number
  /** The document that matched best: one chunk of the message. */
  readonly document: { readonly id: string; readonly chunk: number; readonly text: string }
}

const SEARCH_OPTIONS = ['limit', 'vectorWeight', 'excerptCharacters', 'signal']
const FILTERS = ['project', 'directory', 'role', 'agent', 'session', 'since', 'until'] as const
/** The constant of reciprocal rank fusion: how little the first ranks differ from each other. */
const RANK_CONSTANT = 60
const LEXICAL_WEIGHT = 0.25

/**
 * The same index and query give the same hits in the same order. An index without documents gives none.
 * @throws StorageError INVALID_OPTION, and what the embedder and the sink throw
 */
export async function searchIndex(
  index: { readonly embedder: Embedder; readonly sink: Sink },
  query: string,
  options: SearchOptions = {},
): Promise<readonly SearchHit[]> {
  const { limit = 10, vectorWeight = defaultWeight(index.embedder), excerptCharacters = 240, signal } = options
  refuseUnknown(options, [...SEARCH_OPTIONS, ...FILTERS])
  checkNumber('limit', limit, 1, LAST_DEPTH)
  checkNumber('vectorWeight', vectorWeight, 0)
  checkNumber('excerptCharacters', excerptCharacters, 40)
  if (query.trim() === '' || (await index.sink.count()) === 0) return []
  const filter = filterOf(options)
  const [byVector, byText] = await Promise.all([
    vectorWeight === 0 ? [] : nearestHits(index, query, { limit, filter, signal }),
    enoughHits((depth) => index.sink.matching(query, depth, filter), limit),
  ])
  signal?.throwIfAborted()
  const rankings = [
    { weight: 1, hits: byText.filter(({ text }) => holdsWhole(text, query)) },
    { weight: 1, hits: byText },
    { weight: vectorWeight, hits: byVector },
  ]
  const best = fuse(rankings).slice(0, Math.floor(limit))
  return best.map((candidate) => toSearchHit(candidate, query, excerptCharacters))
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
  readonly limit: number
  readonly filter: SinkFilter
  readonly signal: AbortSignal | undefined
}

async function nearestHits(
  { embedder, sink }: { readonly embedder: Embedder; readonly sink: Sink },
  query: string,
  { limit, filter, signal }: Wanted,
): Promise<readonly SinkHit[]> {
  const vector = await embedder.embed([query], { kind: 'query', signal })
  const hits = await enoughHits((depth) => sink.nearest(vector, depth, filter), limit)
  return isLexical(embedder.space) ? hits.filter(({ score }) => score >= LEXICAL_FLOOR) : hits
}

/** Hashed features of unrelated texts collide; below this cosine a likeness is chance. */
const LEXICAL_FLOOR = 0.2
const FIRST_DEPTH = 100
const LAST_DEPTH = 10_000

/** One long message has many chunks, so more hits are asked for until they are of enough messages. */
async function enoughHits(ask: (depth: number) => Promise<readonly SinkHit[]>, limit: number): Promise<readonly SinkHit[]> {
  for (let depth = Math.max(FIRST_DEPTH, limit * 4); ; depth *= 4) {
    const hits = await ask(depth)
    if (hits.length < depth || depth >= LAST_DEPTH || new Set(hits.map(messageOf)).size >= limit) return hits
  }
}

const LONGEST_WHOLE = 1000
const BOUNDARY = '[\\p{L}\\p{M}\\p{N}_]'

/** True when the query stands in the text as it was written, but for case and spacing, and not inside longer words. */
function holdsWhole(text: string, query: string): boolean {
  if (query.length > LONGEST_WHOLE) return false
  const written = query
    .trim()
    .replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    .replace(/\s+/g, '\\s+')
  return new RegExp(`(?<!${BOUNDARY})${written}(?!${BOUNDARY})`, 'iu').test(text)
}

function messageOf({ metadata }: SinkHit): string {
  return `${metadata.agent}\u0001${metadata.session_id}\u0001${metadata.message_id}`
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

/** Sums weight / (60 + rank) over the rankings, rank being that of the message among messages. */
function fuse(rankings: readonly Ranking[]): readonly Candidate[] {
  const candidates = new Map<string, Candidate>()
  for (const { weight, hits } of rankings) {
    const ranked = new Set<string>()
    for (const hit of hits) {
      const message = messageOf(hit)
      if (ranked.has(message)) continue
      ranked.add(message)
      const known = candidates.get(message) ?? { message, hit, score: 0, met: candidates.size }
      candidates.set(message, { ...known, score: known.score + weight / (RANK_CONSTANT + ranked.size) })
    }
  }
  return [...candidates.values()].sort((a, b) => b.score - a.score || a.met - b.met)
}

function toSearchHit({ hit, score }: Candidate, query: string, excerptCharacters: number): SearchHit {
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
    created: metadata.created_at,
    document: { id, chunk: metadata.chunk, text },
  }
}
