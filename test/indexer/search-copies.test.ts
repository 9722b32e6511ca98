/** History that forks and resumed sessions copy is found once. */
import { describe, expect, it } from 'vitest'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'
import type { DocumentMetadata } from '../../src/indexer/ports.js'
import { type SearchHit, searchIndex } from '../../src/indexer/search.js'
import { sinkRow } from '../contracts/sink.js'
import { memorySink } from '../support/memory-sink.js'

const LONG = 'penguin question, penguin question, penguin question'

type Given = readonly [session: string, message: string, text: string, metadata?: Partial<DocumentMetadata>]

async function indexOf(given: readonly Given[]) {
  const embedder = hashEmbedder()
  const sink = memorySink()
  for (const [session_id, message_id, text, metadata] of given) {
    const [vector] = [await embedder.embed([text], { kind: 'document' })]
    const chunk = metadata?.chunk ?? 0
    const id = `${session_id}~${message_id}~${chunk}`
    await sink.upsert([{ ...sinkRow(id, text, [], { session_id, message_id, title: `Title of ${session_id}`, ...metadata }), vector }])
  }
  return { embedder, sink }
}

const placeOf = ({ session, message }: Pick<SearchHit, 'session' | 'message'>): string => `${session}/${message}`
const placesOf = (hits: readonly SearchHit[]): unknown => hits.map((hit) => [placeOf(hit), ...hit.copies.map(placeOf).sort()])

describe('copied history', () => {
  it('leaves room for other hits, in the place of its best', async () => {
    const copies = Array.from({ length: 120 }, (_, i): Given => [`ses_fork${i}`, 'm1', LONG, { created_at: 1000 + i }])
    const others = Array.from(
      { length: 3 },
      (_, i): Given => ['ses_z', `z${i}`, `a text of ${i} that names the penguin once, among many other words`],
    )
    const index = await indexOf([...copies, ['ses_root', 'm1', LONG, { created_at: 10 }], ...others])
    const hits = await searchIndex(index, 'penguin question', { limit: 4 })
    expect(hits.map(placeOf)).toEqual(['ses_root/m1', ...hits.slice(1).map(placeOf)])
    expect(hits.map(({ session }) => session)).toEqual(['ses_root', 'ses_z', 'ses_z', 'ses_z'])
    expect(hits.map(({ copies: { length } }) => length)).toEqual([120, 0, 0, 0])
  })

  it('is told with all that is known of each copy', async () => {
    const index = await indexOf([
      ['ses_root', 'm1', LONG, { agent: 'codex', created_at: 10 }],
      ['ses_fork', '@487', LONG, { agent: 'codex', created_at: 20, directory: '/w/fork' }],
    ])
    const [hit] = await searchIndex(index, 'penguin')
    expect(hit?.copies).toEqual([
      {
        agent: 'codex',
        session: 'ses_fork',
        message: '@487',
        title: 'Title of ses_fork',
        directory: '/w/fork',
        source: 'opencode-json',
        created: 20,
      },
    ])
  })

  it('of equal age is that of the session that was written first', async () => {
    const index = await indexOf([
      ['ses_late', 'm1', 'penguin question', { rev: 9 }],
      ['ses_early', 'm1', 'penguin question', { rev: 4 }],
    ])
    expect(placesOf(await searchIndex(index, 'penguin'))).toEqual([['ses_early/m1', 'ses_late/m1']])
  })

  it('is that of the session that it comes from, where a log tells which one copied', async () => {
    const index = await indexOf([
      ['ses_fork', 'm1', 'penguin question', { rev: 1, created_at: 5, inherited: true }],
      ['ses_root', 'm1', 'penguin question', { rev: 2, created_at: 5 }],
      ['ses_fork2', 'm1', 'penguin question', { rev: 3, created_at: 4, inherited: true }],
    ])
    expect(placesOf(await searchIndex(index, 'penguin'))).toEqual([['ses_root/m1', 'ses_fork/m1', 'ses_fork2/m1']])
  })

  it('is folded message by message: what one session says twice stays two hits', async () => {
    const index = await indexOf([
      ['ses_root', 'm1', 'penguin', { created_at: 1 }],
      ['ses_root', 'm2', 'penguin', { created_at: 2 }],
      ['ses_fork', 'm1', 'penguin', { created_at: 1, rev: 3 }],
      ['ses_fork', 'm2', 'penguin', { created_at: 2, rev: 3 }],
      ['ses_fork', 'm3', 'penguin', { created_at: 3, rev: 3 }],
    ])
    const hits = await searchIndex(index, 'penguin')
    expect(hits.map(placeOf).sort()).toEqual(['ses_fork/m3', 'ses_root/m1', 'ses_root/m2'])
    expect(hits.flatMap(({ copies }) => copies.map(placeOf)).sort()).toEqual(['ses_fork/m1', 'ses_fork/m2'])
  })

  it('of a long text is that of the whole message, not of one part of it', async () => {
    const index = await indexOf([
      ['ses_a', 'm1', LONG, { text_hash: 'one' }],
      ['ses_a', 'm1', 'please mend the database', { text_hash: 'one', chunk: 1 }],
      ['ses_b', 'm1', LONG, { text_hash: 'two', rev: 3 }],
      ['ses_b', 'm1', 'now write the documentation', { text_hash: 'two', chunk: 1, rev: 3 }],
      ['ses_c', 'm1', LONG, { text_hash: 'one', rev: 5 }],
      ['ses_c', 'm1', 'please mend the database', { text_hash: 'one', chunk: 1, rev: 5 }],
    ])
    expect(placesOf(await searchIndex(index, 'penguin'))).toEqual([['ses_a/m1', 'ses_c/m1'], ['ses_b/m1']])
    const [hit] = await searchIndex(index, 'mend the database', { limit: 1 })
    expect(hit?.copies.map(placeOf)).toEqual(['ses_c/m1'])
  })

  it('of a short text is one of the same time, or one that a log tells', async () => {
    const index = await indexOf([
      ['ses_a', 'm1', 'thanks', { created_at: 10 }],
      ['ses_fork', 'm1', 'thanks', { created_at: 10, rev: 3 }],
      ['ses_b', 'm1', 'thanks', { created_at: 20 }],
      ['ses_told', 'm1', 'thanks', { created_at: 30, inherited: true }],
    ])
    const hits = await searchIndex(index, 'thanks')
    expect(hits.map((hit) => [placeOf(hit), ...hit.copies.map(placeOf).sort()]).sort()).toEqual([
      ['ses_a/m1', 'ses_fork/m1', 'ses_told/m1'],
      ['ses_b/m1'],
    ])
  })

  it('asks for no more than sixteen times as much for the sake of other places', async () => {
    const copies = Array.from({ length: 2000 }, (_, i): Given => [`ses_${i}`, 'm1', LONG])
    const { embedder, sink } = await indexOf(copies)
    const depths: number[] = []
    const counting: typeof sink = {
      ...sink,
      matching(query, depth, filter) {
        depths.push(depth)
        return sink.matching(query, depth, filter)
      },
    }
    const [hit] = await searchIndex({ embedder, sink: counting }, 'penguin', { limit: 2, vectorWeight: 0 })
    expect([depths, hit?.copies.length]).toEqual([[100, 400, 1600], 1599])
  })

  it('of another agent or role is another text', async () => {
    const index = await indexOf([
      ['ses_a', 'm1', 'penguin', { agent: 'pi' }],
      ['ses_b', 'm1', 'penguin', { agent: 'claude' }],
      ['ses_c', 'm1', 'penguin', { agent: 'claude', role: 'assistant' }],
    ])
    expect((await searchIndex(index, 'penguin')).map(({ copies }) => copies)).toEqual([[], [], []])
  })
})
