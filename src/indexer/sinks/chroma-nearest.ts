/**
 * Nearest vectors on Chroma. Its index is approximate, and gives fewer than it has where a filter leaves it few of many: what is missing
 * then is compared here, one by one, as long as that is bounded.
 */
import { StorageError } from '../../core/errors.js'
import type { SinkFilter, SinkHit } from '../ports.js'
import type { SpaceCollection } from './chroma-collection.js'
import { type ChromaFilter, chromaFilter } from './chroma-filter.js'
import { inOrder, pagesOf, toHits } from './chroma-rows.js'
import { dot, scaleOf } from './vectors.js'

export interface NearestLimits {
  /** Documents of one request. */
  readonly page: number
  /** Neighbours that one request may ask for. */
  readonly neighbours: number
}

/** Asked for beyond the limit, so that of equal documents the same ones are given. */
const SPARE = 50
/** Documents that are compared here for one search. */
const MOST_COMPARED = 2000

export async function nearestIn(
  collection: SpaceCollection,
  vector: Float32Array,
  limit: number,
  filter: SinkFilter,
  limits: NearestLimits,
): Promise<readonly SinkHit[]> {
  const wanted = chromaFilter(filter)
  for (let neighbours = limit + SPARE; ; neighbours *= 4) {
    const asked = Math.min(neighbours, limits.neighbours)
    const hits = await neighboursIn(collection, vector, asked, wanted)
    const passing = hits.filter(({ metadata }) => wanted.passes?.(metadata) ?? true)
    if (hits.length < asked) return inOrder([...passing, ...(await missedBy(collection, vector, hits, { wanted, limits }))]).slice(0, limit)
    if (passing.length >= limit || asked === limits.neighbours) return inOrder(passing).slice(0, limit)
  }
}

async function neighboursIn(collection: SpaceCollection, vector: Float32Array, asked: number, { where }: ChromaFilter): Promise<SinkHit[]> {
  const query = { queryEmbeddings: [Array.from(vector)], nResults: asked, ...(where === undefined ? {} : { where }) }
  const found = await collection.read((documents) => documents.query(query))
  const distances = found?.distances[0] ?? []
  const columns = { ids: found?.ids[0] ?? [], documents: found?.documents[0] ?? [], metadatas: found?.metadatas[0] ?? [] }
  return toHits(columns, (place) => 1 - (distances[place] ?? 1))
}

interface Search {
  readonly wanted: ChromaFilter
  readonly limits: NearestLimits
}

/** What passes the filter and is not among the hits. */
async function missedBy(collection: SpaceCollection, vector: Float32Array, hits: readonly SinkHit[], { wanted, limits }: Search): Promise<SinkHit[]> {
  const known = new Set(hits.map(({ id }) => id))
  const { where, passes } = wanted
  const ids: string[] = []
  for (let offset = 0; ids.length < MOST_COMPARED; offset += limits.page) {
    const options = { include: [], limit: limits.page, offset, ...(where === undefined ? {} : { where }) }
    const page = (await collection.read((documents) => documents.get(options)))?.ids ?? []
    ids.push(...page.filter((id) => !known.has(id)))
    if (page.length < limits.page) break
  }
  const missed: SinkHit[] = []
  for (const page of pagesOf(ids.slice(0, MOST_COMPARED), COMPARED_PER_REQUEST)) {
    const found = await collection.read((documents) => documents.get({ ids: page, include: ['documents', 'metadatas', 'embeddings'] }))
    if (found === undefined) break
    missed.push(...toHits(found, (place) => cosine(vector, found.embeddings[place] ?? [])).filter(({ metadata }) => passes?.(metadata) ?? true))
  }
  return missed
}

/** With their vectors, which are long as text. */
const COMPARED_PER_REQUEST = 300

/** The cosine of each of these documents; undefined where there is none of that id. */
export async function cosinesIn(collection: SpaceCollection, vector: Float32Array, ids: readonly string[]): Promise<readonly (number | undefined)[]> {
  const cosines = new Map<string, number>()
  for (const page of pagesOf([...new Set(ids)], COMPARED_PER_REQUEST)) {
    const found = await collection.read((documents) => documents.get({ ids: page, include: ['embeddings'] }))
    for (const [i, id] of (found?.ids ?? []).entries()) cosines.set(id, cosine(vector, found?.embeddings[i] ?? []))
  }
  return ids.map((id) => cosines.get(id))
}

function cosine(vector: Float32Array, given: readonly number[]): number {
  const held = Float32Array.from(given)
  if (held.length !== vector.length) {
    throw new StorageError('SINK_MISMATCH', { reason: `the collection holds vectors of ${held.length} numbers, the query has ${vector.length}` })
  }
  return dot(vector, held, 0) * scaleOf(vector) * scaleOf(held)
}
