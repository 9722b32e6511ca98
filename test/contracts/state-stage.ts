/** What the parts of the suite of states share: two processes on one state, a clock that is pushed, and rows to put into it. */
import { afterEach, beforeEach } from 'vitest'
import type { Clock } from '../../src/core/clock.js'
import type { MessageId } from '../../src/core/ids.js'
import type { SessionKey } from '../../src/core/keys.js'
import type { Claim, ClaimRequest, Failure, LaneName, LedgerRow, WalRecord, WalRow } from '../../src/indexer/state/rows.js'
import type { IndexStore, Observation } from '../../src/indexer/state/state.js'
import type { OwnerProbe } from '../../src/tree/catalog/owner.js'
import { type FakeClock, fakeClock, fakeOwners, keyOf } from '../support/index-world.js'

export interface StateSettings {
  readonly clock: Clock
  readonly owners: OwnerProbe
  readonly leaseMs: number
  readonly maxDelayMs: number
}

export interface StatePlace extends Disposable {
  open(settings: StateSettings): Promise<IndexStore>
}

export const LEASE_MS = 1000
export const MAX_DELAY_MS = 5000

export interface Stage {
  /** Process 1, bound to the space `space`. */
  readonly state: IndexStore
  /** Process 2, bound to none. */
  readonly other: IndexStore
  readonly clock: FakeClock
  /** The pids of processes that ended. */
  readonly dead: Set<number>
  /** One more process. */
  join(owners: OwnerProbe, settings?: Partial<StateSettings>): Promise<IndexStore>
}

/** Set up anew before each test. */
export function stageOf(place: () => StatePlace): Stage {
  let where: StatePlace
  const opened: IndexStore[] = []
  const stage: { -readonly [K in keyof Stage]: Stage[K] } = {} as never
  beforeEach(async () => {
    where = place()
    const dead = new Set<number>()
    const clock = fakeClock()
    const join: Stage['join'] = async (owners, settings) => {
      const state = await where.open({ clock, leaseMs: LEASE_MS, maxDelayMs: MAX_DELAY_MS, owners, ...settings })
      opened.push(state)
      return state
    }
    Object.assign(stage, { clock, dead, join, state: await join(fakeOwners(1, dead)), other: await join(fakeOwners(2, dead)) })
    await stage.state.bind({ space: 'space', namespace: 'ns' })
  })
  afterEach(async () => {
    for (const state of opened.splice(0)) await state[Symbol.asyncDispose]()
    where[Symbol.dispose]()
  })
  return stage
}

export const A = keyOf('ses_a')
export const B = keyOf('ses_b')
export const M1 = 'msg_1' as MessageId
export const M2 = 'msg_2' as MessageId
export const M3 = 'msg_3' as MessageId
export const DONE = { kind: 'done' } as const
export const FAILURE: Failure = { code: 'SINK_FAILED', reason: 'the sink failed' }
export const LOST = { code: 'LEASE_LOST' }

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
    ledger: [{ message: M1, row: ledgerRow() }],
    drop: [],
    dead: [],
    embedded: 1,
    cached: 0,
    dimensions: 2,
    matrix: Float32Array.of(0.5, -1),
    ...fields,
  }
}

export function walRow(vector = 0): WalRow {
  return { id: 'doc', text: 'text', vector, metadata: METADATA }
}

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

export function seen(key: SessionKey, revision = 'r1', store = '/store'): Observation {
  return { seen: [{ key, revision, meta: 'm', store }], gone: [] }
}

export function gone(...keys: readonly SessionKey[]): Observation {
  return { seen: [], gone: keys }
}

/** The session asked for, or the first that is runnable. */
export async function claimed(state: IndexStore, only?: SessionKey, request: ClaimRequest = {}): Promise<Claim> {
  const claim = await state.claim({ ...request, only })
  if (claim === undefined) throw new Error('nothing to claim')
  return claim
}

/** Makes the session known, and ends its first run well. */
export async function settled(state: IndexStore, key: SessionKey, entries: WalRecord['ledger'] = []): Promise<void> {
  await state.observe(seen(key))
  const claim = await claimed(state, key)
  if (entries.length > 0) await state.commit(claim, { ledger: entries })
  await state.release(claim, DONE)
}

/** Puts a record of the session into the WAL and has its owner end with it. */
export async function pendingRecord({ state, other, dead }: Stage, record: WalRecord): Promise<number> {
  const seq = await state.walAppend(await claimed(state, record.key), record)
  dead.add(1)
  await other.sweep()
  dead.delete(1)
  return seq
}

/** Claims and ends runs until nothing is runnable; the sessions in their order. */
export async function drained(state: IndexStore, lanes?: readonly LaneName[]): Promise<string[]> {
  const order: string[] = []
  for (;;) {
    const claim = await state.claim({ lanes })
    if (claim === undefined) return order
    order.push(claim.key.session)
    await state.release(claim, { kind: 'done', verified: claim.verify })
  }
}
