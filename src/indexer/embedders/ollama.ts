/**
 * Embeddings by a model that Ollama serves.
 *
 * Invariant: a vector is handed out only when the digest of the model, read after the answer came, is still that of the space.
 * So a tag that is pulled anew under load ends in EMBEDDER_CHANGED, never in vectors of two models under one name.
 */
import { StorageError } from '../../core/errors.js'
import type { Embedder } from '../ports.js'
import { type ModelEntry, type OllamaApi, ollamaApi } from './ollama-client.js'
import { blamesText } from './ollama-errors.js'
import { type OllamaEmbedderOptions, type OllamaSettings, ollamaSettings } from './ollama-options.js'
import { bodyBytes, requests } from './ollama-requests.js'
import { hostOf, isCloudModel, knownSpace, type OllamaSpace, spaceName } from './ollama-space.js'
import { checkedVectors } from './ollama-vectors.js'

export type { OllamaEmbedderOptions } from './ollama-options.js'

/** Milliseconds for what computes nothing. */
const LOOK_MS = 15_000
/** More than any model has. */
const MOST_DIMENSIONS = 65_536

/**
 * Looks the model up, and embeds one word where nothing else tells how long its vectors are.
 * @throws StorageError INVALID_OPTION, EMBEDDER_UNAVAILABLE, EMBEDDER_REFUSED (no such model, wrong address or credentials)
 */
export async function openOllamaEmbedder(options: OllamaEmbedderOptions): Promise<Embedder> {
  const settings = ollamaSettings(options)
  const host = hostOf(settings.host)
  const api = ollamaApi({ ...host, headers: { ...host.headers, ...settings.headers } })
  const known = [options.expected ?? []].flat().flatMap((name) => knownSpace(name, settings, settings.dimensions) ?? [])
  let entry: ModelEntry
  try {
    entry = await api.model(settings.model, { timeoutMs: LOOK_MS, signal: options.signal })
  } catch (error) {
    const [first] = known
    if (first === undefined || !(error instanceof StorageError) || error.code !== 'EMBEDDER_UNAVAILABLE') throw error
    return embedderOf(api, settings, first, { remote: !host.loopback, verified: false })
  }
  const remote = !host.loopback || entry.elsewhere
  const same = known.find(({ digest }) => digest === entry.digest)
  if (same !== undefined) return embedderOf(api, settings, same, { remote, verified: true })
  const dimensions = await measuredDimensions(api, settings, options.signal)
  const space: OllamaSpace = { ...settings, digest: entry.digest, dimensions }
  await sameModel(api, space, remote, options.signal)
  return embedderOf(api, settings, space, { remote, verified: true })
}

async function measuredDimensions(api: OllamaApi, settings: OllamaSettings, signal: AbortSignal | undefined): Promise<number> {
  const { timeoutMs } = settings
  const { vectors } = await api.embed({ ...settings, texts: ['word'] }, { timeoutMs, maxBytes: bodyBytes(1, MOST_DIMENSIONS), signal })
  const [vector] = vectors
  const length = Array.isArray(vector) ? vector.length : 0
  checkedVectors(vectors, 1, length)
  if (settings.dimensions !== undefined && settings.dimensions !== length) {
    throw new StorageError('INVALID_OPTION', { reason: `the vectors of the model have ${length} dimensions, not ${settings.dimensions}` })
  }
  return length
}

/** `verified`: the model was looked up already. */
function embedderOf(
  api: OllamaApi,
  settings: OllamaSettings,
  space: OllamaSpace,
  { remote, verified }: { readonly remote: boolean; readonly verified: boolean },
): Embedder {
  const isRemote = remote || isCloudModel(space.model)
  const { budget, vectors } = requests(api, settings, space.dimensions)
  let isVerified = verified
  const verify = async (signal: AbortSignal | undefined): Promise<void> => {
    await sameModel(api, space, isRemote, signal)
    isVerified = true
  }
  return {
    name: `Ollama, ${space.model}`,
    space: spaceName(space),
    dimensions: space.dimensions,
    remote: isRemote,
    batch: (texts) => budget.take(texts),
    check: verify,
    async embed(texts, { kind, signal }) {
      signal?.throwIfAborted()
      if (texts.length === 0) return new Float32Array(0)
      if (texts.includes('')) throw new StorageError('TEXT_REFUSED', { reason: 'an empty text has no vector' })
      if (!isVerified) await verify(signal)
      let matrix: Float32Array
      try {
        matrix = await vectors(texts, settings.prefix[kind], signal)
      } catch (error) {
        // Before a text is blamed, the service must still be the one that was asked.
        if (blamesText(error)) await verify(signal)
        throw error
      }
      await verify(signal)
      return matrix
    },
  }
}

/**
 * `remote`: as the embedder said of itself; whether secrets are taken out hangs on it.
 * @throws StorageError EMBEDDER_CHANGED, EMBEDDER_UNAVAILABLE, EMBEDDER_REFUSED
 */
async function sameModel(api: OllamaApi, { model, digest }: OllamaSpace, remote: boolean, signal: AbortSignal | undefined): Promise<void> {
  const now = await api.model(model, { timeoutMs: LOOK_MS, signal })
  if (now.digest !== digest)
    throw new StorageError('EMBEDDER_CHANGED', { reason: `"${model}" is another model now than the one that the index was opened with` })
  if (now.elsewhere && !remote)
    throw new StorageError('EMBEDDER_CHANGED', { reason: `"${model}" is computed on another machine, which nobody knew when the index was opened` })
}
