/** T12: one space is searched, another may be built beside it, those of before retire. */
import { describe, expect, it } from 'vitest'
import { spaceIdOf } from '../../src/indexer/space.js'
import type { IndexStore } from '../../src/indexer/state/state.js'
import { fakeOwners } from '../support/index-world.js'
import { A, B, claimed, DONE, gone, LOST, ledgerRow, M1, M2, pendingRecord, type Stage, seen, settled, walRecord, walRow } from './state-stage.js'

export const NEXT = { space: 'next', namespace: 'ns' }
export const IDS = { space: spaceIdOf('space'), next: spaceIdOf('next'), third: spaceIdOf('third') }
export const statesOf = async (state: IndexStore): Promise<string[]> => (await state.spaces()).map(({ space, state }) => `${space} ${state}`)

/** A and B are indexed in `space`; process 2 builds `next`. */
export async function building({ state, other }: Stage): Promise<void> {
  for (const key of [A, B]) await settled(state, key, [{ message: M1, row: ledgerRow() }])
  await other.bind(NEXT, { rebuild: true })
}

/** Observes, and does what a run of each queued session would. */
export async function built({ other }: Stage, entries = [{ message: M1, row: ledgerRow({ chunks: ['a', 'b'] }) }]): Promise<void> {
  for (const key of [A, B]) {
    await other.observe(seen(key))
    const claim = await claimed(other)
    await other.commit(claim, { ledger: entries })
    await other.release(claim, DONE)
  }
}

function describeBinding(stage: Stage): void {
  it('fixes what the index is built with at first use', async () => {
    const { state, other, clock } = stage
    const row = { id: IDS.space, space: 'space', state: 'live', createdAt: clock.wall }
    expect(await other.identity()).toEqual({ space: 'space', namespace: 'ns' })
    expect(await other.spaces()).toEqual([row])
    expect((await other.status()).spaces).toEqual([row])
    clock.advance(5)
    expect(await other.bind({ space: 'space', namespace: 'ns' })).toEqual(row)
    await expect(other.bind(NEXT)).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    await expect(other.bind({ space: 'space', namespace: 'another' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(other.bind({ space: 'next', namespace: 'another' }, { rebuild: true })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(await state.spaces()).toEqual([row])
  })

  it('says nothing before the first use', async () => {
    const { join, dead } = stage
    const state = await join(fakeOwners(3, dead))
    expect(await state.identity()).toEqual({ space: 'space', namespace: 'ns' })
  })

  it('builds another space beside the live one when told to, and lets others join', async () => {
    const { state, other, clock, join, dead } = stage
    clock.advance(9)
    expect(await other.bind(NEXT, { rebuild: true })).toEqual({ id: IDS.next, space: 'next', state: 'building', createdAt: clock.wall })
    expect(await statesOf(state)).toEqual(['space live', 'next building'])
    expect((await state.identity())?.space).toBe('space')
    const third = await join(fakeOwners(3, dead))
    expect((await third.bind(NEXT)).state).toBe('building')
    expect((await third.bind(NEXT, { rebuild: true })).state).toBe('building')
    expect((await state.bind({ space: 'space', namespace: 'ns' })).state).toBe('live')
    expect(await statesOf(state)).toEqual(['space live', 'next building'])
  })

  it('lets the one retire that was being built before', async () => {
    const { state, other } = stage
    await other.bind(NEXT, { rebuild: true })
    await other.bind({ space: 'third', namespace: 'ns' }, { rebuild: true })
    expect(await statesOf(state)).toEqual(['space live', 'third building', 'next retiring'])
    await expect(state.bind(NEXT)).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    expect((await statesOf(state)).sort()).toEqual(['next retiring', 'space live', 'third retiring'])
  })

  it('builds one again that retires, with what is left in its ledger, and compares the sink', async () => {
    const { state, other } = stage
    await building(stage)
    const claim = await claimed(other, A)
    await other.commit(claim, {
      ledger: [
        { message: M1, row: ledgerRow() },
        { message: M2, row: ledgerRow() },
      ],
    })
    await other.release(claim, DONE)
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    await state.retire(IDS.next, [{ key: A, message: M1 }])
    expect((await other.bind(NEXT, { rebuild: true })).state).toBe('building')
    expect([...(await other.ledger(A)).keys()]).toEqual([M2])
    expect(await claimed(other, A)).toMatchObject({ verify: 1, space: IDS.next })
    expect(await claimed(other, B)).toMatchObject({ verify: 1 })
  })
}

function describeBuilding(stage: Stage): void {
  it('is done by processes of that space alone', async () => {
    const { state, other, join, dead } = stage
    await building(stage)
    await state.observe(seen(A, 'r2'))
    expect(await state.claim()).toBeUndefined()
    expect(await state.claim({ only: A })).toBeUndefined()
    expect(await state.nextRunAt()).toBeUndefined()
    const free = await join(fakeOwners(3, dead))
    expect(await free.nextRunAt()).toBe(0)
    const claim = await claimed(other)
    expect(claim).toMatchObject({ key: A, space: IDS.next, revision: 'r2', lane: 'fresh' })
    await other.release(claim, { kind: 'stopped' })
    expect(await claimed(free)).toMatchObject({ key: A, space: IDS.next })
  })

  it('keeps no process from deleting, in a claim of the space that it is bound to', async () => {
    const { state, other } = stage
    await building(stage)
    await state.observe(seen(A))
    expect(await state.claim({ toDelete: true })).toBeUndefined()
    const claim = await claimed(state, A, { toDelete: true })
    expect(claim).toMatchObject({ key: A, space: IDS.space })
    expect(await other.claim({ only: A, toDelete: true })).toBeUndefined()
    const there = await state.forget(claim, ['doc'], IDS.next)
    expect((await state.walRead(there ?? 0)).space).toBe(IDS.next)
    const seq = await state.forget(claim, ['doc'])
    expect((await state.walRead(seq ?? 0)).space).toBe(IDS.space)
    const deletion = walRecord({
      space: IDS.space,
      ledger: [],
      drop: [M1],
      deletes: ['doc'],
      embedded: 0,
      matrix: new Float32Array(0),
      dimensions: 0,
    })
    await state.commit(claim, { wal: { seq: seq ?? 0, record: deletion, replayed: false } })
    expect(await state.remove(claim)).toBe(true)
    expect(await state.sessions()).toMatchObject([{ key: B }])
  })

  it('is not done by a claim that was to delete', async () => {
    const { state, other } = stage
    await building(stage)
    await state.release(await claimed(state, A, { toDelete: true }), DONE)
    expect(await claimed(other)).toMatchObject({ key: A, lane: 'backfill' })
  })

  it('strands what it lacks, which is queued for backfill once it is observed', async () => {
    const { state, other } = stage
    await building(stage)
    expect(await other.status()).toMatchObject({ toRebuild: 2, queue: { ready: 0 } })
    expect(await state.sessions()).toMatchObject([{ stranded: true }, { stranded: true }])
    for (const key of [A, B]) await other.observe(seen(key))
    const claim = await claimed(other)
    expect(claim).toMatchObject({ key: A, lane: 'backfill', space: IDS.next, verify: undefined })
    await other.release(claim, { kind: 'done', more: true })
    expect((await claimed(other)).key).toEqual(B)
    const again = await claimed(other)
    expect(again).toMatchObject({ key: A, lane: 'backfill' })
    expect((await other.status()).toRebuild).toBe(2)
    await other.release(again, DONE)
    expect((await other.status()).toRebuild).toBe(1)
  })

  it('keeps a ledger of its own', async () => {
    const { state, other } = stage
    await building(stage)
    await built(stage)
    expect((await state.ledger(A)).get(M1)?.chunks).toEqual(['key'])
    expect((await other.ledger(A)).get(M1)?.chunks).toEqual(['a', 'b'])
    expect((await other.ledger(A, IDS.space)).get(M1)?.chunks).toEqual(['key'])
    expect((await other.ledger(A, IDS.third)).size).toBe(0)
    expect((await state.status()).ledger).toMatchObject({ sessions: 2, messages: 2, documents: 4 })
    const claim = await claimed(other, A)
    await other.commit(claim, { space: IDS.space, drop: [M1] })
    expect([(await state.ledger(A)).size, (await other.ledger(A)).size]).toEqual([0, 1])
  })

  it('takes a record in into the ledger of its own space', async () => {
    const { state, other } = stage
    for (const key of [A, B]) await settled(state, key)
    const record = walRecord({ space: IDS.space, rows: [walRow()], ledger: [{ message: M2, row: ledgerRow() }] })
    const seq = await pendingRecord(stage, record)
    await other.bind(NEXT, { rebuild: true })
    const claim = await claimed(other)
    expect(claim).toMatchObject({ wal: seq, space: IDS.next })
    await other.commit(claim, { wal: { seq, record, replayed: true }, ledger: walRecord().ledger })
    expect([...(await other.ledger(A)).keys()]).toEqual([M1])
    expect([...(await other.ledger(A, IDS.space)).keys()]).toEqual([M2])
  })

  it('takes a record of no space in into that of the live one', async () => {
    const { state, other } = stage
    await settled(state, A)
    const seq = await pendingRecord(stage, walRecord())
    await other.bind(NEXT, { rebuild: true })
    const claim = await claimed(other)
    await other.commit(claim, { wal: { seq, record: walRecord(), replayed: true } })
    expect([(await other.ledger(A)).size, (await other.ledger(A, IDS.space)).size]).toEqual([0, 1])
  })

  it('has a session run again whose run began in the space of before', async () => {
    const { state, other } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await other.bind(NEXT, { rebuild: true })
    await state.commit(claim, { ledger: walRecord().ledger })
    await state.release(claim, DONE)
    expect([(await state.ledger(A)).size, (await other.ledger(A)).size]).toEqual([1, 0])
    expect(await claimed(other)).toMatchObject({ key: A, space: IDS.next, lane: 'backfill' })
  })

  it('removes a gone session from every space, or not', async () => {
    const { state, other } = stage
    await building(stage)
    await state.observe(gone(A))
    expect((await other.status()).toRebuild).toBe(1)
    const claim = await claimed(other)
    expect(await other.remove(claim)).toBe(false)
    await other.commit(claim, { space: IDS.space, drop: [M1] })
    expect(await other.remove(claim)).toBe(true)
  })

  it('lets nothing new into one that retires, but what was pending and what goes', async () => {
    const { state, other } = stage
    await settled(state, B)
    await other.bind(NEXT, { rebuild: true })
    for (const key of [A, B]) await other.observe(seen(key))
    const [one, two] = [await claimed(other), await claimed(other)]
    const record = walRecord({ key: one.key, space: IDS.next, rows: [walRow()] })
    const seq = await other.walAppend(one, record)
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    await expect(other.walAppend(two, { ...record, key: two.key })).rejects.toMatchObject(LOST)
    await expect(other.commit(two, { ledger: record.ledger })).rejects.toMatchObject(LOST)
    await expect(other.commit(two, { unlogged: { ...record, key: two.key } })).rejects.toMatchObject(LOST)
    expect(await state.status()).toMatchObject({ wal: { records: 1 }, counters: { commits: 0 } })
    await other.commit(one, { wal: { seq, record, replayed: false } })
    expect(await state.retiring(IDS.next, 10)).toMatchObject([{ key: one.key, message: M1 }])
    await other.commit(one, { drop: [M1] })
    const deletion = walRecord({ key: two.key, space: IDS.next, ledger: [], deletes: ['doc'], dimensions: 0, matrix: new Float32Array(0) })
    expect(await other.walAppend(two, deletion)).toBeGreaterThan(seq)
    await state.retire(IDS.next, [])
    expect(await statesOf(state)).toEqual(['space live'])
  })

  it('begins anew with one that was let go of before', async () => {
    const { state, other } = stage
    await building(stage)
    await built(stage)
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    await state.retire(
      IDS.next,
      [A, B].map((key) => ({ key, message: M1 })),
    )
    expect(await statesOf(state)).toEqual(['space live'])
    await other.bind(NEXT, { rebuild: true })
    expect((await other.status()).toRebuild).toBe(2)
    expect(await other.cutOver()).toBeUndefined()
  })

  it('resets every space that is searched or built', async () => {
    const { other } = stage
    await building(stage)
    await built(stage)
    expect(await other.reset([A])).toBe(1)
    for (const space of [IDS.space, IDS.next]) expect((await other.ledger(A, space)).get(M1)?.signature).toBe('')
  })
}

export function describeSpaces(stage: Stage): void {
  describe('binding', () => describeBinding(stage))
  describe('building', () => describeBuilding(stage))
}
