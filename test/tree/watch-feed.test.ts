/** What is told of a session to somebody who waits, who is slow, or who was told nothing of what came before. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { bothOf, ChangeFeed, type ChangeKind } from '../../src/tree/watch/feed.js'
import { Pace } from '../../src/tree/watch/pace.js'

const key = (id: string) => sessionKey('pi', parseSessionId(id))
const changes = (kind: ChangeKind, ...ids: readonly string[]) => ({ added: [], changed: [], removed: [], [kind]: ids.map(key) })
const feedOf = () => new ChangeFeed({ quietMs: 50, maxDelayMs: 400 })

describe('a feed of changes', () => {
  it('gives a change when its session is quiet, or has waited long enough', () => {
    const feed = feedOf()
    feed.add(changes('changed', 'a', 'b'), 1, 0)
    expect([feed.dueAt(), feed.take(49)]).toEqual([50, undefined])
    feed.add(changes('changed', 'a'), 2, 40)
    expect(feed.take(50)?.session.session).toBe('b')
    expect([feed.take(89), feed.dueAt()]).toEqual([undefined, 90])
    for (let now = 80; now <= 400; now += 40) feed.add(changes('changed', 'a'), now, now)
    expect([feed.take(399), feed.dueAt()]).toEqual([undefined, 400])
    expect(feed.take(400)).toEqual({ session: key('a'), kind: 'changed', generation: 400 })
    expect([feed.size, feed.dueAt(), feed.take(1e9)]).toEqual([0, Number.POSITIVE_INFINITY, undefined])
  })

  it('tells what became of a session to somebody who was told nothing in between', () => {
    const steps: readonly (readonly [ChangeKind, ChangeKind, ChangeKind | undefined])[] = [
      ['added', 'changed', 'added'],
      ['added', 'removed', undefined],
      ['changed', 'changed', 'changed'],
      ['changed', 'removed', 'removed'],
      ['removed', 'added', 'changed'],
    ]
    for (const [before, then, both] of steps) expect(bothOf(before, then), `${before}, ${then}`).toBe(both)
  })

  it('holds one entry for each session, and to apply what it gives makes the sessions what they are (property)', () => {
    const step = fc.record({ id: fc.constantFrom('a', 'b', 'c'), act: fc.constantFrom('write', 'remove', 'take'), ms: fc.nat(120) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const feed = feedOf()
        const real = new Set(['a'])
        const known = new Set(['a'])
        let now = 0
        const take = (): boolean => {
          const change = feed.take(now)
          if (change === undefined) return false
          const id = change.session.session
          expect(known.has(id)).toBe(change.kind !== 'added')
          if (change.kind === 'removed') known.delete(id)
          else known.add(id)
          return true
        }
        for (const { id, act, ms } of steps) {
          now += ms
          if (act === 'take') take()
          else if (act === 'remove') {
            if (real.delete(id)) feed.add(changes('removed', id), now, now)
          } else {
            feed.add(changes(real.has(id) ? 'changed' : 'added', id), now, now)
            real.add(id)
          }
          expect(feed.size).toBeLessThanOrEqual(3)
        }
        now += 1000
        while (take());
        expect(known).toEqual(real)
      }),
    )
  })
})

describe('the pace of looks', () => {
  const paceOf = (now = 0) => new Pace({ gapMs: 50, pollMs: 500 }, now)
  const look = (pace: Pace, start: number, took: number, deep = false): void => {
    pace.begin(deep)
    pace.end(start, start + took, deep)
  }

  it('is slow without word of a write, and quick with it', () => {
    const pace = paceOf()
    expect(pace.dueAt(false)).toBe(Number.NEGATIVE_INFINITY)
    look(pace, 0, 1)
    expect([pace.dueAt(false), pace.dueAt(true)]).toEqual([3001, 501])
    pace.woken()
    expect([pace.dueAt(false), pace.dueAt(true)]).toEqual([51, 51])
  })

  it('takes no more than a part of the time where a look takes long', () => {
    const pace = paceOf()
    look(pace, 0, 1000)
    expect([pace.dueAt(false), pace.dueAt(true)]).toEqual([11_000, 11_000])
    pace.woken()
    expect(pace.dueAt(true)).toBe(3000)
  })

  it('looks to the ground once a minute, soon after a loss, and less often where that takes long', () => {
    const pace = paceOf()
    expect([pace.isDeepDue(59_999), pace.isDeepDue(60_000)]).toEqual([false, true])
    pace.lost()
    expect([pace.isDeepDue(4999), pace.isDeepDue(5000)]).toEqual([false, true])
    look(pace, 5000, 2000, true)
    expect([pace.isDeepDue(106_999), pace.isDeepDue(107_000)]).toEqual([false, true])
    // What comes while it looks is for the next look.
    pace.begin(true)
    pace.lost()
    pace.end(200_000, 200_001, true)
    expect([pace.isDeepDue(205_001), pace.dueAt(false)]).toEqual([true, 200_051])
  })
})
