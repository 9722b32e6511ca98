/** Texts to vectors: pages, the cache, one flight per text, poison, and what a stop leaves. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { createBreaker } from '../../src/indexer/breaker.js'
import { type EmbedCache, embeddingKey } from '../../src/indexer/embedding/embed-cache.js'
import { createEmbedding, type EmbeddingOptions } from '../../src/indexer/embedding/embedding.js'
import { faultOf } from '../../src/indexer/faults.js'
import type { Embedder } from '../../src/indexer/ports.js'
import { fakeClock } from '../support/index-world.js'

const DIMENSIONS = 4
const PROBE = 'spanleaf'
const many = (n: number, name = 'text'): string[] => Array.from({ length: n }, (_, i) => `${name} ${i}`)
const vectorOf = (text: string): number[] => [text.length, 1, 2, 3]

/** Calls of the embedder; `poison` may throw for a page, or give the vector of a text. */
function fake(poison: { page?: (texts: readonly string[]) => unknown; vector?: (text: string) => number[] } = {}) {
  const calls: (readonly string[])[] = []
  const embedder: Embedder & { maxCharacters?: number; batch?: (texts: readonly string[]) => number } = {
    name: 'fake',
    space: 'fake',
    dimensions: DIMENSIONS,
    async embed(texts) {
      calls.push(texts)
      const failure = await poison.page?.(texts)
      if (failure !== undefined) throw failure
      return Float32Array.from(texts.flatMap((text) => poison.vector?.(text) ?? vectorOf(text)))
    },
  }
  return { calls, embedder }
}

function mapCache(): EmbedCache & { readonly held: Map<string, Float32Array> } {
  const held = new Map<string, Float32Array>()
  return {
    held,
    get: (key) => held.get(key),
    put: async (entries) => {
      for (const { key, vector } of entries) held.set(key, vector.slice())
    },
    remove: async (keys) => {
      for (const key of keys) held.delete(key)
    },
    stats: () => ({ hits: 0, misses: 0 }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function setUp(embedder: Embedder, options: Partial<EmbeddingOptions> = {}) {
  const clock = fakeClock()
  const breaker = createBreaker({ service: 'embedder', clock, isDown: (error) => faultOf(error) === 'service' })
  const embedding = createEmbedding({ embedder, cache: undefined, breaker, batchSize: 32, failpoint: () => undefined, ...options })
  const hard = new AbortController()
  const stop = new AbortController()
  const embed = (texts: readonly string[], signal = hard.signal) => embedding.embed(texts, { signal, stopping: stop.signal })
  return { clock, breaker, embed, hard, stop }
}

const refused = (reason = 'x') => new StorageError('TEXT_REFUSED', { reason })
const tooLong = () => new StorageError('TEXT_TOO_LONG', { reason: 'x' })
const textsOf = (pieces: readonly unknown[] | undefined) =>
  pieces?.map((piece) => (typeof piece === 'object' && piece !== null && 'text' in piece ? piece.text : piece))

describe('texts to vectors', () => {
  it('asks for pages, and for the same text once', async () => {
    const { calls, embedder } = fake()
    const { embed } = setUp(embedder)
    const { pieces, computed, ended } = await embed([...many(70), 'text 3'])
    expect(calls.map(({ length }) => length)).toEqual([32, 32, 6])
    expect([computed, ended]).toEqual([70, undefined])
    expect(pieces.get('text 3')).toEqual([
      { text: 'text 3', key: embeddingKey('fake', 'document', 'text 3'), vector: Float32Array.from(vectorOf('text 3')) },
    ])
    expect(pieces.size).toBe(70)
  })

  it('asks for as many as the embedder takes', async () => {
    const { calls, embedder } = fake()
    embedder.batch = (texts) => (texts[0] === 'text 0' ? 0 : 5)
    await setUp(embedder, { batchSize: 8 }).embed(many(12))
    expect(calls.map(({ length }) => length)).toEqual([1, 5, 5, 1])
  })

  it('keeps each answer before it asks for the next, and asks for nothing that is kept', async () => {
    const cache = mapCache()
    const seen: number[] = []
    const { calls, embedder } = fake({ page: () => void seen.push(cache.held.size) })
    const it = setUp(embedder, { cache, batchSize: 10 })
    expect((await it.embed(many(25))).computed).toBe(25)
    expect(seen).toEqual([0, 10, 20])
    expect((await it.embed(many(25))).computed).toBe(0)
    expect(calls).toHaveLength(3)
  })

  it('embeds a text that several ask for at the same time once, without a cache too', async () => {
    const { calls, embedder } = fake()
    const { embed } = setUp(embedder, { batchSize: 4 })
    const all = await Promise.all([embed(many(10)), embed(many(10).reverse()), embed(['text 5', 'another'])])
    expect(calls.flat().sort()).toEqual([...many(10), 'another'].sort())
    expect(all.map(({ pieces }) => pieces.size)).toEqual([10, 10, 2])
    expect(all.map(({ computed }) => computed)).toEqual([10, 0, 1])
  })

  it('makes one call at a time', async () => {
    let open = 0
    let most = 0
    const { embedder } = fake({
      async page() {
        most = Math.max(most, ++open)
        await Promise.resolve()
        open--
      },
    })
    const { embed } = setUp(embedder, { batchSize: 2 })
    await Promise.all(['a', 'b', 'c'].map((name) => embed(many(6, name))))
    expect(most).toBe(1)
  })

  it('embeds what another gave up', async () => {
    let end = (): void => undefined
    const stuck = new Promise<void>((resolve) => (end = resolve))
    let first = true
    const { calls, embedder } = fake({
      async page() {
        if (!first) return undefined
        first = false
        await stuck
        return new Error('aborted')
      },
    })
    const { embed } = setUp(embedder)
    const lost = new AbortController()
    const one = embed(many(3), lost.signal)
    const two = embed(many(3))
    lost.abort(new Error('lease lost'))
    end()
    await expect(one).rejects.toThrow('lease lost')
    expect((await two).pieces.size).toBe(3)
    expect(calls).toHaveLength(2)
  })
})

describe('[F29] a text that is at fault', () => {
  it('is found by halving, and everything else goes on', async () => {
    const { calls, embedder } = fake({ page: (texts) => (texts.includes('text 13') ? refused('SECRET') : undefined) })
    const { pieces, computed } = await setUp(embedder).embed(many(32))
    expect(computed).toBe(31)
    expect(pieces.get('text 13')).toEqual([{ failure: { code: 'TEXT_REFUSED', reason: 'the embedder refuses the text' } }])
    expect(pieces.get('text 14')).toHaveLength(1)
    expect(calls.length).toBe(1 + 2 * Math.log2(32))
    expect(calls.flat()).not.toContain(PROBE)
  })

  it('costs one call more when the embedder gives the others valid vectors, and a probe', async () => {
    const { calls, embedder } = fake({ vector: (text) => (text === 'text 7' ? [Number.NaN, 1, 1, 1] : vectorOf(text)) })
    const { pieces, computed } = await setUp(embedder).embed(many(32))
    expect(computed).toBe(31)
    expect(pieces.get('text 7')).toEqual([{ failure: { code: 'EMBEDDING_INVALID', reason: expect.stringContaining('not finite') } }])
    expect(calls.slice(1)).toEqual([['text 7'], [PROBE]])
  })

  it('is one whose vector has no direction', async () => {
    const { embedder } = fake({ vector: (text) => (text === 'b' ? [0, 0, 0, 0] : vectorOf(text)) })
    expect((await setUp(embedder).embed(['a', 'b'])).pieces.get('b')).toMatchObject([{ failure: { code: 'EMBEDDING_INVALID' } }])
  })

  it('may fail in words that tell nothing: the probe tells', async () => {
    const { calls, embedder } = fake({ page: (texts) => (texts.includes('b') ? new Error('SECRET b') : undefined) })
    const { pieces } = await setUp(embedder).embed(['a', 'b'])
    expect(pieces.get('b')).toEqual([{ failure: { code: 'TEXT_REFUSED', reason: 'the embedder failed (Error) at this text, and not at others' } }])
    expect(calls).toEqual([['a', 'b'], [PROBE], ['a'], ['b'], [PROBE], ['b']])
  })

  it('is none that failed once: it is tried again after the probe', async () => {
    let failures = 3
    const { calls, embedder } = fake({ page: (texts) => (texts.includes('b') && failures-- > 1 ? new Error('SECRET b') : undefined) })
    const { pieces } = await setUp(embedder).embed(['a', 'b'])
    expect(pieces.get('b')).toMatchObject([{ text: 'b' }])
    expect(calls).toEqual([['a', 'b'], [PROBE], ['a'], ['b'], [PROBE], ['b']])
  })

  it('may make the embedder give too few numbers', async () => {
    const { embedder } = fake({ vector: (text) => (text === 'b' ? [] : vectorOf(text)) })
    const { pieces } = await setUp(embedder).embed(['a', 'b', 'c'])
    expect([pieces.get('a'), pieces.get('c')].map((found) => found?.length)).toEqual([1, 1])
    expect(pieces.get('b')).toMatchObject([{ failure: { code: 'EMBEDDING_INVALID' } }])
  })
})

describe('[F31] [F37] a service that is at fault', () => {
  it('ends the work with what was done, and no text is put aside', async () => {
    const down = new StorageError('EMBEDDER_UNAVAILABLE', { reason: 'gone' })
    const { calls, embedder } = fake({ page: (texts) => (texts.includes('text 9') ? down : undefined) })
    const it = setUp(embedder, { batchSize: 4 })
    const { pieces, ended, computed } = await it.embed(many(20))
    expect([pieces.size, computed, ended]).toEqual([8, 8, { reason: down }])
    expect(calls).toHaveLength(3)
    expect(it.breaker.status().state).toBe('open')
    expect((await it.embed(['more'])).ended).toEqual({ reason: down })
    expect(calls).toHaveLength(3)
  })

  it.each([
    ['another dimension', { vector: () => [1, 2, 3] }, 'EMBEDDER_UNAVAILABLE', /3 numbers, not 4, whatever it is given/],
    ['no direction', { vector: () => [0, 0, 0, 0] }, 'EMBEDDER_UNAVAILABLE', /whatever it is given/],
    [
      'an unknown failure',
      { page: () => new TypeError('SECRET') },
      'EMBEDDER_UNAVAILABLE',
      /^the embedder failed \(TypeError\), whatever it is given$/,
    ],
    ['no connection', { page: () => new TypeError('fetch failed') }, 'EMBEDDER_UNAVAILABLE', /^the embedder does not answer \(TypeError\)$/],
  ] as const)('is known by the probe: %s for any text', async (_, poison, code, reason) => {
    const { calls, embedder } = fake(poison)
    const it = setUp(embedder)
    const { pieces, ended } = await it.embed(many(40))
    expect(pieces.size).toBe(0)
    expect(ended?.reason).toMatchObject({ code, reason: expect.stringMatching(reason) })
    expect(calls.length).toBeLessThanOrEqual(2)
    expect(it.breaker.retryInMs()).toBe(1000)
  })

  it('is not a crash point', async () => {
    const { embedder } = fake()
    const failpoint = (): never => {
      throw new Error('a crash')
    }
    await expect(setUp(embedder, { failpoint }).embed(['a'])).rejects.toThrow('a crash')
  })
})

describe('[F42] a text that the embedder goes down with', () => {
  const gone = () => Object.assign(new Error('x'), { code: 'ECONNRESET' })
  /** As a claim that is deferred would try again and again. */
  async function untilDone(it: ReturnType<typeof setUp>, texts: readonly string[]) {
    for (let attempts = 1; ; attempts++) {
      const { pieces, ended } = await it.embed(texts)
      if (ended === undefined) return { pieces, attempts }
      if (attempts > 50) throw new Error('it goes on for ever')
      it.clock.advance(it.breaker.retryInMs())
    }
  }

  it('is given in ever smaller pages and put aside, while an answer to others says that it is up', async () => {
    const cache = mapCache()
    const { calls, embedder } = fake({ page: (texts) => (texts.includes('text 20') ? gone() : undefined) })
    const it = setUp(embedder, { cache })
    const { pieces, attempts } = await untilDone(it, many(64))
    expect(attempts).toBeLessThanOrEqual(Math.log2(32) + 3)
    expect(pieces.get('text 20')).toEqual([
      { failure: { code: 'TEXT_REFUSED', reason: 'the embedder does not answer (ECONNRESET) when it is given this text, and works without it' } },
    ])
    expect([...pieces.values()].flat().filter((piece) => 'vector' in piece)).toHaveLength(63)
    expect(calls.filter((texts) => texts.includes('text 20') && texts.length === 1)).toHaveLength(2)
  })

  it('may take the embedder down for a while', async () => {
    let until = 0
    const { embedder } = fake({
      page(texts) {
        if (texts.includes('text 3')) until = it.clock.mono + 5000
        return it.clock.mono < until ? gone() : undefined
      },
    })
    const it = setUp(embedder, { cache: mapCache(), batchSize: 4 })
    const { pieces } = await untilDone(it, many(8))
    expect(pieces.get('text 3')).toMatchObject([{ failure: { code: 'TEXT_REFUSED' } }])
    expect(pieces.size).toBe(8)
  })

  it('is tried again when it is asked for again', async () => {
    let harmless = false
    const { embedder } = fake({ page: (texts) => (texts.includes('bad') && !harmless ? gone() : undefined) })
    const it = setUp(embedder, { batchSize: 2 })
    expect((await untilDone(it, ['bad', 'good'])).pieces.get('bad')).toMatchObject([{ failure: { code: 'TEXT_REFUSED' } }])
    harmless = true
    expect(textsOf((await it.embed(['bad'])).pieces.get('bad'))).toEqual(['bad'])
  })

  it('is none of those that an outage hits, however long it is', async () => {
    let down = true
    const { calls, embedder } = fake({ page: () => (down ? gone() : undefined) })
    const it = setUp(embedder)
    for (let i = 0; i < 40; i++) {
      await it.embed(many(64))
      it.clock.advance(it.breaker.retryInMs())
    }
    expect(calls.slice(1).every((texts) => texts.includes(PROBE))).toBe(true)
    down = false
    const { pieces } = await it.embed(many(64))
    expect([...pieces.values()].flat().filter((piece) => 'vector' in piece)).toHaveLength(64)
    expect(it.breaker.status().state).toBe('closed')
  })

  it('may only be slow: smaller pages are in time', async () => {
    const { embedder } = fake({ page: (texts) => (texts.length > 4 ? new DOMException('late', 'TimeoutError') : undefined) })
    const { pieces } = await untilDone(setUp(embedder, { cache: mapCache() }), many(32))
    expect([...pieces.values()].flat().filter((piece) => 'vector' in piece)).toHaveLength(32)
  })
})

describe('[F38] a text that is too long', () => {
  const long = 'A sentence of the text. '.repeat(20).trim()
  const most = (limit: number) => fake({ page: (texts) => (texts.some(({ length }) => length > limit) ? tooLong() : undefined) })

  it('is cut in halves until the parts fit', async () => {
    const { embedder } = most(150)
    const { pieces } = await setUp(embedder).embed(['short', long])
    const parts = textsOf(pieces.get(long)) ?? []
    expect(parts.length).toBeGreaterThan(3)
    expect(parts.join(' ')).toBe(long)
    expect(parts.every((part) => typeof part === 'string' && part.length <= 150 && part.endsWith('.'))).toBe(true)
    expect(textsOf(pieces.get('short'))).toEqual(['short'])
  })

  it('is not asked for as a whole again', async () => {
    const { calls, embedder } = most(300)
    const cache = mapCache()
    const it = setUp(embedder, { cache })
    await it.embed([long])
    const before = calls.length
    expect((await it.embed([long])).pieces.get(long)).toHaveLength(2)
    expect(calls.length).toBe(before)
  })

  it('is never asked for when the embedder says how long a text may be', async () => {
    const { calls, embedder } = fake()
    embedder.maxCharacters = 100
    await setUp(embedder).embed([long])
    expect(Math.max(...calls.flat().map(({ length }) => length))).toBeLessThanOrEqual(100)
  })

  it('is put aside when even its smallest parts are', async () => {
    const { embedder } = most(3)
    const { pieces } = await setUp(embedder).embed(['abc', 'abcd'])
    expect(pieces.get('abcd')).toEqual([{ failure: { code: 'TEXT_TOO_LONG', reason: 'the embedder takes no text of this length' } }])
    expect(textsOf(pieces.get('abc'))).toEqual(['abc'])
  })
})

describe('a stop', () => {
  it('lets the page under way end and begins no other', async () => {
    const cache = mapCache()
    const { calls, embedder } = fake({ page: () => void (calls.length === 2 && it.stop.abort(new Error('stop'))) })
    const it = setUp(embedder, { cache, batchSize: 4 })
    const { pieces, ended } = await it.embed(many(20))
    expect(calls).toHaveLength(2)
    expect([pieces.size, cache.held.size]).toEqual([8, 8])
    expect(ended).toMatchObject({ reason: { message: 'stop' } })
  })

  it('asks for nothing once it was said, but gives what is kept', async () => {
    const cache = mapCache()
    const { calls, embedder } = fake()
    const it = setUp(embedder, { cache })
    await it.embed(['a'])
    it.stop.abort(new Error('stop'))
    const { pieces, ended } = await it.embed(['a', 'b'])
    expect([...pieces.keys()]).toEqual(['a'])
    expect(ended).toBeDefined()
    expect((await it.embed(['a'])).ended).toBeUndefined()
    expect(calls).toHaveLength(1)
  })

  it('of the whole work throws its reason', async () => {
    const { embedder } = fake({ page: () => void it.hard.abort(new Error('now')) })
    const it = setUp(embedder, { batchSize: 1 })
    await expect(it.embed(['a', 'b'])).rejects.toThrow('now')
  })
})
