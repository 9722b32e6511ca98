/** Stores that were not written to since are not listed again, and any write is seen at the next look. */
import Database from 'better-sqlite3'
import { expect, it } from 'vitest'
import { createPoll } from '../../src/indexer/running/poll.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import type { SessionSource } from '../../src/indexer/source.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { fakeClock } from '../support/index-world.js'
import { jsonFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'

const SESSION = corpusSession(WRAP - DAY, conversation(WRAP - DAY, 2))
const LIST_MS = 3000

/** An engine as far as a poll uses one; gives how many listings each poll made. */
async function polling(fixture: StoreFixture, exclude: () => object = () => ({})) {
  const sessions = await createSessionSet([await fixture.open()])
  const clock = fakeClock()
  let listings = 0
  const source = sessionSource(sessions)
  const counted: SessionSource = {
    ...source,
    list: (signal) => {
      listings++
      return source.list(signal)
    },
  }
  const state = { sessions: () => [], observe: async () => undefined, note: async () => undefined, slowScan: async () => 0 }
  const limits = { listRefreshMs: LIST_MS, listPage: 256, slowScanBatch: 0, slowScanIntervalMs: 0 }
  const engine = {
    sessions: counted,
    listed: new Map<string, string>(),
    parents: new Map<string, string>(),
    behind: new Map<string, string>(),
    state,
    limits,
    clock,
    exclude,
    projectName: '',
    stopping: new AbortController().signal,
    progress: () => undefined,
  }
  const poll = createPoll()
  return {
    sessions,
    async poll(): Promise<number> {
      clock.advance(LIST_MS)
      const before = listings
      await poll(engine as never)
      return listings - before
    },
  }
}

const place = { session: SESSION.id, message: SESSION.messages[0]?.id ?? '', part: SESSION.messages[0]?.parts[0]?.id ?? '' }

it('a database is listed once while nobody writes, at the next poll after a write, and now and then all the same', async () => {
  using fixture = sqliteFixture('1.18')([SESSION])
  const { sessions, poll } = await polling(fixture)
  expect([await poll(), await poll(), await poll()]).toEqual([1, 0, 0])
  fixture.write(place, JSON.stringify({ type: 'text', text: 'edited' }), WRAP)
  expect([await poll(), await poll()]).toEqual([1, 0])
  const other = new Database(fixture.path)
  other.exec("UPDATE session SET title = 'another'")
  other.pragma('wal_checkpoint(TRUNCATE)')
  other.close()
  expect(await poll()).toBe(1)
  const polls: number[] = []
  for (let count = 0; count < 40; count++) polls.push(await poll())
  expect(polls.filter((listed) => listed === 1).length).toBeGreaterThanOrEqual(1)
  expect(polls.filter((listed) => listed === 1).length).toBeLessThanOrEqual(3)
  await sessions.close()
})

it('what is excluded since is looked for at once', async () => {
  using fixture = sqliteFixture('1.18')([SESSION])
  let sessionsOut: string[] = []
  const { sessions, poll } = await polling(fixture, () => ({ sessions: sessionsOut }))
  expect([await poll(), await poll()]).toEqual([1, 0])
  sessionsOut = [SESSION.id]
  expect([await poll(), await poll()]).toEqual([1, 0])
  await sessions.close()
})

it('a tree of files cannot tell, and is listed every time', async () => {
  using fixture = jsonFixture([SESSION])
  const { sessions, poll } = await polling(fixture)
  expect([await poll(), await poll(), await poll()]).toEqual([1, 1, 1])
  await sessions.close()
})
