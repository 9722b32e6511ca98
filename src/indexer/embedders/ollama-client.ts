/** The endpoint as this library uses it; the only importer of the `ollama` client. */
import type { Ollama } from 'ollama'
import { StorageError } from '../../core/errors.js'
import { refused } from './ollama-errors.js'
import { type HttpLimits, httpSender } from './ollama-http.js'
import { modelName, type OllamaHost } from './ollama-space.js'

export interface EmbedCall {
  readonly model: string
  readonly texts: readonly string[]
  readonly truncate: boolean
  readonly dimensions: number | undefined
  readonly numCtx: number
  readonly keepAlive: string | number
}

export interface EmbedAnswer {
  readonly vectors: readonly unknown[]
  /** Of all texts together; undefined where the server does not say. */
  readonly tokens: number | undefined
}

export interface ModelEntry {
  readonly digest: string
  /** The server has it computed by another one. */
  readonly elsewhere: boolean
}

export interface OllamaApi {
  /** @throws StorageError EMBEDDER_UNAVAILABLE, EMBEDDER_REFUSED (no such model too) */
  model(name: string, limits: Omit<HttpLimits, 'maxBytes'>): Promise<ModelEntry>
  embed(call: EmbedCall, limits: HttpLimits): Promise<EmbedAnswer>
}

/** Bytes of a list of models, each of which takes about 400. */
const LIST_BYTES = 16 * 2 ** 20

export function ollamaApi({ url, headers }: OllamaHost): OllamaApi {
  const send = httpSender()
  /** A client per request, since the client passes no signal on. */
  const client = async (limits: HttpLimits): Promise<Ollama> => {
    const { Ollama } = await import('ollama')
    const fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
      const { method, headers, body } = init
      return send(String(input), { method, headers: { ...(headers as Record<string, string>) }, body: body as string | undefined }, limits)
    }
    return new Ollama({ host: url, headers: { ...headers }, fetch })
  }
  return {
    async model(name, limits) {
      const listing: unknown = await parsed(async () => (await client({ ...limits, maxBytes: LIST_BYTES })).list(), notOllama)
      const models: unknown = Object(listing).models
      if (!Array.isArray(models)) throw notOllama()
      const entry: unknown = models.find((one: unknown) => typeof Object(one).name === 'string' && sameModel(Object(one).name, name))
      const { digest, remote_host, remote_model } = Object(entry)
      if (typeof digest !== 'string' || !/^[\w:]{8,200}$/.test(digest)) throw refused(`the Ollama server has no model "${name}"`)
      return { digest, elsewhere: Boolean(remote_host ?? remote_model) }
    },
    async embed({ model, texts, truncate, dimensions, numCtx, keepAlive }, limits) {
      const request = {
        model,
        input: [...texts],
        truncate,
        keep_alive: keepAlive,
        options: { num_ctx: numCtx },
        ...(dimensions === undefined ? {} : { dimensions }),
      }
      const answer: unknown = await parsed(async () => (await client(limits)).embed(request), noVectors)
      const { embeddings, prompt_eval_count: tokens } = Object(answer)
      if (!Array.isArray(embeddings)) throw noVectors()
      return { vectors: embeddings, tokens: typeof tokens === 'number' && tokens > 0 ? tokens : undefined }
    },
  }
}

function sameModel(listed: string, name: string): boolean {
  try {
    return modelName(listed) === name
  } catch {
    return false
  }
}

/** The body of an answer that is no JSON is the only failure that does not come from `send`. */
async function parsed<T>(call: () => Promise<T>, otherwise: () => StorageError): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw error instanceof SyntaxError ? otherwise() : error
  }
}

function notOllama(): StorageError {
  return refused('what answers at this address is not Ollama')
}

function noVectors(): StorageError {
  return new StorageError('EMBEDDING_INVALID', { reason: 'the answer of Ollama holds no vectors' })
}
