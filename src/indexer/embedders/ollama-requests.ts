/** Texts to vectors, in requests that the server answers in bearable time; what is longer than the context is found and cut where that is asked for. */
import { StorageError } from '../../core/errors.js'
import { type BatchBudget, batchBudget } from './ollama-batches.js'
import type { EmbedAnswer, OllamaApi } from './ollama-client.js'
import type { OllamaSettings } from './ollama-options.js'
import { checkedVectors } from './ollama-vectors.js'

export interface Requests {
  readonly budget: BatchBudget
  /** Normalised, row-major, in the order of the texts, before each of which `prefix` is put. */
  vectors(texts: readonly string[], prefix: string, signal: AbortSignal | undefined): Promise<Float32Array>
}

/** `dimensions`: of the space, which every answer must have. */
export function requests(api: OllamaApi, settings: OllamaSettings, dimensions: number): Requests {
  const budget = batchBudget(settings.targetMs, dimensions)
  const { clock, targetMs, timeoutMs, onTruncated } = settings
  const ask = async (texts: readonly string[], truncate: boolean, signal: AbortSignal | undefined): Promise<Float32Array> => {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    const from = clock.monotonic()
    let answer: EmbedAnswer
    try {
      answer = await api.embed({ ...settings, truncate, texts }, { timeoutMs, maxBytes: bodyBytes(texts.length, dimensions), signal })
    } catch (error) {
      if (!signal?.aborted && clock.monotonic() - from > targetMs) budget.tooMuch()
      throw error
    }
    budget.answered({ bytes, tokens: answer.tokens, ms: clock.monotonic() - from })
    return checkedVectors(answer.vectors, texts.length, dimensions)
  }
  /** The server does not say which texts it would cut, so they are asked for without cutting first, and halved until they stand alone. */
  const askCutting = async (texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array> => {
    try {
      return await ask(texts, false, signal)
    } catch (error) {
      if (!settings.truncate || !(error instanceof StorageError) || error.code !== 'TEXT_TOO_LONG') throw error
    }
    if (texts.length > 1) {
      const middle = Math.ceil(texts.length / 2)
      return joined([await askCutting(texts.slice(0, middle), signal), await askCutting(texts.slice(middle), signal)])
    }
    const vectors = await ask(texts, true, signal)
    onTruncated(1)
    return vectors
  }
  return {
    budget,
    async vectors(texts, prefix, signal) {
      const answers: Float32Array[] = []
      for (let from = 0; from < texts.length; ) {
        const rest = texts.slice(from)
        const batch = rest.slice(0, budget.take(rest))
        answers.push(await askCutting(prefix === '' ? batch : batch.map((text) => prefix + text), signal))
        from += batch.length
      }
      return joined(answers)
    },
  }
}

/** Of numbers that take up to 24 characters. */
export function bodyBytes(texts: number, dimensions: number): number {
  return 2 ** 16 + texts * dimensions * 24
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
