/** Refreshes that overlap, fail or are given up, and what the first one of a process leaves to the next. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { StorageError } from '../../src/core/errors.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { mergeSessions } from '../../src/storage/merged.js'
import type { SessionEntry, Store } from '../../src/storage/store.js'
import { turnsOf } from '../../src/storage/turns.js'
import { ChangeTeller } from '../../src/tree/sessions/session-changes.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'

const SESSIONS = 1500

/** At every look at it a turn is due. */
function hastyClock(): Clock {
  let now = 0
  return { now: () => 1_000_000, monotonic: () => (now += 10), sleep: () => new Promise(() => undefined) }
}

function storeOf(sessions: number): MemoryStore {
  const store = new MemoryStore()
  putAll(store, 'old', sessions)
  return store
}

function putAll(store: MemoryStore, title: string, sessions: number): void {
  for (let at = 0; at < sessions; at++) store.put({ session: `s${at}` }, { title, directory: '/w', time: { created: 1, updated: 1 } }, 1)
}

it('a look that fails while another is taken does not take back what that one found', async () => {
  const store = storeOf(SESSIONS)
  await using set = await createSessionSet([store], { clock: hastyClock() })
  putAll(store, 'new', SESSIONS + 1)
  const first = set.refresh()
  for (let turns = 0; turns < 3; turns++) await turn()
  const listing = vi.spyOn(store, 'sessions').mockRejectedValueOnce(new StorageError('STORE_BUSY', { reason: 'once', path: store.path }))
  const second = set.refresh()
  const { added, changed } = await first
  expect([listing.mock.calls.length, added.length, changed.length]).toEqual([1, 1, SESSIONS])
  for (const refreshing of [second, set.refresh()]) expect(await refreshing).toMatchObject({ added: [], changed: [], removed: [] })
  expect(new Set(set.index.sessionsByTime().map(({ title }) => title))).toEqual(new Set(['new']))
  expect(set.index.stats().sessions).toBe(SESSIONS + 1)
})

it('a refresh ends with its signal while another one waits for a store', async () => {
  const [upper, lower] = [storeOf(1), storeOf(1)]
  const set = await createSessionSet([upper, lower])
  const { promise: hung, resolve: release } = deferred()
  vi.spyOn(upper, 'newest').mockReturnValueOnce(hung.then(() => ({ entries: [undefined], issues: [], complete: true })))
  putAll(upper, 'new', 1)
  const first = set.refresh()
  await systemClock.sleep(10)
  const ending = new AbortController()
  const second = set.refresh({ signal: ending.signal })
  await systemClock.sleep(10)
  ending.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  release()
  expect((await first).changed.length).toBe(1)
  expect((await set.refresh()).changed).toEqual([])
  await set.close()
})

it('sessions of an earlier process that the first look cannot find are told of once somebody knows', async () => {
  const store = storeOf(1)
  const { entries } = await store.sessions()
  const turns = turnsOf(systemClock)
  const look = { isUnsure: () => true, turns }
  const teller = async (): Promise<ChangeTeller> => {
    const made = new ChangeTeller()
    const told = await made.changesSince(new Map<Store, readonly SessionEntry[]>([[store, entries]]), new Map(), look)
    expect(told.changes).toEqual({ added: [], changed: [], removed: [] })
    made.keep(told)
    return made
  }
  const { sessions } = await mergeSessions([{ store, listing: { entries, issues: [], complete: true } }], turns)
  const back = await (await teller()).changes(sessions, { ...look, isUnsure: () => false })
  expect(back.changes).toEqual({ added: [], changed: [], removed: [] })
  const gone = await (await teller()).changes(new Map(), { ...look, isUnsure: () => false })
  expect(gone.changes.removed.map(({ session }) => session)).toEqual(['s0'])
})

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
