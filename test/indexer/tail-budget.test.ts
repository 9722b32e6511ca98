/** A session of any size is read in pages of so many bytes, and those that ask for listings share them. */
import { describe, expect, it } from 'vitest'
import type { MessageKey } from '../../src/core/keys.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import type { SessionTail, TailOptions } from '../../src/indexer/source.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { conversation, corpusSession, DAY, userMessage, WRAP } from '../support/corpus.js'
import { jsonFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { keyOf } from '../support/trees.js'

const SMALL = conversation(WRAP - 3 * DAY, 6)
const LARGE = userMessage(WRAP - 2 * DAY, ['x'.repeat(50_000)])
const SESSION = corpusSession(WRAP - 4 * DAY, [...SMALL, LARGE, ...conversation(WRAP - DAY, 4)])
const KEY = keyOf(SESSION.id)
const IDS = SESSION.messages.map(({ id }) => id)

const ids = (tail: SessionTail): string[] => tail.messages.map(({ key }) => key.message)

async function withSessions(fixture: StoreFixture, use: (sessions: Sessions) => Promise<void>): Promise<void> {
  const sessions = await createSessionSet([await fixture.open()])
  try {
    await use(sessions)
  } finally {
    await sessions.close()
    fixture[Symbol.dispose]()
  }
}

async function pagesOf(sessions: Sessions, options: TailOptions, known: (key: MessageKey) => string | undefined = () => undefined) {
  const pages: SessionTail[] = []
  let after: TailOptions = {}
  do {
    const tail = await sessionSource(sessions).tail(KEY, known, { ...options, ...after })
    pages.push(tail)
    after = tail.more ?? {}
  } while (pages.at(-1)?.more !== undefined)
  return pages
}

describe.each([
  ['a tree of files', () => jsonFixture([SESSION])],
  ['a database', () => sqliteFixture('1.18')([SESSION])],
])('the tail of a session in %s', (_name, make) => {
  it('comes in pages that together hold every message once, in order, each with all ids', async () => {
    await withSessions(make(), async (sessions) => {
      const pages = await pagesOf(sessions, { bytes: 3000 })
      expect(pages.length).toBeGreaterThan(3)
      expect(pages.flatMap(ids)).toEqual(IDS)
      for (const page of pages) {
        expect(page.present).toEqual(IDS)
        expect(page.complete).toBe(true)
      }
    })
  })

  it('reads no more bytes than it was given, and one message in any case', async () => {
    await withSessions(make(), async (sessions) => {
      const pages = await pagesOf(sessions, { bytes: 3000 })
      const alone = pages.find((page) => ids(page).includes(LARGE.id))
      expect(alone && ids(alone)).toEqual([LARGE.id])
      const smallest = await pagesOf(sessions, { bytes: 1 })
      expect(smallest.map(ids)).toEqual(IDS.map((id) => [id]))
    })
  })

  it('is one page when it fits, or when nothing is said', async () => {
    await withSessions(make(), async (sessions) => {
      expect(await pagesOf(sessions, {})).toMatchObject([{ more: undefined }])
      expect(await pagesOf(sessions, { bytes: 1_000_000 })).toMatchObject([{ more: undefined }])
    })
  })

  it('counts only what is not known, and begins anew after a message that is gone', async () => {
    await withSessions(make(), async (sessions) => {
      const whole = await sessionSource(sessions).tail(KEY, () => undefined)
      const signatures = new Map(whole.messages.map(({ key, signature }) => [key.message, signature]))
      signatures.delete(LARGE.id as never)
      const pages = await pagesOf(sessions, { bytes: 1 }, ({ message }) => signatures.get(message))
      expect(pages.map(ids)).toEqual([[LARGE.id]])
      const [first] = SESSION.messages
      const anew = await sessionSource(sessions).tail(KEY, () => undefined, { bytes: 1, after: 'msg_gone' as never })
      expect(ids(anew)).toEqual([first?.id])
    })
  })
})

/** The set with another `refresh`. */
function refreshing(sessions: Sessions, refresh: () => Promise<void>): Sessions {
  return new Proxy(sessions, {
    get(target, name) {
      if (name === 'refresh') return refresh
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('listings', () => {
  it('are shared by all that ask while one runs, and each begins after it was asked for', async () => {
    using fixture = jsonFixture([SESSION])
    const store = openFileStore(fixture.path, { now: () => WRAP, monotonic: () => 0, sleep: async () => undefined })
    const sessions = await createSessionSet([store])
    let listed = 0
    let running = 0
    let most = 0
    const counted = refreshing(sessions, async () => {
      listed++
      most = Math.max(most, ++running)
      await sessions.refresh()
      running--
    })
    const source = sessionSource(counted)
    const early = source.revision(KEY)
    await Promise.resolve().then(() => undefined)
    const during = Array.from({ length: 20 }, () => source.revision(KEY))
    expect(new Set(await Promise.all([early, ...during])).size).toBe(1)
    expect(listed).toBeLessThanOrEqual(2)
    expect(most).toBe(1)
    await source.revision(KEY)
    expect(listed).toBeLessThanOrEqual(3)
    await sessions.close()
  })

  it('that fail leave the next one to be made', async () => {
    using fixture = jsonFixture([SESSION])
    const sessions = await createSessionSet([await fixture.open()])
    let fails = true
    const failing = refreshing(sessions, async () => {
      if (fails) throw new Error('the disk is away')
      await sessions.refresh()
    })
    const source = sessionSource(failing)
    await expect(source.revision(KEY)).rejects.toThrow('the disk is away')
    fails = false
    expect(await source.revision(KEY)).toBeDefined()
    await sessions.close()
  })
})
