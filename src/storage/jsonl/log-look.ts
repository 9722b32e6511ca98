/** A look at some sessions alone: which of the logs in a folder may be theirs, told by names and by what was listed before. */
import { systemCode } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import type { KnownSession } from '../listing.js'
import type { SessionEntry, StoreWork } from '../store.js'
import type { LogSession } from './log-adapter.js'
import { pathOf, versionOf } from './log-entries.js'
import { statOf } from './log-view.js'

export interface LogLook {
  readonly wanted: ReadonlySet<SessionId>
  /** Of the wanted ones, as they were listed. */
  readonly before: readonly SessionEntry[]
  /** What every log was listed as, by path. */
  readonly known: ReadonlyMap<string, KnownSession>
}

/** So many logs that were not listed before are read for it; with more of them a listing is due. */
export const MOST_NEW = 32

/**
 * A log that nobody knows may be any session's. One that is named by its session stays that session's; of another the file must be the one
 * that was listed.
 */
export function mayBe(session: LogSession, wanted: LogLook['wanted'], known: LogLook['known'], work: StoreWork): boolean {
  const listed = known.get(pathOf(session))
  if (listed === undefined || wanted.has(listed.session) || wanted.has(session.id as SessionId)) return true
  return listed.session !== session.id && !isListed(session, listed, work)
}

function isListed({ files }: LogSession, { generation }: KnownSession, work: StoreWork): boolean {
  try {
    return versionOf(files.map((file) => statOf(file, work))) === generation
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return false
  }
}
