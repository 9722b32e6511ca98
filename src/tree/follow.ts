/** A session as it goes on: what is there, then what comes, for as long as the caller listens. */
import type { MessageId, SessionId } from '../core/ids.js'
import type { SessionKey } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import type { SessionRecord } from '../core/records.js'
import type { StageIssue } from '../core/stage.js'
import type { Cursor } from '../storage/cursor.js'
import { runSessionTreeFlow } from './flow.js'
import type { Sessions } from './sessions.js'
import type { FlowResult, MessageNode, SessionHydratedTree } from './types.js'

export interface FollowOptions {
  /** Where an earlier reading ended. @default the session's beginning: the first update has all that is there */
  readonly since?: Cursor
  /** Milliseconds between two looks. @default 500 */
  readonly pollMs?: number
  /** Give the untouched documents beside the records. */
  readonly native?: boolean
  /** Ends the iteration. */
  readonly signal?: AbortSignal
}

export interface FollowUpdate {
  /** New messages, and those that changed: one with the id of an earlier one takes its place. */
  readonly messages: readonly MessageNode[]
  readonly removed: readonly MessageId[]
  /** Why `messages` are all that there are now, in the place of everything before. */
  readonly reread: string | undefined
  readonly session: SessionRecord | undefined
  readonly issues: readonly StageIssue[]
  /** To go on from after this update. Undefined when it must be the one before. */
  readonly cursor: Cursor | undefined
}

const POLL_MS = 500
/** The stores are listed again at most this often, in milliseconds: logs move to other files (compressed, rotated). */
const LIST_MS = 5000

/**
 * Yields an update at once, and one for every look that finds something new. A look at a session that did not change costs next to
 * nothing; a store that cannot be read for the moment is asked again. Ends with the signal.
 * @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID, and what no time mends
 */
export async function* followSession(sessions: Sessions, session: SessionKey | SessionId, options: FollowOptions = {}): AsyncGenerator<FollowUpdate> {
  refuseUnknown(options, ['since', 'pollMs', 'native', 'signal'])
  checkNumber('pollMs', options.pollMs, 1)
  const { pollMs = POLL_MS, native = false, signal } = options
  let since = options.since
  let listedAt = sessions.clock.monotonic()
  let isFirst = true
  while (signal?.aborted !== true) {
    if (sessions.clock.monotonic() - listedAt >= LIST_MS) {
      await sessions.refresh()
      listedAt = sessions.clock.monotonic()
    }
    const result = await runSessionTreeFlow(sessions, { session, native, ...(since && { since }) })
    if (result.status === 'failed' && !result.error.retryable) throw result.error
    if (result.status !== 'failed') {
      const update = updateOf(result)
      if (isFirst || hasNews(update)) yield update
      since = result.cursor ?? since
      isFirst = false
    }
    if (await slept(sessions, pollMs, signal)) return
  }
}

function updateOf(result: Exclude<FlowResult<SessionHydratedTree>, { status: 'failed' }>): FollowUpdate {
  const { value, cursor, reread, removed = [] } = result
  const issues = result.status === 'partial' ? result.issues : []
  return { messages: value.messages, removed, reread, session: value.session, issues, cursor }
}

function hasNews({ messages, removed, reread }: FollowUpdate): boolean {
  return messages.length > 0 || removed.length > 0 || reread !== undefined
}

/** True when the signal ended it. */
async function slept(sessions: Sessions, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await sessions.clock.sleep(ms, signal)
    return false
  } catch (error) {
    if (signal?.aborted === true) return true
    throw error
  }
}
