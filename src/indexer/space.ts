/** The id of a vector space: what names its collection, its ledger and its records. */
import { createHash } from 'node:crypto'

/** 8 hex digits of the SHA-256 of the space, as the embedder names it. */
export function spaceIdOf(space: string): string {
  return createHash('sha256').update(space).digest('hex').slice(0, 8)
}
