/** A page that is read from the catalog is the page that is read from memory, whatever is asked. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AGENTS } from '../../src/core/keys.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { Listing, SessionEntry } from '../../src/storage/store.js'
import { pageSessions, type SessionQuery } from '../../src/tree/sessions/session-page.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { entriesOf, type PageRow, type PageWorld } from '../contracts/session-page.js'
import { catalogWorld } from '../support/catalog-world.js'

const text = fc.array(fc.constantFrom('retry', 'Retrying', 'café', 'cafe', 'größe', 'queue', 'q', '検索', '🚀', '--', "'", '"', '\ud83d', '9'), {
  maxLength: 4,
})
const words = text.map((some) => some.join(' '))
const time = fc.integer({ min: 1, max: 6 })
const folder = fc.constantFrom('/work', '/work/', '/work/deep', '/workshop', '')

const row = fc.record(
  {
    id: fc.integer({ min: 0, max: 30 }).map((at) => `s${at}`),
    agent: fc.constantFrom(...AGENTS),
    title: words,
    label: words,
    prompt: words,
    tag: fc.constantFrom('red', 'blue'),
    directory: folder,
    created: time,
    updated: time,
    parent: fc.constant('s1'),
    archived: time,
  },
  { requiredKeys: ['id', 'agent'] },
)
const rows = fc.uniqueArray(row, { selector: ({ id, agent }) => `${agent} ${id}`, maxLength: 60 })

const query: fc.Arbitrary<SessionQuery> = fc.record(
  {
    sort: fc.constantFrom('updated', 'created', 'name'),
    agent: fc.subarray([...AGENTS]),
    cwd: fc.oneof(fc.constantFrom('/work', '/work/', '/'), fc.uniqueArray(fc.constantFrom('/work', '/workshop', '/work/deep/'), { minLength: 1 })),
    tag: fc.constantFrom('red', 'green'),
    search: words,
    children: fc.boolean(),
    archived: fc.boolean(),
    limit: fc.integer({ min: 1, max: 20 }),
  },
  { requiredKeys: ['limit'] },
)

class ToldStore extends MemoryStore {
  entries: readonly SessionEntry[] = []

  override async sessions(): Promise<Listing<SessionEntry>> {
    return { entries: this.entries, issues: [], complete: true }
  }
}

async function inMemory(told: readonly PageRow[]): Promise<Pick<PageWorld, 'page'> & AsyncDisposable> {
  const stores = AGENTS.map((agent) => {
    const store = new ToldStore(`/stores/${agent}`)
    store.entries = entriesOf(told, agent)
    return store
  })
  const set = await createSessionSet(stores)
  return { page: (asked) => pageSessions(set, asked), [Symbol.asyncDispose]: () => set.close() }
}

describe('pages', () => {
  it('are the same from the catalog as from memory (property)', async () => {
    await using catalog = await catalogWorld()
    await fc.assert(
      fc.asyncProperty(rows, fc.array(query, { minLength: 1, maxLength: 6 }), async (told, queries) => {
        await catalog.put(told)
        await using memory = await inMemory(told)
        for (const asked of queries) {
          for (let after: string | undefined = ''; after !== undefined; ) {
            const next: SessionQuery = { ...asked, ...(after !== '' && { after }) }
            const [found, expected] = [await catalog.page(next), await memory.page(next)]
            expect(found).toEqual(expected)
            after = found.next
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})
