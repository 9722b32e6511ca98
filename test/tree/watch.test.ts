/** Watching sessions: what changes is told soon and once, however events fail, and nothing is left behind. */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import type { StageIssue } from '../../src/core/stage.js'
import { openSessions } from '../../src/open.js'
import { liveStores } from '../../src/storage/live-stores.js'
import { storesAt } from '../../src/storage/paths.js'
import type { StoreSource } from '../../src/storage/store-source.js'
import { createWatchedRoots } from '../../src/storage/watch/root.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { type SessionWatch, startWatch, type WatchDependencies, type WatchOptions, watchSessions } from '../../src/tree/watch/watch.js'
import { conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { type FakeWatcher, fakeWatcher, type PiLogs, piLogs, reading, replaceFolder, type SteppedClock, steppedClock } from '../support/watching.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
const START = Date.parse('2026-03-01T10:00:00.000Z')
let made = 0
const newRoot = (...names: readonly string[]): string => join(folder.path, `r${made++}`, ...names)

interface World extends AsyncDisposable {
  readonly clock: SteppedClock
  readonly logs: PiLogs
  readonly watcher: FakeWatcher
  readonly issues: StageIssue[]
  readonly roots: ReturnType<typeof createWatchedRoots>
  readonly sessions: Awaited<ReturnType<typeof openSessions>>
  watch(options?: WatchOptions, dependencies?: WatchDependencies): SessionWatch
  /** Tells of what it does. */
  write(session: string): void
}

/** A log of pi, `a`, with a clock and a watcher that the test moves. */
async function world(root = newRoot()): Promise<World> {
  const logs = piLogs(root)
  logs.add('a')
  const clock = steppedClock(START + DAY)
  const sessions = await openSessions({ data: root, clock })
  const watcher = fakeWatcher()
  const issues: StageIssue[] = []
  const roots = createWatchedRoots(() => undefined)
  return {
    clock,
    logs,
    watcher,
    issues,
    roots,
    sessions,
    watch: (options = {}, dependencies = {}) =>
      startWatch(sessions, { onIssue: (issue) => issues.push(issue), ...options }, { load: watcher.load, roots, ...dependencies }),
    write(session) {
      logs.add(session)
      watcher.tell(logs.pathOf(session))
    },
    [Symbol.asyncDispose]: () => sessions.close(),
  }
}

describe('watching', () => {
  it('tells what is new, what changes and what goes, soon after word of it', async () => {
    await using at = await world()
    await using watch = at.watch()
    const { take } = reading(watch)
    await at.clock.advance(200)
    expect([take(), at.watcher.folders]).toEqual([[], [at.logs.root]])
    at.write('b')
    await at.clock.advance(49)
    expect(take()).toEqual([])
    await at.clock.advance(60)
    expect(take()).toEqual(['added b'])
    at.write('a')
    await at.clock.advance(150)
    expect(take()).toEqual(['changed a'])
    at.logs.remove('b')
    at.watcher.tell(at.logs.pathOf('b'), 'delete')
    await at.clock.advance(150)
    expect(take()).toEqual(['removed b'])
    await at.clock.advance(10_000)
    expect([take(), at.issues]).toEqual([[], []])
  })

  it('tells of a session that is written to all the time now and then, and of the one beside it when that is quiet', async () => {
    await using at = await world()
    await using watch = at.watch({ debounceMs: 50, maxDelayMs: 400 })
    const { take } = reading(watch)
    await at.clock.advance(200)
    for (let n = 0; n < 40; n++) {
      at.write('a')
      if (n === 5) at.write('b')
      await at.clock.advance(25)
    }
    const told = take()
    expect(told.indexOf('added b')).toBeLessThanOrEqual(1)
    expect(told.filter((one) => one === 'changed a').length).toBeGreaterThanOrEqual(2)
    expect(told.length).toBeLessThanOrEqual(5)
  })

  it('gives later changes higher generations', async () => {
    await using at = await world()
    await using watch = at.watch()
    const seen: number[] = []
    const read = (async () => {
      for await (const { generation } of watch) seen.push(generation)
    })()
    for (let n = 0; n < 3; n++) {
      await at.clock.advance(300)
      at.write('a')
    }
    await at.clock.advance(300)
    await watch.return()
    await read
    expect(seen).toHaveLength(3)
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
  })

  it('loses nothing for a caller who is slow, and tells him of each session once', async () => {
    await using at = await world()
    at.logs.add('gone')
    await at.sessions.refresh()
    await using watch = at.watch()
    const first = watch.next()
    await at.clock.advance(100)
    at.write('first')
    await at.clock.advance(200)
    expect((await first).value).toMatchObject({ kind: 'added', session: { session: 'first' } })
    for (let n = 0; n < 50; n++) {
      at.write('a')
      at.write('new')
      await at.sessions.refresh()
    }
    at.write('brief')
    await at.sessions.refresh()
    at.logs.remove('brief')
    at.logs.remove('gone')
    await at.sessions.refresh()
    const { take } = reading(watch)
    await at.clock.advance(500)
    expect(take().sort()).toEqual(['added new', 'changed a', 'removed gone'])
  })

  it('tells what somebody else found first, from the call on', async () => {
    await using at = await world()
    await using watch = at.watch({ watch: 'poll' })
    at.logs.add('b')
    await at.sessions.refresh()
    await using other = at.watch({ watch: 'poll' })
    const [one, two] = [reading(watch), reading(other)]
    await at.clock.advance(300)
    at.logs.add('c')
    await at.clock.advance(1000)
    expect([one.take(), two.take()]).toEqual([['added b', 'added c'], ['added c']])
  })

  it('tells of a store within a second of its coming, where there was none, and where there are others', async () => {
    const root = newRoot()
    const clock = steppedClock(START + DAY)
    await using sessions = await openSessions({ env: { HOME: root }, clock })
    await using watch = startWatch(sessions, {}, { load: fakeWatcher().load, roots: createWatchedRoots(() => undefined) })
    const { take } = reading(watch)
    await clock.advance(10_100)
    piLogs(join(root, '.pi', 'agent', 'sessions')).add('a')
    await clock.advance(1000)
    expect(take()).toEqual(['added a'])
    await clock.advance(10_100)
    const data = join(root, '.local', 'share', 'opencode')
    mkdirSync(data, { recursive: true })
    using fixture = sqliteFixture('1.18')([corpusSession(START, conversation(START + 1, 1), { id: 'ses_new' })])
    for (const end of ['', '-wal']) if (existsSync(fixture.path + end)) cpSync(fixture.path + end, join(data, `opencode.db${end}`))
    await clock.advance(1000)
    expect(take()).toEqual(['added ses_new'])
  })

  it('looks at the stores no more often for that', async () => {
    await using at = await world()
    let looks = 0
    const refresh = at.sessions.refresh.bind(at.sessions)
    at.sessions.refresh = (options) => {
      looks++
      return refresh(options)
    }
    await using watch = at.watch()
    reading(watch)
    await at.clock.advance(1000)
    const before = looks
    await at.clock.advance(30_000)
    expect(looks - before).toBe(10)
  })

  it('watches stores that appear, and lets go those that are gone', async () => {
    const home = newRoot()
    piLogs(join(home, '.pi', 'agent', 'sessions')).add('a')
    const clock = steppedClock(START + DAY)
    await using sessions = await openSessions({ data: home, clock })
    const watcher = fakeWatcher()
    await using watch = startWatch(sessions, {}, { load: watcher.load, roots: createWatchedRoots(() => undefined) })
    const { take } = reading(watch)
    await clock.advance(100)
    expect(watcher.folders).toHaveLength(1)
    const folders = ['sessions', 'archived_sessions'].map((name) => join(home, '.codex', name))
    for (const one of folders) mkdirSync(one, { recursive: true })
    await clock.advance(4000)
    expect(watcher.folders).toEqual([join(home, '.pi', 'agent', 'sessions'), ...folders])
    rmSync(join(home, '.codex'), { recursive: true })
    await clock.advance(4000)
    expect([watcher.folders, take()]).toEqual([[join(home, '.pi', 'agent', 'sessions')], []])
  })
})

describe('where events fail, watching', () => {
  it('polls with one issue where they cannot be had, and says nothing where nobody asked for them', async () => {
    await using at = await world()
    const load = async () => ({ why: 'the optional peer @parcel/watcher is not installed' })
    await using watch = at.watch({}, { load })
    const { take } = reading(watch)
    await at.clock.advance(2000)
    at.logs.add('b')
    await at.clock.advance(600)
    expect(take()).toEqual(['added b'])
    expect(at.issues).toEqual([{ code: 'WATCH_LOST', reason: 'the optional peer @parcel/watcher is not installed', transient: true }])
    for (const poll of ['poll', 'brute-force'] as const) {
      await using other = at.watch({ watch: poll }, { load })
      const read = reading(other)
      await at.clock.advance(100)
      at.logs.add('a')
      await at.clock.advance(700)
      expect(read.take()).toEqual(['changed a'])
    }
    expect(at.issues).toHaveLength(1)
  })

  it.each(['inotify_add_watch failed: No space left on device', 'never'])('polls when the watcher refuses: %s', async (refusal) => {
    await using at = await world()
    at.watcher.refuses = refusal
    await using watch = at.watch({ pollMs: 300 })
    const { take } = reading(watch)
    await at.clock.advance(2000)
    at.logs.add('b')
    await at.clock.advance(400)
    expect(take()).toEqual(['added b'])
    await at.clock.advance(20_000)
    const reasons = refusal === 'never' ? [] : [refusal]
    expect(at.issues.map(({ code, reason, path }) => [code, reason, path])).toEqual(reasons.map((reason) => ['WATCH_LOST', reason, at.logs.root]))
    // Asked again now and then, not all the time.
    expect(at.watcher.asked).toBeLessThan(4)
    at.watcher.refuses = undefined
    await at.clock.advance(30_000)
    expect(at.watcher.folders).toHaveLength(refusal === 'never' ? 0 : 1)
  })

  it('tells all the same when every event is lost without a word', async () => {
    await using at = await world()
    await using watch = at.watch()
    const { take } = reading(watch)
    await at.clock.advance(500)
    at.logs.add('b')
    at.logs.add('a')
    await at.clock.advance(3200)
    expect(take().sort()).toEqual(['added b', 'changed a'])
  })

  it('polls after an overflow, looks to the ground, and takes up events again', async () => {
    using fixture = jsonFixture([corpusSession(START, conversation(START + 1000, 20))])
    const clock = steppedClock(START + 3 * DAY)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    const watcher = fakeWatcher()
    const issues: StageIssue[] = []
    const dependencies = { load: watcher.load, roots: createWatchedRoots(() => undefined) }
    await using watch = startWatch(sessions, { onIssue: (issue) => issues.push(issue) }, dependencies)
    const { take } = reading(watch)
    await clock.advance(1000)
    const [session] = sessions.index.sessionsByTime()
    const [first] = session === undefined ? [] : await sessions.index.messages(session.key)
    if (session === undefined || first === undefined) throw new Error('nothing was written')
    await clock.advance(10_000)
    expect(take()).toEqual([])
    const [part] = readdirSync(join(fixture.path, 'part', first.id))
    const place = { session: session.id, message: first.id, part: String(part).replace('.json', '') }
    fixture.write(place, '{"type":"text","text":"rewritten long after"}', START + 2000)
    watcher.fail(fixture.path, 'the queue ran over')
    watcher.fail(fixture.path, 'the queue ran over')
    await clock.advance(6000)
    expect(take()).toEqual([`changed ${session.id}`])
    expect(issues.map(({ reason }) => reason)).toEqual(['the queue ran over'])
    await clock.advance(20_000)
    expect(watcher.folders).toEqual([fixture.path])
    await clock.advance(120_000)
    expect(take()).toEqual([])
  })

  it('goes on with another folder in the place of its own, which it says once', async () => {
    await using at = await world()
    await using watch = at.watch()
    const { take } = reading(watch)
    await at.clock.advance(500)
    replaceFolder(at.logs.root, (from, to) => cpSync(from, to, { recursive: true, preserveTimestamps: true }))
    await at.clock.advance(2000)
    expect(at.issues.map(({ reason, path }) => [reason, path])).toEqual([['another folder stands in its place', at.logs.root]])
    expect([at.watcher.folders, at.watcher.asked]).toEqual([[at.logs.root], 2])
    take()
    at.write('b')
    await at.clock.advance(200)
    expect(take()).toEqual(['added b'])
    renameSync(at.logs.root, `${at.logs.root}.gone`)
    await at.clock.advance(5000)
    expect(at.watcher.folders).toEqual([])
    renameSync(`${at.logs.root}.gone`, at.logs.root)
    at.logs.add('c')
    await at.clock.advance(5000)
    expect(take()).toContain('added c')
    expect(at.issues.map(({ reason }) => reason)).toEqual(['another folder stands in its place', 'the folder is gone'])
    expect(at.watcher.folders).toEqual([at.logs.root])
  })

  it('polls on a network mount, for its events tell only what this machine writes', async () => {
    await using at = await world()
    await using watch = at.watch({}, { roots: createWatchedRoots(() => 0x6969) })
    const { take } = reading(watch)
    await at.clock.advance(500)
    at.logs.add('b')
    await at.clock.advance(700)
    expect([take(), at.watcher.asked, at.issues.map(({ reason }) => reason)]).toEqual([
      ['added b'],
      0,
      ['the store lies on NFS, whose events do not tell what other machines write'],
    ])
  })

  it('is not stopped by a listener of issues that throws', async () => {
    await using at = await world()
    const onIssue = (): never => {
      throw new Error('mine')
    }
    await using watch = at.watch({ onIssue }, { load: async () => ({ why: 'none' }) })
    const { take } = reading(watch)
    at.logs.add('b')
    await at.clock.advance(700)
    expect(take()).toEqual(['added b'])
  })
})

describe('a set whose worker is lost', () => {
  it('is watched on by the next one, and says so once', async () => {
    const logs = piLogs(newRoot())
    logs.add('a')
    const clock = steppedClock(START + DAY)
    const live = liveStores({ discover: () => storesAt([logs.root]), clock })
    let isLost = false
    const source: StoreSource = {
      get stores() {
        return live.stores
      },
      issues: [],
      refresh: (options) => (isLost ? Promise.reject(new StorageError('WORKER_LOST', { reason: 'it ended' })) : live.refresh(options)),
      [Symbol.asyncDispose]: () => live[Symbol.asyncDispose](),
    }
    await using sessions = await createSessionSet(source, { clock })
    const issues: StageIssue[] = []
    const options: WatchOptions = { debounceMs: 0, onIssue: (issue) => issues.push(issue) }
    await using watch = startWatch(sessions, options, { load: fakeWatcher().load, roots: createWatchedRoots(() => undefined) })
    const { take } = reading(watch)
    await clock.advance(1000)
    isLost = true
    logs.add('b')
    await clock.advance(70_000)
    expect([take(), issues.map(({ code }) => code)]).toEqual([[], ['WORKER_LOST']])
    isLost = false
    await clock.advance(1000)
    expect(take()).toEqual(['added b'])
  })
})

describe('a database', () => {
  it('is asked for its stamp: what is written is told without events and without polling', async () => {
    const session = corpusSession(START, conversation(START + 1000, 3))
    using fixture = sqliteFixture('1.2.1')([session])
    const clock = steppedClock(START + 3 * DAY)
    await using sessions = await createSessionSet([await fixture.open(clock)], { clock })
    await using watch = startWatch(sessions, {}, { load: fakeWatcher().load })
    const { take } = reading(watch)
    await clock.advance(1000)
    const [store] = sessions.stores
    const rows = store?.work.rows
    await clock.advance(1900)
    expect([take(), store?.work.rows]).toEqual([[], rows])
    const { id, time, data } = userMessage(clock.now())
    fixture.write({ session: session.id, message: id }, JSON.stringify(data), time)
    await clock.advance(300)
    expect(take()).toEqual([`changed ${session.id}`])
  })
})

describe('a watch', () => {
  it('refuses options that are none', async () => {
    await using at = await world()
    for (const options of [
      { watch: 'kqueue' },
      { watch: null },
      { pollMs: 0 },
      { debounceMs: -1 },
      { maxDelayMs: Number.NaN },
      { home: '/' },
      { signal: 1 },
      { onIssue: 1 },
      null,
      5,
    ]) {
      expect(() => watchSessions(at.sessions, options as WatchOptions), JSON.stringify(options)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      )
    }
  })

  it('ends with its signal, a loop that is left, or a return while it waits, and leaves nothing', async () => {
    await using at = await world()
    const nothing = (): void => expect([at.clock.sleepers, at.watcher.folders, at.roots.size]).toEqual([0, [], 0])
    const ending = new AbortController()
    const byAbort = at.watch({ signal: ending.signal })
    const read = reading(byAbort)
    await at.clock.advance(300)
    expect([at.clock.sleepers, at.watcher.folders.length]).toEqual([1, 1])
    ending.abort()
    await read.ended
    nothing()
    const byBreak = at.watch()
    const left = (async () => {
      for await (const _ of byBreak) break
    })()
    await at.clock.advance(300)
    at.write('b')
    await at.clock.advance(300)
    await left
    nothing()
    const byReturn = at.watch()
    const next = byReturn.next()
    await at.clock.advance(300)
    expect(await byReturn.return()).toEqual({ done: true, value: undefined })
    expect(await next).toEqual({ done: true, value: undefined })
    nothing()
    expect(await at.watch({ signal: AbortSignal.abort() }).next()).toEqual({ done: true, value: undefined })
    // The signal of one who took something and is busy with it.
    const busy = new AbortController()
    const held = at.watch({ signal: busy.signal })
    const taken = held.next()
    await at.clock.advance(300)
    at.write('c')
    await at.clock.advance(300)
    expect((await taken).done).toBe(false)
    busy.abort()
    await at.clock.advance(10)
    nothing()
    expect(await held.next()).toEqual({ done: true, value: undefined })
  })

  it('ends a subscription that comes after its end', async () => {
    await using at = await world()
    let ended = 0
    let subscribe: () => void = () => undefined
    const late = new Promise<{ unsubscribe(): Promise<unknown> }>((resolve) => {
      subscribe = () => resolve({ unsubscribe: async () => ended++ })
    })
    const watch = at.watch({}, { load: async () => ({ backend: 'inotify', watcher: { subscribe: () => late } }) })
    const { ended: over } = reading(watch)
    await at.clock.advance(300)
    await watch.return()
    await over
    expect(ended).toBe(0)
    subscribe()
    await at.clock.advance(1)
    expect(ended).toBe(1)
  })

  it('shares the folders of another watch of the process', async () => {
    await using at = await world()
    await using one = at.watch()
    const two = at.watch()
    const [first, second] = [reading(one), reading(two)]
    await at.clock.advance(300)
    expect(at.watcher.folders).toHaveLength(1)
    await two.return()
    await second.ended
    expect(at.watcher.folders).toHaveLength(1)
    at.write('b')
    await at.clock.advance(300)
    expect(first.take()).toEqual(['added b'])
  })
})

const KEY = sessionKey('pi', parseSessionId('a'))

describe('with the events of this system', () => {
  it('tells of writes, and of files made at once in new folders', async () => {
    const logs = piLogs(newRoot())
    logs.add('a')
    await using sessions = await openSessions({ data: logs.root })
    const issues: StageIssue[] = []
    await using watch = watchSessions(sessions, { onIssue: (issue) => issues.push(issue) })
    const { told } = reading(watch)
    await wait(300)
    logs.add('a')
    for (let n = 0; n < 30; n++) piLogs(logs.root, `--new-${n}--`).add(`s${n}`)
    const until = Date.now() + 20_000
    while (told.length < 31 && Date.now() < until) await wait(20)
    expect(told.toSorted()).toEqual(['changed a', ...Array.from({ length: 30 }, (_, n) => `added s${n}`)].toSorted())
    expect(issues).toEqual([])
    expect(sessions.index.session(KEY)).toBeDefined()
  })

  it('leaves no file, no thread and no timer behind, however often it is begun', async () => {
    const logs = piLogs(newRoot())
    logs.add('a')
    await using sessions = await openSessions({ data: logs.root })
    const once = async (): Promise<void> => {
      const watch = watchSessions(sessions)
      const { ended } = reading(watch)
      await wait(60)
      logs.add('a')
      await watch.return()
      await ended
    }
    const held = (): readonly number[] =>
      process.platform === 'linux' ? ['fd', 'task'].map((name) => readdirSync(join('/proc/self', name)).length) : []
    for (let n = 0; n < 3; n++) await once()
    const before = held()
    for (let n = 0; n < 20; n++) await once()
    // Threads that asked for the limits of inotify may be ending still.
    const isLeft = (): boolean => held().some((count, at) => count > (before[at] ?? 0) + 1)
    for (let n = 0; n < 500 && isLeft(); n++) await wait(20)
    for (const [at, count] of held().entries()) expect(count).toBeLessThanOrEqual((before[at] ?? 0) + 1)
    expect(dirname(logs.pathOf('a'))).toContain(logs.root)
  })
})
