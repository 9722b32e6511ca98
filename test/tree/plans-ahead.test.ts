/** Plans that are begun while the session before is at work: taken while they are fresh, and made anew else. */
import { expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseSessionId } from '../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../src/core/keys.js'
import { fail, type StageResult, settle } from '../../src/core/stage.js'
import type { MergedSession } from '../../src/storage/merged.js'
import type { Store } from '../../src/storage/store.js'
import { PlansAhead } from '../../src/tree/plans-ahead.js'
import type { SessionTreePlan } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'

const KEYS = [0, 1, 2, 3].map((at) => sessionKey('opencode', parseSessionId(`s${at}`)))
const REPORT = { stage: 'plan', durationMs: 0, files: 0, rows: 0, bytes: 0, records: 0 } as const

interface World {
  readonly plans: PlansAhead
  /** Which sessions were planned, in order. */
  readonly planned: string[]
  /** The store that the sessions are in. */
  store: Store
  /** What the next planning of a session ends with. */
  readonly failing: Map<string, StorageError>
  pass(ms: number): void
}

function worldOf(ahead: boolean): World {
  const clock = manualClock(0)
  const planned: string[] = []
  const failing = new Map<string, StorageError>()
  const plan = async ({ session }: SessionKey): Promise<StageResult<SessionTreePlan>> => {
    planned.push(session)
    const error = failing.get(session)
    failing.delete(session)
    return error === undefined ? settle({ unchanged: planned.length } as SessionTreePlan, [], REPORT) : fail(error, REPORT)
  }
  const store = { ahead } as Store
  const sessions = { clock, stores: [store], locate: async () => ({ store: world.store }) as MergedSession }
  const world: World = {
    plans: new PlansAhead(sessions, KEYS, plan),
    planned,
    failing,
    store,
    pass: (ms) => {
      clock.wall += ms
    },
  }
  return world
}

/** Which planning of all the taken plan is, counted from 1. */
async function taken(world: World, place: number): Promise<number | string> {
  const result = await world.plans.take(place)
  // What was begun behind it has its turn.
  await new Promise((resolve) => setImmediate(resolve))
  return result.status === 'failed' ? result.error.code : result.value.unchanged
}

it('are begun from the second session on, and each is planned once', async () => {
  const world = worldOf(true)
  expect([await taken(world, 0), [...world.planned]]).toEqual([1, ['s0']])
  expect([await taken(world, 1), [...world.planned]]).toEqual([2, ['s0', 's1', 's2']])
  expect([await taken(world, 2), await taken(world, 3), world.planned]).toEqual([3, 4, ['s0', 's1', 's2', 's3']])
})

it('are made anew for who takes his time, and then none is begun', async () => {
  const world = worldOf(true)
  await taken(world, 0)
  await taken(world, 1)
  world.pass(21)
  expect([await taken(world, 2), world.planned]).toEqual([4, ['s0', 's1', 's2', 's2']])
})

it('are made anew when another store has the session, and where planning failed', async () => {
  const world = worldOf(true)
  await taken(world, 0)
  world.failing.set('s2', new StorageError('WORKER_LOST', { reason: 'gone' }))
  await taken(world, 1)
  expect([await taken(world, 2), world.planned]).toEqual([4, ['s0', 's1', 's2', 's2', 's3']])
  world.store = { ahead: true } as Store
  expect([await taken(world, 3), world.planned.at(-1)]).toEqual([6, 's3'])
})

it('tell of a failure at their turn', async () => {
  const world = worldOf(true)
  world.failing.set('s0', new StorageError('STORE_BUSY', { reason: 'busy' }))
  expect([await taken(world, 0), await taken(world, 1)]).toEqual(['STORE_BUSY', 2])
})

it('are never begun where nobody else answers', async () => {
  const world = worldOf(false)
  for (const place of KEYS.keys()) await taken(world, place)
  expect(world.planned).toEqual(['s0', 's1', 's2', 's3'])
})
