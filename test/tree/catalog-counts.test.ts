/** How many messages sessions have, as the catalog keeps it. */
import fs, { readdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import type { SessionKey } from '../../src/core/keys.js'
import type { SessionEntry, Store } from '../../src/storage/store.js'
import { openCatalog } from '../../src/tree/catalog/catalog.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { replaced } from '../support/builtin.js'
import { catalogWorld, listed, manyEntries, plainly, storeOf } from '../support/catalog-world.js'
import { type Corpus, conversation, corpusSession, generatedId, userMessage } from '../support/corpus.js'
import { pastGrain } from '../support/past-grain.js'
import { type FixtureMaker, jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

/** As in a process with too many open files: no folder is read whose path holds this. */
function unreadable(part: string): Disposable {
  return replaced(fs, 'readdirSync', (real) => {
    const readdir = real as (...asked: readonly unknown[]) => unknown
    const readdirSync = (...asked: readonly unknown[]): unknown => {
      if (String(asked[0]).includes(part)) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
      return readdir(...asked)
    }
    return readdirSync as typeof real
  })
}

const START = Date.parse('2026-09-01T10:00:00Z')
/** Ids are made of times. */
const STEP = 3_600_000
const CORPUS: Corpus = Array.from({ length: 70 }, (_, at) => corpusSession(START + at * STEP, conversation(START + at * STEP, at % 5)))

interface Counted extends AsyncDisposable {
  readonly sessions: Sessions
  /** Sessions that the store was asked to count. */
  readonly asked: SessionKey[]
  counts(): Promise<readonly number[]>
  /** Waits until nobody needs to count any more. */
  settled(): Promise<void>
}

async function opened(home: string, open: () => Promise<Store>): Promise<Counted> {
  const store = await open()
  const asked: SessionKey[] = []
  const count = store.messageCounts.bind(store)
  store.messageCounts = (keys) => {
    asked.push(...keys)
    return count(keys)
  }
  const sessions = await createSessionSet([store], { catalog: await openCatalog({ home, clock: systemClock }) })
  await sessions.refresh()
  return {
    sessions,
    asked,
    counts: () => sessions.index.messageCounts(CORPUS.map(({ id }) => ({ kind: 'session', agent: 'opencode', session: id }) as SessionKey)),
    settled: () =>
      vi.waitFor(
        () => {
          const database = new Database(join(home, 'sessions.idx.db'), { readonly: true })
          const [whole, missing] = database.prepare('SELECT count(*), count(*) - count(messages) FROM sessions').raw(true).get() as [number, number]
          database.close()
          expect([whole, missing]).toEqual([CORPUS.length, 0])
        },
        { timeout: 20_000, interval: 50 },
      ),
    [Symbol.asyncDispose]: () => sessions.close(),
  }
}

const TRUTH = CORPUS.map(({ messages }) => messages.length)

describe.each<[string, FixtureMaker]>([
  ['a tree of files', jsonFixture],
  ['a database', sqliteFixture('1.18')],
])('messages of sessions in %s', (_name, fixture) => {
  it('are counted once in the background, and again of those that changed', async () => {
    using store = fixture(CORPUS)
    using home = tempFolder()
    await pastGrain()
    {
      await using first = await opened(home.path, () => store.open())
      await first.settled()
      expect(await first.counts()).toEqual(TRUTH)
      expect(first.asked).toHaveLength(CORPUS.length)
    }
    await using second = await opened(home.path, () => store.open())
    expect(await second.counts()).toEqual(TRUTH)
    expect(second.asked).toEqual([])
    const { id } = CORPUS[7] ?? { id: '' }
    const message = generatedId('msg', START + 9e6)
    store.write({ session: id, message }, JSON.stringify(userMessage(START + 9e6).data), Date.now())
    await second.sessions.refresh()
    expect(await second.counts()).toEqual(TRUTH.map((count, at) => (at === 7 ? count + 1 : count)))
    await second.settled()
    expect(new Set(second.asked.map(({ session }) => session))).toEqual(new Set([id]))
  })
})

describe('messages that somebody asks for', () => {
  it('are kept, though the set is closed at once', async () => {
    using store = jsonFixture(CORPUS)
    using home = tempFolder()
    await pastGrain()
    {
      await using first = await opened(home.path, () => store.open())
      await first.counts()
    }
    await using second = await opened(home.path, () => store.open())
    expect(await second.counts()).toEqual(TRUTH)
    expect(second.asked).toEqual([])
  })
})

describe('messages that cannot be counted now', () => {
  it('are counted the next time, and nothing is kept of them', async () => {
    using store = jsonFixture(CORPUS)
    using home = tempFolder()
    // Leaves are looked at of what was written lately.
    for (const name of readdirSync(store.path, { recursive: true })) utimesSync(join(store.path, String(name)), 1e9, 1e9)
    await pastGrain()
    {
      using _ = unreadable('/message/')
      await using first = await opened(home.path, () => store.open())
      await vi.waitFor(() => expect(first.asked.length).toBeGreaterThanOrEqual(CORPUS.length), 20_000)
      expect(await first.counts()).toEqual(TRUTH.map(() => 0))
      await first.sessions.close()
    }
    await using second = await opened(home.path, () => store.open())
    expect(await second.counts()).toEqual(TRUTH)
    await second.settled()
  })
})

describe('sessions whose names cannot be read now', () => {
  it('are no sessions that are gone: a look at what is new waits for a listing', async () => {
    using fixture = jsonFixture(CORPUS)
    await using store = await fixture.open()
    expect(await store.ids?.()).toHaveLength(CORPUS.length)
    using _ = unreadable('/session/')
    await expect(store.ids?.()).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
  })
})

describe('a count', () => {
  const store = storeOf()
  const [entry] = manyEntries(1)
  const listing = { ...entry, version: 'v1' } as SessionEntry

  it('stays while what is shown changes, and goes with the version that it is of', async () => {
    await using world = await catalogWorld()
    const { counts } = world.catalog
    await world.catalog.write(store, listed([listing]), plainly(store))
    expect([counts.of(store, [listing]), counts.missing(store, '', 9).map(({ key }) => key.session)]).toEqual([[undefined], ['s0']])
    await counts.keep(store, [listing], [12])
    expect([counts.of(store, [listing]), counts.missing(store, '', 9)]).toEqual([[12], []])
    await world.catalog.write(store, listed([listing]), (one) => ({ ...plainly(store)(one), hiddenBy: storeOf('opencode', '/other') }))
    expect(counts.of(store, [listing])).toEqual([12])
    expect(counts.of(store, [{ ...listing, version: 'v2' }])).toEqual([undefined])
    await world.catalog.write(store, listed([{ ...listing, version: 'v2' }]), plainly(store))
    expect([counts.of(store, [listing]), counts.of(store, [{ ...listing, version: 'v2' }])]).toEqual([[undefined], [undefined]])
  })

  it('is not kept of a version that is gone, nor of a session whose store cannot tell', async () => {
    await using world = await catalogWorld()
    const { counts } = world.catalog
    await world.catalog.write(store, listed([listing]), plainly(store))
    await counts.keep(store, [{ ...listing, version: 'v0' }], [12])
    expect(counts.of(store, [listing])).toEqual([undefined])
    await world.catalog.write(store, listed([entry as SessionEntry]), plainly(store))
    await counts.keep(store, [entry as SessionEntry], [12])
    expect([counts.of(store, [entry as SessionEntry]), counts.missing(store, '', 9)]).toEqual([[undefined], []])
  })
})
