/** A session as it goes on: what is there, then what comes, for as long as the caller listens. */
import { StorageError } from '../../core/errors.js'
import type { MessageId, SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import { checkNumber, refuseUnknown } from '../../core/options.js'
import type { SessionRecord } from '../../core/records.js'
import { following, untilAborted } from '../../core/signals.js'
import type { StageIssue } from '../../core/stage.js'
import type { Cursor, SignatureCursor } from '../../storage/cursor.js'
import { fingerprint } from '../../storage/fingerprint.js'
import type { MergedSession } from '../../storage/merged.js'
import { watchSession } from '../../storage/watch/session.js'
import { runSessionTreeFlow } from '../flow.js'
import { UNREAD } from '../plan.js'
import type { Sessions } from '../sessions/sessions.js'
import type { FlowResult, MessageNode, SessionHydratedTree, TreeRequest } from '../types.js'
import { createBell } from './bell.js'
import { closingOf, isPassing, listenTo } from './told.js'

export interface FollowOptions {
  /** Where an earlier reading ended. @default the session's beginning: the first update has all that is there */
  readonly since?: Cursor
  /** Milliseconds between two looks; there are more where events tell of a write. @default 500 */
  readonly pollMs?: number
  /** Give the untouched documents beside the records. */
  readonly native?: boolean
  /** Ends the iteration. */
  readonly signal?: AbortSignal
}

export interface FollowUpdate {
  /** New messages, and those that changed: one with the id of an earlier one takes its place. */
  readonly messages: readonly MessageNode[]
  /** None of `messages` is among them, so the order of applying does not matter. */
  readonly removed: readonly MessageId[]
  /** Why `messages` are all that there are now, in the place of everything before. */
  readonly reread: string | undefined
  /**
   * The session itself, for which alone there is an update where more of it changed than `time.updated` and `entries`: its title, what was reverted.
   * Of a log as it was listed last, which is done again every five seconds.
   */
  readonly session: SessionRecord | undefined
  readonly issues: readonly StageIssue[]
  /** To go on from after this update. Undefined when it must be the one before. */
  readonly cursor: Cursor | undefined
}

const POLL_MS = 500
/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1
/** The stores are listed again at most this often, in milliseconds: logs move to other files (compressed, rotated). */
const LIST_MS = 5000
/** A session that was there may be away so long, in milliseconds: its file is being replaced, its store brought up again. */
const PATIENCE_MS = 10_000

/**
 * Yields an update at once, and one for every look that finds something new. A look at a session that did not change costs next to
 * nothing; a store that cannot be read for the moment is asked again. Events of the folder that the session is written in, and of
 * `watchSessions` where that runs on the same set, bring a look at once. Ends with the signal, at once whatever it is about.
 * @throws StorageError INVALID_OPTION, AMBIGUOUS_ID, NOT_FOUND (also ten seconds after the session went away), SET_CLOSED once the set is
 * closed, and what no time mends
 */
export function followSession(sessions: Sessions, session: SessionKey | SessionId, options: FollowOptions = {}): AsyncGenerator<FollowUpdate> {
  refuseUnknown(options, ['since', 'pollMs', 'native', 'signal'])
  checkNumber('pollMs', options.pollMs, 1, LONGEST_MS)
  const left = new AbortController()
  const updates = updatesFrom(sessions, session, options, left.signal)
  // A generator waits for its `next` before it returns or throws: for the next write, which may never come.
  const end = (value: unknown): Promise<IteratorResult<FollowUpdate>> => {
    left.abort()
    return updates.return(value)
  }
  return {
    next: () => updates.next(),
    return: end,
    async throw(error) {
      await end(undefined)
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await end(undefined)
    },
  }
}

/** @param left Aborted when the caller goes. */
async function* updatesFrom(
  sessions: Sessions,
  session: SessionKey | SessionId,
  options: FollowOptions,
  left: AbortSignal,
): AsyncGenerator<FollowUpdate> {
  const { pollMs = POLL_MS, native = false, signal } = options
  let since = options.since
  let listedAt = sessions.clock.monotonic()
  const news = new News()
  const bell = createBell(sessions.clock)
  using _ = listenTo(sessions, { woken: bell.ring })
  using events = watchSession(bell.ring)
  using end = following(signal, left, closingOf(sessions))
  const { signal: ended } = end
  const look = new Look(sessions, { session, native, signal: ended })
  try {
    while (!ended.aborted) {
      if (sessions.clock.monotonic() - listedAt >= LIST_MS) {
        await untilAborted(listAgain(sessions, ended), ended)
        listedAt = sessions.clock.monotonic()
      }
      const result = await untilAborted(look.at(since), ended)
      if (result !== undefined) {
        since = result.cursor ?? since
        const update = news.of(updateOf(result))
        if (update !== undefined) yield update
      }
      if (look.found !== undefined) events.follow(look.found.store, look.found.entry)
      await bell.wait(pollMs, ended)
    }
  } catch (error) {
    if (!ended.aborted) throw error
  }
  // Not by the caller: then the set was closed.
  if (signal?.aborted !== true && !left.aborted) ended.throwIfAborted()
}

/** Does without when that fails for the moment. */
async function listAgain(sessions: Sessions, signal: AbortSignal): Promise<void> {
  try {
    await sessions.refresh({ signal })
  } catch (error) {
    if (!signal.aborted && !isPassing(error)) throw error
  }
}

type Readable = Exclude<FlowResult<SessionHydratedTree>, { status: 'failed' }>

/** Reads a session again and again, with patience once it was there. */
class Look {
  readonly #sessions: Sessions
  #request: TreeRequest
  #failingSince: number | undefined
  /** Taken before the last look that read everything. */
  #stamp: string | undefined

  constructor(sessions: Sessions, request: TreeRequest) {
    this.#sessions = sessions
    this.#request = request
  }

  /** The session as it was found last. */
  found: MergedSession | undefined

  /** Undefined: nothing was written, or not now. */
  async at(since: Cursor | undefined): Promise<Readable | undefined> {
    try {
      const stamp = await this.#stampNow()
      if (stamp !== undefined && stamp === this.#stamp) return undefined
      this.#stamp = undefined
      const result = await runSessionTreeFlow(this.#sessions, { ...this.#request, ...(since !== undefined && { since }) })
      if (result.status === 'failed') throw result.error
      // From now on it is this one, whoever else gets a session of the same id.
      this.#request = { ...this.#request, session: result.value.key }
      this.found = await this.#sessions.locate(result.value.key)
      this.#failingSince = undefined
      if (result.status === 'ok') this.#stamp = stamp
      return result
    } catch (error) {
      if (this.#request.signal?.aborted === true) return undefined
      if (!(error instanceof StorageError) || !(error.retryable || this.#isPatientWith(error))) throw error
      return undefined
    }
  }

  /** Of the store that the session is read from, where it has one: all is as it was then, unless another store takes its place. */
  async #stampNow(): Promise<string | undefined> {
    if (this.found === undefined) return undefined
    const { store } = await this.#sessions.locate(this.found.entry.key)
    const stamp = await store.stamp?.()
    return stamp && `${store.kind} ${store.path} ${stamp}`
  }

  #isPatientWith({ code }: StorageError): boolean {
    if (this.found === undefined || code === 'INVALID_OPTION') return false
    const now = this.#sessions.clock.monotonic()
    this.#failingSince ??= now
    return now - this.#failingSince < PATIENCE_MS
  }
}

function updateOf(result: Readable): FollowUpdate {
  const { value, cursor, reread, removed = [] } = result
  const issues = result.status === 'partial' ? result.issues : []
  return { messages: value.messages, removed, reread, session: value.session, issues, cursor }
}

/** Knows what was told already. */
class News {
  #isFirst = true
  #issues = ''
  #session: string | undefined
  /** Messages that could not be read whole, and are read again at every look, by fingerprint. */
  readonly #unread = new Map<string, string>()

  /** Undefined when nothing is new. */
  of(update: FollowUpdate): FollowUpdate | undefined {
    const messages = update.reread === undefined ? update.messages.filter((message) => this.#isNew(message, update.cursor)) : update.messages
    for (const id of update.removed) this.#unread.delete(id)
    const issues = JSON.stringify(update.issues.filter(({ transient }) => transient !== true))
    const session = isIntact(update) ? sumOf(update.session) : this.#session
    const hasMessages = messages.length > 0 || update.removed.length > 0 || update.reread !== undefined
    const isNew = this.#isFirst || hasMessages || this.#areNew(issues) || session !== this.#session
    this.#isFirst = false
    this.#issues = issues
    this.#session = session
    return isNew ? { ...update, messages } : undefined
  }

  #areNew(issues: string): boolean {
    return issues !== '[]' && issues !== this.#issues
  }

  #isNew({ native: _, ...message }: MessageNode, cursor: Cursor | undefined): boolean {
    const id = message.key.message
    // A log that cannot be read to its end has no cursor, and gives all of it again.
    if (cursor !== undefined && (cursor.kind === 'log' || isRead(cursor, id))) {
      this.#unread.delete(id)
      return true
    }
    const told = fingerprint(JSON.stringify(message))
    const isNew = this.#unread.get(id) !== told
    this.#unread.set(id, told)
    return isNew
  }
}

function isRead({ signatures }: SignatureCursor, id: MessageId): boolean {
  return Object.hasOwn(signatures, id) && signatures[id] !== UNREAD
}

/** What stands in for a damaged record tells nothing new. */
function isIntact(update: FollowUpdate): update is FollowUpdate & { readonly session: SessionRecord } {
  return update.session !== undefined && !update.issues.some(({ key }) => key?.kind === 'session')
}

/** Of what is no mere trace of messages that came. */
function sumOf({ entries: _, time: { updated: __, ...time }, ...session }: SessionRecord): string {
  return fingerprint(JSON.stringify({ ...session, time }))
}
