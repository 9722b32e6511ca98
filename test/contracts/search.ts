/** What a search finds first, on every sink alike. Run it on yours: `describeSearch('mine', async () => mySink())`, an empty one each time. */
import { expect, it } from 'vitest'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'
import type { Embedder, Sink } from '../../src/indexer/ports.js'
import { type SearchOptions, searchIndex } from '../../src/indexer/search.js'
import { sinkRow } from './sink.js'

const TEXTS: Readonly<Record<string, string>> = {
  lease: 'The lease of a session expires; whoever claims it next gets a greater fencing token.',
  retry: 'Retries wait with full jitter, so that a herd of clients does not come back at once.',
  release: 'Release notes: nothing of it changes how sessions are claimed.',
  span: 'export function parseSpanTree(bytes: Uint8Array): SpanTree { return walk(bytes) }',
  column: 'ALTER TABLE jobs ADD COLUMN next_run_at INTEGER; the queue is ordered by it.',
  path: 'I edited src/indexer/ports.ts and left src/indexer/sinks/local.ts alone.',
  accent: 'Le café de la gare est fermé, à cause de la grève.',
  decomposed: 'On se retrouve au cafe\u0301 du coin.',
  japanese: 'セッションの検索を実装する。並び順は新しい順。',
  german: 'Die Prüfung schlägt fehl, weil die Größe nicht stimmt.',
  error: 'TypeError: Cannot read properties of undefined (reading "length") at hydrate.ts:42',
  backoff: 'Exponential backoff doubles up to a cap; jitter spreads the load.',
  empty: '???',
}

/** A query, and what comes first; more may follow. */
const CASES: readonly (readonly [query: string, first: readonly string[], options?: SearchOptions])[] = [
  ['lease', ['lease']],
  ['LEASES', ['lease']],
  ['fencing token', ['lease']],
  ['retry', ['retry']],
  ['retrying jitter', ['retry', 'backoff']],
  ['jitter backoff', ['backoff', 'retry']],
  ['claimed', ['lease', 'release']],
  ['parseSpanTree', ['span']],
  ['span tree', ['span']],
  ['next_run_at', ['column']],
  ['nextRunAt', ['column']],
  ['src/indexer/ports.ts', ['path']],
  ['ports.ts', ['path']],
  ['"full jitter"', ['retry']],
  ['expon', ['backoff']],
  ['cafe', ['accent', 'decomposed']],
  ['CAFÉ', ['accent', 'decomposed']],
  ['greve', ['accent']],
  ['grosse größe', ['german']],
  ['検索', ['japanese']],
  ['検索を実装', ['japanese']],
  ['cannot read properties of undefined', ['error']],
  ['nothing', ['release']],
  ['session', ['lease'], { role: 'user' }],
  ['session', ['release'], { directory: '/w/other' }],
]

export function describeSearch(name: string, empty: () => Promise<Sink>): void {
  it(`finds the same first on ${name}`, async () => {
    await using sink = await empty()
    const index = await filled(sink)
    const wrong: unknown[] = []
    for (const [query, first, options] of CASES) {
      const hits = await searchIndex(index, query, { limit: 5, ...options })
      const found = hits.slice(0, first.length).map(({ message }) => message)
      if (found.sort().join() !== [...first].sort().join()) wrong.push({ query, found, first })
    }
    expect(wrong).toEqual([])
  })

  it(`says on ${name} all that is known of a hit`, async () => {
    await using sink = await empty()
    const [hit] = await searchIndex(await filled(sink), 'release notes', { limit: 1 })
    const { score, document, ...known } = hit ?? { score: 0, document: undefined }
    expect(score).toBeGreaterThan(0)
    expect(document).toEqual({ id: 'local~release~0', chunk: 0, text: TEXTS.release })
    const metadata = { agent: 'opencode', session: 'ses_1', message: 'release', role: 'assistant', title: 'A title', directory: '/w/other/x' }
    expect(known).toEqual({ ...metadata, text: TEXTS.release, source: 'opencode-json', created: 1_700_000_000_000, copies: [] })
  })
}

async function filled(sink: Sink): Promise<{ readonly embedder: Embedder; readonly sink: Sink }> {
  const embedder = hashEmbedder()
  const names = Object.keys(TEXTS)
  const vectors = await embedder.embed(Object.values(TEXTS), { kind: 'document' })
  const rows = names.map((message_id, i) => {
    const metadata = message_id === 'release' ? { role: 'assistant', directory: '/w/other/x' } : { directory: '/w/app' }
    const row = sinkRow(`local~${message_id}~0`, TEXTS[message_id], [], { message_id, ...metadata })
    return { ...row, vector: vectors.slice(i * embedder.dimensions, (i + 1) * embedder.dimensions) }
  })
  await sink.upsert(rows)
  return { embedder, sink }
}
