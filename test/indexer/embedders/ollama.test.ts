import { describe, expect, it } from 'vitest'
import { openOllamaEmbedder } from '../../../src/indexer/embedders/ollama.js'
import { describeEmbedder } from '../../contracts/embedder.js'
import { describeOllama, type Endpoint } from '../../contracts/ollama.js'
import { FAKE_MODEL, type FakeOllama, fakeOllama } from '../../support/fake-ollama.js'

const REAL = process.env.SPANLEAF_TEST_OLLAMA
const REAL_MODEL = process.env.OLLAMA_EMBED_MODEL ?? 'nomic-embed-text'
const DOCUMENT = { kind: 'document' } as const

const fakeEndpoint = async (): Promise<Endpoint> => {
  const fake = await fakeOllama()
  return { url: fake.url, model: FAKE_MODEL, fake, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() }
}

describeOllama('a fake', fakeEndpoint, { faults: true })

// the fake of this suite ends with the process
let shared: Promise<FakeOllama> | undefined
describeEmbedder('Ollama (fake)', async () => {
  shared ??= fakeOllama({ [FAKE_MODEL]: { context: 8192 } })
  return openOllamaEmbedder({ host: (await shared).url, model: FAKE_MODEL })
})

describe.skipIf(REAL === undefined)('a real Ollama (set SPANLEAF_TEST_OLLAMA to its address)', () => {
  const url = REAL ?? ''
  describeOllama(url, async () => ({ url, model: REAL_MODEL, fake: undefined, [Symbol.asyncDispose]: async () => undefined }), { faults: false })
  describeEmbedder('Ollama', () => openOllamaEmbedder({ host: url, model: REAL_MODEL, numCtx: 2048, truncate: true }), { runs: 10 })
})

describe('requests to Ollama', () => {
  it('carry one set of options for documents and queries, and the prefix of the kind', async () => {
    await using fake = await fakeOllama({ [FAKE_MODEL]: { dimensions: 64 } })
    const embedder = await openOllamaEmbedder({
      host: fake.url,
      model: 'nomic-embed-text',
      numCtx: 1024,
      dimensions: 16,
      keepAlive: '1h',
      prefix: { document: 'search_document: ', query: 'search_query: ' },
    })
    expect(embedder.dimensions).toBe(16)
    fake.requests.length = 0
    await embedder.embed(['a'], DOCUMENT)
    await embedder.embed(['b'], { kind: 'query' })
    const request = { model: FAKE_MODEL, truncate: false, dimensions: 16, keep_alive: '1h', options: { num_ctx: 1024 } }
    expect(fake.requests).toEqual([
      { ...request, input: ['search_document: a'] },
      { ...request, input: ['search_query: b'] },
    ])
  })

  it('go to the address with or without /api, with credentials in a header', async () => {
    await using fake = await fakeOllama()
    for (const host of [`${fake.url}/`, `${fake.url}/api`, `${fake.url}/api/`, `127.0.0.1:${fake.port}`]) {
      expect((await openOllamaEmbedder({ host, model: FAKE_MODEL })).remote).toBe(false)
    }
    const embedder = await openOllamaEmbedder({ host: fake.url.replace('//', '//user:pass%40word@'), model: FAKE_MODEL })
    expect(JSON.stringify(embedder)).not.toContain('pass')
  })

  it('leave this machine for another host, and for a model that is computed elsewhere', async () => {
    await using fake = await fakeOllama({ 'big:cloud': {}, 'proxied:latest': { remote: true }, 'here:latest': {} })
    const remote = async (model: string): Promise<unknown> => (await openOllamaEmbedder({ host: fake.url, model })).remote
    expect([await remote('big:cloud'), await remote('proxied'), await remote('here')]).toEqual([true, true, false])
    const space = (await openOllamaEmbedder({ host: fake.url, model: 'here' })).space
    const down = await openOllamaEmbedder({ host: 'http://ollama.invalid', model: 'here', expected: space })
    expect(down.remote).toBe(true)
  })

  it('go to no model that is computed elsewhere, when it was taken for one of this machine while the server was down', async () => {
    await using fake = await fakeOllama({ 'proxied:latest': { remote: true } })
    const options = { host: fake.url, model: 'proxied' }
    const { space } = await openOllamaEmbedder(options)
    await fake.stop()
    const embedder = await openOllamaEmbedder({ ...options, expected: space })
    await fake.start()
    fake.requests.length = 0
    const embedding = embedder.embed(['private'], { kind: 'document' })
    if (embedder.remote !== true) await expect(embedding).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
    expect(embedder.remote === true || fake.requests.length === 0).toBe(true)
  })

  it('know a model by any spelling of its name', async () => {
    await using fake = await fakeOllama({ 'Qwen3-Embedding:0.6b': {}, 'hf.co/someone/model-GGUF:Q4_K_M': {} })
    for (const model of ['qwen3-embedding:0.6b', 'library/qwen3-embedding:0.6b', 'hf.co/someone/model-gguf:q4_k_m']) {
      expect((await openOllamaEmbedder({ host: fake.url, model })).dimensions).toBe(64)
    }
    for (const model of ['', '../x', 'a b', 'x'.repeat(300)]) {
      await expect(openOllamaEmbedder({ host: fake.url, model })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
  })

  it('refuse dimensions that the model does not have', async () => {
    await using fake = await fakeOllama()
    const options = { host: fake.url, model: FAKE_MODEL, dimensions: 100 }
    await expect(openOllamaEmbedder(options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(openOllamaEmbedder({ ...options, host: 'ftp://x' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('print nothing, whatever the server answers', async () => {
    await using fake = await fakeOllama()
    const embedder = await openOllamaEmbedder({ host: fake.url, model: FAKE_MODEL })
    const printed: unknown[] = []
    const { log, warn, error } = console
    Object.assign(console, {
      log: (line: unknown) => printed.push(line),
      warn: (line: unknown) => printed.push(line),
      error: (line: unknown) => printed.push(line),
    })
    try {
      for (const type of ['text/plain', 'application/json']) {
        fake.fault = () => ({ kind: 'status', status: 500, body: 'no json', type })
        await expect(embedder.embed(['text'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_FAILED' })
      }
    } finally {
      Object.assign(console, { log, warn, error })
    }
    expect(printed).toEqual([])
  })
})

describe('batches for Ollama', () => {
  it('shrink while the server is slow, grow while it is quick, and ask for every text once', async () => {
    await using fake = await fakeOllama()
    let now = 0
    let msPerText = 0
    const clock = { now: () => now, monotonic: () => now, sleep: async () => undefined }
    const embedder = await openOllamaEmbedder({ host: fake.url, model: FAKE_MODEL, targetMs: 1000, clock })
    fake.onAnswer = ({ input }) => {
      now += input.length * msPerText
    }
    fake.requests.length = 0
    const texts = Array.from({ length: 400 }, (_, i) => `text ${i} ${'word '.repeat(300)}`)
    msPerText = 500
    await embedder.embed(texts, DOCUMENT)
    const sizes = fake.requests.map(({ input }) => input.length)
    expect(fake.requests.flatMap(({ input }) => input)).toEqual(texts)
    expect(sizes[0]).toBeGreaterThan(8)
    expect(sizes.slice(6, -1).every((size) => size <= 4)).toBe(true)
    msPerText = 1
    fake.requests.length = 0
    await embedder.embed(texts, DOCUMENT)
    expect(Math.max(...fake.requests.map(({ input }) => input.length))).toBeGreaterThan(20)
    expect(embedder.batch?.(texts)).toBeGreaterThan(20)
  })

  it('hold no more numbers than are parsed in a moment', async () => {
    await using fake = await fakeOllama({ [FAKE_MODEL]: { dimensions: 4096 } })
    const embedder = await openOllamaEmbedder({ host: fake.url, model: FAKE_MODEL })
    const texts = Array.from({ length: 20 }, (_, i) => `text ${i}`)
    fake.requests.length = 0
    expect(embedder.batch?.(texts)).toBe(8)
    await embedder.embed(texts, DOCUMENT)
    expect(fake.requests.map(({ input }) => input.length)).toEqual([8, 8, 4])
  })

  it('shrink after a timeout, so that the next attempt asks for less', async () => {
    await using fake = await fakeOllama()
    let now = 0
    const clock = { now: () => now, monotonic: () => now, sleep: async () => undefined }
    const options = { host: fake.url, model: FAKE_MODEL, targetMs: 50, clock }
    const { space } = await openOllamaEmbedder(options)
    // With the space known nothing is embedded to open it: no answer has to come within the time that is waited for the one that never comes.
    const embedder = await openOllamaEmbedder({ ...options, timeoutMs: 100, expected: space })
    const texts = Array.from({ length: 64 }, () => 'word '.repeat(300))
    const before = embedder.batch?.(texts) ?? 0
    fake.fault = () => {
      now += 100
      return { kind: 'hang' }
    }
    await expect(embedder.embed(texts, DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
    const after = embedder.batch?.(texts) ?? 0
    expect(after).toBeLessThan(before)
    expect(after).toBeGreaterThan(0)
    await fake.stop()
    for (let i = 0; i < 5; i++) await expect(embedder.embed(texts, DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
    // A server that is down says nothing of what it could take.
    expect(embedder.batch?.(texts)).toBe(after)
  })
})
