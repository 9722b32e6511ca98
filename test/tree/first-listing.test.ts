/** When the stores are listed that the catalog shows already: whoever opened the set goes first. */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.js'
import { type OpenOptions, openSessions } from '../../src/open.js'
import { pageSessions } from '../../src/tree/sessions/session-page.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { manualClock } from '../support/clocks.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-09-01T10:00:00Z')

interface World extends Disposable {
  open(options?: OpenOptions): Promise<Sessions>
}

/** A store that the catalog knows. */
async function world(): Promise<World> {
  const store = jsonFixture([corpusSession(START, conversation(START, 2))])
  const place = tempFolder()
  const given = { data: store.path, home: join(place.path, 'home'), env: { HOME: place.path } }
  await (await openSessions(given)).close()
  return {
    open: (options) => openSessions({ ...given, ...options }),
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
