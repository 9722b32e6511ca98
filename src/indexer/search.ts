/** Search: nearest vectors and full text, fused by reciprocal rank into one hit per message. */
import type { Agent } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import { excerptOf } from './excerpt.js'
import type { Embedder, Sink, SinkFilter, SinkHit } from './ports.js'

export interface SearchOptions extends SinkFilter {
  /** Messages at most. @default 10 */
  readonly limit?: number
  /**
   * How much the vectors count beside the full text, which counts 1.
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
  checkNumber('limit', limit, 1)
  checkNumber('vectorWeight', vectorWeight, 0)
  checkNumber('excerptCharacters', excerptCharacters, 40)
  if (query.trim() === '' || (await index.sink.count()) === 0) return []
  const filter = filterOf(options)
  const [byVector, byText] = await Promise.all([
    vectorWeight === 0 ? [] : nearestMessages(index, query, { limit, filter, signal }),
    distinctMessages((depth) => index.sink.matching(query, depth, filter), limit),
  ])
  signal?.throwIfAborted()
  const fused = fuse(byText, byVector, vectorWeight).slice(0, Math.floor(limit))
  return fused.map((candidate) => toSearchHit(candidate, query, excerptCharacters))
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

async function nearestMessages(
  { embedder, sink }: { readonly embedder: Embedder; readonly sink: Sink },
  query: string,
  { limit, filter, signal }: Wanted,
): Promise<readonly SinkHit[]> {
  const vector = await embedder.embed([query], { kind: 'query', signal })
  const hits = await distinctMessages((depth) => sink.nearest(vector, depth, filter), limit)
  return isLexical(embedder.space) ? hits.filter(({ score }) => score >= LEXICAL_FLOOR) : hits
}

/** Hashed features of unrelated texts collide; below this cosine a likeness is chance. */
const LEXICAL_FLOOR = 0.2
const FIRST_DEPTH = 100
const LAST_DEPTH = 10_000

/** The best hit of each message, best first. One long message has many chunks, so more are asked for until there are enough messages. */
async function distinctMessages(ask: (depth: number) => Promise<readonly SinkHit[]>, limit: number): Promise<readonly SinkHit[]> {
  for (let depth = Math.max(FIRST_DEPTH, limit * 4); ; depth *= 4) {
    const hits = await ask(depth)
    const messages = new Map<string, SinkHit>()
    for (const hit of hits) if (!messages.has(messageOf(hit))) messages.set(messageOf(hit), hit)
    if (messages.size >= limit || hits.length < depth || depth >= LAST_DEPTH) return [...messages.values()]
  }
}

function messageOf({ metadata }: SinkHit): string {
  return `${metadata.agent}\u0001${metadata.session_id}\u0001${metadata.message_id}`
}

interface Candidate {
  readonly message: string
  readonly hit: SinkHit
  readonly score: number
  readonly textRank: number
}

/** Sums 1 / (60 + rank) over both lists. A chunk with the words in it is shown rather than one that is merely near. */
function fuse(byText: readonly SinkHit[], byVector: readonly SinkHit[], vectorWeight: number): readonly Candidate[] {
  const candidates = new Map<string, Candidate>()
  for (const [i, hit] of byText.entries()) {
    const message = messageOf(hit)
    candidates.set(message, { message, hit, score: 1 / (RANK_CONSTANT + i + 1), textRank: i + 1 })
  }
  for (const [i, hit] of byVector.entries()) {
    const message = messageOf(hit)
    const known = candidates.get(message) ?? { message, hit, score: 0, textRank: Number.POSITIVE_INFINITY }
    candidates.set(message, { ...known, score: known.score + vectorWeight / (RANK_CONSTANT + i + 1) })
  }
  return [...candidates.values()].sort(byRelevance)
}

/** Score; then the better text match, the younger message, and the key: no two candidates are equal. */
function byRelevance(a: Candidate, b: Candidate): number {
  if (a.score !== b.score) return b.score - a.score
  if (a.textRank !== b.textRank) return a.textRank - b.textRank
  const younger = b.hit.metadata.created_at - a.hit.metadata.created_at
  return younger !== 0 ? younger : a.message < b.message ? -1 : 1
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
