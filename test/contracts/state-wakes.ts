/** T1, T6, T9 and `wake`: what runs again, and when. */
import { describe, expect, it } from 'vitest'
import type { SessionKey } from '../../src/core/keys.js'
import { keyOf } from '../support/index-world.js'
import { A, B, claimed, DONE, drained, FAILURE, gone, LOST, MAX_DELAY_MS, type Stage, seen, settled } from './state-stage.js'

const IDLE = { ready: 0, leased: 0, backoff: 0 }

export function describeWakes(stage: Stage): void {
  describe('wake-ups', () => describeWakeUps(stage))
  describe('delays', () => describeDelays(stage))
  describe('slow scan', () => describeSlowScan(stage))
}

function describeWakeUps(stage: Stage): void {
  it('runs a session again that changed while it was leased', async () => {
    const { state, other } = stage
    await state.observe(seen(A, 'r1'))
    const claim = await claimed(state)
    await other.observe(seen(A, 'r2'))
    expect((await state.status()).queue).toEqual({ ready: 0, leased: 1, backoff: 0 })
    await state.release(claim, DONE)
    const again = await claimed(state)
    expect(again.revision).toBe('r2')
    await state.release(again, DONE)
    expect((await state.status()).queue).toEqual(IDLE)
    expect(await state.nextRunAt()).toBeUndefined()
  })

  const told: readonly (readonly [string, (stage: Stage) => Promise<unknown>])[] = [
    ['woken', ({ other }) => other.wake([A], 'scan')],
    ['reset', ({ other }) => other.reset([A])],
    ['asked to be verified', ({ other }) => other.verify([A])],
  ]
  it.each(told)('runs a session again that was %s while it was leased', async (_, tell) => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    expect(await tell(stage)).toBe(1)
    expect((await state.status()).queue).toEqual({ ready: 0, leased: 1, backoff: 0 })
    await state.release(claim, DONE)
    const again = await claimed(state)
    await state.release(again, { kind: 'done', verified: again.verify })
    expect((await state.status()).queue).toEqual(IDLE)
    expect(await state.sessions()).toMatchObject([{ stranded: false }])
  })

  it('wakes what it knows, and gives its number', async () => {
    const { state } = stage
    await settled(state, A)
    expect(await state.wake([A, B, A], 'retry')).toBe(1)
    expect(await claimed(state)).toMatchObject({ key: A, lane: 'retry', revision: 'r1' })
    expect(await state.sessions()).toHaveLength(1)
  })

  it('leaves a session in peace that is seen as it was', async () => {
    const { state, clock } = stage
    await settled(state, A)
    expect(await state.sessions()).toMatchObject([{ key: A, revision: 'r1', checkedAt: clock.wall, incomplete: false, stranded: false, gone: false }])
    await state.observe(seen(A, 'r1', '/moved'))
    expect((await state.status()).queue).toEqual(IDLE)
    expect((await state.sessions())[0]?.store).toBe('/moved')
  })

  it('looks again at what was incomplete when it is seen again', async () => {
    const { state } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'done', incomplete: true })
    expect(await state.sessions()).toMatchObject([{ incomplete: true, stranded: false }])
    expect((await state.status()).queue).toEqual(IDLE)
    await state.observe(seen(A))
    await state.release(await claimed(state), DONE)
    expect(await state.sessions()).toMatchObject([{ incomplete: false }])
  })

  it('looks again after the time that was asked for, and at once when it changes', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'done', recheckMs: 2000 })
    expect((await state.status()).queue).toEqual({ ready: 0, leased: 0, backoff: 1 })
    expect(await state.nextRunAt()).toBe(clock.wall + 2000)
    expect(await state.claim()).toBeUndefined()
    clock.advance(2000)
    await state.release(await claimed(state), { kind: 'done', recheckMs: 2000 })
    await state.observe(seen(A, 'r2'))
    expect(await claimed(state)).toMatchObject({ revision: 'r2', failures: 0 })
  })

  it('lets the state go to no wake-up: nothing runs under a token that has passed', async () => {
    const { state, other, clock } = stage
    await state.observe(seen(A))
    const old = await claimed(state)
    clock.advance(1001)
    await other.sweep()
    await expect(state.release(old, DONE)).rejects.toMatchObject(LOST)
    expect((await state.status()).queue).toEqual({ ready: 1, leased: 0, backoff: 0 })
  })
}

function describeDelays(stage: Stage): void {
  it('waits out a backoff, unless the session changes', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 3000 })
    expect(await state.status()).toMatchObject({ queue: { ready: 0, backoff: 1 }, counters: { failures: 1, deferrals: 0 } })
    expect((await state.status()).lastError).toEqual({ ...FAILURE, at: clock.wall, key: 'opencode\u0001ses_a' })
    expect(await state.claim()).toBeUndefined()
    expect(await state.nextRunAt()).toBe(clock.wall + 3000)
    clock.advance(3000)
    const again = await claimed(state)
    expect(again).toMatchObject({ failures: 1, lane: 'retry' })
    await state.release(again, { kind: 'failed', failure: FAILURE, delayMs: 3000 })
    await state.observe(seen(A, 'r2'))
    const changed = await claimed(state)
    expect(changed).toMatchObject({ failures: 2, lane: 'fresh' })
    expect((await state.status()).lastError).not.toHaveProperty('over')
    await state.release(changed, DONE)
    expect((await state.status()).lastError).toMatchObject({ ...FAILURE, over: true })
    await state.wake([A], 'fresh')
    expect((await claimed(state)).failures).toBe(0)
  })

  it('says of the last failure when its session has gone', async () => {
    const { state } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 3000 })
    await state.observe(gone(A))
    expect((await state.status()).lastError).toMatchObject({ ...FAILURE, over: true })
  })

  it('waits for a service without counting a failure of the session', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'deferred', failure: FAILURE, delayMs: 1000 })
    expect(await state.status()).toMatchObject({ queue: { ready: 0, backoff: 1 }, counters: { failures: 0, deferrals: 1 } })
    expect((await state.status()).lastError).toEqual({ ...FAILURE, at: clock.wall, key: undefined })
    expect(await state.claim()).toBeUndefined()
    clock.advance(1000)
    expect((await claimed(state)).failures).toBe(0)
  })

  it('waits no longer than the longest delay, and never not at all', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 1e9 })
    expect(await state.nextRunAt()).toBe(clock.wall + MAX_DELAY_MS)
    clock.advance(MAX_DELAY_MS)
    await state.release(await claimed(state), { kind: 'deferred', failure: FAILURE, delayMs: 0 })
    expect(await state.claim()).toBeUndefined()
    clock.advance(1)
    expect(await state.claim()).toBeDefined()
  })

  it('takes a time that lies further ahead than any delay for due', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 5000 })
    clock.wall -= 3_600_000
    expect(await state.nextRunAt()).toBe(0)
    expect((await state.status()).queue).toEqual({ ready: 1, leased: 0, backoff: 0 })
    expect(await state.claim()).toBeDefined()
  })

  it('keeps those that fail or wait with a record among the replays', async () => {
    const { state, clock } = stage
    await settled(state, A)
    await state.observe(gone(A))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 500 })
    expect(await state.wake([A], 'scan')).toBe(1)
    expect(await claimed(state, undefined, { lanes: ['replay'] })).toMatchObject({ gone: true, lane: 'replay' })
    expect(clock.wall).toBeGreaterThan(0)
  })
}

function describeSlowScan(stage: Stage): void {
  const scanned = (keys: readonly SessionKey[]) => keys.map(({ session }) => session)
  const C = keyOf('ses_c')

  it('queues those that were looked at longest ago, in their lane, to be verified', async () => {
    const { state, clock } = stage
    for (const key of [B, C, A]) {
      await settled(state, key)
      clock.advance(10)
    }
    expect(await state.slowScan({ limit: 2, minAgeMs: 0 })).toBe(2)
    expect((await state.status()).counters.scans).toBe(2)
    const first = await claimed(state)
    expect(first).toMatchObject({ key: B, lane: 'scan', verify: 1 })
    await state.release(first, { kind: 'done', verified: first.verify })
    expect(await drained(state)).toEqual(scanned([C]))
    expect(await state.slowScan({ limit: 1, minAgeMs: 0 })).toBe(1)
    expect(await drained(state)).toEqual(scanned([A]))
  })

  it('leaves alone what is young, queued, leased or gone', async () => {
    const { state, clock } = stage
    for (const key of [A, B, C]) await settled(state, key)
    clock.advance(999)
    expect(await state.slowScan({ limit: 9, minAgeMs: 1000 })).toBe(0)
    clock.advance(1)
    await state.observe(seen(A, 'r2'))
    await claimed(state, B)
    await state.observe(gone(C))
    expect(await state.slowScan({ limit: 9, minAgeMs: 1000 })).toBe(0)
    expect((await state.status()).counters.scans).toBe(0)
  })

  it('reaches each session in turn, one that fails too', async () => {
    const { state, clock } = stage
    const keys = Array.from({ length: 7 }, (_, i) => keyOf(`ses_${i}`))
    for (const key of keys) await settled(state, key)
    const reached: string[] = []
    for (let round = 0; round < 7; round++) {
      clock.advance(10)
      expect(await state.slowScan({ limit: 1, minAgeMs: 10 })).toBe(1)
      const claim = await claimed(state)
      reached.push(claim.key.session)
      await state.release(claim, round === 2 ? { kind: 'failed', failure: FAILURE, delayMs: 5000 } : { kind: 'done', verified: claim.verify })
    }
    expect(reached.sort()).toEqual(scanned(keys))
  })

  it('takes a time in the future for long ago', async () => {
    const { state, clock } = stage
    await settled(state, A)
    clock.wall -= 3_600_000
    await settled(state, B)
    expect(await state.slowScan({ limit: 5, minAgeMs: 1000 })).toBe(1)
    expect(await drained(state)).toEqual(scanned([A]))
  })
}
