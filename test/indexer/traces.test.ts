/** An indexer that runs for weeks leaves nothing on the signals that live as long as it does. */
import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { rig } from '../support/index-rig.js'
import { pass } from '../support/passing-time.js'

/** What Node keeps on a signal for each one that was derived from it, and its listeners. */
function tracesOn(signal: AbortSignal): number {
  const dependants = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kDependantSignals')
  const kept: { readonly size?: number } | undefined = dependants && Reflect.get(signal, dependants)
  return (kept?.size ?? 0) + getEventListeners(signal, 'abort').length
}

it('hundreds of ticks', async () => {
  const outer = new AbortController()
  await using it = await rig({ signal: outer.signal }, { memory: true })
  const session = it.world.add('ses_a', ['one'])
  for (let i = 0; i < 200; i++) {
    it.world.edit(session, (s) => {
      s.title = `Title ${i}`
    })
    it.clock.advance(4000)
    await it.indexer.tick()
  }
  expect(it.state.status().counters.claims).toBeGreaterThan(190)
  expect(tracesOn(outer.signal)).toBe(0)
})

it('a loop over many polls', async () => {
  const outer = new AbortController()
  await using it = await rig({ signal: outer.signal }, { memory: true })
  const session = it.world.add('ses_a', ['one'])
  const traces: number[] = []
  await it.indexer.start()
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 60; i++) {
      it.world.edit(session, (s) => {
        s.title = `Title ${round} ${i}`
      })
      await pass(it.clock, 3000, 1000)
    }
    traces.push(tracesOn(outer.signal))
  }
  const [early = 0, late = 0] = traces
  expect(it.state.status().counters.claims).toBeGreaterThan(60)
  expect(late).toBe(early)
  await it.indexer.stop()
})
