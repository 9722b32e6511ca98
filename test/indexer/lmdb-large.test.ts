/** What a state of 20,000 sessions costs: by counting the rows and keys that are read, not by a clock. A small one is to cost the same. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLmdb, type Table } from '../../src/indexer/state/lmdb/env.js'
import { longUnseen, whatEnded } from '../../src/indexer/state/lmdb/leases.js'
import { claimSession, hasWork, type Moment, observeSessions, releaseSession } from '../../src/indexer/state/lmdb/queue.js'
import { commitRecord } from '../../src/indexer/state/lmdb/records.js'
import { NEW_SESSION, putSession, type SessionRow } from '../../src/indexer/state/lmdb/rows.js'
import { bindSpace, cutOverSpace } from '../../src/indexer/state/lmdb/spaces.js'
import { nextRunAt, statusOf } from '../../src/indexer/state/lmdb/status.js'
import { type StateEnvironment, type StateTables, TABLES } from '../../src/indexer/state/lmdb/tables.js'
import { LANES } from '../../src/indexer/state/rows.js'
import { A, DONE, ledgerRow, M1, seen } from '../contracts/state-stage.js'
import { keyOf, START, tempFolder } from '../support/index-world.js'
import type { TempFolder } from '../support/temp.js'

const MOMENT: Moment = { now: START, monotonic: 1000, maxDelayMs: 120_000 }
const OWNER = { pid: 1, boot: 'boot', start: '1', namespace: 'ns' }
const LANE_NAMES = Object.keys(LANES) as (keyof typeof LANES)[]

/** Passes everything on and counts the rows and keys that come out. What LMDB counts by itself comes out as one number. */
function counting(tables: StateTables, tick: () => void): StateTables {
  const counted = (table: Table): Table =>
    new Proxy(table, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) => {
          const result: unknown = Reflect.apply(member, target, args)
          if (name === 'get' || name === 'getBinary') tick()
          return name === 'getRange' || name === 'getKeys' ? ticking(result as Iterable<unknown>, tick) : result
        }
      },
    })
  return Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, counted(table)])) as unknown as StateTables
}

function* ticking(items: Iterable<unknown>, tick: () => void): Generator<unknown> {
  for (const item of items) {
    tick()
    yield item
  }
}

/** Most at rest, one in ten queued, one in twenty waiting for its time; three leases, one suspect, 500 letters. */
async function filled(environment: StateEnvironment, sessions: number): Promise<void> {
  await environment.transact((t) => bindSpace(t, { space: 'space', namespace: 'ns' }, false, MOMENT))
  const claimant = { ...MOMENT, owner: OWNER, ttl: 1000, bound: undefined }
  const rowOf = (n: number): SessionRow => {
    const row = { ...NEW_SESSION, observedRev: 'r1', processedRev: 'r1', builtIn: 'space', checkedAt: START - 1e6 + n }
    const lane = n % 5
    if (n % 10 === 1) return { ...row, q: { lane, runAt: 0, seq: n, since: START - n } }
    return n % 20 === 2 ? { ...row, q: { lane, runAt: START + 1 + n, seq: n, since: START - n } } : row
  }
  for (let from = 0; from < sessions; from += 2000) {
    await environment.transact((t) => {
      for (let n = from; n < Math.min(from + 2000, sessions); n++) putSession(t, keyOf(`ses_${n}`), undefined, rowOf(n))
    })
  }
  for (const id of ['ses_x', 'ses_y', 'ses_z']) {
    await environment.transact((t) => {
      observeSessions(t, seen(keyOf(id)), MOMENT)
      claimSession(t, { only: keyOf(id) }, claimant)
    })
  }
  const suspects = [{ token: 1, owner: OWNER, ttl: 1000, at: START }]
  await environment.transact((t) => putSession(t, A, undefined, { ...NEW_SESSION, observedRev: 'r1', processedRev: 'r1', suspects }))
}

const isGone = (): boolean => false
const STEPS: Readonly<Record<string, (t: StateTables) => unknown>> = {
  'the status': (t) => statusOf(t, isGone, MOMENT),
  'when the next one may run': (t) => nextRunAt(t, LANE_NAMES, undefined, MOMENT),
  'whether there is work': (t) => hasWork(t, {}, undefined, MOMENT),
  'what a sweep is to do': (t) => whatEnded(t, isGone, MOMENT),
  'whom the slow scan takes': (t) => longUnseen(t, { limit: 3, minAgeMs: 1 }, MOMENT),
  'an observation': (t) => observeSessions(t, seen(keyOf('ses_1'), 'r2'), MOMENT),
  'a cutover that has to wait': (t) => cutOverSpace(t),
  'a claim, a commit and a release': (t) => {
    const claim = claimSession(t, {}, { ...MOMENT, owner: OWNER, ttl: 1000, bound: undefined })
    if (claim === undefined) throw new Error('nothing to claim')
    commitRecord(t, claim, { ledger: [{ message: M1, row: ledgerRow() }] }, START)
    releaseSession(t, claim, DONE, MOMENT)
  },
}

describe('with 20,000 sessions', () => {
  const folders: TempFolder[] = []
  const places: StateEnvironment[] = []
  beforeAll(async () => {
    for (const sessions of [100, 20_000]) {
      const folder = tempFolder()
      folders.push(folder)
      const environment = await openLmdb({ path: join(folder.path, 'state.mdb'), tables: TABLES })
      places.push(environment)
      await filled(environment, sessions)
    }
  }, 120_000)
  afterAll(async () => {
    for (const place of places) await place[Symbol.asyncDispose]()
    for (const folder of folders) folder[Symbol.dispose]()
  })

  it.each(Object.keys(STEPS))('%s costs what it costs with 100', async (name) => {
    const costs: number[] = []
    for (const environment of places) {
      let cost = 0
      await environment.transact((t) => STEPS[name]?.(counting(t, () => cost++)))
      costs.push(cost)
    }
    const [small = 0, large = 0] = costs
    expect(small).toBeGreaterThan(0)
    expect(large).toBe(small)
    expect(large).toBeLessThan(120)
  })

  it('the status is right all the same', () => {
    const status = places[1] && statusOf(places[1].tables, isGone, MOMENT)
    expect(status).toMatchObject({ queue: { leased: 3 }, suspects: 1, ledger: { sessions: 20_004, messages: 1, documents: 1 }, toRebuild: 0 })
    // One was claimed by the test above.
    expect((status?.queue.ready ?? 0) + (status?.queue.backoff ?? 0)).toBe(2999)
  })
})
