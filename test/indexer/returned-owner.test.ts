/** An owner that was stopped past its lease and comes back: what it still sent to the sink is found and put right, with or without a sweep between. */
import { expect, it } from 'vitest'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, flakySink } from '../support/index-world.js'

/** The first owner is stopped inside a call of the sink; its documents land when it goes on, after the second owner has written newer ones. */
it('[I6] its late write is undone, and the index comes to rest', async () => {
  await using it = await rig({}, { memory: false })
  const session = it.world.add('ses_a', ['one', 'two'])
  let goOn = (): void => undefined
  const stopped = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let arrived = (): void => undefined
  const inCall = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const slow = {
    ...it.sink,
    upsert: async (rows: Parameters<typeof it.sink.upsert>[0]) => {
      arrived()
      await stopped
      await it.sink.upsert(rows)
    },
  }
  const first = await it.join(2, { sink: slow })
  await first.indexer.observe()
  const late = first.indexer.drain()
  await inCall
  // Stopped: neither its clock nor its heartbeat moves, so only the second owner sees the time pass.
  it.clock.mono += 30_000
  it.clock.wall += 30_000
  const [message] = session.messages
  if (message === undefined) throw new Error('the session has no message')
  message.text = 'edited'
  message.version++
  session.revision++
  await it.run()
  await it.run()
  expect(contentOf(it.sink)).toEqual(it.world.expected())
  goOn()
  await late
  await it.run()
  expect(contentOf(it.sink)).toEqual(it.world.expected())
  const { suspects, queue, wal } = it.state.status()
  expect({ suspects, ready: queue.ready, leased: queue.leased, records: wal.records }).toEqual({ suspects: 0, ready: 0, leased: 0, records: 0 })
})

it('its late write of a deleted session leaves the space that is searched, also while another is built', async () => {
  const old = Object.assign(flakySink(), { space: 'fake-1' })
  const next = Object.assign(flakySink(), { space: 'fake-2' })
  await using it = await rig({ sink: old })
  it.world.add('ses_a', ['one', 'two'])
  it.world.add('ses_b', ['three'])
  it.world.failing.add('ses_b')
  let goOn = (): void => undefined
  const stopped = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let arrived = (): void => undefined
  const inCall = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const slow = {
    ...old,
    upsert: async (rows: Parameters<typeof old.upsert>[0]) => {
      arrived()
      await stopped
      await old.upsert(rows)
    },
  }
  const first = await it.join(2, { sink: slow, concurrency: 1 })
  await first.indexer.observe()
  const late = first.indexer.drain()
  await inCall
  it.clock.mono += 30_000
  it.clock.wall += 30_000
  it.world.sessions.delete('ses_a')
  const builder = await it.join(3, { embedder: countingEmbedder('fake-2', 4), sink: next, former: [old], rebuild: true })
  await builder.indexer.observe()
  await builder.indexer.drain()
  goOn()
  await late
  expect(old.rows.size).toBe(2)
  await builder.indexer.drain()
  expect(it.state.spaces()).toMatchObject([{ space: 'fake-1' }, { space: 'fake-2', state: 'building' }])
  expect(old.rows.size).toBe(0)
  expect(it.state.sessions().map(({ key }) => key.session)).toEqual(['ses_b'])
})
