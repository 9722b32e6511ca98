/** A long listing is taken over with turns of the event loop in between, and shows in one go. */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { Store } from '../../src/storage/store.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'

const SESSIONS = 1500

/** At every look at it a turn is due. */
function hastyClock(): Clock {
  let now = 0
  return { now: () => 1_000_000, monotonic: () => (now += 10), sleep: () => new Promise(() => undefined) }
}

const idOf = (at: number): string => `ses_${String(at).padStart(4, '0')}`

/** Times in no order; every third session is a child of the one before it. */
function put(store: MemoryStore, title: string, at: number): void {
  const updated = 1 + ((at * 7919) % SESSIONS)
  const parentID = at % 3 === 2 ? idOf(at - 1) : undefined
  store.put({ session: idOf(at) }, { title, directory: '/w', parentID, time: { created: 1, updated } }, updated)
}

interface World extends AsyncDisposable {
  readonly memory: MemoryStore
  readonly set: Sessions
  /** Does something so many turns after the next listing is there. */
  after(turns: number, act: () => void): void
}

async function world(): Promise<World> {
  const memory = new MemoryStore()
  for (let at = 0; at < SESSIONS; at++) put(memory, 'old', at)
  let act: (() => Promise<void>) | undefined
  const store = new Proxy<Store>(memory, {
    get: (_, name) => {
      const value = Reflect.get(memory, name)
      if (name !== 'sessions') return typeof value === 'function' ? value.bind(memory) : value
      return async (...given: Parameters<Store['sessions']>) => {
        const listing = await memory.sessions(...given)
        void act?.()
        act = undefined
        return listing
      }
    },
  })
  const set = await createSessionSet([store], { clock: hastyClock() })
  return {
    memory,
    set,
    after(turns, then) {
      act = async () => {
        for (let left = turns; left > 0; left--) await turn()
        then()
      }
    },
    [Symbol.asyncDispose]: () => set.close(),
  }
}

const titlesOf = ({ index }: Sessions): string => [...new Set(index.sessionsByTime().map(({ title }) => title))].sort().join()
const CLOSED = { code: 'SET_CLOSED', reason: 'the set of sessions was closed' }

describe('a listing that takes long', () => {
  it('lets others have their turn, and shows nothing before it shows all', async () => {
    await using at = await world()
    for (let n = 0; n < SESSIONS; n++) put(at.memory, 'new', n)
    let isOver = false
    const seen: string[] = []
    const refreshing = at.set.refresh().finally(() => {
      isOver = true
    })
    while (!isOver) {
      await turn()
      const { index } = at.set
      const [some] = index.sessionsByTime()
      seen.push(`${titlesOf(at.set)} ${some && index.session(some.key)?.title} ${some && index.findById(some.id)?.title}`)
    }
    expect((await refreshing).changed).toHaveLength(SESSIONS)
    expect([...new Set(seen)]).toEqual(['old old old', 'new new new'])
    // Seven passes over all of them: merging, their records, what changed, what is known of each, and three orders.
    expect(seen.length).toBeGreaterThan((7 * SESSIONS) / 32)
  })

  it('ends with every order as if it was made in one go', async () => {
    await using at = await world()
    for (let n = 0; n < SESSIONS; n += 5) at.memory.remove({ session: idOf(n) })
    for (let n = 1; n < SESSIONS; n += 5) put(at.memory, 'new', n)
    put(at.memory, 'more', SESSIONS)
    const { added, changed, removed } = await at.set.refresh()
    expect([added.length, changed.length, removed.length]).toEqual([1, SESSIONS / 5, SESSIONS / 5])
    await using fresh = await createSessionSet([at.memory])
    const all = fresh.index.sessionsByTime()
    expect(all).toEqual([...all].sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1)))
    expect(at.set.index.sessionsByTime()).toEqual(all)
    for (const { key, id } of all) {
      expect(at.set.index.children(key)).toEqual(all.filter(({ parent }) => parent === id))
      expect(at.set.index.findById(id)).toEqual(fresh.index.session(key))
    }
  })

  it('loses no change that comes meanwhile, and tells each once', async () => {
    await using at = await world()
    for (let n = 0; n < SESSIONS; n++) put(at.memory, 'new', n)
    let second: ReturnType<Sessions['refresh']> | undefined
    at.after(20, () => {
      put(at.memory, 'newest', 7)
      put(at.memory, 'newest', SESSIONS)
      second = at.set.refresh()
    })
    const first = await at.set.refresh()
    expect([first.added.length, first.changed.length]).toEqual([0, SESSIONS])
    const { added, changed } = (await second) ?? {}
    expect([added, changed].map((keys) => keys?.map(({ session }) => session))).toEqual([[idOf(SESSIONS)], [idOf(7)]])
    expect(at.set.index.sessionsByTime()).toHaveLength(SESSIONS + 1)
  })

  it('is given up with its signal: nothing of it shows, and the next one tells it all', async () => {
    await using at = await world()
    for (let n = 0; n < SESSIONS; n++) put(at.memory, 'new', n)
    const ending = new AbortController()
    at.after(30, () => ending.abort(new Error('enough')))
    await expect(at.set.refresh({ signal: ending.signal })).rejects.toThrow('enough')
    expect(titlesOf(at.set)).toBe('old')
    expect((await at.set.refresh()).changed).toHaveLength(SESSIONS)
    expect(titlesOf(at.set)).toBe('new')
  })

  it('ends when the set is closed: nothing of it shows', async () => {
    const at = await world()
    for (let n = 0; n < SESSIONS; n++) put(at.memory, 'new', n)
    at.after(30, () => void at.set.close())
    await expect(at.set.refresh()).rejects.toMatchObject(CLOSED)
    expect(titlesOf(at.set)).toBe('old')
    await expect(at.set.refresh()).rejects.toMatchObject(CLOSED)
  })
})
