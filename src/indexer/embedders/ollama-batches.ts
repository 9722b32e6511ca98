/**
 * How many texts one request takes: so many tokens as a server answers in about `targetMs`.
 *
 * Additive increase, multiplicative decrease: a full request that was quick adds to the budget, one that was slow, or that was
 * given up, halves it. Bytes become tokens by what the server counted before. The budget outlives a failure,
 * so that a batch that was too much for a slow host is asked for in smaller ones.
 */
export interface BatchBudget {
  /** How many of the texts, from the first on; at least 1. */
  take(texts: readonly string[]): number
  answered(request: { readonly bytes: number; readonly tokens: number | undefined; readonly ms: number }): void
  /** A request ended by its timeout, or the server did not take it. */
  tooMuch(): void
}

/** Tokens. */
const LEAST = 256
const MOST = 131_072
const FIRST = 8192
const STEP = 2048
/** Before the server has counted any: code is about so dense. */
const BYTES_PER_TOKEN = 3

/** Numbers of one answer: its JSON is parsed in one go, and holds the loop up for so long. */
const MOST_NUMBERS = 32_768

export function batchBudget(targetMs: number, dimensions: number): BatchBudget {
  const mostTexts = Math.max(1, Math.floor(MOST_NUMBERS / dimensions))
  let budget = FIRST
  let bytesPerToken = BYTES_PER_TOKEN
  const tokensOf = (bytes: number): number => bytes / bytesPerToken
  const decrease = (): void => {
    budget = Math.max(LEAST, budget / 2)
  }
  return {
    take(texts) {
      let tokens = 0
      for (const [i, text] of texts.entries()) {
        tokens += tokensOf(Buffer.byteLength(text))
        if (i > 0 && (tokens > budget || i === mostTexts)) return i
      }
      return texts.length
    },
    answered({ bytes, tokens, ms }) {
      const isFull = tokensOf(bytes) > budget / 2
      // one in eight of each answer, within what any tokenizer does
      if (tokens !== undefined && bytes > 0) bytesPerToken += (Math.min(16, Math.max(0.5, bytes / tokens)) - bytesPerToken) / 8
      if (ms > targetMs) decrease()
      else if (isFull && ms < targetMs / 2) budget = Math.min(MOST, budget + STEP)
    },
    tooMuch: decrease,
  }
}
