/** The indexer's view of an open set of sessions. */
import { existsSync } from 'node:fs'
import { join, sep } from 'node:path'
import { StorageError } from '../core/errors.js'
import { encodeKey, type MessageKey, type SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import { runSessionTreeFlow } from '../tree/flow.js'
import type { Sessions } from '../tree/sessions.js'
import type { SessionMeta } from '../tree/types.js'
import type { ListedStore, SessionListing, SessionSource, SessionTail } from './source.js'

/** Reads `sessions`, which stays the caller's. Every message of a changed session is checked, the cold ones too. */
export function sessionSource(sessions: Sessions): SessionSource {
  let refreshing: Promise<void> | undefined
  /** Those that ask in the same turn share one listing, which begins after they asked. */
  const refresh = (): Promise<void> => {
    refreshing ??= Promise.resolve().then(() => {
      refreshing = undefined
      return sessions.refresh()
    })
    return refreshing
  }
  return {
    list: async (signal): Promise<SessionListing> => {
      await sessions.refresh(signal && { signal })
      const stores = listedStores(sessions)
      const listed: { meta: SessionMeta; revision: string }[] = []
      for (const meta of sessions.index.sessionsByTime()) {
        signal?.throwIfAborted()
        listed.push({ meta, revision: await sessions.index.revision(meta.key) })
      }
      return { sessions: listed, stores }
    },
    revision: async (key, store): Promise<string | undefined> => {
      await refresh()
      if (sessions.index.session(key) !== undefined) return sessions.index.revision(key)
      if (canTell(sessions, store)) return undefined
      const [issue] = sessions.issues
      throw new StorageError('STORE_UNREADABLE', { reason: 'not every store could be listed', path: store ?? issue?.path, key: encodeKey(key) })
    },
    tail: (key, known, signal): Promise<SessionTail> => readTail(sessions, key, known, signal),
  }
}

function listedStores(sessions: Sessions): readonly ListedStore[] {
  const hiding = sessions.issues.filter(hidesSessions)
  return sessions.stores.map((store) => ({ path: store.path, complete: isThere(store) && !hiding.some((issue) => concerns(issue, store.path)) }))
}

/** Whether a session that is in no listing is certainly gone. */
function canTell(sessions: Sessions, store: string | undefined): boolean {
  const listed = listedStores(sessions)
  if (store !== undefined) return listed.some(({ path, complete }) => path === store && complete)
  // A store that could not be opened is not in the list, but its issue is.
  return listed.length > 0 && listed.every(({ complete }) => complete) && !sessions.issues.some(hidesSessions)
}

/** Damaged records are listed all the same, and unsafe ids never are; any other issue hides an unknown number of sessions. */
function hidesSessions({ key, code }: StageIssue): boolean {
  return key === undefined && code !== 'INVALID_ID'
}

/** An issue of a store names it, something inside it, or a file beside it that is part of it (`-wal`); one without a path may be anybody's. */
function concerns({ path }: StageIssue, store: string): boolean {
  return path === undefined || path === store || path.startsWith(store + sep) || path.startsWith(`${store}-`)
}

/** A tree that was moved away or unmounted while it was open lists like an empty one, and a database that was lists what it held. */
function isThere({ kind, path }: Sessions['stores'][number]): boolean {
  return kind === 'memory' || existsSync(kind === 'opencode-json' ? join(path, 'session') : path)
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
  const unread = result.status === 'partial' ? result.issues.filter(isUnread) : []
  const withheld = new Set(unread.flatMap((issue) => (issue.key === undefined || issue.key.kind === 'session' ? [] : [issue.key.message])))
  return {
    meta,
    messages: result.value.messages.filter((node) => !withheld.has(node.key.message)),
    present: entries.map((entry) => entry.id),
    complete: unread.length === 0 && issues.every(({ code }) => code === 'INVALID_ID'),
  }
}

/** What is there and may be readable later. Damage is not: it was read, and what is left of the message is all that there is. */
function isUnread({ code, transient }: StageIssue): boolean {
  return code === 'UNREADABLE_RECORD' || transient === true
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
