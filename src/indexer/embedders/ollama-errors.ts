/** What goes wrong with Ollama, as codes: a service that is down, one that refuses, a text that is at fault. No word of a text or a body. */
import { type ErrorCode, StorageError } from '../../core/errors.js'

export function unavailable(what: string): StorageError {
  return new StorageError('EMBEDDER_UNAVAILABLE', { reason: `Ollama does not answer (${what})` })
}

export function refused(what: string): StorageError {
  return new StorageError('EMBEDDER_REFUSED', { reason: what })
}

/** What the body of an error says, whatever its status: versions differ in the status that they give. */
const BODIES: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [/context (?:length|size|window)|too (?:large|long) to process|physical batch size/i, 'TEXT_TOO_LONG', 'a text is longer than the context'],
  [/\bNaN\b|\bInf\b/, 'EMBEDDING_INVALID', 'Ollama computed a vector that is not finite'],
  [/model\b.{0,300}\bnot found/i, 'EMBEDDER_REFUSED', 'Ollama has no such model'],
  [/not support (?:embed|this operation)/i, 'EMBEDDER_REFUSED', 'the model gives no embeddings'],
  [
    /more system memory|waiting for (?:the )?(?:llama|server|runner)|maximum pending|server busy/i,
    'EMBEDDER_UNAVAILABLE',
    'Ollama is busy or lacks memory',
  ],
]

/** Of a gateway too: what stands between may be down or refuse. */
const STATUSES: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  ...[408, 425, 429, 499, 502, 503, 504].map((status) => [status, 'EMBEDDER_UNAVAILABLE'] as const),
  ...[401, 402, 403, 404, 405, 407, 410, 426, 501].map((status) => [status, 'EMBEDDER_REFUSED'] as const),
  [413, 'TEXT_TOO_LONG'],
])

/** Anything else may be the fault of a text (one that ends the runner) or of the server: EMBEDDER_FAILED. */
export function statusFailure(status: number, body: string): StorageError {
  const known = BODIES.find(([pattern]) => pattern.test(body))
  if (known !== undefined) return new StorageError(known[1], { reason: `${known[2]} (HTTP ${status})` })
  const code = STATUSES.get(status) ?? (status >= 300 && status < 400 ? 'EMBEDDER_REFUSED' : 'EMBEDDER_FAILED')
  return new StorageError(code, { reason: `Ollama answered HTTP ${status}` })
}

/** Failures for which a text may be blamed; they count only while the service is still what it was. */
export function blamesText(error: unknown): boolean {
  return error instanceof StorageError && BLAMED.has(error.code)
}

const BLAMED: ReadonlySet<string> = new Set(['TEXT_TOO_LONG', 'TEXT_REFUSED', 'EMBEDDING_INVALID', 'EMBEDDER_FAILED'])
