/** The endpoint of Ollama, as far as embeddings go: on loopback, with models whose digest can be flipped, counted calls, and faults on demand. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'

export interface FakeModel {
  digest: string
  dimensions: number
  /** Tokens; a token is four bytes here. */
  context: number
  /** Computed by another server. */
  readonly remote?: boolean
}

export interface EmbedRequest {
  readonly model: string
  readonly input: readonly string[]
  readonly truncate?: boolean
  readonly dimensions?: number
  readonly keep_alive?: string | number
  readonly options?: Readonly<Record<string, unknown>>
}

/** What a request gets instead of its answer. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly body?: string; readonly type?: string }
  | { readonly kind: 'body'; readonly body: string }
  /** The connection is closed: before the answer, or within its body. */
  | { readonly kind: 'reset' | 'cut' }
  /** No answer until `release`, or until the client gives up. */
  | { readonly kind: 'hang' }

export interface FakeOllama extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly models: Map<string, FakeModel>
  /** Of /api/embed, in order; with those that failed. */
  readonly requests: EmbedRequest[]
  /** Every text of a request that was answered with vectors. */
  readonly embedded: string[]
  /** Requests for the list of models. */
  listings: number
  /** Clients that went away before they had an answer. */
  disconnects: number
  /** Asked before each embedding; the first fault that it gives is what the client gets. */
  fault: (request: EmbedRequest, nth: number) => Fault | undefined
  /** The same for the list of models. */
  listFault: (nth: number) => Fault | undefined
  /** Called when an embedding was computed and its answer is about to be sent. */
  onAnswer: (request: EmbedRequest) => void | Promise<void>
  /** Milliseconds per request. */
  delayMs: number
  /** Resolves once so many requests hang. */
  hanging(count?: number): Promise<void>
  release(): void
  /** The server goes away, and comes back at the same address. */
  stop(): Promise<void>
  start(): Promise<void>
}

export const FAKE_MODEL = 'nomic-embed-text:latest'
export const FAKE_DIGEST = 'a'.repeat(64)

export async function fakeOllama(models: Readonly<Record<string, Partial<FakeModel>>> = { [FAKE_MODEL]: {} }): Promise<FakeOllama> {
  let server: Server | undefined
  let address = 0
  const held = new Set<() => void>()
  const waiting = new Set<() => void>()
  const fake: FakeOllama = {
    get url() {
      return `http://127.0.0.1:${address}`
    },
    get port() {
      return address
    },
    models: new Map(Object.entries(models).map(([name, model]) => [name, { digest: FAKE_DIGEST, dimensions: 64, context: 2048, ...model }])),
    requests: [],
    embedded: [],
    listings: 0,
    disconnects: 0,
    fault: () => undefined,
    listFault: () => undefined,
    onAnswer: () => undefined,
    delayMs: 0,
    async hanging(count = 1) {
      while (held.size < count) await new Promise<void>((resolve) => waiting.add(resolve))
    },
    release() {
      for (const go of held) go()
    },
    async stop() {
      const closed = new Promise((resolve) => server?.close(resolve))
      server?.closeAllConnections()
      await closed
    },
    async start() {
      server = createServer((request, response) => {
        answer(fake, hold, request, response).catch(() => response.destroy())
      })
      await new Promise<void>((resolve, reject) => {
        server?.once('error', reject)
        server?.listen(address, '127.0.0.1', resolve)
      })
      address = (server.address() as AddressInfo).port
    },
    [Symbol.asyncDispose]: () => fake.stop(),
  }
  const hold = async (response: ServerResponse): Promise<void> => {
    await new Promise<void>((resolve) => {
      held.add(resolve)
      response.once('close', resolve)
      for (const tell of waiting) tell()
      waiting.clear()
    }).finally(() => held.clear())
  }
  await fake.start()
  return fake
}

type Hold = (response: ServerResponse) => Promise<void>

async function answer(fake: FakeOllama, hold: Hold, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.once('close', () => {
    if (!response.writableFinished) fake.disconnects++
  })
  const body = await bodyOf(request)
  const path = request.url ?? ''
  if (path === '/api/tags') return answerList(fake, hold, response)
  if (path !== '/api/embed' || request.method !== 'POST') return send(response, 404, '404 page not found', 'text/plain')
  const asked = JSON.parse(body) as EmbedRequest
  fake.requests.push(asked)
  const fault = fake.fault(asked, fake.requests.length)
  if (fault !== undefined && (await fail(fault, hold, response))) return
  if (fake.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, fake.delayMs))
  await embed(fake, asked, response)
}

async function answerList(fake: FakeOllama, hold: Hold, response: ServerResponse): Promise<void> {
  fake.listings++
  const fault = fake.listFault(fake.listings)
  if (fault !== undefined && (await fail(fault, hold, response))) return
  const models = [...fake.models].map(([name, { digest, remote }]) => ({
    name,
    model: name,
    digest,
    size: 274_302_450,
    details: { family: 'nomic-bert' },
    ...(remote ? { remote_host: 'https://ollama.com:443', remote_model: name } : {}),
  }))
  send(response, 200, JSON.stringify({ models }))
}

/** False when the request is to be answered after all. */
async function fail(fault: Fault, hold: Hold, response: ServerResponse): Promise<boolean> {
  switch (fault.kind) {
    case 'status':
      send(response, fault.status, fault.body ?? JSON.stringify({ error: 'something' }), fault.type)
      return true
    case 'body':
      send(response, 200, fault.body)
      return true
    case 'reset':
      response.destroy()
      return true
    case 'cut':
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' })
      response.write('{"embeddings":[[0.1')
      response.destroy()
      return true
    case 'hang':
      await hold(response)
      return response.destroyed
  }
}

async function embed(fake: FakeOllama, asked: EmbedRequest, response: ServerResponse): Promise<void> {
  const name = (asked.model.includes(':') ? asked.model : `${asked.model}:latest`).toLowerCase()
  const model = [...fake.models].find(([known]) => known.toLowerCase() === name)?.[1]
  if (model === undefined) return send(response, 404, JSON.stringify({ error: `model '${asked.model}' not found` }))
  // As it stands when the request begins: a flip during the computation does not change what is computed.
  const { digest, dimensions: native, context } = model
  const limit = 4 * Math.min(context, Number(asked.options?.num_ctx ?? 4096))
  if (asked.truncate === false && asked.input.some((text) => Buffer.byteLength(text) > limit)) {
    return send(response, 400, JSON.stringify({ error: 'the input length exceeds the context length' }))
  }
  const texts = asked.input.map((text) => Buffer.from(text).subarray(0, limit).toString('utf8'))
  const dimensions = Math.min(asked.dimensions ?? native, native)
  const embeddings = await fakeVectors(texts, digest, dimensions)
  await fake.onAnswer(asked)
  if (!response.destroyed) fake.embedded.push(...asked.input)
  const tokens = texts.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / 4), 0)
  send(response, 200, JSON.stringify({ model: asked.model, embeddings, total_duration: 1, load_duration: 1, prompt_eval_count: tokens }))
}

/** Lexical vectors, turned by the digest: those of two models have nothing to do with each other. */
export async function fakeVectors(texts: readonly string[], digest: string, dimensions: number): Promise<number[][]> {
  const turn = Number.parseInt(digest.replace(/\W/g, '').slice(-4), 16) % dimensions
  const matrix = await hashEmbedder({ dimensions: Math.max(8, dimensions) }).embed(texts, { kind: 'document' })
  const length = Math.max(8, dimensions)
  return texts.map((_, row) => {
    const vector = [...matrix.subarray(row * length, (row + 1) * length)].slice(0, dimensions)
    return [...vector.slice(turn), ...vector.slice(0, turn)]
  })
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

function send(response: ServerResponse, status: number, body: string, type = 'application/json; charset=utf-8'): void {
  response.writeHead(status, { 'Content-Type': type })
  response.end(body)
}
