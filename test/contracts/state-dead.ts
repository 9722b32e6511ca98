/** T11: what is put aside is kept, and can be tried again or given up. */
import { expect, it } from 'vitest'
import type { DeadLetter, DeadMessage } from '../../src/indexer/state/rows.js'
import { A, B, claimed, DONE, gone, LOST, ledgerRow, M1, M2, type Stage, seen, settled, walRecord, walRow } from './state-stage.js'

const letter = (fields: Partial<DeadMessage> = {}): DeadMessage => ({
  message: M1,
  chunk: undefined,
  code: 'TEXT_REFUSED',
  reason: 'refused',
  ...fields,
})
const quarantined = ledgerRow({ state: 'quarantined', chunks: [], textHash: 'hash' })
const withoutId = ({ id, ...rest }: DeadLetter): Omit<DeadLetter, 'id'> => rest

/** A session at rest, one message of which was put aside. */
async function withLetter({ state }: Stage, letters: readonly DeadMessage[] = [letter()]): Promise<void> {
  await state.observe(seen(A))
  const claim = await claimed(state)
  await state.commit(claim, { ledger: [{ message: M1, row: quarantined }], dead: letters })
  await state.release(claim, DONE)
}

function describeLetters(stage: Stage): void {
  it('names the session, the message and the chunk, and no word of them', async () => {
    const { state, other, clock } = stage
    await withLetter(stage, [letter(), letter({ message: M2, chunk: 3, code: 'TEXT_TOO_LONG' })])
    const expected = { kind: 'message', key: A, reason: 'refused', at: clock.wall }
    const letters = await other.deadLetters()
    expect(letters.map(withoutId)).toEqual(
      expect.arrayContaining([
        { ...expected, message: M1, chunk: undefined, code: 'TEXT_REFUSED' },
        { ...expected, message: M2, chunk: 3, code: 'TEXT_TOO_LONG' },
      ]),
    )
    expect(new Set(letters.map(({ id }) => id)).size).toBe(2)
    expect(await state.status()).toMatchObject({ dead: 2, ledger: { quarantined: 1 }, counters: { quarantined: 2 } })
  })

  it('comes with its record, when that is committed', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const record = walRecord({ ledger: [{ message: M1, row: quarantined }], dead: [letter({ chunk: 0 })] })
    const seq = await state.walAppend(claim, record)
    expect(await state.walRead(seq)).toEqual(record)
    expect(await state.deadLetters()).toEqual([])
    await state.commit(claim, { wal: { seq, record, replayed: false }, dead: [letter({ chunk: 1 })] })
    expect((await state.deadLetters()).map(({ chunk }) => chunk)).toEqual(expect.arrayContaining([0, 1]))
    expect((await state.status()).dead).toBe(2)
  })

  it('takes the place of an older one of the same message and chunk', async () => {
    const { state } = stage
    await withLetter(stage, [letter({ chunk: 1 })])
    const [first] = await state.deadLetters()
    const claim = await claimed(state, A)
    await state.commit(claim, { dead: [letter({ chunk: 1, code: 'TEXT_TOO_LONG' }), letter({ chunk: 2 })] })
    expect(await state.deadLetters()).toHaveLength(2)
    expect((await state.deadLetters()).find(({ chunk }) => chunk === 1)).toMatchObject({ code: 'TEXT_TOO_LONG', id: first?.id })
  })

  it.each([
    ['a record writes the message', { unlogged: walRecord() }],
    ['a record writes what is left of the message', { unlogged: walRecord({ ledger: [{ message: M1, row: quarantined }] }) }],
    ['the message needs nothing any more', { ledger: [{ message: M1, row: ledgerRow({ state: 'empty' }) }] }],
    ['the message is dropped', { drop: [M1] }],
    ['a record drops the message', { unlogged: walRecord({ ledger: [], drop: [M1] }) }],
  ])('goes when %s', async (_, commit) => {
    const { state } = stage
    await withLetter(stage, [letter(), letter({ chunk: 1 }), letter({ message: M2 })])
    await state.commit(await claimed(state, A), commit)
    expect((await state.deadLetters()).map(({ message }) => message)).toEqual([M2])
  })

  it.each(['quarantined', 'volatile'] as const)('stays when the row is noted as %s', async (rowState) => {
    const { state } = stage
    await withLetter(stage)
    await state.commit(await claimed(state, A), { ledger: [{ message: M1, row: ledgerRow({ state: rowState }) }] })
    expect((await state.status()).dead).toBe(1)
  })

  it('goes with its session, removed or forgotten', async () => {
    const { state } = stage
    await withLetter(stage)
    await settled(state, B)
    await state.commit(await claimed(state, B), { dead: [letter()] })
    await state.observe(gone(A))
    const claim = await claimed(state, A)
    await state.commit(claim, { drop: [M2] })
    expect((await state.status()).dead).toBe(2)
    await state.forget(claim, [])
    expect((await state.deadLetters()).map(({ key }) => key)).toEqual([B])
  })
}

function describeRetries(stage: Stage): void {
  it('has the messages read again, after which they may be written', async () => {
    const { state } = stage
    await withLetter(stage, [letter({ chunk: 0 }), letter({ chunk: 1 })])
    expect(await state.retryDead(['unknown'])).toBe(0)
    expect(await state.claim()).toBeUndefined()
    expect(await state.retryDead()).toBe(2)
    expect(await state.deadLetters()).toEqual([])
    expect((await state.ledger(A)).get(M1)).toMatchObject({ signature: '', textHash: '' })
    expect(await claimed(state)).toMatchObject({ key: A, lane: 'retry' })
    expect(await state.retryDead()).toBe(0)
  })

  it('tries those that are named, and has a leased session run again', async () => {
    const { state, other } = stage
    await withLetter(stage, [letter(), letter({ message: M2 })])
    const claim = await claimed(state, A)
    const id = (await state.deadLetters()).find(({ message }) => message === M1)?.id ?? ''
    expect(await other.retryDead([id, id])).toBe(1)
    expect(await state.deadLetters()).toMatchObject([{ message: M2 }])
    await state.release(claim, DONE)
    expect(await claimed(state)).toMatchObject({ key: A })
  })

  it('goes by the order of the sessions', async () => {
    const { state } = stage
    for (const key of [B, A]) {
      await settled(state, key)
      const claim = await claimed(state, key)
      await state.commit(claim, { dead: [letter()] })
      await state.release(claim, DONE)
    }
    expect((await state.deadLetters()).map(({ key }) => key)).toEqual([A, B])
    expect(await state.retryDead((await state.deadLetters()).map(({ id }) => id).reverse())).toBe(2)
    expect([(await claimed(state)).key, (await claimed(state)).key]).toEqual([A, B])
  })

  it('leaves letters of gone sessions', async () => {
    const { state } = stage
    await withLetter(stage)
    await state.observe(gone(A))
    expect(await state.retryDead()).toBe(0)
    expect((await state.status()).dead).toBe(1)
  })

  it('gives up those that are named, or all, and lets the sessions be', async () => {
    const { state } = stage
    await withLetter(stage, [letter(), letter({ chunk: 1 }), letter({ chunk: 2 })])
    const [first] = await state.deadLetters()
    expect(await state.dropDead([first?.id ?? '', 'unknown'])).toBe(1)
    expect(await state.dropDead()).toBe(2)
    expect(await state.dropDead()).toBe(0)
    expect(await state.status()).toMatchObject({ dead: 0, ledger: { quarantined: 1 }, queue: { ready: 0 } })
    expect((await state.ledger(A)).get(M1)).toEqual(quarantined)
  })
}

function describeDeadRecords(stage: Stage): void {
  const undecodable = walRecord({ rows: [walRow(5)] })

  it('puts a record aside, unchanged, and compares the sink at the next run', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const seq = await state.walAppend(claim, undecodable)
    await expect(async () => state.walRead(seq)).rejects.toMatchObject({ code: 'WAL_DAMAGED' })
    expect(await state.pending()).toEqual([])
    await expect(state.quarantine(claim, seq + 1)).rejects.toMatchObject(LOST)
    await state.quarantine(claim, seq)
    expect(await state.status()).toMatchObject({ wal: { records: 0, bytes: 0 }, dead: 1, counters: { quarantined: 1 } })
    expect((await state.deadLetters()).map(withoutId)).toEqual([
      { kind: 'record', key: A, message: undefined, chunk: undefined, code: 'WAL_DAMAGED', reason: expect.any(String), at: clock.wall },
    ])
    await state.release(claim, DONE)
    expect(await claimed(state)).toMatchObject({ wal: undefined, verify: 1 })
  })

  it('keeps one that still cannot be decoded', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await state.quarantine(claim, await state.walAppend(claim, undecodable))
    await state.release(claim, { kind: 'done', verified: 1 })
    expect(await state.retryDead()).toBe(0)
    expect(await state.status()).toMatchObject({ dead: 1, queue: { ready: 0 } })
    expect(await state.dropDead()).toBe(1)
  })

  it('makes one that can be decoded now pending again, and has the session read after it', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const record = walRecord({ rows: [walRow()] })
    await state.quarantine(claim, await state.walAppend(claim, record))
    expect(await state.retryDead()).toBe(0)
    await state.release(claim, { kind: 'done', verified: 1 })
    expect(await state.retryDead()).toBe(1)
    expect(await state.status()).toMatchObject({ dead: 0, wal: { records: 1 } })
    const again = await claimed(state)
    expect(again.lane).toBe('replay')
    expect(await state.walRead(again.wal ?? 0)).toEqual(record)
    await state.commit(again, { wal: { seq: again.wal ?? 0, record, replayed: true } })
    await state.release(again, DONE)
    expect((await state.status()).queue.ready).toBe(0)
  })

  it('keeps one while its session is leased or has another, and one of a session that is gone', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await state.quarantine(claim, await state.walAppend(claim, walRecord()))
    await state.walAppend(claim, walRecord())
    await state.release(claim, { kind: 'stopped' })
    expect(await state.retryDead()).toBe(0)
    const other = await claimed(state)
    await state.forget(other, [])
    await state.release(other, DONE)
    await state.observe(seen(A))
    const next = await claimed(state)
    await state.quarantine(next, await state.walAppend(next, walRecord()))
    await state.release(next, DONE)
    await state.observe(gone(A))
    expect(await state.retryDead()).toBe(0)
    expect((await state.status()).dead).toBe(1)
  })
}

export function describeDead(stage: Stage): void {
  describeLetters(stage)
  describeRetries(stage)
  describeDeadRecords(stage)
}
