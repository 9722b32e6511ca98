/** Following a session of OpenCode: messages far from its end that are rewritten in place are told, too, and looking for them costs little. */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import type { Store } from '../../src/storage/store.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { DeepLooks } from '../../src/tree/watch/deep-looks.js'
import { type FollowOptions, type FollowUpdate, followSession } from '../../src/tree/watch/follow.js'
import { tellLook } from '../../src/tree/watch/told.js'
import { startWatch } from '../../src/tree/watch/watch.js'
import { type ManualClock, manualClock } from '../support/clocks.js'
import { type CorpusMessage, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { type FixtureMaker, jsonFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { fakeWatcher, steppedClock } from '../support/watching.js'

const START = Date.parse('2026-03-01T10:00:00.000Z')
const SESSION = corpusSession(START, conversation(START + 1000, 20))
const OTHER = corpusSession(START + 500, conversation(START + 1500, 2))
const KEY = sessionKey('opencode', parseSessionId(SESSION.id))
const NOW = SESSION.updated + DAY
const OLD = SESSION.messages[1] as CorpusMessage
const STORES: readonly (readonly [string, FixtureMaker])[] = [
  ['JSON', jsonFixture],
  ['SQLite', sqliteFixture('1.2.1')],
]

let times = 0
/** What pruning does to the output of a tool. */
function rewrite(fixture: StoreFixture, { id, parts }: CorpusMessage = OLD, session = SESSION.id): void {
  fixture.write({ session, message: id, part: parts[0]?.id ?? '' }, `{"type":"text","text":"rewritten ${times++}"}`, NOW + times)
}

const idsIn = ({ messages }: FollowUpdate): string[] => messages.map(({ key }) => key.message)

interface World extends AsyncDisposable {
  readonly fixture: StoreFixture
  readonly clock: ManualClock
  readonly store: Store
  readonly sessions: Sessions
  /** Follows by a clock that jumps; `act` is called before every look but the first one, with how many there were. */
  followed(looks: number, act: (look: number) => unknown, options?: FollowOptions): Promise<readonly FollowUpdate[]>
}

async function world(make: FixtureMaker, corpus = [SESSION, OTHER]): Promise<World> {
  const fixture = make(corpus)
  const clock = manualClock(NOW)
  const store = await fixture.open(clock)
  const sessions = await createSessionSet([store], { clock })
  await sessions.refresh({ deep: true })
  return {
    fixture,
    clock,
    store,
    sessions,
    async followed(looks, act, options = {}) {
      const ending = new AbortController()
      let look = 0
      const { sleep } = clock
      clock.sleep = async (ms, signal) => {
        if (++look === looks) ending.abort()
        else await act(look)
        return sleep.call(clock, ms, signal)
      }
      const updates: FollowUpdate[] = []
      for await (const update of followSession(sessions, KEY, { signal: ending.signal, ...options })) updates.push(update)
      clock.sleep = sleep
      return updates
    },
    async [Symbol.asyncDispose]() {
      await sessions.close()
      fixture[Symbol.dispose]()
    },
  }
}

describe.each(STORES)('a message of OpenCode in %s that is rewritten before the last eight', (_, make) => {
  it('is told once a refresh tells of its session, whoever asked for it', async () => {
    await using one = await world(make)
    const acts = new Map<number, () => unknown>([
      [2, () => rewrite(one.fixture)],
      [4, () => one.sessions.refresh({ deep: true })],
      [6, () => rewrite(one.fixture, SESSION.messages[7])],
      [8, () => one.sessions.refresh({ deep: true })],
    ])
    const updates = await one.followed(10, (look) => acts.get(look)?.())
    expect(updates.map(idsIn)).toEqual([SESSION.messages.map(({ id }) => id), [OLD.id], [SESSION.messages[7]?.id]])
    expect(updates[1]?.messages[0]?.parts).toContainEqual(expect.objectContaining({ text: expect.stringMatching(/^rewritten/) }))
  })

  it('is told within a minute where no refresh tells of it, and not again', async () => {
    await using one = await world(make)
    const lookAt = (look: number): unknown => look === 10 && rewrite(one.fixture)
    // Two looks a second.
    expect((await one.followed(300, lookAt)).map(idsIn).slice(1)).toEqual([[OLD.id]])
    await using another = await world(make)
    const soon = await another.followed(10 + 121, (look) => look === 10 && rewrite(another.fixture))
    expect(soon.map(idsIn).slice(1)).toEqual([[OLD.id]])
  })

  it('is told at first where it was rewritten since the cursor', async () => {
    await using one = await world(make)
    const [first] = await one.followed(2, () => undefined)
    const since = JSON.parse(JSON.stringify(first?.cursor))
    rewrite(one.fixture)
    expect((await one.followed(2, () => undefined, { since })).map(idsIn)).toEqual([[OLD.id]])
  })

  it('is not looked for when another session changes', async () => {
    await using one = await world(make)
    const work = async (): Promise<number> => {
      const before = one.store.work.stats + one.store.work.rows
      let refreshed = 0
      await one.followed(9, async (look) => {
        if (look !== 4) return
        rewrite(one.fixture, OTHER.messages[0], OTHER.id)
        const start = one.store.work.stats + one.store.work.rows
        const { changed } = await one.sessions.refresh({ deep: true })
        expect(changed.map(({ session }) => session)).toEqual([OTHER.id])
        refreshed = one.store.work.stats + one.store.work.rows - start
      })
      return one.store.work.stats + one.store.work.rows - before - refreshed
    }
    const disturbed = await work()
    await using quiet = await world(make)
    const start = quiet.store.work.stats + quiet.store.work.rows
    await quiet.followed(9, () => undefined)
    const undisturbed = quiet.store.work.stats + quiet.store.work.rows - start
    // One plain look at a database that was written to: a row for each of the last eight messages and of their parts, and some more.
    expect(disturbed - undisturbed).toBeLessThan(SESSION.messages.length)
  })
})

describe('a message that is rewritten before the last eight', () => {
  it('is told at once where a watch on the same set tells of its session', async () => {
    using fixture = jsonFixture([SESSION])
    const clock = steppedClock(NOW)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const watcher = fakeWatcher()
    const ending = new AbortController()
    const { signal } = ending
    const changes: string[] = []
    const updates: FollowUpdate[] = []
    const watching = (async () => {
      for await (const { kind } of startWatch(sessions, { signal }, { load: watcher.load })) changes.push(kind)
    })()
    const following = (async () => {
      for await (const update of followSession(sessions, KEY, { signal, pollMs: 2 ** 30 })) updates.push(update)
    })()
    await clock.advance(5000)
    rewrite(fixture)
    watcher.tell(`${fixture.path}/part/${OLD.id}/${OLD.parts[0]?.id}.json`)
    await clock.advance(1500)
    expect(changes).toEqual(['changed'])
    expect(updates.map(idsIn).slice(1)).toEqual([[OLD.id]])
    ending.abort()
    await Promise.all([watching, following])
  })
})

describe('what looking for rewritten messages costs', () => {
  const LONG = corpusSession(START, conversation(START + 1000, 100))

  it('nothing at an ordinary look: of a session ten times as long in files no more is asked than of a short one', async () => {
    const statsOf = async (messages: readonly CorpusMessage[]): Promise<readonly number[]> => {
      await using one = await world(jsonFixture, [{ ...LONG, messages }])
      const { work } = one.store
      const stats: number[] = []
      // For 110 seconds, without the looks at all stores in between.
      let before = 0
      tellLook(one.sessions, async (options) => {
        const start = work.stats
        const changes = await one.sessions.refresh(options)
        before += work.stats - start
        return changes
      })
      await one.followed(220, () => {
        stats.push(work.stats - before)
        before = work.stats
      })
      return stats.slice(1)
    }
    const short = await statsOf(LONG.messages.slice(-20))
    const long = await statsOf(LONG.messages)
    // Of the session, and of the last eight messages with their parts.
    const usual = 21
    expect([Math.min(...short), Math.min(...long)]).toEqual([usual, usual])
    // One look of them looks at all.
    expect(long.filter((count) => count > usual)).toHaveLength(1)
    expect(Math.max(...long)).toBeGreaterThan(200)
    expect(Math.max(...long)).toBeLessThan(usual + 800)
  })

  it('nothing in a database that nobody writes to, however long', async () => {
    await using one = await world(sqliteFixture('1.2.1'))
    const rows: number[] = []
    await one.followed(400, () => rows.push(one.store.work.rows))
    expect(rows.at(-1)).toBe(rows[1])
  })

  it('one look for many words of changes, and a rest that is longer the longer a look takes', () => {
    const looks = new DeepLooks(0, false)
    expect([looks.isDue(59_999), looks.isDue(60_000), looks.toldAt]).toEqual([false, true, Number.POSITIVE_INFINITY])
    looks.told()
    looks.told()
    expect(looks.toldAt).toBeLessThanOrEqual(500)
    expect(looks.isDue(500)).toBe(true)
    looks.begin()
    // During the look: it may have come too late for it.
    looks.told()
    looks.end(500, 700)
    expect([looks.isDue(701), looks.toldAt, looks.isDue(10_700)]).toEqual([false, 10_700, true])
    looks.begin()
    looks.end(10_700, 10_701)
    expect([looks.isDue(70_700), looks.isDue(70_701), looks.toldAt]).toEqual([false, true, Number.POSITIVE_INFINITY])
    looks.begin()
    looks.failed(70_800)
    expect([looks.isDue(70_801), looks.isDue(71_300)]).toEqual([false, true])
  })
})

it('a message that comes with a write far from the end does not hide that', async () => {
  await using one = await world(jsonFixture)
  const added = userMessage(NOW, ['new'])
  const updates = await one.followed(6, async (look) => {
    if (look !== 2) return
    rewrite(one.fixture)
    one.fixture.write({ session: SESSION.id, message: added.id }, JSON.stringify(added.data), NOW)
    await one.sessions.refresh({ deep: true })
    await turn()
  })
  expect(updates.slice(1).flatMap(idsIn).sort()).toEqual([OLD.id, added.id].sort())
})
