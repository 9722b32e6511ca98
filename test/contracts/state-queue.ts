/** T2: who runs next. */
import { describe, expect, it } from 'vitest'
import { LANES, type LaneName } from '../../src/indexer/state/rows.js'
import { keyOf } from '../support/index-world.js'
import { A, B, claimed, drained, FAILURE, type Stage, seen, settled } from './state-stage.js'

function describeClaims(stage: Stage): void {
  it('gives each session to one owner at a time, under a rising token', async () => {
    const { state, other } = stage
    await state.observe(seen(A))
    const first = await claimed(state)
    expect(first).toMatchObject({ key: A, lane: 'fresh', revision: 'r1', meta: 'm', store: '/store', gone: false, failures: 0, crashes: 0 })
    expect(first).toMatchObject({ wal: undefined, probe: undefined, verify: undefined, until: stage.clock.mono + 1000 })
    expect(await other.claim()).toBeUndefined()
    expect(await other.claim({ only: A })).toBeUndefined()
    expect(await state.claim({ only: A })).toBeUndefined()
    await state.release(first, { kind: 'stopped' })
    const second = await claimed(other)
    expect(second.token).toBeGreaterThan(first.token)
  })

  it('gives each of many sessions once to several that ask at the same time', async () => {
    const { state, other } = stage
    const keys = Array.from({ length: 20 }, (_, i) => keyOf(`ses_${i}`))
    for (const key of keys) await state.observe(seen(key))
    const claims = await Promise.all(keys.flatMap(() => [state.claim(), other.claim()]))
    const given = claims.flatMap((claim) => claim ?? [])
    expect(new Set(given.map(({ key }) => key.session)).size).toBe(20)
    expect(new Set(given.map(({ token }) => token)).size).toBe(given.length)
    expect(given).toHaveLength(20)
  })

  it('gives the one asked for, whatever its lane and its time, and none that it does not know', async () => {
    const { state } = stage
    await settled(state, A)
    await state.observe(seen(B))
    await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs: 3000 })
    expect((await claimed(state, B)).failures).toBe(1)
    expect((await claimed(state, A)).key).toEqual(A)
    expect(await state.claim({ only: keyOf('ses_unknown') })).toBeUndefined()
  })

  it('claims from the lanes that are asked for', async () => {
    const { state } = stage
    await state.observe(seen(A))
    expect(await state.claim({ lanes: ['replay', 'retry'] })).toBeUndefined()
    expect(await state.claim({ lanes: [] })).toBeUndefined()
    expect(await state.nextRunAt(['replay'])).toBeUndefined()
    expect(await state.nextRunAt(['fresh', 'scan'])).toBe(0)
    expect(await state.claim({ lanes: ['retry', 'fresh'] })).toMatchObject({ lane: 'fresh' })
  })

  it('hands out copies: what a caller does to them changes nothing', async () => {
    const { state } = stage
    const observation = seen(A)
    await state.observe(observation)
    Object.assign(observation.seen[0] ?? {}, { revision: 'changed afterwards' })
    const claim = await claimed(state)
    expect(claim.revision).toBe('r1')
    Object.assign((await state.sessions())[0] ?? {}, { gone: true })
    expect((await state.sessions())[0]?.gone).toBe(false)
  })
}

/** Idle sessions, woken into a lane each. */
async function inLanes({ state }: Stage, each: number): Promise<void> {
  for (const lane of Object.keys(LANES) as LaneName[]) {
    const keys = Array.from({ length: each }, (_, i) => keyOf(`ses_${lane}_${String(i).padStart(2, '0')}`))
    for (const key of keys) await settled(state, key)
    expect(await state.wake(keys, lane)).toBe(each)
  }
}

const initials = (lanes: readonly string[]): string => lanes.map((lane) => (lane === 'retry' ? 't' : lane[0])).join('')

function describeLanes(stage: Stage): void {
  it('takes the lanes in turns of 8 : 4 : 2 : 1 : 1', async () => {
    await inLanes(stage, 8)
    const turns: string[] = []
    for (let turn = 0; turn < 16; turn++) turns.push((await claimed(stage.state)).lane)
    expect(initials(turns)).toBe('rfrtrfrsbrfrtrfr')
    const lanes = (await stage.state.status()).lanes.map(({ lane, ready }) => [lane, ready])
    expect(lanes).toEqual([
      ['replay', 0],
      ['fresh', 4],
      ['retry', 6],
      ['scan', 7],
      ['backfill', 7],
    ])
  })

  it('starves no lane, whoever asks for which', async () => {
    await inLanes(stage, 30)
    const { state, other } = stage
    const turns: string[] = []
    for (let turn = 0; turn < 30; turn++) {
      await claimed(other, undefined, { lanes: ['replay'] })
      turns.push((await claimed(state, undefined, { lanes: ['fresh', 'retry', 'backfill'] })).lane)
    }
    const of = (lane: string): number => turns.filter((one) => one === lane).length
    expect([of('fresh'), of('retry'), of('backfill')]).toEqual([17, 9, 4])
  })

  it('keeps the turns in the state: another process goes on with them', async () => {
    await inLanes(stage, 8)
    const { state, other } = stage
    const turns: string[] = []
    for (let turn = 0; turn < 16; turn++) turns.push((await claimed(turn % 2 === 0 ? state : other)).lane)
    expect(initials(turns)).toBe('rfrtrfrsbrfrtrfr')
  })

  it('keeps the order of the queue whatever is touched again', async () => {
    const { state } = stage
    for (const key of [A, B]) await state.observe(seen(key))
    await state.observe(seen(A, 'r2'))
    await state.wake([B, A], 'fresh')
    expect((await claimed(state)).key).toEqual(A)
    expect((await claimed(state)).key).toEqual(B)
  })

  it('lets a queued session move forward only', async () => {
    const { state } = stage
    await settled(state, A)
    await state.wake([A], 'scan')
    await state.wake([A], 'backfill')
    expect(await state.claim({ lanes: ['backfill'] })).toBeUndefined()
    await state.wake([A], 'fresh')
    expect(await claimed(state)).toMatchObject({ lane: 'fresh' })
  })

  it('runs what is due at once first, in order, then by the time it was queued for', async () => {
    const { state, clock } = stage
    const keys = ['c', 'd', 'e'].map((id) => keyOf(`ses_${id}`))
    const delays = [300, 100, 200]
    for (const key of keys) await state.observe(seen(key))
    for (const delayMs of delays) await state.release(await claimed(state), { kind: 'failed', failure: FAILURE, delayMs })
    for (const key of [B, A]) await settled(state, key)
    await state.wake([B], 'retry')
    await state.wake([A], 'retry')
    clock.advance(300)
    expect(await drained(state)).toEqual(['ses_b', 'ses_a', 'ses_d', 'ses_e', 'ses_c'])
  })

  it('goes to the tail of its lane with more to do, and when it was stopped', async () => {
    const { state } = stage
    for (const key of [A, B]) await settled(state, key)
    await state.wake([A, B], 'backfill')
    await state.release(await claimed(state), { kind: 'done', more: true })
    const next = await claimed(state)
    expect(next).toMatchObject({ key: B, lane: 'backfill' })
    await state.release(next, { kind: 'stopped' })
    expect(await claimed(state)).toMatchObject({ key: A, lane: 'backfill', failures: 0 })
    expect(await claimed(state)).toMatchObject({ key: B, lane: 'backfill' })
  })
}

export function describeQueue(stage: Stage): void {
  describe('claims', () => describeClaims(stage))
  describe('lanes', () => describeLanes(stage))
}
