/** What the state tells about itself: computed from its rows, whoever asks. */
import { expect, it } from 'vitest'
import type { OwnerProbe } from '../../src/tree/catalog/owner.js'
import { A, B, claimed, DONE, FAILURE, gone, pendingRecord, type Stage, seen, settled, walRecord, walRow } from './state-stage.js'

function describeRows(stage: Stage): void {
  it('knows each session and the store that it was last listed in', async () => {
    const { state, clock } = stage
    for (const key of [B, A]) await state.observe(seen(key))
    expect(await state.sessions()).toEqual(
      [A, B].map((key) => ({ key, revision: 'r1', store: '/store', gone: false, stranded: false, incomplete: false, checkedAt: 0 })),
    )
    await state.observe(seen(B, 'r1', '/other'))
    expect((await state.sessions())[1]?.store).toBe('/other')
    expect((await state.status()).queue.ready).toBe(2)
    const claim = await claimed(state)
    clock.advance(3)
    await state.release(claim, { kind: 'done', incomplete: true })
    await state.observe(gone(A))
    expect(await state.sessions()).toMatchObject([
      { key: A, gone: true, incomplete: false, checkedAt: 0 },
      { key: B, incomplete: true, checkedAt: clock.wall },
    ])
  })

  it('sums the messages that are left out of sessions that are there', async () => {
    const { state, other } = stage
    for (const key of [A, B]) await state.observe(seen(key))
    for (const key of [A, B]) await state.release(await claimed(state, key), { kind: 'done', leftOut: 2 })
    expect((await other.status()).leftOut).toBe(4)
    await state.wake([A], 'fresh')
    await state.release(await claimed(state, A), DONE)
    expect((await other.status()).leftOut).toBe(2)
    await state.observe(gone(B))
    expect((await other.status()).leftOut).toBe(0)
  })

  it('lists the pending records in the order in which they were put down', async () => {
    const { state } = stage
    for (const key of [A, B]) await state.observe(seen(key))
    for (const key of [B, A]) await state.walAppend(await claimed(state, key), walRecord({ key, rows: [walRow()] }))
    expect((await state.pending()).map(({ key }) => key)).toEqual([B, A])
  })

  it('tells how long the oldest session waits', async () => {
    const { state, clock } = stage
    expect((await state.status()).oldestPendingAgeMs).toBeNull()
    await state.observe(seen(A))
    clock.advance(700)
    await state.observe(seen(B))
    expect((await state.status()).oldestPendingAgeMs).toBe(700)
    const claim = await claimed(state)
    expect((await state.status()).oldestPendingAgeMs).toBe(700)
    await state.release(claim, DONE)
    expect((await state.status()).oldestPendingAgeMs).toBe(0)
    clock.wall -= 5000
    expect((await state.status()).oldestPendingAgeMs).toBe(0)
  })

  it('keeps the age of what fails, waits or is stopped', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    for (const kind of ['failed', 'deferred', 'stopped'] as const) {
      clock.advance(100)
      await state.release(await claimed(state, A), { kind, failure: FAILURE, delayMs: 5 })
    }
    expect((await state.status()).oldestPendingAgeMs).toBe(300)
  })

  it('tells of each lane what is ready, what waits, and since when', async () => {
    const { state, clock } = stage
    await settled(state, A)
    await state.observe(seen(B))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 500 })
    clock.advance(200)
    await state.wake([A], 'backfill')
    clock.advance(100)
    const empty = { ready: 0, waiting: 0, oldestAgeMs: null }
    expect((await state.status()).lanes).toEqual([
      { lane: 'replay', ...empty },
      { lane: 'fresh', ...empty },
      { lane: 'retry', ready: 0, waiting: 1, oldestAgeMs: 300 },
      { lane: 'scan', ...empty },
      { lane: 'backfill', ready: 1, waiting: 0, oldestAgeMs: 100 },
    ])
    expect((await state.status()).queue).toEqual({ ready: 1, leased: 0, backoff: 1 })
  })

  it('tells who holds what, the oldest record, and what was looked at longest ago', async () => {
    const { state, other, clock } = stage
    expect((await state.status()).oldestCheckedAgeMs).toBeNull()
    await state.observe(seen(B))
    expect((await state.status()).oldestCheckedAgeMs).toBeNull()
    const mine = await claimed(state)
    clock.advance(50)
    await state.release(mine, DONE)
    await settled(state, A)
    clock.advance(250)
    expect((await state.status()).oldestCheckedAgeMs).toBe(250)
    await state.observe(seen(A, 'r2'))
    await pendingRecord(stage, walRecord({ createdAt: clock.wall - 40 }))
    await claimed(other)
    clock.advance(10)
    expect(await state.status()).toMatchObject({ leases: [{ key: A, pid: 2, ageMs: 10, expiresInMs: 990 }], wal: { records: 1, oldestAgeMs: 50 } })
  })

  it('counts what was committed', async () => {
    const { state } = stage
    const none = Object.values((await state.status()).counters)
    expect(none.length).toBe(20)
    expect(none.every((value) => value === 0)).toBe(true)
    await settled(state, A)
    expect((await state.status()).counters).toMatchObject({ claims: 1, commits: 0 })
  })
}

function describeNotes(stage: Stage): void {
  it('remembers the last tick, and sums them', async () => {
    const { state, other } = stage
    expect(await state.status()).toMatchObject({ lastTick: null, listing: null, breakers: [], running: [] })
    const tick = { at: 5, durationMs: 20, sessions: 2, messages: 9 }
    await state.note({ kind: 'tick', tick })
    await other.note({ kind: 'tick', tick: { ...tick, at: 6, sessions: 1 } })
    expect((await state.status()).lastTick).toEqual({ ...tick, at: 6, sessions: 1 })
    expect((await state.status()).counters).toMatchObject({ ticks: 2, tickSessions: 3, tickMessages: 18 })
  })

  it('remembers the last listing, and counts', async () => {
    const { state, other } = stage
    await state.note({ kind: 'listing', at: 7, sessions: 40 })
    await state.note({ kind: 'count', name: 'repairs', by: 3 })
    await other.note({ kind: 'count', name: 'repairs', by: 2 })
    expect(await other.status()).toMatchObject({ listing: { at: 7, sessions: 40 }, counters: { repairs: 5 } })
    await other.note({ kind: 'listing', at: 8, sessions: 41, elsewhere: 3 })
    expect((await state.status()).listing).toEqual({ at: 8, sessions: 41, elsewhere: 3 })
  })

  it('remembers the breaker of each service as it was left last', async () => {
    const { state, other } = stage
    const closed = { service: 'sink', state: 'closed', failure: undefined, since: 1, retryAt: undefined } as const
    const open = { service: 'embedder', state: 'open', failure: FAILURE, since: 2, retryAt: 3 } as const
    await state.note({ kind: 'breaker', breaker: { ...closed, state: 'half-open' } })
    await other.note({ kind: 'breaker', breaker: open })
    await other.note({ kind: 'breaker', breaker: closed })
    expect((await state.status()).breakers).toHaveLength(2)
    expect((await state.status()).breakers).toEqual(expect.arrayContaining([closed, open]))
  })

  it('tells which processes have the index running, and not those that are gone', async () => {
    const { state, other, clock, dead } = stage
    await state.running(true)
    clock.advance(10)
    await other.running(true)
    await other.running(true)
    expect((await state.status()).running).toHaveLength(2)
    expect((await state.status()).running).toEqual(
      expect.arrayContaining([
        { pid: 1, since: clock.wall - 10 },
        { pid: 2, since: clock.wall },
      ]),
    )
    dead.add(2)
    expect((await state.status()).running).toEqual([{ pid: 1, since: clock.wall - 10 }])
    dead.clear()
    await state.running(false)
    await other.running(false)
    expect((await state.status()).running).toEqual([])
  })

  it('leaves those running of which nothing can be proven', async () => {
    const { join } = stage
    const unknown: OwnerProbe = { self: () => ({ pid: 9 }), isGone: () => false }
    const state = await join(unknown)
    await state.running(true)
    expect((await state.status()).running).toMatchObject([{ pid: 9 }])
    await state.running(false)
    expect((await state.status()).running).toEqual([])
  })

  it('is refused once the state is closed', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await state[Symbol.asyncDispose]()
    await state[Symbol.asyncDispose]()
    const closed = { code: 'STATE_UNAVAILABLE' }
    for (const read of [() => state.status(), () => state.sessions(), () => state.ledger(A), () => state.pending(), () => state.identity()]) {
      await expect(async () => read()).rejects.toMatchObject(closed)
    }
    await expect(state.claim()).rejects.toMatchObject(closed)
    await expect(state.renew(claim)).rejects.toMatchObject(closed)
    await expect(state.sweep()).rejects.toMatchObject(closed)
  })
}

export function describeStatus(stage: Stage): void {
  describeRows(stage)
  describeNotes(stage)
}
