// Your own embedder and sink: two small objects. node examples/custom-embedder-and-sink.js [DATA]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSessions } from 'spanleaf'
import { createIndexer, openLmdbState, searchIndex } from 'spanleaf/indexer'

/** Counts letters: a poor embedder, but a whole one. `space` names the vectors, so that kinds never mix. */
const embedder = {
  name: 'letters',
  space: 'letters/1/26',
  dimensions: 26,
  async embed(texts) {
    const vectors = new Float32Array(texts.length * 26)
    for (const [at, text] of texts.entries()) {
      for (const letter of text.toLowerCase()) {
        const place = letter.charCodeAt(0) - 97
        if (place >= 0 && place < 26) vectors[at * 26 + place] += 1
      }
      const row = vectors.subarray(at * 26, at * 26 + 26)
      const length = Math.hypot(...row) || 1
      for (const [place, value] of row.entries()) row[place] = value / length
    }
    return vectors
  },
}

/** Keeps documents in a map. Both writes are idempotent by id, and done when their promise resolves. */
const documents = new Map()
const matches = ({ metadata }, filter = {}) =>
  (filter.session === undefined || metadata.session_id === filter.session) && (filter.agent === undefined || metadata.agent === filter.agent)
const sink = {
  name: 'map',
  upsert: async (rows) => rows.forEach((row) => void documents.set(row.id, row)),
  delete: async (ids) => ids.forEach((id) => void documents.delete(id)),
  count: async () => documents.size,
  async *ids(filter) {
    for (const row of documents.values()) if (matches(row, filter)) yield { id: row.id, text_hash: row.metadata.text_hash, rev: row.metadata.rev }
  },
  nearest: async (vector, limit, filter) => rank((row) => row.vector.reduce((sum, value, at) => sum + value * vector[at], 0), limit, filter),
  matching: async (query, limit, filter) =>
    rank(
      (row) =>
        query
          .toLowerCase()
          .split(/\s+/)
          .filter((word) => row.text.toLowerCase().includes(word)).length,
      limit,
      filter,
    ),
  [Symbol.asyncDispose]: async () => documents.clear(),
}
function rank(scoreOf, limit, filter) {
  const scored = [...documents.values()].filter((row) => matches(row, filter)).map((row) => ({ ...row, score: scoreOf(row) }))
  return scored
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(0, limit)
}

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-custom-'))
const sessions = await openSessions({ data })
const state = await openLmdbState({ directory: folder })
const indexer = createIndexer({ sessions, state, embedder, sink })
await indexer.observe()
const { embedded, documents: written } = await indexer.drain()
console.log(`${embedded} texts embedded by "${embedder.name}", ${written} documents in the sink "${sink.name}"`)
for (const { title, session } of await searchIndex({ embedder, sink }, 'token bucket', { limit: 2 })) console.log(`${session}  ${title}`)

await indexer[Symbol.asyncDispose]()
await state[Symbol.asyncDispose]()
await sessions.close()
rmSync(folder, { recursive: true })
