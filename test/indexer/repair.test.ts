/** What the sink or a message lost, and has again. */
import { describe, expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, flakySink, START, tempFolder } from '../support/index-world.js'

const EMPTY_QUEUE = { ready: 0, leased: 0, backoff: 0 }

describe('a sink that was emptied behind the index', () => {
  it('is filled again by the next drain, from the cache', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using it = await rig({ cache })
    it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['three', ''])
    await it.run()
    await it.sink.delete([...it.sink.rows.keys()])
    expect(await it.indexer.drain()).toMatchObject({ documents: 3, embedded: 0, cached: 3 })
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, ledger: { documents: 3 } })
    expect(await it.indexer.drain()).toMatchObject({ claims: 0 })
  })

  it('that does not answer stops nothing', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.run()
    it.world.add('ses_b', ['two'])
    it.sink.count = () => Promise.reject(new Error('down'))
    await it.run()
    expect(it.sink.rows.size).toBe(2)
  })

  it('is filled again with what could not be read at first', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two'])
    await it.run()
    await it.sink.delete([...it.sink.rows.keys()])
    const whole = it.world.source()
    const { indexer } = await it.join(2, {
      sessions: {
        ...whole,
        tail: async (...args) => {
          const tail = await whole.tail(...args)
          return { ...tail, messages: tail.messages.slice(1), complete: false }
        },
      },
    })
    await indexer.drain()
    expect(it.sink.rows.size).toBe(1)
    it.clock.advance(1_000_000)
    expect(session.messages).toHaveLength(2)
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })
})

it('a damaged message that is mended gets its role and its time on every document, and embeds nothing again', async () => {
  using folder = tempFolder()
  await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
  await using it = await rig({ cache })
  const session = it.world.add('ses_a', ['one', 'two'])
  const message = session.messages[0]
  if (message === undefined) throw new Error('no message')
  message.damaged = true
  await it.run()
  const carried = () => [...it.sink.rows.values()].map(({ text, metadata }) => [text, Object(metadata).role]).sort()
  expect(carried()).toEqual([
    ['one', 'unknown'],
    ['two', 'assistant'],
  ])
  it.world.edit(session, () => Object.assign(message, { damaged: false, version: 2 }))
  await it.run()
  expect(carried()).toEqual([
    ['one', 'user'],
    ['two', 'assistant'],
  ])
  expect(it.embedder.texts).toEqual(['one', 'two'])
})

describe('an embedder of another space', () => {
  it('than the sink holds is refused before anything is read', async () => {
    const sink = { ...flakySink(), space: 'other' }
    await using it = await rig({ sink })
    it.world.add('ses_a', ['one'])
    await expect(it.indexer.observe()).rejects.toMatchObject({ code: 'SINK_MISMATCH', reason: expect.stringContaining('"other"') })
    const { indexer } = await it.join(2, { embedder: countingEmbedder('other') })
    expect(await indexer.observe()).toMatchObject({ changed: 1 })
  })
})

it('a comparison finds nothing to repair in what is to be written again anyway, and commits nothing for it', async () => {
  await using it = await rig()
  it.world.add('ses_a', ['one', 'two'])
  await it.run()
  const { commits } = it.state.status().counters
  await it.state.reset()
  await it.state.verify()
  it.world.failing.add('ses_a')
  await it.indexer.drain()
  expect(it.state.status().counters).toMatchObject({ commits, repairs: 0 })
  it.world.failing.clear()
  it.clock.advance(120_000)
  await it.indexer.drain()
  expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, counters: { repairs: 0, upserts: 4 } })
})
