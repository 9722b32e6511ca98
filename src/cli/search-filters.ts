/** What the options of `search` ask of the index. */
import { resolve } from 'node:path'
import { type SessionKey, StorageError, storeEras } from '../index.js'
import { type IndexReader, type LocalIndexStore, type SearchHit, type SearchOptions, searchIndex } from '../indexer/index.js'
import { folderPaths, scopeOf } from './scope.js'

const KINDS = Object.keys(storeEras).filter((kind) => kind !== 'memory')

export interface SearchFilters {
  readonly project?: string
  readonly dir?: string
  readonly role?: string
  readonly agent?: readonly string[]
  readonly session?: string
  readonly since?: number
  readonly until?: number
  readonly store?: readonly string[]
  /** Only these sessions. */
  readonly among?: readonly SessionKey[] | undefined
}

/**
 * One search for each spelling of a folder (by its own name, and by what its links lead to: sessions keep what their process saw)
 * and for each agent and each store that is named. What the index says of a session's store is asked, not the stores.
 * @throws StorageError INVALID_OPTION for a store that the index knows nothing of
 */
export function searchesOf(filters: SearchFilters, state: Pick<LocalIndexStore, 'sessions'>): readonly SearchOptions[] {
  const { project, dir, role, agent, session, since, until, store, among } = filters
  const common = {
    ...(role !== undefined && { role }),
    ...(session !== undefined && { session }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  }
  const scope = project === undefined ? undefined : scopeOf(project)
  const projects = scope === undefined ? [{}] : (scope.kind === 'id' ? [scope.id] : scope.paths).map((path) => ({ project: path }))
  const directories = dir === undefined ? [{}] : folderPaths(dir).map((directory) => ({ directory }))
  const agents = agent === undefined ? [{}] : agent.map((name) => ({ agent: name }))
  const stores = (store === undefined ? [{}] : store.map((name) => ofStore(name, state))).map((search) => within(search, among))
  const both = projects.flatMap((one) => directories.map((two) => ({ ...common, ...one, ...two })))
  return both.flatMap((search) => agents.flatMap((of) => stores.map((at) => ({ ...search, ...of, ...at }))))
}

function within(search: SearchOptions, among: readonly SessionKey[] | undefined): SearchOptions {
  if (among === undefined) return search
  const { keep: passes = () => true } = search
  const keep = ofSessions(among)
  return { ...search, keep: (document) => passes(document) && keep(document) }
}

function ofSessions(keys: readonly SessionKey[]): NonNullable<SearchOptions['keep']> {
  const names = new Set(keys.map(({ agent, session }) => `${agent} ${session}`))
  return ({ agent, session_id }) => names.has(`${agent} ${session_id}`)
}

function ofStore(name: string, state: Pick<LocalIndexStore, 'sessions'>): SearchOptions {
  if (KINDS.includes(name)) return { source: name }
  const known = state.sessions().filter(({ gone }) => !gone)
  const inStore = known.flatMap(({ key, store }) => (store === resolve(name) ? [key] : []))
  if (inStore.length > 0) return { keep: ofSessions(inStore) }
  const paths = [...new Set(known.map(({ store }) => store))].join(', ')
  throw new StorageError('INVALID_OPTION', {
    reason: `the index has no session of a store ${JSON.stringify(name)}; a kind is one of ${KINDS.join(', ')}, and the paths are: ${paths || 'none'}`,
  })
}

/** The best of several searches, by rank; a message that two of them find counts once. */
export async function searchAll(
  index: Pick<IndexReader, 'embedder' | 'sink'>,
  query: string,
  searches: readonly SearchOptions[],
  options: { readonly limit: number; readonly signal: AbortSignal },
): Promise<readonly SearchHit[]> {
  const hits = new Map<string, SearchHit>()
  for (const search of searches) {
    for (const hit of await searchIndex(index, query, { ...search, ...options })) {
      const message = nameOf(hit)
      const held = hits.get(message)
      if (held === undefined || held.score < hit.score) hits.set(message, hit)
    }
  }
  const best = [...hits.values()].sort((a, b) => b.score - a.score)
  // What one search shows as a copy, another one may show for itself.
  const copied = new Map(best.flatMap((hit) => hit.copies.map((copy) => [nameOf(copy), hit])))
  return best.filter((hit) => !ranksAbove(copied.get(nameOf(hit)), hit, best)).slice(0, options.limit)
}

function nameOf({ agent, session, message }: Pick<SearchHit, 'agent' | 'session' | 'message'>): string {
  return `${agent} ${session} ${message}`
}

function ranksAbove(one: SearchHit | undefined, other: SearchHit, order: readonly SearchHit[]): boolean {
  return one !== undefined && order.indexOf(one) < order.indexOf(other)
}
