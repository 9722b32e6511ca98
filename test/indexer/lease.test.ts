/** The lease under which a session is worked on: no call begins that it may not outlast, and none outlasts it. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { holdLease } from '../../src/indexer/lease.js'
import { memoryState } from '../../src/indexer/state/memory/state.js'
import { fakeClock, fakeOwners, keyOf } from '../support/index-world.js'

const LEASE = 10_000
const NEVER = new AbortController().signal

async function claimed() {
  const clock = fakeClock()
  const state = memoryState({ clock, owners: fakeOwners(1), leaseMs: LEASE })
  await state.bind({ space: 'fake', namespace: 'local' })
  await state.observe({ seen: [{ key: keyOf('ses_a'), revision: '1', meta: '', store: '/store' }], gone: [] })
  const claim = await state.claim()
  if (claim === undefined) throw new Error('nothing to claim')
  return { clock, state, claim }
}

/** Lets everything that is due run, without a clock of its own. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

describe('a held lease', () => {
  it('is renewed by a heartbeat for as long as it takes', async () => {
    const { clock, state, claim } = await claimed()
    await using lease = holdLease(claim, state, clock, NEVER)
    for (let i = 0; i < 100; i++) {
      clock.advance(LEASE / 3 + 1)
      await settled()
    }
    expect(lease.signal.aborted).toBe(false)
    await lease.guard()
  })

  it('is renewed before a call that would have less than half of it', async () => {
    const { clock, state, claim } = await claimed()
    let renewals = 0
    const countRenewal: typeof state.renew = (held) => {
      renewals++
      return state.renew(held)
    }
    const counting = { ...state, renew: countRenewal }
    await using lease = holdLease(claim, counting, clock, NEVER)
    await lease.guard()
    expect(renewals).toBe(0)
    clock.mono += LEASE / 2 + 1
    await lease.guard()
    expect(renewals).toBe(1)
  })

  it('ends what is under way before it runs out, though the heartbeat hangs', async () => {
    const { clock, state, claim } = await claimed()
    const hanging = { ...state, renew: () => new Promise<number>(() => undefined) }
    const lease = holdLease(claim, hanging, clock, NEVER)
    clock.advance(0.85 * LEASE)
    await settled()
    expect(lease.signal.aborted).toBe(false)
    clock.advance(0.06 * LEASE)
    await settled()
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
    await expect(lease.guard()).rejects.toMatchObject({ code: 'LEASE_LOST' })
  })

  it('is over once another owner has the session', async () => {
    const { clock, state, claim } = await claimed()
    const refusing = { ...state, renew: () => Promise.reject(new StorageError('LEASE_LOST', { reason: 'taken' })) }
    await using lease = holdLease(claim, refusing, clock, NEVER)
    clock.advance(LEASE / 3)
    await settled()
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST', reason: 'taken' })
  })
})
