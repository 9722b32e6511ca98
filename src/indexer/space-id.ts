/** The id of a vector space, as `SpaceRow.id` has it. */
import { createHash } from 'node:crypto'

export function spaceIdOf(space: string): string {
  return createHash('sha256').update(space).digest('hex').slice(0, 8)
}
