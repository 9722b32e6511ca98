/** A sink in memory, plain enough to be right by inspection: the model that other sinks are compared with. */
import { StorageError } from '../../src/core/errors.js'
import type { DocumentMetadata, Sink, SinkFilter, SinkHit, SinkRow } from '../../src/indexer/ports.js'

export interface MemorySink extends Sink {
  readonly rows: ReadonlyMap<string, SinkRow>
}

export function memorySink(): MemorySink {
  const rows = new Map<string, SinkRow>()
  let isGone = false
  const gone = (): StorageError => new StorageError('SINK_FAILED', { reason: 'the sink was dropped' })
  const passing = (filter: SinkFilter = {}): readonly SinkRow[] => [...rows.values()].filter(({ metadata }) => passes(metadata, filter))
  return {
    name: 'memory',
    rows,
    async upsert(given, { signal } = {}) {
      signal?.throwIfAborted()
      if (isGone) throw gone()
      for (const row of given) rows.set(row.id, { ...row, vector: row.vector.slice() })
    },
    async delete(ids, { signal } = {}) {
      signal?.throwIfAborted()
      for (const id of ids) rows.delete(id)
    },
    async count() {
      if (isGone) throw gone()
      return rows.size
    },
    async *ids(filter) {
      for (const { id, metadata } of passing(filter)) yield { id, text_hash: metadata.text_hash, rev: metadata.rev }
    },
    nearest: async (vector, limit, filter) => best(passing(filter), (row) => cosine(vector, row.vector)).slice(0, Math.max(0, limit)),
    async matching(query, limit, filter) {
      const words = new Set(lowerWords(query))
      const score = ({ text }: SinkRow): number => lowerWords(text).filter((word) => words.has(word)).length
      return best(passing(filter), score)
        .filter((hit) => hit.score > 0)
        .slice(0, Math.max(0, limit))
    },
    async drop() {
      isGone = true
      rows.clear()
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

function best(rows: readonly SinkRow[], scoreOf: (row: SinkRow) => number): readonly SinkHit[] {
  const hits = rows.map((row) => ({ id: row.id, score: scoreOf(row), text: row.text, metadata: row.metadata }))
  return hits.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
}

export function passes(metadata: DocumentMetadata, filter: SinkFilter): boolean {
  const { project, directory, role, agent, session, source, since, until } = filter
  if (project !== undefined && metadata.project_id !== project && !isWithin(metadata.directory, project)) return false
  if (directory !== undefined && !isWithin(metadata.directory, directory)) return false
  if (role !== undefined && metadata.role !== role) return false
  if (agent !== undefined && metadata.agent !== agent) return false
  if (session !== undefined && metadata.session_id !== session) return false
  if (source !== undefined && metadata.source !== source) return false
  if (since !== undefined && metadata.created_at < since) return false
  return until === undefined || metadata.created_at <= until
}

function isWithin(path: string, folder: string): boolean {
  const [directory, root] = [path, folder].map((name) => (/^(\w:|\\\\)/.test(name) ? name.replaceAll('\\', '/') : name)) as [string, string]
  if (root === '' || root === directory) return root === directory
  const base = root.endsWith('/') ? root : `${root}/`
  return directory !== '' && `${directory}/`.startsWith(base)
}

function cosine(a: Float32Array, b: Float32Array): number {
  const product = a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
  const length = (vector: Float32Array): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length(a) * length(b) === 0 ? 0 : product / (length(a) * length(b))
}

function lowerWords(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
}
