/** What every IndexStore must do. Run it on yours: `describeState('mine', open)`, where `open` joins the state that `place` names. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.js'
import type { MessageId } from '../../src/core/ids.js'
import type { OwnerProbe } from '../../src/indexer/owner.js'
import type { IndexStore } from '../../src/indexer/state.js'
import type { Claim, LedgerRow, WalRecord } from '../../src/indexer/state-rows.js'
import { fakeClock, fakeOwners, keyOf } from '../support/index-world.js'

export interface StateSettings {
  readonly clock: Clock
  readonly owners: OwnerProbe
  readonly leaseMs: number
  readonly maxDelayMs: number
}

export interface StatePlace extends Disposable {
  open(settings: StateSettings): Promise<IndexStore>
}

export const A = keyOf('ses_a')
export const B = keyOf('ses_b')

export function ledgerRow(fields: Partial<LedgerRow> = {}): LedgerRow {
  return { signature: 'v1', textHash: 'hash', chunks: ['key'], state: 'settled', meta: 'meta', at: 1, rev: 0, ...fields }
}

export function walRecord(fields: Partial<WalRecord> = {}): WalRecord {
  return {
    key: A,
    space: '',
    createdAt: 1,
    rows: [],
    deletes: [],
    ledger: [{ message: 'msg_1' as MessageId, row: ledgerRow() }],
    drop: [],
    dead: [],
    embedded: 1,
    cached: 0,
    dimensions: 2,
    matrix: Float32Array.of(0.5, -1),
    ...fields,
  }
}

const seen = (key: typeof A, revision = 'r1') => ({ seen: [{ key, revision, meta: 'm', store: '/store' }], gone: [] })
const METADATA = {
  agent: 'opencode',
  session_id: 'ses_a',
  message_id: 'msg_1',
  chunk: 0,
  role: 'user',
  created_at: 1,
  text_hash: 'hash',
  project_id: 'project',
  directory: '/work',
  title: 'title',
  source: 'memory',
  rev: 1,
  space: '',
} as const
const DONE = { kind: 'done' } as const

export async function claimed(state: IndexStore, only?: typeof A): Promise<Claim> {
  const claim = await state.claim(only && { only })
  if (claim === undefined) throw new Error('nothing to claim')
  return claim
}

export function describeState(name: string, place: () => StatePlace): void {
  describe(`${name} state`, () => {
    const dead = new Set<number>()
    let where: StatePlace
    let clock: ReturnType<typeof fakeClock>
    let state: IndexStore
    let other: IndexStore
    beforeEach(async () => {
      dead.clear()
      clock = fakeClock()
      where = place()
      const settings = { clock, leaseMs: 1000, maxDelayMs: 5000 }
      state = await where.open({ ...settings, owners: fakeOwners(1, dead) })
      other = await where.open({ ...settings, owners: fakeOwners(2, dead) })
      await state.bind({ space: 'space', namespace: 'ns' })
    })
    afterEach(async () => {
      await state[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
      where[Symbol.dispose]()
    })

    it('gives each session to one owner at a time, under a rising token', async () => {
      await state.observe(seen(A))
      const first = await claimed(state)
      expect(await other.claim()).toBeUndefined()
      expect(await other.claim({ only: A })).toBeUndefined()
      await state.release(first, { kind: 'stopped' })
      const second = await claimed(other)
      expect(second.token).toBeGreaterThan(first.token)
    })

    it('refuses every write under a token that has passed, and changes nothing', async () => {
      await state.observe(seen(A))
      const old = await claimed(state)
      clock.advance(1001)
      expect(await other.sweep()).toBe(1)
      const mine = await claimed(other)
      const seq = await other.walAppend(mine, walRecord())
      const lost = { code: 'LEASE_LOST' }
      await expect(state.renew(old)).rejects.toMatchObject(lost)
      await expect(state.walAppend(old, walRecord())).rejects.toMatchObject(lost)
      await expect(state.commit(old, { wal: { seq, record: walRecord(), replayed: false } })).rejects.toMatchObject(lost)
      await expect(state.commit(old, { ledger: walRecord().ledger })).rejects.toMatchObject(lost)
      await expect(state.release(old, DONE)).rejects.toMatchObject(lost)
      await expect(state.remove(old)).rejects.toMatchObject(lost)
      await expect(state.forget(old, ['x'])).rejects.toMatchObject(lost)
      await expect(state.quarantine(old, seq)).rejects.toMatchObject(lost)
      expect(other.status()).toMatchObject({ queue: { ready: 0, leased: 1 }, wal: { records: 1 }, ledger: { messages: 0 }, dead: 0 })
    })

    it('keeps a lease that is renewed, and compares the sink once the owner that lost it writes no more', async () => {
      await state.observe(seen(A))
      const claim = await claimed(state)
      clock.advance(900)
      expect(await state.renew(claim)).toBe(clock.mono + 1000)
      clock.advance(900)
      expect(await other.sweep()).toBe(0)
      clock.advance(101)
      expect(await other.sweep()).toBe(1)
      expect(other.status().suspects).toBe(1)
      const next = await claimed(other)
      expect(next.verify).toBeUndefined()
      await other.release(next, DONE)
      expect(await other.claim()).toBeUndefined()
      await state.lost(claim)
      expect(other.status().suspects).toBe(0)
      expect((await claimed(other)).verify).toBe(1)
    })

    it('takes a provably dead owner over at once', async () => {
      await state.observe(seen(A))
      await claimed(state)
      expect(await other.sweep()).toBe(0)
      dead.add(1)
      expect(await other.sweep()).toBe(1)
      expect((await claimed(other)).verify).toBeUndefined()
    })

    it('runs a session again that changed while it was leased', async () => {
      await state.observe(seen(A, 'r1'))
      const claim = await claimed(state)
      await other.observe(seen(A, 'r2'))
      expect(state.status().queue).toEqual({ ready: 0, leased: 1, backoff: 0 })
      await state.release(claim, DONE)
      const again = await claimed(state)
      expect(again.revision).toBe('r2')
      await state.release(again, DONE)
      expect(state.status().queue).toEqual({ ready: 0, leased: 0, backoff: 0 })
      expect(state.nextRunAt()).toBeUndefined()
    })

    it('keeps the order of the queue whatever is touched again', async () => {
      await state.observe(seen(A))
      await state.observe(seen(B))
      await state.observe(seen(A, 'r2'))
      expect((await claimed(state)).key).toEqual(A)
      expect((await claimed(state)).key).toEqual(B)
    })

    it('waits out a backoff, unless the session changes', async () => {
      await state.observe(seen(A))
      const failure = { code: 'SINK_FAILED', reason: 'the sink failed' }
      await state.release(await claimed(state), { kind: 'failed', failure, delayMs: 3000 })
      expect(state.status()).toMatchObject({ queue: { ready: 0, backoff: 1 }, lastError: { ...failure, at: clock.wall }, counters: { failures: 1 } })
      expect(await state.claim()).toBeUndefined()
      expect(state.nextRunAt()).toBe(clock.wall + 3000)
      clock.advance(3000)
      const again = await claimed(state)
      expect(again.failures).toBe(1)
      await state.release(again, { kind: 'failed', failure, delayMs: 3000 })
      await state.observe(seen(A, 'r2'))
      expect((await claimed(state)).failures).toBe(2)
    })

    it('takes a time that lies further ahead than any backoff for due', async () => {
      await state.observe(seen(A))
      await state.release(await claimed(state), { kind: 'failed', failure: { code: 'X', reason: 'x' }, delayMs: 5000 })
      clock.wall -= 3_600_000
      expect(await state.claim()).toBeDefined()
    })

    it('holds one record per session, and moves ledger and record in one step', async () => {
      await state.observe(seen(A))
      const claim = await claimed(state)
      const seq = await state.walAppend(claim, walRecord())
      await expect(state.walAppend(claim, walRecord())).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
      expect(state.walRead(seq)).toEqual(walRecord())
      expect(state.status().wal.bytes).toBeGreaterThan(0)
      expect(state.ledger(A).size).toBe(0)
      await state.commit(claim, { wal: { seq, record: walRecord(), replayed: true } })
      expect([...state.ledger(A)]).toEqual([['msg_1', ledgerRow()]])
      expect(state.status()).toMatchObject({
        wal: { records: 0, bytes: 0 },
        ledger: { sessions: 1, messages: 1, documents: 1 },
        counters: { embedded: 1, commits: 1, replays: 1 },
      })
      await expect(state.commit(claim, { wal: { seq, record: walRecord(), replayed: true } })).rejects.toMatchObject({ code: 'LEASE_LOST' })
    })

    it('hands a pending record to the next owner', async () => {
      await state.observe(seen(A))
      const seq = await state.walAppend(await claimed(state), walRecord())
      dead.add(1)
      await other.sweep()
      expect(await claimed(other)).toMatchObject({ wal: seq })
    })

    it('drops a gone session only when nothing is left of it', async () => {
      await state.observe(seen(A))
      const claim = await claimed(state)
      expect(await state.remove(claim)).toBe(false)
      await state.commit(claim, { ledger: walRecord().ledger })
      await state.observe({ seen: [], gone: [A] })
      expect(await state.remove(claim)).toBe(false)
      await state.release(claim, DONE)
      const last = await claimed(state)
      expect(last.gone).toBe(true)
      await state.commit(last, { drop: ['msg_1' as MessageId] })
      expect(await state.remove(last)).toBe(true)
      expect(state.status()).toMatchObject({ queue: { ready: 0, leased: 0 }, ledger: { sessions: 0, messages: 0, documents: 0 } })
    })

    it('reads a session anew that comes back while it is being removed', async () => {
      await state.observe(seen(A))
      await state.release(await claimed(state), DONE)
      await state.observe({ seen: [], gone: [A] })
      const claim = await claimed(state)
      await state.observe(seen(A))
      expect(await state.remove(claim)).toBe(false)
      await state.release(claim, DONE)
      expect((await claimed(state)).gone).toBe(false)
    })

    it('forgets: the pending record makes room for the deletions', async () => {
      await state.observe(seen(A))
      const claim = await claimed(state)
      const old = await state.walAppend(claim, walRecord())
      const seq = await state.forget(claim, ['doc-1'])
      expect(() => state.walRead(old)).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
      expect(state.walRead(seq ?? 0)).toMatchObject({ key: A, rows: [], deletes: ['doc-1'] })
      expect(state.status().wal.records).toBe(1)
    })

    it('asks every session to be compared with the sink, once', async () => {
      await state.observe(seen(A))
      await state.observe(seen(B))
      await state.release(await claimed(state), DONE)
      await state.observe({ seen: [], gone: [B] })
      expect(await state.verify()).toBe(1)
      expect(await state.verify()).toBe(0)
      await state.release(await claimed(state, B), DONE)
      const claim = await claimed(state, A)
      expect(claim.verify).toBe(1)
      await state.release(claim, { kind: 'done', verified: claim.verify })
      expect(await claimed(state)).toMatchObject({ key: B, gone: true })
      expect(await state.verify()).toBe(1)
    })

    it('knows the store of each session, and what its pending records carry', async () => {
      await state.observe(seen(A))
      await state.observe(seen(B))
      expect(state.sessions().map(({ key, store }) => [key, store])).toEqual([
        [A, '/store'],
        [B, '/store'],
      ])
      await state.observe({ seen: [{ key: B, revision: 'r1', meta: 'm', store: '/other' }], gone: [] })
      expect(state.sessions()[1]?.store).toBe('/other')
      expect(state.status().queue.ready).toBe(2)
      const rows = [{ id: 'doc', text: 'text', vector: 0, metadata: METADATA }]
      const claim = await claimed(state)
      const seq = await state.walAppend(claim, walRecord({ rows }))
      await state.walAppend(await claimed(state), walRecord({ key: B, deletes: ['doc'], dimensions: 0, matrix: new Float32Array(0) }))
      expect(state.pending()).toEqual([
        { key: A, seq, project: 'project', directory: '/work', documents: 1, bytes: expect.any(Number), createdAt: 1 },
      ])
      await other.commit(claim, { wal: { seq, record: walRecord({ rows }), replayed: false } })
      expect(state.pending()).toEqual([])
    })

    it('fixes what it was built with', async () => {
      expect(other.identity()).toEqual({ space: 'space', namespace: 'ns' })
      await other.bind({ space: 'space', namespace: 'ns' })
      await expect(other.bind({ space: 'another', namespace: 'ns' })).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
      await expect(other.bind({ space: 'space', namespace: 'another' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    })

    it('tells how long the oldest session waits', async () => {
      expect(state.status().oldestPendingAgeMs).toBeNull()
      await state.observe(seen(A))
      clock.advance(700)
      await state.observe(seen(B))
      expect(state.status().oldestPendingAgeMs).toBe(700)
      const claim = await claimed(state)
      expect(state.status().oldestPendingAgeMs).toBe(700)
      await state.release(claim, DONE)
      expect(state.status().oldestPendingAgeMs).toBe(0)
    })
  })
}
