/** What `index` says of its run: a session counts once, however often it was at its turn. */
import { describe, expect, it } from 'vitest'
import { IndexingProgress } from '../../src/cli/progress.js'
import { type IndexStats, type SessionId, type SessionKey, type SessionMeta, sessionKey } from '../../src/index.js'
import type { IndexProgress } from '../../src/indexer/index.js'

const keyOf = (id: string): SessionKey => sessionKey('opencode', id as SessionId)
const committed = (id: string, given: Partial<Extract<IndexProgress, { kind: 'committed' }>> = {}): IndexProgress => ({
  ...{ kind: 'committed', key: keyOf(id), messages: 1, documents: 2, deleted: 0, embedded: 2, cached: 0, replayed: false },
  ...given,
})
const released = (id: string): IndexProgress => ({ kind: 'released', key: keyOf(id) })

function textAfter(listed: readonly string[], events: readonly IndexProgress[]): string {
  const index = {
    stats: () => ({ sessions: listed.length }) as IndexStats,
    session: ({ session }: SessionKey) => (listed.includes(session) ? ({ id: session } as SessionMeta) : undefined),
  }
  const progress = new IndexingProgress(index)
  for (const event of events) progress.add(event)
  return progress.text()
}

describe('the progress of index', () => {
  it('counts a session once that was at its turn several times', () => {
    const events = [committed('a'), released('a'), committed('a'), committed('a'), released('a'), committed('b'), released('b')]
    expect(textAfter(['a', 'b'], events)).toBe('2 of 2 sessions updated, 8 documents written')
  })

  it('counts no session of which nothing was written', () => {
    const events = [
      released('a'),
      committed('b', { messages: 0, documents: 0 }),
      released('b'),
      committed('c', { messages: 0, documents: 0, deleted: 1 }),
    ]
    expect(textAfter(['a', 'b', 'c'], events)).toBe('1 of 3 sessions updated, 0 documents written')
  })

  it('counts no session among those that are there which is not', () => {
    const events = [committed('gone', { documents: 0, deleted: 3 }), { kind: 'removed', key: keyOf('gone') } as const, committed('a')]
    expect(textAfter(['a'], events)).toBe('1 of 1 session updated, 2 documents written, 1 session removed')
  })

  it('tells sessions of two agents apart that have one id', () => {
    const other = { ...committed('a'), key: sessionKey('pi', 'a' as SessionId) }
    expect(textAfter(['a', 'b'], [committed('a'), other])).toBe('2 of 2 sessions updated, 4 documents written')
  })
})
