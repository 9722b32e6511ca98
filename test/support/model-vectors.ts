/** The spaces of a model machine, and their vectors. */
import { createHash } from 'node:crypto'

export const NAMESPACE = 'local'
export const SPACES = ['alpha', 'beta', 'gamma'] as const
export const DIMENSIONS = 4

/** Of one space and one text, and of no other. */
export function vectorOf(space: string, text: string): Float32Array {
  const bytes = createHash('sha256').update(`${space} ${text}`).digest()
  return Float32Array.from({ length: DIMENSIONS }, (_, i) => 1 + (bytes[i] ?? 0))
}
