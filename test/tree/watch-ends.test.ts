/** Watching and following end at once, whatever hangs meanwhile: all that is counted here hangs for ever. */
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import type { Store } from '../../src/storage/store.js'
import { createWatchedRoots } from '../../src/storage/watch/root.js'
import type { LoadWatcher } from '../../src/storage/watch/watch.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { followSession } from '../../src/tree/watch/follow.js'
import { closingOf } from '../../src/tree/watch/told.js'
import { startWatch } from '../../src/tree/watch/watch.js'
import { conversation, corpusSession, DAY } from '../support/corpus.js'
import { sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { piLogs, type SteppedClock, steppedClock } from '../support/watching.js'

const START = Date.parse('2026-03-01T10:00:00.000Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const KEY = sessionKey('opencode', parseSessionId(SESSION.id))
const fixture = sqliteFixture('1.2.1')([SESSION])
afterAll(() => fixture[Symbol.dispose]())

interface World {
  readonly clock: SteppedClock
  readonly sessions: Sessions
  /** From now on calls of this method hang; resolves with the first of them. */
  hang(method: keyof Store): Promise<void>
}

async function world(): Promise<World> {
  const clock = steppedClock(START + DAY)
  const opened = await fixture.open(clock)
  let hung: keyof Store | undefined
  let reached: () => void = () => undefined
  const store = new Proxy(opened, {
    get(_, name) {
      const value = Reflect.get(opened, name)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) => {
        if (name !== hung) return value.apply(opened, given)
        reached()
        return new Promise(() => undefined)
      }
    },
  })
  return {
    clock,
    sessions: await createSessionSet([store], { clock }),
    hang(method) {
      hung = method
      return new Promise((resolve) => {
        reached = resolve
      })
    },
  }
}

const CLOSED = { code: 'SET_CLOSED', reason: 'the set of sessions was closed' }
const OVER = { done: true, value: undefined }

describe.each(['stamp', 'sessions'] as const)('a watch while %s hangs', (method) => {
  it.each(['signal', 'set'] as const)('ends at once with its %s', async (by) => {
    const at = await world()
    const ending = new AbortController()
    const watch = startWatch(at.sessions, { signal: ending.signal, watch: 'poll' })
    const next = watch.next()
    const reached = at.hang(method)
    const advancing = at.clock.advance(5000)
    await reached
    await end(by, at, ending, next)
    await advancing
    expect(at.clock.sleepers).toBe(0)
    expect(await watch.next()).toEqual(OVER)
    expect(await watch.return()).toEqual(OVER)
    await at.sessions.close()
  })
})

describe('a watch', () => {
  it('ends at once while the watcher is loaded', async () => {
    const at = await world()
    const ending = new AbortController()
    const load: LoadWatcher = () => new Promise(() => ending.abort())
    expect(await startWatch(at.sessions, { signal: ending.signal }, { load }).next()).toEqual(OVER)
    await at.sessions.close()
  })

  it.each(['signal', 'set'] as const)('ends with its %s once it has begun to let go of folders, however long that takes', async (by) => {
    using root = tempFolder()
    const logs = piLogs(root.path)
    logs.add('a')
    const clock = steppedClock(START + DAY)
    const sessions = await openSessions({ data: logs.root, clock })
    const ending = new AbortController()
    const order: string[] = []
    const unsubscribe = (): Promise<unknown> => {
      order.push('let go')
      return new Promise(() => undefined)
    }
    const load: LoadWatcher = async () => ({ backend: 'inotify', watcher: { subscribe: async () => ({ unsubscribe }) } })
    const roots = createWatchedRoots(() => undefined)
    const next = startWatch(sessions, { signal: ending.signal }, { load, roots }).next()
    next.then(
      () => order.push('ended'),
      () => order.push('ended'),
    )
    await clock.advance(1000)
    await end(by, { sessions }, ending, next)
    expect([order, clock.sleepers, roots.size]).toEqual([['let go', 'ended'], 0, 0])
    await sessions.close()
  })

  it('says that the set is closed to a caller who was busy then', async () => {
    const at = await world()
    const watch = startWatch(at.sessions, { watch: 'poll' })
    await at.sessions.close()
    await expect(watch.next()).rejects.toMatchObject(CLOSED)
    expect(await watch.next()).toEqual(OVER)
    await expect(startWatch(at.sessions, { watch: 'poll' }).next()).rejects.toMatchObject(CLOSED)
  })

  it('leaves nothing behind with the set when its signal was aborted before', async () => {
    await using sessions = (await world()).sessions
    const closing = closingOf(sessions)
    const listeners = (): number | undefined => closing && getEventListeners(closing, 'abort').length
    const before = listeners()
    expect(await startWatch(sessions, { signal: AbortSignal.abort(), watch: 'poll' }).next()).toEqual(OVER)
    expect([before, listeners()]).toEqual([0, 0])
  })

  it('is one of as many as somebody wants: their number is no leak', async () => {
    await using sessions = (await world()).sessions
    const warnings: string[] = []
    const hear = ({ name, message }: Error): void => {
      if (name === 'MaxListenersExceededWarning') warnings.push(message)
    }
    process.on('warning', hear)
    const { signal } = new AbortController()
    const watches = Array.from({ length: 20 }, () => startWatch(sessions, { watch: 'poll', signal }))
    const followed = Array.from({ length: 20 }, () => followSession(sessions, KEY, { signal }))
    await Promise.all(followed.map((updates) => updates.next()))
    await turn()
    for (const watch of [...watches, ...followed]) await watch.return(undefined)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    process.off('warning', hear)
    expect(warnings).toEqual([])
  })
})

it('following returns at once to a caller who does not wait for the next write', async () => {
  const at = await world()
  const closing = closingOf(at.sessions)
  const updates = followSession(at.sessions, KEY)
  await updates.next()
  const next = updates.next()
  expect(await updates.return(undefined)).toEqual(OVER)
  expect(await next).toEqual(OVER)
  expect([at.clock.sleepers, closing && getEventListeners(closing, 'abort').length]).toEqual([0, 0])
  await at.sessions.close()
})

describe.each(['stamp', 'sessions', 'messages'] as const)('following while %s hangs', (method) => {
  it.each(['signal', 'set'] as const)('ends at once with its %s', async (by) => {
    const at = await world()
    const ending = new AbortController()
    const updates = followSession(at.sessions, KEY, { signal: ending.signal, pollMs: 100 })
    if (method !== 'messages') await updates.next()
    const reached = at.hang(method)
    const next = updates.next()
    const advancing = at.clock.advance(6000)
    await reached
    await end(by, at, ending, next)
    await advancing
    expect(at.clock.sleepers).toBe(0)
    expect(await updates.next()).toEqual(OVER)
    await at.sessions.close()
  })
})

async function end(by: 'signal' | 'set', { sessions }: Pick<World, 'sessions'>, ending: AbortController, next: Promise<unknown>): Promise<void> {
  if (by === 'signal') {
    ending.abort()
    expect(await next).toEqual(OVER)
  } else {
    const closing = sessions.close()
    await expect(next).rejects.toMatchObject(CLOSED)
    await closing
  }
}
