/** What the Ollama embedder does against an endpoint: the fake always, a real server when there is one. What only a fake can do is skipped by name. */
import { describe, expect, it } from 'vitest'
import { type OllamaEmbedderOptions, openOllamaEmbedder } from '../../src/indexer/embedders/ollama.js'
import type { Embedder } from '../../src/indexer/ports.js'
import { type FakeOllama, type Fault, fakeOllama } from '../support/fake-ollama.js'

export interface Endpoint extends AsyncDisposable {
  readonly url: string
  readonly model: string
  /** Undefined of a real server. */
  readonly fake: FakeOllama | undefined
}

const DOCUMENT = { kind: 'document' } as const
const SECRET = 'the words of a text'

export function describeOllama(name: string, endpoint: () => Promise<Endpoint>, { faults }: { readonly faults: boolean }): void {
  const open = ({ url, model }: Endpoint, options: Partial<OllamaEmbedderOptions> = {}): Promise<Embedder> =>
    openOllamaEmbedder({ host: url, model, numCtx: 512, ...options })

  describe(`Ollama at ${name}`, () => {
    it('names the space by model, digest, dimensions and options', async () => {
      await using server = await endpoint()
      const embedder = await open(server)
      expect(embedder.space).toMatch(/^ollama\/1 model=\S+:\S+ digest=[\w:]{12,} dimensions=\d+ num_ctx=512 truncate=false prefix=none norm=l2$/)
      expect(embedder.space).toContain(`dimensions=${embedder.dimensions} `)
      expect(embedder.remote).toBe(!/127\.0\.0\.1|localhost|\[::1\]/.test(server.url))
      const others = await Promise.all([
        open(server, { numCtx: 256 }),
        open(server, { truncate: true }),
        open(server, { prefix: { query: 'search: ' } }),
      ])
      expect(new Set([embedder.space, ...others.map(({ space }) => space)]).size).toBe(4)
    })

    it('gives unit vectors, those of a text alike beside any others', async () => {
      await using server = await endpoint()
      const embedder = await open(server)
      const together = await embedder.embed(['one text', 'and another text'], DOCUMENT)
      const alone = await embedder.embed(['and another text'], DOCUMENT)
      const second = together.subarray(embedder.dimensions)
      expect(Math.hypot(...second)).toBeCloseTo(1, 5)
      expect(second.reduce((sum, value, i) => sum + value * (alone[i] ?? 0), 0)).toBeGreaterThan(0.999)
    })

    it('knows that a model is missing, and a server', async () => {
      await using server = await endpoint()
      await expect(openOllamaEmbedder({ host: server.url, model: 'no-such-model-here:latest' })).rejects.toMatchObject({ code: 'EMBEDDER_REFUSED' })
      await using gone = await fakeOllama()
      await gone.stop()
      await expect(openOllamaEmbedder({ host: gone.url, model: server.model })).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
      const nowhere = { host: 'http://host.invalid:11434', model: server.model }
      await expect(openOllamaEmbedder(nowhere)).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
    })

    it('checks without embedding', async () => {
      await using server = await endpoint()
      const embedder = await open(server)
      const before = server.fake?.requests.length
      await embedder.check?.()
      expect(server.fake?.requests.length).toBe(before)
    })

    it('refuses a text that is longer than the context, and never an index of its words', async () => {
      await using server = await endpoint()
      const embedder = await open(server, { numCtx: 64 })
      const error = await embedder.embed(['short', `${SECRET} `.repeat(400)], DOCUMENT).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'TEXT_TOO_LONG' })
      expect(String(error)).not.toContain(SECRET)
      await expect(embedder.embed([''], DOCUMENT)).rejects.toMatchObject({ code: 'TEXT_REFUSED' })
    })

    it('cuts it when asked to, and says how many it cut', async () => {
      await using server = await endpoint()
      const cut: number[] = []
      const embedder = await open(server, { numCtx: 64, truncate: true, onTruncated: (texts) => cut.push(texts) })
      const long = `${SECRET} `.repeat(400)
      const vectors = await embedder.embed(['short', long, 'also short', `${long}!`, 'the last'], DOCUMENT)
      expect(vectors.length).toBe(5 * embedder.dimensions)
      expect(cut).toEqual([1, 1])
    })

    it('takes the known space of an index without embedding', async () => {
      await using server = await endpoint()
      const { space } = await open(server)
      const before = server.fake?.requests.length
      const again = await open(server, { expected: space })
      expect(again.space).toBe(space)
      expect(server.fake?.requests.length).toBe(before)
      const others = ['hash/1/384', space.replace(/digest=\S+/, `digest=${'f'.repeat(64)}`), space]
      expect((await open(server, { expected: others })).space).toBe(space)
      expect(server.fake?.requests.length).toBe(before)
      expect((await open(server, { expected: space, numCtx: 256 })).space).not.toBe(space)
    })
  })

  describe.skipIf(!faults)(`Ollama at ${name}, with faults that only a fake has`, () => {
    const withFake = async (act: (fake: FakeOllama, server: Endpoint) => Promise<void>): Promise<void> => {
      await using server = await endpoint()
      if (server.fake === undefined) throw new Error('this endpoint has no faults')
      await act(server.fake, server)
    }
    const failing = (fault: Fault): Promise<unknown> => {
      let thrown: unknown
      return withFake(async (fake, server) => {
        const { space } = await open(server)
        // Only what never answers is given up soon: a busy machine may take its time over the others, and over the first word of an unknown space.
        const embedder = await open(server, { timeoutMs: fault.kind === 'hang' ? 200 : 20_000, expected: space })
        fake.fault = () => fault
        thrown = await embedder.embed([SECRET, 'another text'], DOCUMENT).catch((error: unknown) => error)
      }).then(() => thrown)
    }
    const error = (body: string): string => JSON.stringify({ error: body })
    const LOADED = `echo of ${SECRET}`

    it.each<[string, Fault, string]>([
      ['a reset', { kind: 'reset' }, 'EMBEDDER_UNAVAILABLE'],
      ['a body that breaks off', { kind: 'cut' }, 'EMBEDDER_UNAVAILABLE'],
      ['no answer in time', { kind: 'hang' }, 'EMBEDDER_UNAVAILABLE'],
      [
        'busy',
        { kind: 'status', status: 503, body: error('server busy, please try again.  maximum pending requests exceeded') },
        'EMBEDDER_UNAVAILABLE',
      ],
      ['too many requests', { kind: 'status', status: 429 }, 'EMBEDDER_UNAVAILABLE'],
      ['a gateway without a server', { kind: 'status', status: 502, body: '<html>Bad Gateway</html>', type: 'text/html' }, 'EMBEDDER_UNAVAILABLE'],
      [
        'too little memory',
        { kind: 'status', status: 500, body: error('model requires more system memory (5.5 GiB) than is available') },
        'EMBEDDER_UNAVAILABLE',
      ],
      [
        'a runner that does not start',
        { kind: 'status', status: 500, body: error('timed out waiting for llama runner to start') },
        'EMBEDDER_UNAVAILABLE',
      ],
      ['a model that is gone', { kind: 'status', status: 404, body: error("model 'x' not found, try pulling it first") }, 'EMBEDDER_REFUSED'],
      ['no credentials', { kind: 'status', status: 401 }, 'EMBEDDER_REFUSED'],
      ['no right', { kind: 'status', status: 403 }, 'EMBEDDER_REFUSED'],
      ['another place', { kind: 'status', status: 301 }, 'EMBEDDER_REFUSED'],
      ['a model without embeddings', { kind: 'status', status: 501, body: error('this model does not support embeddings') }, 'EMBEDDER_REFUSED'],
      ['a text beyond the context', { kind: 'status', status: 400, body: error('the input length exceeds the context length') }, 'TEXT_TOO_LONG'],
      [
        'the same with status 500',
        { kind: 'status', status: 500, body: error('input after truncation exceeds maximum context length') },
        'TEXT_TOO_LONG',
      ],
      [
        'a text beyond the batch',
        { kind: 'status', status: 500, body: error('input (900 tokens) is too large to process. increase the physical batch size') },
        'TEXT_TOO_LONG',
      ],
      ['a body beyond what a gateway takes', { kind: 'status', status: 413 }, 'TEXT_TOO_LONG'],
      ['NaN', { kind: 'status', status: 500, body: error('failed to encode response: json: unsupported value: NaN') }, 'EMBEDDING_INVALID'],
      ['NaN as newer servers tell it', { kind: 'status', status: 400, body: error('embedding contains NaN or Inf values') }, 'EMBEDDING_INVALID'],
      ['a runner that died', { kind: 'status', status: 500, body: error('llama runner process has terminated: exit status 2') }, 'EMBEDDER_FAILED'],
      ['a failure without a name', { kind: 'status', status: 500, body: LOADED.repeat(100_000), type: 'text/plain' }, 'EMBEDDER_FAILED'],
      ['an answer that is no JSON', { kind: 'body', body: LOADED }, 'EMBEDDING_INVALID'],
      ['an answer without vectors', { kind: 'body', body: '{}' }, 'EMBEDDING_INVALID'],
      ['NaN in the body', { kind: 'body', body: '{"embeddings":[[NaN]]}' }, 'EMBEDDING_INVALID'],
      ['too few vectors', { kind: 'body', body: JSON.stringify({ embeddings: [new Array(64).fill(0.1)] }) }, 'EMBEDDING_INVALID'],
      [
        'another dimension',
        {
          kind: 'body',
          body: JSON.stringify({
            embeddings: [
              [1, 0],
              [0, 1],
            ],
          }),
        },
        'EMBEDDING_INVALID',
      ],
      ['no vector at all for a text', { kind: 'body', body: JSON.stringify({ embeddings: [[], []] }) }, 'EMBEDDING_INVALID'],
      [
        'numbers that are none',
        { kind: 'body', body: JSON.stringify({ embeddings: [new Array(64).fill('1'), new Array(64).fill(1)] }) },
        'EMBEDDING_INVALID',
      ],
      [
        'numbers beyond all bounds',
        { kind: 'body', body: `{"embeddings":[[${new Array(64).fill('1e999').join()}],[${new Array(64).fill('1').join()}]]}` },
        'EMBEDDING_INVALID',
      ],
      [
        'vectors without a direction',
        { kind: 'body', body: JSON.stringify({ embeddings: [new Array(64).fill(0), new Array(64).fill(1)] }) },
        'EMBEDDING_INVALID',
      ],
      ['an endless body', { kind: 'body', body: ' '.repeat(8 * 2 ** 20) }, 'EMBEDDING_INVALID'],
    ])('%s', async (_, fault, code) => {
      const thrown = await failing(fault)
      expect(thrown).toMatchObject({ name: 'StorageError', code })
      expect(String(thrown)).not.toContain(SECRET)
      expect(String(Object(thrown).cause ?? '')).not.toContain(SECRET)
    })

    it('blames no text while the service is not itself', () =>
      withFake(async (fake, server) => {
        const embedder = await open(server)
        fake.fault = () => ({ kind: 'body', body: '<html>please sign in</html>' })
        fake.listFault = () => ({ kind: 'body', body: '<html>please sign in</html>' })
        await expect(embedder.embed(['text'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_REFUSED' })
        fake.listFault = () => ({ kind: 'reset' })
        await expect(embedder.embed(['text'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
      }))

    it('gives out no vector of a model that was changed, before, during or after', () =>
      withFake(async (fake, server) => {
        const model = fake.models.get(server.model)
        if (model === undefined) throw new Error('no model')
        const embedder = await open(server)
        fake.onAnswer = () => {
          model.digest = 'b'.repeat(64)
        }
        await expect(embedder.embed(['during'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
        fake.onAnswer = () => undefined
        await expect(embedder.embed(['before'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
        await expect(embedder.check?.()).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
        const anew = await open(server)
        expect(anew.space).not.toBe(embedder.space)
        fake.models.delete(server.model)
        await expect(anew.embed(['gone'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_REFUSED' })
      }))

    it('closes the connection when it is aborted, and gives the reason', () =>
      withFake(async (fake, server) => {
        const embedder = await open(server)
        fake.fault = () => ({ kind: 'hang' })
        const controller = new AbortController()
        const reason = new Error('enough')
        const embedding = embedder.embed(['text'], { ...DOCUMENT, signal: controller.signal })
        await fake.hanging()
        const closed = new Promise<void>((resolve) => {
          const look = (): void => (fake.disconnects > 0 ? resolve() : void setImmediate(look))
          look()
        })
        controller.abort(reason)
        await expect(embedding).rejects.toBe(reason)
        await closed
        expect(fake.embedded.filter((text) => text === 'text')).toEqual([])
      }))

    it('opens without a server when the space of the index is known, and looks before its first text', () =>
      withFake(async (fake, server) => {
        const { space, dimensions } = await open(server)
        await fake.stop()
        const options = { expected: space, numCtx: 512 }
        await expect(open(server, { ...options, numCtx: 256 })).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
        const embedder = await open(server, options)
        expect(embedder).toMatchObject({ space, dimensions })
        await expect(embedder.embed(['text'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
        await fake.start()
        fake.requests.length = 0
        const model = fake.models.get(server.model)
        if (model !== undefined) model.digest = 'c'.repeat(64)
        await expect(embedder.embed(['text'], DOCUMENT)).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
        expect(fake.requests).toEqual([])
        if (model !== undefined) model.digest = 'a'.repeat(64)
        expect((await embedder.embed(['text'], DOCUMENT)).length).toBe(dimensions)
      }))

    it('uses a connection again, and a new one where the server closed it', () =>
      withFake(async (fake, server) => {
        const embedder = await open(server)
        await embedder.embed(['one'], DOCUMENT)
        await fake.stop()
        await fake.start()
        expect((await embedder.embed(['two'], DOCUMENT)).length).toBe(embedder.dimensions)
        const asked = fake.requests.length
        fake.fault = (_, nth) => (nth === asked + 1 ? { kind: 'reset' } : undefined)
        expect((await embedder.embed(['three'], DOCUMENT)).length).toBe(embedder.dimensions)
      }))
  })
}
