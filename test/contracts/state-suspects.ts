/** T7 and T8: owners that may still write, and sessions that compare the sink with their ledger. */
import { describe, expect, it } from 'vitest'
import { SUSPECT_LEASES } from '../../src/indexer/state/rows.js'
import { fakeOwners } from '../support/index-world.js'
import { A, B, claimed, DONE, FAILURE, gone, LEASE_MS, type Stage, seen, settled } from './state-stage.js'

export function describeLateWriters(stage: Stage): void {
  describe('suspects', () => describeSuspects(stage))
  describe('verification', () => describeVerification(stage))
}

/** Process 1 loses the session to process 2, and may still be alive. */
async function takenOver({ state, other, clock }: Stage) {
  await state.observe(seen(A))
  const old = await claimed(state)
  clock.advance(LEASE_MS)
  expect(await other.sweep()).toBe(1)
  expect((await other.status()).suspects).toBe(1)
  const claim = await claimed(other)
  expect(claim.verify).toBeUndefined()
  return { old, claim }
}

function describeSuspects(stage: Stage): void {
  it('an owner that may still live is one, until it says that it will write no more', async () => {
    const { state, other } = stage
    const { old, claim } = await takenOver(stage)
    await other.release(claim, DONE)
    expect(await other.claim()).toBeUndefined()
    await state.lost(old)
    expect((await other.status()).suspects).toBe(0)
    expect((await claimed(other)).verify).toBe(1)
  })

  it('until it is provably gone', async () => {
    const { other, dead } = stage
    const { claim } = await takenOver(stage)
    await other.release(claim, DONE)
    expect(await other.sweep()).toBe(0)
    expect(await other.claim()).toBeUndefined()
    dead.add(1)
    expect(await other.sweep()).toBe(0)
    expect(await other.status()).toMatchObject({ suspects: 0, counters: { takeovers: 1 } })
    expect((await claimed(other)).verify).toBe(1)
  })

  it('until it is too long ago', async () => {
    const { other, clock } = stage
    const { claim } = await takenOver(stage)
    await other.release(claim, DONE)
    clock.advance(SUSPECT_LEASES * LEASE_MS - 1)
    await other.sweep()
    expect((await other.status()).suspects).toBe(1)
    clock.advance(1)
    await other.sweep()
    expect((await other.status()).suspects).toBe(0)
    expect((await claimed(other)).verify).toBe(1)
  })

  it('one that was taken in the future is too long ago', async () => {
    const { other, clock } = stage
    await takenOver(stage)
    clock.wall -= 3_600_000
    await other.sweep()
    expect((await other.status()).suspects).toBe(0)
  })

  it('the run that goes on while one is settled does not end the comparison', async () => {
    const { state, other } = stage
    const { old, claim } = await takenOver(stage)
    await state.lost(old)
    await other.release(claim, { kind: 'done', verified: claim.verify })
    expect((await claimed(other)).verify).toBe(1)
  })

  it('several of one session are settled one by one', async () => {
    const { state, other, clock, dead, join } = stage
    const { old } = await takenOver(stage)
    clock.advance(LEASE_MS)
    const third = await join(fakeOwners(3, dead))
    expect(await third.sweep()).toBe(1)
    expect((await third.status()).suspects).toBe(2)
    await state.lost(old)
    expect((await third.status()).suspects).toBe(1)
    const claim = await claimed(third)
    expect(claim.verify).toBe(1)
    await third.release(claim, { kind: 'done', verified: claim.verify })
    dead.add(2)
    await third.sweep()
    expect((await other.status()).suspects).toBe(0)
    expect((await claimed(third)).verify).toBe(2)
  })

  it('an owner that says so before the sweep lists it gives its lease back', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    const old = await claimed(state)
    clock.advance(LEASE_MS)
    await state.lost(old)
    expect(await other.status()).toMatchObject({ queue: { ready: 1, leased: 0 }, suspects: 0 })
    expect(await other.sweep()).toBe(0)
    const claim = await claimed(other)
    expect(claim).toMatchObject({ verify: 1, crashes: 0 })
    await other.release(claim, { kind: 'done', verified: claim.verify })
    expect(await other.status()).toMatchObject({ queue: { ready: 0, leased: 0 }, suspects: 0 })
  })

  it('what a dead one may have written of a session that is gone is looked for before the session goes', async () => {
    const { state, other } = stage
    const { old, claim } = await takenOver(stage)
    await state.observe(gone(A))
    expect(await other.remove(claim)).toBe(true)
    expect(await other.status()).toMatchObject({ queue: { ready: 0, leased: 0 }, suspects: 1, ledger: { sessions: 1 } })
    expect(await other.sessions()).toMatchObject([{ gone: true, stranded: false }])
    await state.observe(gone(A))
    expect(await other.claim()).toBeUndefined()
    await state.lost(old)
    const last = await claimed(other)
    expect(last).toMatchObject({ gone: true, verify: 1, lane: 'replay' })
    expect(await other.remove(last)).toBe(true)
    expect(await other.status()).toMatchObject({ suspects: 0, ledger: { sessions: 0 } })
  })

  it('an owner that says so when the session has left makes it known again, as gone, and what it may have written is looked for', async () => {
    const { state, other, clock } = stage
    const { old, claim } = await takenOver(stage)
    await state.observe(gone(A))
    expect(await other.remove(claim)).toBe(true)
    clock.advance(SUSPECT_LEASES * LEASE_MS)
    await other.sweep()
    expect(await other.remove(await claimed(other))).toBe(true)
    expect(await other.sessions()).toEqual([])
    await state.lost(old)
    expect(await other.sessions()).toMatchObject([{ key: A, gone: true }])
    const last = await claimed(other)
    expect(last).toMatchObject({ key: A, gone: true, verify: 1, lane: 'replay' })
    expect(await other.remove(last)).toBe(true)
    expect(await other.status()).toMatchObject({ suspects: 0, ledger: { sessions: 0 } })
  })

  it('one that is settled while the session is removed keeps the session', async () => {
    const { state, other } = stage
    const { old, claim } = await takenOver(stage)
    await state.observe(gone(A))
    await state.lost(old)
    expect(await other.remove(claim)).toBe(false)
    await other.release(claim, { kind: 'done', more: true })
    const last = await claimed(other)
    expect(last.verify).toBe(1)
    expect(await other.remove(last)).toBe(true)
    expect(await other.sessions()).toEqual([])
  })

  it('a session that comes back is read anew, though a suspect kept it', async () => {
    const { state, other } = stage
    const { claim } = await takenOver(stage)
    await state.observe(gone(A))
    expect(await other.remove(claim)).toBe(true)
    await state.observe(seen(A))
    expect(await claimed(other)).toMatchObject({ gone: false, revision: 'r1', lane: 'fresh' })
  })
}

function describeVerification(stage: Stage): void {
  it('is asked of every session, once', async () => {
    const { state } = stage
    await settled(state, A)
    await settled(state, B)
    await state.observe(gone(B))
    expect(await state.verify()).toBe(1)
    expect(await state.verify()).toBe(0)
    const last = await claimed(state, B)
    await state.release(last, DONE)
    const claim = await claimed(state, A)
    expect(claim).toMatchObject({ verify: 1, lane: 'fresh' })
    await state.release(claim, { kind: 'done', verified: claim.verify })
    expect(await claimed(state)).toMatchObject({ key: B, gone: true })
    expect(await state.verify()).toBe(1)
  })

  it('is asked of those that are named', async () => {
    const { state } = stage
    for (const key of [A, B]) await settled(state, key)
    expect(await state.verify([B])).toBe(1)
    expect(await state.verify([])).toBe(0)
    expect(await claimed(state)).toMatchObject({ key: B, verify: 1 })
    expect(await state.claim()).toBeUndefined()
  })

  it('stays asked until a run says that it did it', async () => {
    const { state } = stage
    await settled(state, A)
    await state.verify([A])
    await state.release(await claimed(state), DONE)
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 1 })
    expect((await claimed(state, A)).verify).toBe(1)
  })

  it.each(['failed', 'deferred', 'stopped'] as const)('is asked by a run that %s and may have left something behind', async (kind) => {
    const { state } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind, failure: FAILURE, delayMs: 1, verify: true })
    expect((await claimed(state, A)).verify).toBe(1)
  })

  it('is asked when the owner of a claim without records ends, though it is provably dead', async () => {
    const { state, other, dead } = stage
    await state.observe(seen(A))
    const logged = await claimed(state)
    await state.release(logged, { kind: 'stopped' })
    await claimed(state, A, { unlogged: true })
    dead.add(1)
    await other.sweep()
    const claim = await claimed(other)
    expect(claim.verify).toBe(1)
    await other.release(claim, { kind: 'done', verified: claim.verify })
    expect((await other.status()).queue.ready).toBe(0)
  })
}
