/** An open set of stores: what every stage takes as its first argument. */
import type { Clock } from '../../core/clock.js'
import type { DirtyTracker } from '../../core/dirty-tracker.js'
import { StorageError } from '../../core/errors.js'
import { isSafeId, type SessionId } from '../../core/ids.js'
import { encodeKey, isAgent, type SessionKey } from '../../core/keys.js'
import { checkBoolean, checkSignal, invalidOption, refuseUnknown, told } from '../../core/options.js'
import type { StageIssue } from '../../core/stage.js'
import type { MergedSession } from '../../storage/merged.js'
import type { SlabPool } from '../../storage/slab.js'
import type { SpanCache } from '../../storage/span-cache.js'
import type { MessageListing, Store } from '../../storage/store.js'
import type { SessionIndex } from '../types.js'

export interface RefreshOptions {
  readonly signal?: AbortSignal
  readonly deep?: boolean
}

/**
 * How the sessions differ from what the refresh before reported; each of them stands in one list at most. A store that cannot be opened or
 * listed, or not as a whole, removes none; one that is gone removes all that it had.
 */
export interface SessionChanges {
  readonly added: readonly SessionKey[]
  /** Their record, their messages or parts as far as a listing sees them, or the store that they are read from. */
  readonly changed: readonly SessionKey[]
  readonly removed: readonly SessionKey[]
  readonly report: RefreshReport
}

/** What a refresh cost, over all stores. */
export interface RefreshReport {
  readonly durationMs: number
  readonly stores: number
  readonly sessions: number
  /** Files opened. */
  readonly files: number
  readonly rows: number
  /** Bytes of content read. */
  readonly bytes: number
  /** Files and folders asked for metadata only. */
  readonly stats: number
}

export interface Sessions extends AsyncDisposable {
  readonly index: SessionIndex
  /** In order of precedence. */
  readonly stores: readonly Store[]
  /** Opened with `store`: of a session that stands in several stores it may show a copy that the whole set hides. */
  readonly narrowed: boolean
  /** What could not be listed or opened, as of the last refresh. */
  readonly issues: readonly StageIssue[]
  /**
   * Nothing was listed yet: what is shown is of an earlier process, as the catalog kept it. A session that is used is looked at before.
   * Never without a catalog.
   */
  readonly stale: boolean
  /** The file of the catalog once it holds all that was listed last: `close` waits for that. Undefined where it does not, and without one. */
  readonly keptIn: string | undefined
  readonly cache: SpanCache
  readonly clock: Clock
  readonly slabs: SlabPool
  /** Paths that are known to have been written to: what was read of them before that is read again. Watchers mark them. */
  readonly dirty: DirtyTracker
  /** Closes the stores; the same as leaving the scope of `await using`. */
  close(): Promise<void>
  /**
   * Lists every store again, at the price of what changed. `deep` trusts nothing that was listed before: it finds what was rewritten in
   * place long after it was written, too.
   */
  refresh(options?: RefreshOptions): Promise<SessionChanges>
  /** The session and its store; lists the stores again when it is not known. @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID */
  locate(session: SessionKey | SessionId): Promise<MergedSession>
  /**
   * The messages of a session as they are now; what was listed before is not listed again, unless `anew` asks for it.
   * `passing`: the session is read straight through, and what was listed need not be kept. `along`, `native`: as `Store.messages` says.
   */
  listMessages(
    session: MergedSession,
    options?: {
      readonly anew?: boolean
      readonly cursor?: boolean
      readonly passing?: boolean
      readonly along?: boolean
      readonly native?: boolean | undefined
      readonly signal?: AbortSignal | undefined
    },
  ): Promise<Omit<MessageListing, 'complete' | 'mark'>>
}

/** @throws StorageError INVALID_OPTION */
export function checkRefresh(options: RefreshOptions): void {
  refuseUnknown(options, ['signal', 'deep'])
  checkBoolean('deep', options.deep)
  checkSignal('signal', options.signal)
}

/** @throws StorageError INVALID_OPTION */
export function checkSession(session: unknown): void {
  if (typeof session === 'string') return
  const { kind, agent, session: id } = Object(session) as Partial<SessionKey>
  if (kind === 'session' && isAgent(agent) && typeof id === 'string') return
  throw invalidOption(`session must be the id or the key of a session (kind, agent, session), not ${told(session)}`)
}

export function notFound(session: SessionKey | SessionId): StorageError {
  const id = typeof session === 'string' ? session : session.session
  return new StorageError('NOT_FOUND', { reason: `there is no session ${JSON.stringify(id)}`, key: nameOf(session) })
}

function nameOf(session: SessionKey | SessionId): string {
  if (typeof session === 'string') return isSafeId(session) ? session : JSON.stringify(session)
  return encodeKey(session)
}
