/** An open set of stores: what every stage takes as its first argument. */
import type { Clock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import { isSafeId, type SessionId } from '../core/ids.js'
import { encodeKey, type SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import type { LogCursor } from '../storage/cursor.js'
import type { MergedSession } from '../storage/merged.js'
import type { SlabPool } from '../storage/slab.js'
import type { SpanCache } from '../storage/span-cache.js'
import type { MessageEntry, Store } from '../storage/store.js'
import type { SessionIndex } from './types.js'

export interface Sessions extends AsyncDisposable {
  readonly index: SessionIndex
  /** In order of precedence. */
  readonly stores: readonly Store[]
  /** Opened with `store`: of a session that stands in several stores it may show a copy that the whole set hides. */
  readonly narrowed: boolean
  /** What could not be listed or opened, as of the last refresh. */
  readonly issues: readonly StageIssue[]
  readonly cache: SpanCache
  readonly clock: Clock
  readonly slabs: SlabPool
  /** Closes the stores; the same as leaving the scope of `await using`. */
  close(): Promise<void>
  /** Lists every store again. */
  refresh(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** The session and its store; lists the stores again when it is not known. @throws StorageError NOT_FOUND, AMBIGUOUS_ID */
  locate(session: SessionKey | SessionId): Promise<MergedSession>
  /**
   * The messages of a session as they are now; what was listed before is not listed again, unless `anew` asks for it.
   * `passing`: the session is read straight through, and what was listed need not be kept.
   */
  listMessages(
    session: MergedSession,
    options?: { readonly anew?: boolean; readonly cursor?: boolean; readonly passing?: boolean },
  ): Promise<{ readonly entries: readonly MessageEntry[]; readonly issues: readonly StageIssue[]; readonly cursor?: LogCursor | undefined }>
}

/** @throws StorageError NOT_FOUND */
export function notFound(session: SessionKey | SessionId): StorageError {
  const id = typeof session === 'string' ? session : session.session
  return new StorageError('NOT_FOUND', { reason: `there is no session ${JSON.stringify(id)}`, key: nameOf(session) })
}

function nameOf(session: SessionKey | SessionId): string {
  if (typeof session === 'string') return isSafeId(session) ? session : JSON.stringify(session)
  return encodeKey(session)
}
