/** The indexer's view of an open set of sessions. */
import { StorageError } from '../core/errors.js'
import { encodeKey, type MessageKey, type SessionKey } from '../core/keys.js'
import { runSessionTreeFlow } from '../tree/flow.js'
import type { Sessions } from '../tree/sessions.js'
import type { SessionMeta } from '../tree/types.js'
import type { SessionListing, SessionSource, SessionTail } from './source.js'

/** Reads `sessions`, which stays the caller's. Every message of a changed session is checked, the cold ones too. */
export function sessionSource(sessions: Sessions): SessionSource {
  return {
    list: async (signal): Promise<SessionListing> => {
      await sessions.refresh(signal && { signal })
      const listed: { meta: SessionMeta; revision: string }[] = []
      for (const meta of sessions.index.sessionsByTime()) {
        signal?.throwIfAborted()
        listed.push({ meta, revision: await sessions.index.revision(meta.key) })
      }
      return { sessions: listed, complete: isComplete(sessions) }
    },
    revision: async (key): Promise<string | undefined> => {
      await sessions.refresh()
      if (sessions.index.session(key) !== undefined) return sessions.index.revision(key)
      if (isComplete(sessions)) return undefined
      const [issue] = sessions.issues
      throw new StorageError('STORE_UNREADABLE', { reason: 'not every store could be listed', path: issue?.path, key: encodeKey(key) })
    },
    tail: (key, known, signal): Promise<SessionTail> => readTail(sessions, key, known, signal),
  }
}

/** Damaged records are listed all the same, and unsafe ids never are; any other issue hides an unknown number of sessions. */
function isComplete(sessions: Sessions): boolean {
  return sessions.issues.every(({ key, code }) => key !== undefined || code === 'INVALID_ID')
}

async function readTail(
  sessions: Sessions,
  key: SessionKey,
  known: (key: MessageKey) => string | undefined,
  signal: AbortSignal | undefined,
): Promise<SessionTail> {
  const session = await sessions.locate(key)
  const { entries, issues } = await sessions.listMessages(session)
  const result = await runSessionTreeFlow(sessions, { session: key, known, deep: true, ...(signal && { signal }) })
  if (result.status === 'failed') throw result.error
  const meta = sessions.index.session(key)
  if (meta === undefined) throw new StorageError('NOT_FOUND', { reason: 'the session was removed while it was read', key: encodeKey(key) })
  return {
    meta,
    messages: result.value.messages,
    present: entries.map((entry) => entry.id),
    complete: issues.every(({ code }) => code === 'INVALID_ID'),
  }
}

/** For work on the index alone, when no store is at hand. @throws StorageError STORE_MISSING from every call */
export const noSessions: SessionSource = {
  list: () => refuse(),
  revision: () => refuse(),
  tail: () => refuse(),
}

async function refuse(): Promise<never> {
  throw new StorageError('STORE_MISSING', { reason: 'the index was opened without stores' })
}
