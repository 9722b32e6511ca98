/** The indexer over the Ollama embedder and a fake of its endpoint: outages, changed models, poison, stops. */
import { describe, expect, it } from 'vitest'
import { type OllamaEmbedderOptions, openOllamaEmbedder } from '../../../src/indexer/embedders/ollama.js'
import type { Embedder } from '../../../src/indexer/ports.js'
import { FAKE_DIGEST, FAKE_MODEL, type FakeOllama, type Fault, fakeOllama, fakeVectors } from '../../support/fake-ollama.js'
import { rig } from '../../support/index-rig.js'
import { contentOf } from '../../support/index-world.js'
import { type MemorySink, memorySink } from '../../support/memory-sink.js'

const OTHER_DIGEST = 'b7'.repeat(32)
const open = (fake: FakeOllama, options: Partial<OllamaEmbedderOptions> = {}): Promise<Embedder> =>
  openOllamaEmbedder({ host: fake.url, model: FAKE_MODEL, numCtx: 2048, ...options })

const texts = (n: number, name = 'message'): string[] => Array.from({ length: n }, (_, i) => `${name} number ${i}, about subject ${i * 7}`)

function spaceSink(embedder: Embedder): MemorySink {
  return { ...memorySink(), space: embedder.space }
}

function setDigest(fake: FakeOllama, digest: string): void {
  const model = fake.models.get(FAKE_MODEL)
  if (model !== undefined) model.digest = digest
}

/** Ids of documents whose vector is not that of their text under the digest. */
async function strangers(sink: MemorySink, digest: string, dimensions: number): Promise<string[]> {
  const rows = [...sink.rows.values()]
  const expected = await fakeVectors(
    rows.map(({ text }) => text),
    digest,
    dimensions,
  )
  const isSame = (vector: Float32Array, other: readonly number[] = []): boolean =>
    other.reduce((sum, value, i) => sum + value * (vector[i] ?? 0), 0) > 0.999
  return rows.flatMap(({ id, vector }, i) => (isSame(vector, expected[i]) ? [] : [id]))
}

/** Without the words by which the service is probed. */
const messagesOf = (embedded: readonly string[]): string[] => embedded.filter((text) => text !== 'spanleaf')
const repeated = (embedded: readonly string[]): string[] => messagesOf(embedded).filter((text, i, all) => all.indexOf(text) !== i)

describe('an outage of Ollama (B18)', () => {
  it('defers sessions without a failure, and ends within ten seconds after it is back, embedding nothing twice', async () => {
    await using fake = await fakeOllama()
    const embedder = await open(fake)
    await using r = await rig({ embedder, batchSize: 8 })
    for (let i = 0; i < 12; i++) r.world.add(`ses_${i}`, texts(10, `session ${i}`))
    await r.indexer.observe()
    fake.embedded.length = 0
    const asked = fake.requests.length
    let stopped: Promise<void> | undefined
    fake.fault = (_, nth) => {
      if (nth < asked + 5) return undefined
      stopped ??= fake.stop()
      return { kind: 'reset' }
    }
    await r.indexer.drain()
    await stopped
    fake.fault = () => undefined
    for (let minute = 0; minute < 10; minute++) {
      r.clock.advance(60_000)
      const report = await r.indexer.drain()
      expect([report.failed, report.embedded]).toEqual([0, 0])
      expect(report.deferred).toBeLessThanOrEqual(2)
    }
    const { services, counters, dead, wal } = await r.indexer.status()
    expect(services[0]).toMatchObject({ state: 'open', failure: { code: 'EMBEDDER_UNAVAILABLE' } })
    expect([counters.failures, dead, wal.records]).toEqual([0, 0, 0])
    await fake.start()
    // While the first call finds out that it is back, another session may be deferred for a second.
    for (const ms of [8000, 1000, 1000]) {
      r.clock.advance(ms)
      await r.indexer.drain()
    }
    expect(contentOf(r.sink)).toEqual(r.world.expected())
    expect(repeated(fake.embedded)).toEqual([])
    expect(messagesOf(fake.embedded)).toHaveLength(120)
  })

  it('is nothing that an index waits for: opened with the space of its index, it goes on by itself', async () => {
    await using fake = await fakeOllama()
    const { space } = await open(fake)
    await fake.stop()
    const embedder = await open(fake, { expected: space })
    await using r = await rig({ embedder })
    r.world.add('ses_a', texts(3))
    await r.indexer.observe()
    expect((await r.indexer.drain()).deferred).toBe(1)
    await fake.start()
    r.clock.advance(10_000)
    await r.indexer.drain()
    expect(contentOf(r.sink)).toEqual(r.world.expected())
  })

  it('is the same for a model that is missing for a while', async () => {
    await using fake = await fakeOllama()
    const embedder = await open(fake)
    await using r = await rig({ embedder })
    r.world.add('ses_a', texts(3))
    const model = fake.models.get(FAKE_MODEL)
    fake.models.clear()
    await r.indexer.observe()
    const report = await r.indexer.drain()
    expect([report.deferred, report.failed, await r.indexer.deadLetters()]).toEqual([1, 0, []])
    expect((await r.indexer.status()).services[0]?.failure).toMatchObject({ code: 'EMBEDDER_REFUSED' })
    if (model !== undefined) fake.models.set(FAKE_MODEL, model)
    r.clock.advance(10_000)
    await r.indexer.drain()
    expect(contentOf(r.sink)).toEqual(r.world.expected())
  })
})

describe('a model that is pulled anew under load (B17)', () => {
  it('puts no vector of two spaces into one collection, and keeps the old one until the new one is whole', async () => {
    await using fake = await fakeOllama()
    const first = await open(fake)
    const old = spaceSink(first)
    await using r = await rig({ embedder: first, sink: old, batchSize: 4, recordSize: 8 })
    for (let i = 0; i < 6; i++) r.world.add(`ses_${i}`, texts(10, `session ${i}`))
    await r.indexer.observe()
    let answers = 0
    fake.onAnswer = () => {
      if (++answers === 6) setDigest(fake, OTHER_DIGEST)
    }
    await expect(r.indexer.drain()).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
    r.clock.advance(10_000)
    await expect(r.indexer.drain()).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
    const written = old.rows.size
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(60)
    expect(await strangers(old, FAKE_DIGEST, 64)).toEqual([])

    const second = await open(fake, { expected: first.space })
    expect(second.space).not.toBe(first.space)
    const fresh = spaceSink(second)
    const refusing = await r.join(2, { embedder: second, sink: fresh })
    await expect(refusing.indexer.observe()).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    const { indexer, state } = await r.join(3, { embedder: second, sink: fresh, former: [old], rebuild: true })
    await indexer.observe()
    expect(state.identity()?.space).toBe(first.space)
    expect(old.rows.size).toBe(written)
    // What another claim of the drains above deferred is due by then.
    r.clock.advance(10_000)
    await indexer.drain()
    expect(state.identity()?.space).toBe(second.space)
    expect([...fresh.rows.keys()].sort()).toEqual([...r.world.expected().keys()].sort())
    expect(await strangers(fresh, OTHER_DIGEST, 64)).toEqual([])
    await indexer.drain()
    expect(old.rows.size).toBe(0)
  })
})

describe('poison among a thousand messages (B19)', () => {
  it('is put aside with its reason, and everything else is indexed', async () => {
    await using fake = await fakeOllama()
    const embedder = await open(fake)
    await using r = await rig({ embedder })
    const poison: Readonly<Record<string, Fault>> = {
      'NOT-A-NUMBER': { kind: 'status', status: 500, body: '{"error":"failed to encode response: json: unsupported value: NaN"}' },
      'ENDLESS-WORD': { kind: 'status', status: 400, body: '{"error":"the input length exceeds the context length"}' },
      'RUNNER-KILLER': { kind: 'status', status: 500, body: '{"error":"llama runner process has terminated: exit status 2"}' },
    }
    const words = Object.keys(poison)
    for (let i = 0; i < 20; i++) {
      const session = texts(50, `session ${i}`)
      const word = words[i - 5]
      if (word !== undefined) session[20] = `${word} in message`
      r.world.add(`ses_${String(i).padStart(2, '0')}`, session)
    }
    fake.fault = ({ input }) => {
      const word = words.find((one) => input.some((text) => text.includes(one)))
      return word === undefined ? undefined : poison[word]
    }
    await r.run()
    expect((await r.indexer.deadLetters()).map(({ code }) => code).sort()).toEqual(['EMBEDDING_INVALID', 'TEXT_REFUSED', 'TEXT_TOO_LONG'])
    const status = await r.indexer.status()
    expect([status.queue.ready, status.queue.backoff, status.counters.failures]).toEqual([0, 0, 0])
    const missing = [...r.world.expected().keys()].filter((id) => !r.sink.rows.has(id))
    expect(missing.length).toBeLessThanOrEqual(3)
    expect(new Set([...r.sink.rows.values()].map(({ text }) => text)).size).toBeGreaterThanOrEqual(997)
    expect(JSON.stringify([await r.indexer.deadLetters(), status])).not.toMatch(/NOT-A-NUMBER|ENDLESS-WORD|RUNNER-KILLER/)
    fake.fault = () => undefined
    expect(await r.indexer.retry()).toBe(3)
    await r.indexer.drain()
    expect(contentOf(r.sink)).toEqual(r.world.expected())
  })

  it('is cut in parts that fit, where a text is only too long', async () => {
    await using fake = await fakeOllama({ [FAKE_MODEL]: { context: 100 } })
    const embedder = await open(fake)
    await using r = await rig({ embedder })
    r.world.add('ses_a', ['short', 'a long text of many words. '.repeat(55), 'short again'])
    await r.run()
    expect(await r.indexer.deadLetters()).toEqual([])
    expect(
      [...r.sink.rows.values()]
        .map(({ text }) => text)
        .join(' ')
        .match(/long text/g),
    ).toHaveLength(55)
  })
})

describe('a stop while Ollama computes (B21)', () => {
  it('lets the embedding end, keeps it, and the next start repeats none', async () => {
    await using fake = await fakeOllama()
    const embedder = await open(fake)
    await using r = await rig({ embedder })
    r.world.add('ses_a', texts(20))
    await r.indexer.observe()
    fake.embedded.length = 0
    fake.fault = () => ({ kind: 'hang' })
    const drained = r.indexer.drain()
    await fake.hanging()
    const stopped = r.indexer.stop()
    fake.fault = () => undefined
    fake.release()
    await stopped
    await drained
    expect(fake.disconnects).toBe(0)
    const asked = [...fake.embedded]
    expect(asked.length).toBeGreaterThan(0)
    const { indexer } = await r.join(2)
    await indexer.observe()
    await indexer.drain()
    expect(contentOf(r.sink)).toEqual(r.world.expected())
    expect(repeated(fake.embedded)).toEqual([])
  })

  it('ends it when the drain takes too long, which frees the server', async () => {
    await using fake = await fakeOllama()
    const embedder = await open(fake)
    await using r = await rig({ embedder, drainMs: 5000 })
    r.world.add('ses_a', texts(20))
    await r.indexer.observe()
    fake.fault = () => ({ kind: 'hang' })
    const drained = r.indexer.drain()
    await fake.hanging()
    const stopped = r.indexer.stop()
    r.clock.advance(5001)
    await stopped
    await drained
    await new Promise<void>((resolve) => {
      const look = (): void => (fake.disconnects > 0 ? resolve() : void setImmediate(look))
      look()
    })
    expect((await r.indexer.status()).queue.leased).toBe(0)
  })
})
