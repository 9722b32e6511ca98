/** When the stores are listed that the catalog shows already: whoever opened the set goes first. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.js'
import { parseSessionId } from '../../src/core/ids.js'
import { type Agent, sessionKey } from '../../src/core/keys.js'
import { type OpenOptions, openSessions } from '../../src/open.js'
import { grepSessions } from '../../src/tree/grep/grep.js'
import { findChildLinks } from '../../src/tree/sessions/children.js'
import { Untold } from '../../src/tree/sessions/session-changes.js'
import { pageSessions } from '../../src/tree/sessions/session-page.js'
import type { SessionChanges, Sessions } from '../../src/tree/sessions/sessions.js'
import { followSession } from '../../src/tree/watch/follow.js'
import { manualClock } from '../support/clocks.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, pretty, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { firstOf, treeOf } from '../support/trees.js'

const START = Date.parse('2026-09-01T10:00:00Z')

interface World extends Disposable {
  open(options?: OpenOptions): Promise<Sessions>
  /** A session of no messages. */
  write(id: string): void
  remove(id: string): void
}

/** A store that the catalog knows. */
async function world(): Promise<World> {
  const corpus = corpusSession(START, conversation(START, 2), { id: 'ses_first' })
  const store = jsonFixture([corpus])
  const pathOf = (id: string): string => join(store.path, 'session', corpus.project, `${id}.json`)
  const place = tempFolder()
  const given = { data: store.path, home: join(place.path, 'home'), env: { HOME: place.path } }
  await (await openSessions(given)).close()
  return {
    open: (options) => openSessions({ ...given, ...options }),
    write(id) {
      const record = { id, title: id, directory: '/srv/sky', version: '1', time: { created: START, updated: START } }
      writeFileAt(pathOf(id), pretty(record), Date.now())
    },
    remove: (id) => rmSync(pathOf(id)),
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      place[Symbol.dispose]()
    },
  }
}

/** Opens the set, and asks for a page in each of its first waits; the waits in milliseconds until the stores are listed. */
async function waitsOf(place: World, pages: number): Promise<readonly number[]> {
  const clock = manualClock(START)
  const whileAsleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    await clock.sleep(ms, signal)
    await turn()
    if (clock.slept.length <= pages) expect((await pageSessions(sessions)).stale).toBe(true)
  }
  await using sessions = await place.open({ clock: { ...clock, sleep: whileAsleep } })
  expect(sessions.stale).toBe(true)
  while (sessions.stale) await turn()
  return clock.slept
}

describe('the first listing of what the catalog shows', () => {
  it('begins when nobody has asked for a page for a while', async () => {
    using place = await world()
    expect(await waitsOf(place, 0)).toEqual([50])
    expect(await waitsOf(place, 3)).toEqual([50, 50, 50, 50])
  })

  it('begins after a second though pages are asked for without an end', async () => {
    using place = await world()
    const waits = await waitsOf(place, Number.POSITIVE_INFINITY)
    expect(waits.reduce((sum, ms) => sum + ms)).toBe(1000)
  })

  it('begins at once for who waits for it, whatever is asked for', async () => {
    using place = await world()
    const forever: Clock['sleep'] = (_ms, signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    await using sessions = await place.open({ clock: { ...manualClock(START), sleep: forever } })
    await pageSessions(sessions)
    const { report } = await sessions.refresh()
    expect([sessions.stale, report.sessions]).toEqual([false, 1])
  })
})

const keyOf = (id: string, agent: Agent = 'opencode') => sessionKey(agent, parseSessionId(id))
const REPORT: SessionChanges['report'] = { durationMs: 0, stores: 1, sessions: 1, files: 0, rows: 0, bytes: 0, stats: 0 }

function changesOf({ added = [], changed = [], removed = [] }: Partial<Record<'added' | 'changed' | 'removed', string[]>>): SessionChanges {
  const keys = (ids: readonly string[]) => ids.map((id) => keyOf(id))
  return { added: keys(added), changed: keys(changed), removed: keys(removed), report: REPORT }
}

describe('a set that is closed before its first listing', () => {
  it('has no issue for that', async () => {
    using place = await world()
    const sessions = await place.open()
    expect(sessions.stale).toBe(true)
    await sessions.close()
    await turn()
    expect(sessions.issues).toEqual([])
  })
})

describe('what the first listing found', () => {
  const found = { added: [keyOf('ses_more')], changed: [], removed: [keyOf('ses_first')] }
  const nothing = { added: [], changed: [], removed: [] }

  it('is told to the first refresh after it, and to no other', async () => {
    using place = await world()
    place.write('ses_more')
    place.remove('ses_first')
    await using sessions = await place.open()
    while (sessions.stale) await turn()
    expect(await sessions.refresh()).toMatchObject({ ...found, report: { sessions: 1 } })
    expect(await sessions.refresh()).toMatchObject(nothing)
  })

  it.each<readonly [string, (sessions: Sessions) => Promise<unknown>]>([
    ['a search', async (sessions) => firstOf(grepSessions(sessions, /./))],
    ['a follower', (sessions) => firstOf(followSession(sessions, keyOf('ses_more')))],
    [
      'a page',
      async (sessions) => pageSessions(sessions, { after: (await pageSessions(sessions, { limit: 1 })).next ?? '', limit: 1 }).catch(() => 0),
    ],
    ['a look for children', async (sessions) => findChildLinks(sessions, await treeOf(sessions, { session: keyOf('ses_first') }))],
  ])('is told to the first refresh also where %s had the stores listed', async (_, act) => {
    using place = await world()
    place.write('ses_more')
    await using sessions = await place.open()
    await act(sessions)
    while (sessions.stale) await turn()
    expect((await sessions.refresh()).added).toEqual(found.added)
    expect((await sessions.refresh()).added).toEqual([])
  })

  it('is told to who waits for it, also once it is under way', async () => {
    using place = await world()
    place.write('ses_more')
    place.remove('ses_first')
    for (const turns of [0, 1, 2, 5, 50]) {
      using other = await world()
      other.write('ses_more')
      other.remove('ses_first')
      await using sessions = await other.open({ clock: { ...manualClock(START), sleep: async () => {} } })
      for (let n = 0; n < turns; n++) await turn()
      expect(await sessions.refresh()).toMatchObject(found)
      expect(await sessions.refresh()).toMatchObject(nothing)
    }
  })

  it('is told by the next refresh where the one that waited for it gave up', async () => {
    using place = await world()
    place.write('ses_more')
    place.remove('ses_first')
    await using sessions = await place.open()
    const ending = new AbortController()
    const waiting = sessions.refresh({ signal: ending.signal })
    ending.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    expect(await sessions.refresh()).toMatchObject(found)
  })

  it('is told although a session was looked for meanwhile that came later', async () => {
    using place = await world()
    place.write('ses_more')
    await using sessions = await place.open()
    while (sessions.stale) await turn()
    place.remove('ses_first')
    place.write('ses_later')
    await sessions.locate(keyOf('ses_later'))
    expect(await sessions.refresh()).toMatchObject({ added: [keyOf('ses_more'), keyOf('ses_later')], changed: [], removed: [keyOf('ses_first')] })
    expect(await sessions.refresh()).toMatchObject(nothing)
  })
})

describe('changes that nobody was told of', () => {
  it.each([
    [{ added: ['s'] }, { changed: ['s'] }, { added: ['s'] }],
    [{ added: ['s'] }, { removed: ['s'] }, {}],
    [{ changed: ['s'] }, { changed: ['s'] }, { changed: ['s'] }],
    [{ changed: ['s'] }, { removed: ['s'] }, { removed: ['s'] }],
    [{ removed: ['s'] }, { added: ['s'] }, { changed: ['s'] }],
    [
      { added: ['a'], removed: ['r'] },
      { added: ['b'], changed: ['a', 'c'] },
      { added: ['a', 'b'], changed: ['c'], removed: ['r'] },
    ],
  ])('are one with those that follow: %j, %j', (before, after, both) => {
    const untold = new Untold()
    untold.keep(changesOf(before))
    expect(untold.with(changesOf(after))).toEqual(changesOf(both))
    expect(untold.with(changesOf({}))).toEqual(changesOf({}))
  })
})
