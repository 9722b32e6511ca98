/** Services that are down: nobody is sent to find that out again, nothing is embedded twice, and all goes on by itself. The bar B18. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { IndexProgress } from '../../src/indexer/engine.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf, type WorldSession } from '../support/index-world.js'
import { pass, until } from '../support/passing-time.js'

/** Time passes by the fake clock alone, so nothing may wait for a disk. */
const IN_MEMORY = { memory: true }

const TEN_MINUTES = 600_000
const SESSIONS = 40

function down(): Error {
  return Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
}

function fill(it: Rig): WorldSession[] {
  return Array.from({ length: SESSIONS }, (_, i) => it.world.add(`ses_${String(i).padStart(2, '0')}`, [`text ${i}`, `answer ${i}`]))
}

const isTrue = (it: Rig): boolean => JSON.stringify([...contentOf(it.sink)]) === JSON.stringify([...it.world.expected()])

describe('an embedder that is down', () => {
  it('[B18] for ten minutes costs a probe every eight seconds, no reading and no failure; then all is indexed within ten seconds', async () => {
    let calls = 0
    await using it = await rig({}, IN_MEMORY)
    const { embed } = it.embedder
    it.embedder.embed = (texts, options) => {
      calls++
      return embed.call(it.embedder, texts, options)
    }
    fill(it)
    it.embedder.failure = down()
    await it.indexer.start()
    await pass(it.clock, TEN_MINUTES, 1000)
    expect(calls).toBeLessThan(100)
    expect(it.world.hydrated.length).toBeLessThan(4 * 100)
    expect(await it.indexer.status()).toMatchObject({
      counters: { failures: 0 },
      wal: { records: 0 },
      services: [
        { service: 'embedder', failure: { code: 'EMBEDDER_UNAVAILABLE' } },
        { service: 'sink', state: 'closed' },
      ],
    })
    it.embedder.failure = undefined
    expect(await until(it.clock, () => isTrue(it), { ms: 10_000, step: 250 })).toBeLessThanOrEqual(10_000)
    expect(new Set(it.embedder.texts).size).toBe(it.embedder.texts.length)
    await it.indexer.stop()
  })

  it('keeps nobody from deleting, nor from sending what was embedded', async () => {
    await using it = await rig({}, IN_MEMORY)
    const [first, second] = fill(it)
    it.sink.before = ({ ids }) => {
      if (ids.length === 2) throw down()
    }
    await it.run()
    it.sink.before = () => undefined
    it.embedder.failure = down()
    it.world.add('ses_new', ['new'])
    it.clock.advance(20_000)
    await it.run()
    expect((await it.indexer.status()).services).toMatchObject([{ state: 'open' }, { state: 'closed' }])
    it.clock.advance(20_000)
    if (first !== undefined) it.world.sessions.delete(first.id)
    await it.indexer.observe()
    await it.indexer.drain()
    it.world.sessions.delete('ses_new')
    expect(isTrue(it)).toBe(true)
    expect(second).toBeDefined()
  })

  it('ends a drain, which tells how many sessions wait', async () => {
    await using it = await rig({ concurrency: 1 }, IN_MEMORY)
    fill(it)
    it.embedder.failure = down()
    await it.indexer.observe()
    const report = await it.indexer.drain()
    expect(report).toMatchObject({ failed: 0, sessions: 0, stopped: false })
    expect(report.deferred).toBe(report.claims)
    expect(report.claims).toBeLessThan(3)
  })

  it('tells when it went down and when it was back', async () => {
    const events: string[] = []
    const listen = (event: IndexProgress): void => {
      if (event.kind === 'breaker') events.push(`${event.breaker.service} ${event.breaker.state}`)
    }
    await using it = await rig({ concurrency: 1, onProgress: listen }, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    it.embedder.failure = down()
    await it.run()
    expect(it.state.status().breakers).toMatchObject([{ service: 'embedder', state: 'open' }])
    it.embedder.failure = undefined
    it.clock.advance(5000)
    await it.indexer.drain()
    expect(events).toEqual(['embedder open', 'embedder half-open', 'embedder closed'])
    expect(isTrue(it)).toBe(true)
  })
})

describe('a sink that is down', () => {
  it('[B18] for ten minutes keeps one record per session, embeds nothing twice, and is full within ten seconds', async () => {
    await using it = await rig({ recordSize: 1 }, IN_MEMORY)
    const sessions = fill(it)
    let calls = 0
    it.sink.before = () => {
      calls++
      throw down()
    }
    await it.indexer.start()
    await pass(it.clock, TEN_MINUTES, 1000)
    expect(it.state.status()).toMatchObject({ wal: { records: sessions.length }, counters: { failures: 0 } })
    expect(calls).toBeLessThan(120)
    expect(new Set(it.embedder.texts).size).toBe(it.embedder.texts.length)
    const before = it.embedder.texts.length
    expect(before).toBe(sessions.length)
    it.sink.before = () => undefined
    expect(await until(it.clock, () => isTrue(it), { ms: 10_000, step: 250 })).toBeLessThanOrEqual(10_000)
    expect(it.embedder.texts.length).toBe(2 * sessions.length)
    expect(new Set(it.embedder.texts).size).toBe(it.embedder.texts.length)
    await it.indexer.stop()
  })

  it('[B18] is embedded for only until the write-ahead log is full', async () => {
    await using it = await rig({ maxWalBytes: 2000, concurrency: 1 }, IN_MEMORY)
    fill(it)
    it.sink.before = () => {
      throw down()
    }
    await it.indexer.start()
    await pass(it.clock, 60_000, 1000)
    const { wal } = it.state.status()
    expect(wal.bytes).toBeGreaterThanOrEqual(2000)
    expect(wal.bytes).toBeLessThan(4000)
    expect(wal.records).toBeLessThan(SESSIONS)
    it.sink.before = () => undefined
    await until(it.clock, () => isTrue(it), { ms: 10_000, step: 250 })
    await it.indexer.stop()
  })

  it('in a way that concerns the session alone backs that one off', async () => {
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    it.sink.before = () => {
      throw new StorageError('SINK_FAILED', { reason: 'odd' })
    }
    await it.run()
    expect(it.state.status()).toMatchObject({ queue: { backoff: 1 }, counters: { failures: 1, deferrals: 0 } })
  })
})
