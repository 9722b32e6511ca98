/** Two machines whose stores hold the same session share one collection, each under a namespace of its own: neither touches what the other wrote. */
import { expect, it } from 'vitest'
import { memoryState } from '../../src/indexer/state/memory/state.js'
import { type Rig, rig } from '../support/index-rig.js'
import { fakeOwners, keyOf } from '../support/index-world.js'

async function twoMachines() {
  const it = await rig({ namespace: 'one' }, { memory: true })
  it.world.add('ses_a', ['hello', 'world'])
  await it.run()
  const state = memoryState({ clock: it.clock, owners: fakeOwners(2), leaseMs: 10_000 })
  const { indexer } = await it.join(2, { state, namespace: 'two' })
  await indexer.observe()
  await indexer.drain()
  return { it, indexer, state }
}

const heldOf = ({ sink }: Rig) => [...sink.rows.keys()].map((id) => id.split('~')[0]).sort()
const BOTH = ['one', 'one', 'two', 'two']

it('a verification reports no document of the other machine', async () => {
  const { it: rigged, indexer } = await twoMachines()
  await using it = rigged
  expect(heldOf(it)).toEqual(BOTH)
  expect(await it.indexer.verify({ repair: true })).toMatchObject({ differences: [], documents: 2, repaired: 0 })
  expect(await indexer.verify()).toMatchObject({ differences: [], documents: 2 })
  expect(heldOf(it)).toEqual(BOTH)
})

it('the slow scan deletes none', async () => {
  const { it: rigged } = await twoMachines()
  await using it = rigged
  it.clock.advance(1_000_000)
  expect(await it.state.slowScan({ limit: 10, minAgeMs: 1 })).toBe(1)
  await it.indexer.drain()
  expect(heldOf(it)).toEqual(BOTH)
})

it('what one machine forgets, and what is removed from its stores, stays with the other', async () => {
  const { it: rigged, indexer } = await twoMachines()
  await using it = rigged
  expect(await indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 1, documents: 2 })
  expect(heldOf(it)).toEqual(['one', 'one'])
  expect(await indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 0, documents: 0 })
  expect(heldOf(it)).toEqual(['one', 'one'])
})
