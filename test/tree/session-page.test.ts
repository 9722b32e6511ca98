import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { AGENTS, type Agent } from '../../src/core/keys.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { Listing, SessionEntry } from '../../src/storage/store.js'
import { fold, ftsExpression, searchWords } from '../../src/tree/sessions/search-words.js'
import { cursorAfter, pageSessions, type SessionQuery } from '../../src/tree/sessions/session-page.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { describePages, entriesOf, type PageRow, type PageWorld } from '../contracts/session-page.js'

/** A store that lists what it is told to. */
class ToldStore extends MemoryStore {
  entries: readonly SessionEntry[] = []
  broken = false

  override async sessions(): Promise<Listing<SessionEntry>> {
    if (this.broken) throw new StorageError('STORE_BUSY', { reason: 'held', path: this.path })
    return { entries: this.entries, issues: [], complete: true }
  }
}

async function memoryWorld(): Promise<PageWorld & { readonly stores: ReadonlyMap<Agent, ToldStore>; refresh(): Promise<void> }> {
  const stores = new Map(AGENTS.map((agent) => [agent, new ToldStore(`/stores/${agent}`)]))
  const set = await createSessionSet([...stores.values()])
  const refresh = async (): Promise<void> => {
    await set.refresh()
  }
  return {
    stores,
    refresh,
    async put(rows) {
      for (const [agent, store] of stores) store.entries = entriesOf(rows, agent)
      await refresh()
    },
    page: (query?: SessionQuery) => pageSessions(set, query),
    [Symbol.asyncDispose]: () => set.close(),
  }
}

describePages('in memory', memoryWorld)

describe('pages in memory', () => {
  const rows: readonly PageRow[] = Array.from({ length: 9 }, (_, at) => ({ id: `s${at}`, updated: 100 - at }))

  it('goes on behind any row', async () => {
    await using world = await memoryWorld()
    await world.put(rows)
    const { sessions } = await world.page({ limit: 9 })
    for (const [at, session] of sessions.entries()) {
      const page = await world.page({ after: cursorAfter(session) })
      expect(page.sessions).toEqual(sessions.slice(at + 1))
    }
  })

  it('are in the order of the index where agents share an id, however the stores came in', async () => {
    const names: string[] = []
    for (const order of [AGENTS, AGENTS.toReversed()]) {
      const stores: ToldStore[] = []
      await using set = await createSessionSet({ stores, issues: [], refresh: async () => undefined, [Symbol.asyncDispose]: async () => undefined })
      for (const agent of order) {
        const store = new ToldStore(`/stores/${agent}`)
        store.entries = entriesOf(
          [
            { id: 'same', agent },
            { id: 'other', agent },
          ],
          agent,
        )
        stores.push(store)
        await set.refresh()
      }
      const agents = set.index.sessionsByTime().map(({ id, key }) => `${id} ${key.agent}`)
      expect((await pageSessions(set)).sessions.map(({ id, key }) => `${id} ${key.agent}`)).toEqual(agents)
      names.push(agents.join())
    }
    expect(names[0]).toBe(names[1])
  })

  it('is stale while a store cannot be listed, and gives what was listed before', async () => {
    await using world = await memoryWorld()
    await world.put(rows)
    const store = world.stores.get('opencode')
    if (store !== undefined) store.broken = true
    await world.refresh()
    expect(await world.page({ limit: 2 })).toMatchObject({ stale: true, sessions: [{ id: 's0' }, { id: 's1' }] })
  })
})

describe('words', () => {
  it('are letters and digits without case and accents; marks of other scripts stay', () => {
    expect(searchWords('Naïve  café-au-lait, 3.5 It’s x_y')).toEqual(['naive', 'cafe', 'au', 'lait', '3', '5', 'it', 's', 'x', 'y'])
    expect(searchWords('हिन्दी 한국어 İstanbul ΟΔΟΣ')).toEqual(['हिन्दी', '한국어', 'istanbul', 'οδοσ'])
    expect(searchWords('"-*()^:')).toEqual([])
    expect(fold('ÉTÉ')).toBe('ete')
  })

  it('stand quoted in the expression, the last one as a prefix', () => {
    expect(ftsExpression(['near', 'x'])).toBe('"near" "x"*')
  })
})
