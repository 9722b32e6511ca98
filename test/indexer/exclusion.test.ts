/** What a session comes from, along chains of any length. */
import { describe, expect, it } from 'vitest'
import { parseSessionId, type SessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { ancestorFinder, parentsOf } from '../../src/indexer/exclusion.js'

describe('a long chain of sessions', () => {
  const keyOf = (at: number) => sessionKey('opencode', parseSessionId(`ses_${at}`))
  const chain = Array.from({ length: 2000 }, (_, at) => ({ key: keyOf(at), parent: at === 0 ? undefined : keyOf(at - 1).session }))

  class Counted extends Map<string, SessionId> {
    asked = 0
    override get(name: string): SessionId | undefined {
      this.asked++
      return super.get(name)
    }
  }

  it.each([
    ['none of which', 'ses_other', undefined],
    ['the first of which', 'ses_0', 'ses_0'],
  ])('%s is excluded is followed once', (_name, excluded, found) => {
    for (const sessions of [chain, [...chain].reverse()]) {
      const parents = new Counted(parentsOf(chain))
      const ancestorOf = ancestorFinder({ sessions: [excluded] }, parents)
      expect(sessions.map(ancestorOf)).toEqual(sessions.map(() => found))
      expect(parents.asked).toBeLessThanOrEqual(chain.length)
    }
  })

  it('that is a circle comes to an end', () => {
    const circle = chain.slice(0, 3).map(({ key }, at) => ({ key, parent: keyOf((at + 2) % 3).session }))
    const of = (sessions: readonly string[]) => circle.map(ancestorFinder({ sessions }, parentsOf(circle)))
    expect(of(['ses_other'])).toEqual([undefined, undefined, undefined])
    expect(of(['ses_1'])).toEqual(['ses_1', 'ses_1', 'ses_1'])
  })
})
