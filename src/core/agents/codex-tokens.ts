/** Token counts of Codex as those of V1. Codex counts what was cached as input, and what was thought as output. */
import { type Document, isDocument, present } from '../documents.js'

/**
 * What the answers of the model in one step took together. Every count tells the last answer's usage and the session's; one with
 * the session's unchanged tells the same again, and one without input and output is an estimate of what a compaction left.
 */
export function tokensIn(counts: readonly Document[]): Document | undefined {
  if (counts.length === 0) return undefined
  const answers: Document[] = []
  let before: string | undefined
  for (const { info } of counts) {
    if (!isDocument(info) || !isDocument(info.last_token_usage)) continue
    const { last_token_usage: last, total_token_usage: whole } = info
    const session = isDocument(whole) && count(whole.total_tokens) > 0 ? sumsOf(whole) : undefined
    if (session !== undefined && session === before) continue
    before = session
    if (count(last.input_tokens) + count(last.output_tokens) > 0) answers.push(last)
  }
  return answers.length === 0 ? undefined : together(answers)
}

function together(answers: readonly Document[]): Document {
  const sum = (of: (answer: Document) => number): number => answers.reduce((total, answer) => total + of(answer), 0)
  const cached = (answer: Document): number => Math.min(count(answer.cached_input_tokens), count(answer.input_tokens))
  const isTold = answers.every(({ total_tokens }) => typeof total_tokens === 'number')
  return present({
    total: isTold ? sum(({ total_tokens }) => count(total_tokens)) : undefined,
    input: sum((answer) => count(answer.input_tokens) - cached(answer)),
    output: sum(({ output_tokens }) => count(output_tokens)),
    reasoning: sum(({ reasoning_output_tokens }) => count(reasoning_output_tokens)),
    cache: { read: sum(cached), write: 0 },
  })
}

function sumsOf({ input_tokens, output_tokens, total_tokens }: Document): string {
  return [input_tokens, output_tokens, total_tokens].map(count).join(' ')
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0
}
