/** Sessions that were looked at alone, as the merged view shows them. */
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import { type MergedSessions, mergeSessions, type StoreListing } from '../../storage/merged.js'
import type { Turns } from '../../storage/turns.js'
import { ShownRecords } from '../copies/shown-records.js'

/** Undefined where it cannot be told by a look at some: the listing that goes on tells what is the matter. */
export async function lookEarly(
  look: () => Promise<readonly StoreListing[] | undefined> | undefined,
  clock: Clock,
  turns: Turns,
): Promise<MergedSessions | undefined> {
  try {
    const listings = await look()
    if (listings === undefined) return undefined
    const merge = await mergeSessions(listings, turns)
    return (await new ShownRecords(clock).complete(merge.sessions, turns)).sessions
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}
