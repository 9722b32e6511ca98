/** T4, T5, T10 and T13: records, the ledger, removal, forgetting and reset. */
import { describe, expect, it } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { MAX_ID_BYTES } from '../../src/indexer/state/state.js'
import { keyOf } from '../support/index-world.js'
import { A, B, claimed, DONE, gone, LOST, ledgerRow, M1, M2, M3, pendingRecord, type Stage, seen, settled, walRecord, walRow } from './state-stage.js'

export function describeRecords(stage: Stage): void {
  describe('records', () => describeWal(stage))
  describe('ledger', () => describeLedger(stage))
  describe('removal', () => describeRemoval(stage))
  describe('reset', () => describeReset(stage))
}

function describeWal(stage: Stage): void {
  it('one per session, and it moves the ledger in one step', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const record = walRecord({ rows: [walRow()], deletes: ['x', 'y'], cached: 2 })
    const seq = await state.walAppend(claim, record)
    await expect(state.walAppend(claim, walRecord())).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    expect(await state.walRead(seq)).toEqual(record)
    expect((await state.status()).wal).toMatchObject({ records: 1, oldestAgeMs: clock.wall - 1 })
    expect((await state.status()).wal.bytes).toBeGreaterThan(0)
    expect((await state.status()).lastUpsertAt).toBeNull()
    expect((await state.ledger(A)).size).toBe(0)
    await state.commit(claim, { wal: { seq, record, replayed: true } })
    expect([...(await state.ledger(A))]).toEqual([[M1, ledgerRow()]])
    expect(await state.status()).toMatchObject({
      wal: { records: 0, bytes: 0, oldestAgeMs: null },
      ledger: { sessions: 1, messages: 1, documents: 1, quarantined: 0 },
      lastUpsertAt: clock.wall,
      counters: { embedded: 1, cached: 2, commits: 1, messages: 1, replays: 1, replayedDocuments: 1, upserts: 1, deletes: 2 },
    })
    await expect(state.commit(claim, { wal: { seq, record, replayed: true } })).rejects.toMatchObject(LOST)
    await expect(async () => state.walRead(seq)).rejects.toMatchObject({ code: 'WAL_DAMAGED' })
  })

  it('a commit that names another record than the pending one is refused and changes nothing', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const seq = await state.walAppend(claim, walRecord())
    await expect(state.commit(claim, { wal: { seq: seq + 1, record: walRecord(), replayed: false }, drop: [M1] })).rejects.toMatchObject(LOST)
    expect(await state.status()).toMatchObject({ wal: { records: 1 }, counters: { commits: 0 } })
  })

  it('one that is pending is handed to the next owner, first of all', async () => {
    const { state, other } = stage
    await state.observe(seen(B))
    await state.observe(seen(A))
    const seq = await pendingRecord(stage, walRecord())
    expect(await claimed(other)).toMatchObject({ key: A, wal: seq, lane: 'replay' })
  })

  it('one that is pending keeps the session from resting', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const seq = await state.walAppend(claim, walRecord())
    await state.release(claim, DONE)
    expect(await claimed(state)).toMatchObject({ wal: seq, lane: 'replay' })
  })

  it('are copies of what was given', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const record = walRecord()
    const seq = await state.walAppend(claim, record)
    record.matrix.fill(7)
    const given = await state.walRead(seq)
    expect(given.matrix).toEqual(Float32Array.of(0.5, -1))
    given.matrix.fill(9)
    expect((await state.walRead(seq)).matrix).toEqual(Float32Array.of(0.5, -1))
  })

  it('what stands in them and perhaps nowhere else can be told', async () => {
    const { state, other } = stage
    for (const key of [A, B]) await state.observe(seen(key))
    const record = walRecord({ rows: [walRow(), { ...walRow(), id: 'doc2' }] })
    const claim = await claimed(state)
    const seq = await state.walAppend(claim, record)
    await state.walAppend(await claimed(state), walRecord({ key: B, deletes: ['doc'], dimensions: 0, matrix: new Float32Array(0) }))
    const { bytes } = (await state.pending())[0] ?? { bytes: 0 }
    expect(await state.pending()).toEqual([{ key: A, seq, project: 'project', directory: '/work', documents: 2, bytes, createdAt: 1 }])
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThan((await state.status()).wal.bytes)
    await other.commit(claim, { wal: { seq, record, replayed: false } })
    expect(await state.pending()).toEqual([])
  })

  it.each(['logged', 'unlogged'])('counts the secrets that were taken out of it in its commit (%s)', async (how) => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const ledger = [
      { message: M1, row: ledgerRow({ redacted: 2 }) },
      { message: M2, row: ledgerRow({ redacted: 3 }) },
    ]
    const record = walRecord({ rows: [walRow()], ledger })
    const wal = how === 'logged' ? { seq: await state.walAppend(claim, record), record, replayed: false } : undefined
    expect((await state.status()).counters.redacted).toBe(0)
    await state.commit(claim, wal === undefined ? { unlogged: record } : { wal })
    expect((await state.status()).counters.redacted).toBe(5)
  })

  it('may be done without: the sink took it, the ledger notes it', async () => {
    const { state, clock } = stage
    await state.observe(seen(A))
    const claim = await claimed(state, undefined, { unlogged: true })
    await state.commit(claim, { unlogged: walRecord({ rows: [walRow()], drop: [M2] }) })
    expect([...(await state.ledger(A)).keys()]).toEqual([M1])
    expect(await state.status()).toMatchObject({
      wal: { records: 0 },
      lastUpsertAt: clock.wall,
      counters: { embedded: 1, commits: 1, messages: 1, upserts: 1, replays: 0 },
    })
  })

  it('ids longer than an index can keep are KEY_TOO_LONG and write nothing', async () => {
    const { state } = stage
    const long = (bytes: number): string => 'é'.repeat(bytes / 2)
    const tooLong = { code: 'KEY_TOO_LONG' }
    await expect(state.observe(seen(keyOf(long(MAX_ID_BYTES + 2))))).rejects.toMatchObject(tooLong)
    expect(await state.sessions()).toEqual([])
    const key = keyOf(long(MAX_ID_BYTES))
    await state.observe(seen(key))
    const claim = await claimed(state)
    const ledger = (bytes: number) => [{ message: long(bytes) as MessageId, row: ledgerRow() }]
    await expect(state.walAppend(claim, walRecord({ key, ledger: ledger(MAX_ID_BYTES + 2) }))).rejects.toMatchObject(tooLong)
    await expect(state.commit(claim, { ledger: ledger(MAX_ID_BYTES + 2) })).rejects.toMatchObject(tooLong)
    expect(await state.status()).toMatchObject({ wal: { records: 0 }, ledger: { messages: 0 } })
    await state.commit(claim, { ledger: ledger(MAX_ID_BYTES) })
    expect((await state.ledger(key)).size).toBe(1)
  })
}

function describeLedger(stage: Stage): void {
  it('is in the order of the ids, and changed row by row', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const ids = ['msg_b', 'msg_B', 'msg_é', 'msg_a', 'msg_10', 'msg_9', 'msg_\u{1f389}'] as MessageId[]
    await state.commit(claim, { ledger: ids.map((message) => ({ message, row: ledgerRow() })) })
    const sorted = ['msg_10', 'msg_9', 'msg_B', 'msg_a', 'msg_b', 'msg_é', 'msg_\u{1f389}']
    expect([...(await state.ledger(A)).keys()]).toEqual(sorted)
    await state.commit(claim, {
      ledger: [{ message: 'msg_9' as MessageId, row: ledgerRow({ state: 'empty', chunks: [] }) }],
      drop: ['msg_B' as MessageId, M1],
    })
    expect([...(await state.ledger(A)).keys()]).toEqual(sorted.filter((id) => id !== 'msg_B'))
    expect((await state.ledger(A)).get('msg_9' as MessageId)?.state).toBe('empty')
    expect((await state.ledger(B)).size).toBe(0)
    expect(await state.status()).toMatchObject({ ledger: { messages: 6, documents: 5 }, counters: { commits: 2 } })
  })

  it('counts what the sink holds, and what was left out', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const held = ledgerRow({ chunks: ['k1', 'k2'], truncatedBytes: 30 })
    const half = ledgerRow({ chunks: ['k1', '', 'k3'], state: 'quarantined', truncatedBytes: 4 })
    await state.commit(claim, {
      ledger: [
        { message: M1, row: held },
        { message: M2, row: half },
      ],
    })
    expect((await state.status()).ledger).toEqual({ sessions: 1, messages: 2, documents: 4, quarantined: 1, truncatedBytes: 34 })
    await state.commit(claim, { ledger: [{ message: M2, row: ledgerRow() }], drop: [M1] })
    expect((await state.status()).ledger).toEqual({ sessions: 1, messages: 1, documents: 1, quarantined: 0, truncatedBytes: 0 })
  })
}

function describeRemoval(stage: Stage): void {
  it('drops a gone session only when nothing is left of it', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    expect(await state.remove(claim)).toBe(false)
    await state.commit(claim, { ledger: walRecord().ledger })
    await state.observe(gone(A))
    expect(await state.remove(claim)).toBe(false)
    await state.release(claim, DONE)
    const last = await claimed(state)
    expect(last).toMatchObject({ gone: true, lane: 'replay' })
    const seq = await state.walAppend(last, walRecord({ ledger: [], drop: [M1] }))
    expect(await state.remove(last)).toBe(false)
    await state.commit(last, { wal: { seq, record: walRecord({ ledger: [], drop: [M1] }), replayed: false } })
    expect(await state.remove(last)).toBe(true)
    expect(await state.status()).toMatchObject({ queue: { ready: 0, leased: 0 }, ledger: { sessions: 0, messages: 0, documents: 0 } })
    await expect(state.release(last, DONE)).rejects.toMatchObject(LOST)
  })

  it('leaves alone what it does not know', async () => {
    const { state } = stage
    await state.observe(gone(A))
    expect(await state.sessions()).toEqual([])
  })

  it('reads a session anew that comes back while it is being removed', async () => {
    const { state } = stage
    await settled(state, A)
    await state.observe(gone(A))
    expect(await state.sessions()).toMatchObject([{ gone: true, stranded: false }])
    const claim = await claimed(state)
    await state.observe(seen(A))
    expect(await state.remove(claim)).toBe(false)
    await state.release(claim, DONE)
    expect(await claimed(state)).toMatchObject({ gone: false, lane: 'fresh' })
  })

  it('forgets: the pending record makes room for the deletions', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    const old = await state.walAppend(claim, walRecord())
    const seq = await state.forget(claim, ['doc-1'])
    await expect(async () => state.walRead(old)).rejects.toMatchObject({ code: 'WAL_DAMAGED' })
    expect(await state.walRead(seq ?? 0)).toMatchObject({ key: A, space: claim.space, rows: [], deletes: ['doc-1'], ledger: [], drop: [] })
    expect((await state.status()).wal.records).toBe(1)
    expect(await state.sessions()).toMatchObject([{ gone: true }])
    await state.release(claim, { kind: 'stopped' })
    expect(await claimed(state)).toMatchObject({ wal: seq, gone: true, lane: 'replay' })
  })

  it('forgets what the sink does not hold without a record', async () => {
    const { state } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    await state.walAppend(claim, walRecord())
    expect(await state.forget(claim, [])).toBeUndefined()
    expect((await state.status()).wal).toMatchObject({ records: 0, bytes: 0 })
    expect(await state.remove(claim)).toBe(true)
  })
}

function describeReset(stage: Stage): void {
  it('has every message read and written again', async () => {
    const { state } = stage
    await settled(state, A, [
      { message: M1, row: ledgerRow() },
      { message: M2, row: ledgerRow({ state: 'empty', textHash: '', chunks: [] }) },
    ])
    await settled(state, B)
    expect(await state.reset([A, keyOf('ses_unknown')])).toBe(1)
    expect([...(await state.ledger(A)).values()]).toMatchObject([
      { signature: '', textHash: '', chunks: ['key'] },
      { signature: '', textHash: '', state: 'empty' },
    ])
    expect(await claimed(state)).toMatchObject({ key: A, lane: 'fresh', revision: 'r1' })
    expect(await state.claim()).toBeUndefined()
    expect(await state.reset()).toBe(2)
  })

  it('is not undone by what a run that began before it writes', async () => {
    const { state, other } = stage
    await state.observe(seen(A))
    const claim = await claimed(state)
    expect(await other.reset([A])).toBe(1)
    await state.commit(claim, { ledger: [{ message: M1, row: ledgerRow() }] })
    const record = walRecord({ rows: [walRow()], ledger: [{ message: M2, row: ledgerRow() }] })
    const seq = await state.walAppend(claim, record)
    await state.commit(claim, { wal: { seq, record, replayed: false } })
    await state.commit(claim, { unlogged: walRecord({ ledger: [{ message: M3, row: ledgerRow() }] }) })
    await state.release(claim, DONE)
    expect([...(await state.ledger(A)).values()].map(({ signature, chunks }) => [signature, chunks])).toEqual(Array(3).fill(['', ['key']]))
    const next = await claimed(state)
    await state.commit(next, { ledger: [{ message: M1, row: ledgerRow() }] })
    expect((await state.ledger(A)).get(M1)?.signature).toBe('v1')
  })

  it('leaves gone sessions to their removal', async () => {
    const { state } = stage
    await settled(state, A)
    await state.observe(gone(A))
    expect(await state.reset([A])).toBe(0)
  })

  it('keeps a pending record, which goes first and does not undo it', async () => {
    const { state, other } = stage
    await settled(state, A, [{ message: M2, row: ledgerRow() }])
    const record = walRecord({ rows: [walRow()] })
    const seq = await pendingRecord(stage, record)
    expect(await other.reset([A])).toBe(1)
    const claim = await claimed(other)
    expect(claim).toMatchObject({ wal: seq, lane: 'replay' })
    await other.commit(claim, { wal: { seq, record, replayed: true } })
    expect([...(await other.ledger(A, claim.space)).values()].map(({ signature, textHash, chunks }) => [signature, textHash, chunks])).toEqual([
      ['', '', ['key']],
      ['', '', ['key']],
    ])
    await other.commit(claim, { ledger: walRecord().ledger })
    expect((await other.ledger(A, claim.space)).get(M1)?.signature).toBe('v1')
    expect((await state.status()).wal.records).toBe(0)
  })
}
