/** T3, T7 and T11: leases that end, and sessions whose owners die of them. */
import { describe, expect, it } from 'vitest'
import { ISOLATE_AFTER } from '../../src/indexer/state/rows.js'
import type { Owner, OwnerProbe } from '../../src/tree/catalog/owner.js'
import { A, B, claimed, DONE, FAILURE, LEASE_MS, LOST, M1, M2, type Stage, seen, walRecord } from './state-stage.js'

export function describeLeases(stage: Stage): void {
  describe('tokens', () => describeTokens(stage))
  describe('expiry', () => describeExpiry(stage))
  describe('crashes', () => describeCrashes(stage))
}

function describeTokens(stage: Stage): void {
  it('refuses every write under a token that has passed, and changes nothing', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    const old = await claimed(state)
    clock.advance(1001)
    expect(await other.sweep()).toBe(1)
    const mine = await claimed(other)
    const seq = await other.walAppend(mine, walRecord())
    const before = await other.status()
    await expect(state.renew(old)).rejects.toMatchObject(LOST)
    await expect(state.walAppend(old, walRecord())).rejects.toMatchObject(LOST)
    await expect(state.commit(old, { wal: { seq, record: walRecord(), replayed: false } })).rejects.toMatchObject(LOST)
    await expect(state.commit(old, { unlogged: walRecord() })).rejects.toMatchObject(LOST)
    await expect(state.commit(old, { ledger: walRecord().ledger })).rejects.toMatchObject(LOST)
    for (const kind of ['done', 'stopped'] as const) await expect(state.release(old, { kind })).rejects.toMatchObject(LOST)
    for (const kind of ['failed', 'deferred'] as const) {
      await expect(state.release(old, { kind, failure: FAILURE, delayMs: 1 })).rejects.toMatchObject(LOST)
    }
    await expect(state.remove(old)).rejects.toMatchObject(LOST)
    await expect(state.forget(old, ['x'])).rejects.toMatchObject(LOST)
    await expect(state.quarantine(old, seq)).rejects.toMatchObject(LOST)
    await expect(state.probe(old, M1)).rejects.toMatchObject(LOST)
    expect(await other.status()).toEqual(before)
    expect(before).toMatchObject({ queue: { ready: 0, leased: 1 }, wal: { records: 1 }, ledger: { messages: 0 }, dead: 0 })
  })

  it('refuses them after the release too', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await state.release(claim, DONE)
    await expect(state.renew(claim)).rejects.toMatchObject(LOST)
    await expect(state.release(claim, DONE)).rejects.toMatchObject(LOST)
  })
}

function describeExpiry(stage: Stage): void {
  it('keeps a lease that is renewed', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    clock.advance(900)
    expect(await state.renew(claim)).toBe(clock.mono + 1000)
    clock.advance(900)
    expect(await other.sweep()).toBe(0)
    expect((await other.status()).leases).toEqual([{ key: A, pid: 1, ageMs: 1800, expiresInMs: 100, abandoned: false }])
    clock.advance(101)
    expect((await other.status()).leases).toMatchObject([{ expiresInMs: -1 }])
    expect(await other.sweep()).toBe(1)
    expect(await other.status()).toMatchObject({ leases: [], counters: { takeovers: 1, claims: 1 } })
  })

  it('lists the leases by their deadlines, and frees them in that order', async () => {
    const { state, other, clock } = stage
    for (const key of [A, B]) await state.observe(seen(key))
    const early = await claimed(state, A)
    await claimed(state, B)
    clock.advance(500)
    await state.renew(early)
    expect((await state.status()).leases.map(({ key }) => key)).toEqual([B, A])
    clock.advance(2000)
    expect(await other.sweep()).toBe(2)
    expect((await claimed(other)).key).toEqual(B)
  })

  it('lets an owner go on that comes back late, as long as nobody took its lease', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    clock.advance(5000)
    await state.renew(claim)
    expect(await other.sweep()).toBe(0)
  })

  it('goes by the monotonic clock, whatever the wall clock does', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    await claimed(state)
    clock.wall += 3_600_000
    expect(await other.sweep()).toBe(0)
    clock.wall -= 7_200_000
    clock.mono += 1001
    expect(await other.sweep()).toBe(1)
  })

  it('takes a provably dead owner over at once, and asks nothing of the sink', async () => {
    const { state, other, dead } = stage
    await state.observe(seen(A))
    await claimed(state)
    expect(await other.sweep()).toBe(0)
    dead.add(1)
    expect(await other.sweep()).toBe(1)
    expect((await other.status()).suspects).toBe(0)
    expect((await claimed(other)).verify).toBeUndefined()
  })

  it('frees the leases of another boot at once, where boots can be told', async () => {
    const { state, join, clock } = stage
    await state.observe(seen(A))
    await claimed(state)
    clock.mono = 5
    const owners: OwnerProbe = { self: () => ({ pid: 1, boot: 'next' }), isGone: ({ boot }: Owner) => boot !== 'next' }
    const next = await join(owners)
    expect((await next.status()).leases).toMatchObject([{ key: A, abandoned: true }])
    expect(await next.sweep()).toBe(1)
    expect((await next.status()).suspects).toBe(0)
  })

  it('frees a lease whose deadline lies further ahead than its length, where boots cannot be told', async () => {
    const { state, join, clock } = stage
    const unknown: OwnerProbe = { self: () => ({ pid: 1 }), isGone: () => false }
    const before = await join(unknown)
    await state.observe(seen(A))
    await claimed(before)
    clock.mono = 5
    const next = await join(unknown)
    expect(await next.sweep()).toBe(1)
    expect((await next.status()).suspects).toBe(1)
  })

  it('frees by expiry alone where no identity can be read', async () => {
    const { state, join, clock } = stage
    const unknown: OwnerProbe = { self: () => ({ pid: 7 }), isGone: () => false }
    const [one, two] = [await join(unknown), await join(unknown)]
    await state.observe(seen(A))
    await claimed(one)
    clock.advance(LEASE_MS - 1)
    expect(await two.sweep()).toBe(0)
    clock.advance(1)
    expect(await two.sweep()).toBe(1)
    expect(await claimed(two)).toMatchObject({ key: A })
  })

  it('keeps the place of a session that it frees: since when it waits, and its record', async () => {
    const { state, other, clock, dead } = stage
    await state.observe(seen(A))
    clock.advance(400)
    const seq = await state.walAppend(await claimed(state), walRecord())
    dead.add(1)
    await other.sweep()
    expect((await other.status()).oldestPendingAgeMs).toBe(400)
    expect(await claimed(other)).toMatchObject({ wal: seq, lane: 'replay' })
  })
}

function describeCrashes(stage: Stage): void {
  const crash = async ({ state, other, dead }: Stage, work: (claim: Awaited<ReturnType<typeof claimed>>) => Promise<unknown> = async () => {}) => {
    const claim = await claimed(state, A)
    await work(claim)
    dead.add(1)
    expect(await other.sweep()).toBe(1)
    dead.delete(1)
    return claim
  }

  it('counts owners in a row that ended without a commit or a release', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const counted: number[] = []
    for (let time = 0; time <= ISOLATE_AFTER; time++) counted.push((await crash(stage)).crashes)
    expect(counted).toEqual([0, 1, 2, 3])
    expect((await crash(stage, (claim) => state.commit(claim, { ledger: [] }))).crashes).toBe(4)
    expect((await crash(stage)).crashes).toBe(0)
    const claim = await claimed(state, A)
    expect(claim.crashes).toBe(1)
    await state.release(claim, { kind: 'stopped' })
    expect((await claimed(state)).crashes).toBe(0)
  })

  it('counts those that lost their lease, and not those that gave it back', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    await claimed(state)
    clock.advance(LEASE_MS)
    await other.sweep()
    const claim = await claimed(other)
    expect(claim.crashes).toBe(1)
    await other.lost(claim)
    expect((await claimed(other)).crashes).toBe(1)
  })

  it('tells the message that was worked on alone, and how often that ended an owner', async () => {
    const { state } = stage
    await state.observe(seen(A))
    expect((await crash(stage, (claim) => state.probe(claim, M1))).probe).toBeUndefined()
    expect((await crash(stage, (claim) => state.probe(claim, M1))).probe).toEqual({ message: M1, crashes: 1 })
    expect((await crash(stage, (claim) => state.probe(claim, M2))).probe).toEqual({ message: M1, crashes: 2 })
    expect((await claimed(state, A)).probe).toEqual({ message: M2, crashes: 1 })
  })

  it('forgets the message once its work is committed or the lease released', async () => {
    const { state } = stage
    await state.observe(seen(A))
    await crash(stage, async (claim) => {
      await state.probe(claim, M1)
      await state.commit(claim, { ledger: [] })
    })
    const claim = await claimed(state, A)
    expect(claim).toMatchObject({ crashes: 0, probe: undefined })
    await state.probe(claim, M1)
    await state.release(claim, { kind: 'failed', failure: FAILURE, delayMs: 1 })
    expect((await claimed(state, A)).probe).toBeUndefined()
  })
}
