/** Shutdown: nothing new is begun, what is paid for is kept, every lease is freed. The bar B21. */
import { describe, expect, it } from 'vitest'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf } from '../support/index-world.js'
import { pass, settle } from '../support/passing-time.js'

/** Time passes by the fake clock alone, so nothing may wait for a disk. */
const IN_MEMORY = { memory: true }

/** Holds every call of the embedder until it is let go, unless its signal ends it. */
function slowEmbedder(it: Rig): { readonly waiting: () => number; letGo(): void } {
  const { embed } = it.embedder
  let held: (() => void)[] = []
  it.embedder.embed = async (texts, options) => {
    await new Promise<void>((resolve, reject) => {
      held.push(resolve)
      options.signal?.addEventListener('abort', () => reject(options.signal?.reason), { once: true })
    })
    return embed.call(it.embedder, texts, options)
  }
  return {
    waiting: () => held.length,
    letGo() {
      for (const go of held) go()
      held = []
    },
  }
}

describe('a stop while something is embedded', () => {
  it('[B21] lets that end and keeps it in the write-ahead log; the sink hears of it in the next run, and nothing is embedded again', async () => {
    await using it = await rig({ concurrency: 1, recordSize: 1, batchSize: 1 }, IN_MEMORY)
    it.world.add('ses_a', ['one', 'two', 'three'])
    it.world.add('ses_b', ['four'])
    const embedder = slowEmbedder(it)
    await it.indexer.start()
    await settle()
    expect(embedder.waiting()).toBe(1)
    const stopped = it.indexer.stop()
    await settle()
    expect(it.state.status().queue.leased).toBe(1)
    embedder.letGo()
    await stopped
    expect(it.embedder.texts).toEqual(['one'])
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.status()).toMatchObject({
      queue: { ready: 2, leased: 0, backoff: 0 },
      wal: { records: 1 },
      counters: { failures: 0 },
      running: [],
    })
    const draining = it.indexer.drain()
    for (let i = 0; i < 10; i++) {
      await settle()
      embedder.letGo()
    }
    await draining
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.embedder.texts.sort()).toEqual(['four', 'one', 'three', 'two'])
  })

  it('[B21] ends it for good after drainMs', async () => {
    await using it = await rig({ concurrency: 2, drainMs: 5000 }, IN_MEMORY)
    for (const id of ['ses_a', 'ses_b', 'ses_c']) it.world.add(id, [`text of ${id}`])
    const embedder = slowEmbedder(it)
    await it.indexer.start()
    await settle()
    expect(embedder.waiting()).toBeGreaterThan(0)
    let ended = false
    const stopped = it.indexer.stop().then(() => {
      ended = true
    })
    await pass(it.clock, 4000)
    expect(ended).toBe(false)
    await pass(it.clock, 1500)
    expect(ended).toBe(true)
    await stopped
    expect(it.state.status()).toMatchObject({ queue: { ready: 3, leased: 0, backoff: 0 }, wal: { records: 0 }, counters: { failures: 0 } })
  })

  it('ends a drain in the same way, by its signal', async () => {
    const stop = new AbortController()
    await using it = await rig({ concurrency: 1, recordSize: 1, batchSize: 1 }, IN_MEMORY)
    it.world.add('ses_a', ['one', 'two'])
    const embedder = slowEmbedder(it)
    await it.indexer.observe()
    const draining = it.indexer.drain(stop.signal)
    await settle()
    stop.abort()
    await settle()
    embedder.letGo()
    expect(await draining).toMatchObject({ claims: 1, sessions: 0, failed: 0, stopped: true })
    expect(it.state.status()).toMatchObject({ queue: { ready: 1, leased: 0 }, wal: { records: 1 } })
  })

  it('is waited for by disposal', async () => {
    const it = await rig({ concurrency: 1 }, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    const embedder = slowEmbedder(it)
    await it.indexer.start()
    await settle()
    const disposed = it.indexer[Symbol.asyncDispose]()
    await settle()
    embedder.letGo()
    await disposed
    expect(it.state.status().queue.leased).toBe(0)
    await it[Symbol.asyncDispose]()
  })
})

describe('a stop while the sink is written to', () => {
  it('lets the call end and its record be committed', async () => {
    await using it = await rig({ concurrency: 1, recordSize: 1, batchSize: 1 }, IN_MEMORY)
    it.world.add('ses_a', ['one', 'two'])
    let letGo = (): void => undefined
    it.sink.before = () =>
      new Promise((resolve) => {
        letGo = resolve
      })
    await it.indexer.start()
    await settle()
    const stopped = it.indexer.stop()
    await settle()
    letGo()
    await stopped
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { documents: 1 }, queue: { ready: 1, leased: 0 } })
    it.sink.before = () => undefined
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['one', 'two'])
  })
})
