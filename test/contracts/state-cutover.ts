/** T12: when the space that was built takes over, and what becomes of the one of before. */
import { expect, it } from 'vitest'
import { building, built, IDS, NEXT, statesOf } from './state-spaces.js'
import { A, B, claimed, DONE, FAILURE, gone, ledgerRow, M1, M2, type Stage, seen, settled } from './state-stage.js'

export function describeCutOver(stage: Stage): void {
  it('waits until no session lacks the space', async () => {
    const { state, other } = stage
    expect(await state.cutOver()).toBeUndefined()
    await building(stage)
    expect(await other.cutOver()).toBeUndefined()
    await built(stage)
    expect((await other.status()).toRebuild).toBe(0)
    expect(await other.cutOver()).toMatchObject({ id: IDS.next, state: 'live' })
    expect(await statesOf(state)).toEqual(['next live', 'space retiring'])
    expect((await state.identity())?.space).toBe('next')
    expect(await other.cutOver()).toBeUndefined()
  })

  it('does not wait for what changed since, nor for what is gone', async () => {
    const { other } = stage
    await building(stage)
    await other.observe(gone(B))
    await other.observe(seen(A))
    const claim = await claimed(other, A)
    await other.observe(seen(A, 'r2'))
    await other.release(claim, DONE)
    expect(await other.cutOver()).toMatchObject({ id: IDS.next })
    expect(await claimed(other, A)).toMatchObject({ revision: 'r2', space: IDS.next })
  })

  it('gives processes of the space of before nothing more to do', async () => {
    const { state, other } = stage
    await building(stage)
    await built(stage)
    await other.cutOver()
    await other.observe(seen(A, 'r2'))
    expect(await state.claim()).toBeUndefined()
    expect(await other.claim()).toMatchObject({ space: IDS.next })
    await expect(state.bind({ space: 'space', namespace: 'ns' })).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
  })

  it('then retires the one of before, row by row', async () => {
    const { other } = stage
    await building(stage)
    expect(await other.retiring(IDS.space, 10)).toEqual([])
    await other.retire(IDS.space, [{ key: A, message: M1 }])
    await built(stage)
    await other.cutOver()
    expect((await other.ledger(A, IDS.space)).size).toBe(1)
    expect(await other.retiring(IDS.space, 1)).toHaveLength(1)
    expect(await other.retiring(IDS.next, 10)).toEqual([])
    const rows = await other.retiring(IDS.space, 10)
    expect(rows).toEqual(expect.arrayContaining([A, B].map((key) => ({ key, message: M1, row: ledgerRow() }))))
    await other.retire(IDS.space, [{ key: A, message: M1 }])
    expect(await other.retiring(IDS.space, 10)).toMatchObject([{ key: B }])
    expect(await statesOf(other)).toEqual(['next live', 'space retiring'])
    await other.retire(IDS.space, [{ key: B, message: M1 }])
    expect(await statesOf(other)).toEqual(['next live'])
    expect((await other.ledger(A)).size).toBe(1)
  })

  it('with the letters of messages that no other one knows', async () => {
    const { other } = stage
    await building(stage)
    await built(stage)
    const claim = await claimed(other, A)
    const dead = [M1, M2].map((message) => ({ message, chunk: 0, ...FAILURE }))
    await other.commit(claim, { space: IDS.space, ledger: [{ message: M2, row: ledgerRow({ state: 'quarantined' }) }] })
    await other.commit(claim, { ledger: [{ message: M1, row: ledgerRow({ state: 'quarantined' }) }], dead })
    await other.release(claim, DONE)
    await other.cutOver()
    await other.retire(
      IDS.space,
      [M1, M2].map((message) => ({ key: A, message })),
    )
    expect(await other.deadLetters()).toMatchObject([{ key: A, message: M1 }])
  })

  it('lets go of one that holds nothing', async () => {
    const { state, other } = stage
    await settled(state, A)
    await other.bind(NEXT, { rebuild: true })
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    expect(await statesOf(state)).toEqual(['space live', 'next retiring'])
    expect(await state.retiring(IDS.next, 10)).toEqual([])
    await state.retire(IDS.next, [])
    expect(await statesOf(state)).toEqual(['space live'])
  })

  it('keeps the rows of one that is built again while it was being emptied, and compares the sink', async () => {
    const { state, other } = stage
    await building(stage)
    await built(stage)
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    const rows = await state.retiring(IDS.next, 1)
    await other.bind(NEXT, { rebuild: true })
    for (const key of [A, B]) {
      const claim = await claimed(other, key)
      await other.release(claim, { kind: 'done', verified: claim.verify })
    }
    await state.retire(IDS.next, rows)
    expect([(await other.ledger(A)).size, (await other.ledger(B)).size]).toEqual([1, 1])
    expect(await claimed(other)).toMatchObject({ key: rows[0]?.key, verify: 2 })
    expect(await other.claim()).toBeUndefined()
  })

  it('going back builds what changed meanwhile, and nothing else', async () => {
    const { state, other } = stage
    await building(stage)
    await other.observe(seen(A, 'r2'))
    await other.release(await claimed(other), DONE)
    await state.bind({ space: 'space', namespace: 'ns' }, { rebuild: true })
    expect((await state.sessions()).map(({ stranded }) => stranded)).toEqual([true, false])
    await state.observe(seen(A, 'r2'))
    expect(await claimed(state)).toMatchObject({ key: A, space: IDS.space, lane: 'backfill' })
  })
}
