/** A session as it goes on: what is there, then what comes, for as long as the caller listens. */
import { StorageError } from '../../core/errors.js'
import type { MessageId, SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import { checkBoolean, checkNumber, checkSignal, LONGEST_MS, refuseUnknown } from '../../core/options.js'
import type { SessionRecord } from '../../core/records.js'
import { following, untilAborted } from '../../core/signals.js'
import type { StageIssue } from '../../core/stage.js'
import type { Cursor } from '../../storage/cursor.js'
import type { MergedSession } from '../../storage/merged.js'
import { watchSession } from '../../storage/watch/session.js'
import { runSessionTreeFlow } from '../flow.js'
import type { SessionChanges, Sessions } from '../sessions/sessions.js'
import type { FlowResult, MessageNode, SessionHydratedTree, TreeRequest } from '../types.js'
import { createBell } from './bell.js'
import { DeepLooks } from './deep-looks.js'
import { News } from './news.js'
import { closingOf, isPassing, listenTo, lookAgain } from './told.js'

export interface FollowOptions {
  /**
   * Where an earlier reading ended: the first update has what is new or changed since, however old.
   * @default the session's beginning: the first update has all that is there
   */
  readonly since?: Cursor
  /** Milliseconds between two looks; there are more where events tell of a write, or a refresh of a change. @default 500 */
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
/** The stores are listed again at most this often, in milliseconds: logs move to other files (compressed, rotated). */
const LIST_MS = 5000
/** A session that was there may be away so long, in milliseconds: its file is being replaced, its store brought up again. */
const PATIENCE_MS = 10_000

/**
 * Yields an update at once, and one for every look that finds something new. A look at a session that did not change costs next to
 * nothing; a store that cannot be read for the moment is asked again. Events of the folder that the session is written in, and of
 * `watchSessions` where that runs on the same set, bring a look at once. Ends with the signal, at once whatever it is about.
 *
 * A look at a session of OpenCode trusts messages before the last eight that are older than ten minutes. One of them that is rewritten, as
 * when outputs of tools are pruned, comes at once where a refresh of the set tells that the session changed, as a watch does, and within
 * about a minute else: then all its messages are looked at, without reading them.
 * @throws StorageError INVALID_OPTION, AMBIGUOUS_ID, NOT_FOUND (also ten seconds after the session went away), SET_CLOSED once the set is
 * closed, and what no time mends
 */
export function followSession(sessions: Sessions, session: SessionKey | SessionId, options: FollowOptions = {}): AsyncGenerator<FollowUpdate> {
  refuseUnknown(options, ['since', 'pollMs', 'native', 'signal'])
  checkNumber('pollMs', options.pollMs, 1, LONGEST_MS)
  checkBoolean('native', options.native)
  checkSignal('signal', options.signal)
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
  using events = watchSession(bell.ring)
  using end = following(signal, left, closingOf(sessions))
  const { signal: ended } = end
  const look = new Look(sessions, { session, native, signal: ended }, since)
  const changed = ({ added, changed }: SessionChanges): void => {
    if (look.told([...added, ...changed])) bell.ring()
  }
  using _ = listenTo(sessions, { woken: bell.ring, changed })
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
      await bell.wait(Math.min(pollMs, look.toldIn), ended)
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
    await lookAgain(sessions, { signal })
  } catch (error) {
    if (!signal.aborted && !isPassing(error)) throw error
  }
}

type Readable = Exclude<FlowResult<SessionHydratedTree>, { status: 'failed' }>

/** Reads a session again and again, with patience once it was there. */
class Look {
  readonly #sessions: Sessions
  readonly #deep: DeepLooks
  #request: TreeRequest
  #failingSince: number | undefined
  /** Taken before the last look that read everything. */
  #stamp: string | undefined
  /** Taken before the last one of them that trusted nothing. */
  #deepStamp: string | undefined

  constructor(sessions: Sessions, request: TreeRequest, since: Cursor | undefined) {
    this.#sessions = sessions
    this.#request = request
    this.#deep = new DeepLooks(this.#now, since !== undefined)
  }

  /** The session as it was found last. */
  found: MergedSession | undefined

  /** Milliseconds until the look that a change asks for. */
  get toldIn(): number {
    return Math.max(0, this.#deep.toldAt - this.#now)
  }

  /** A refresh found that these changed. True when the session is one of them. */
  told(changed: readonly SessionKey[]): boolean {
    const { session } = this.#request
    const isOwn = (key: SessionKey): boolean =>
      typeof session === 'string' ? key.session === session : key.session === session.session && key.agent === session.agent
    if (!changed.some(isOwn)) return false
    this.#stamp = undefined
    this.#deep.told()
    return true
  }

  /** Undefined: nothing was written, or not now. */
  async at(since: Cursor | undefined): Promise<Readable | undefined> {
    try {
      const stamp = await this.#stampNow()
      const start = this.#now
      // Of a log every line is looked at.
      const trusts = since?.kind === 'signatures'
      const deep = trusts && this.#isDeepDue(stamp)
      if (!deep && stamp !== undefined && stamp === this.#stamp) {
        this.#failingSince = undefined
        return undefined
      }
      this.#stamp = undefined
      if (deep) this.#deep.begin()
      else if (!trusts) this.#deep.readAll(start)
      const result = await this.#read({ ...this.#request, deep, ...(since !== undefined && { since }) })
      if (deep) this.#deep.end(start, this.#now)
      if (result.status === 'ok') this.#stamp = stamp
      if (deep || !trusts) this.#deepStamp = this.#stamp
      return result
    } catch (error) {
      if (this.#request.signal?.aborted === true) return undefined
      this.#deep.failed(this.#now)
      if (!(error instanceof StorageError) || !(error.retryable || this.#isPatientWith(error))) throw error
      return undefined
    }
  }

  async #read(request: TreeRequest): Promise<Readable> {
    const result = await runSessionTreeFlow(this.#sessions, request)
    if (result.status === 'failed') throw result.error
    // From now on it is this one, whoever else gets a session of the same id.
    this.#request = { ...this.#request, session: result.value.key }
    this.found = await this.#sessions.locate(result.value.key)
    this.#failingSince = undefined
    return result
  }

  get #now(): number {
    return this.#sessions.clock.monotonic()
  }

  #isDeepDue(stamp: string | undefined): boolean {
    if (this.toldIn === 0) return true
    const isUnwritten = stamp !== undefined && stamp === this.#deepStamp
    return !isUnwritten && this.#deep.isDue(this.#now)
  }

  /** Of the store that the session is read from, where it has one: all is as it was then, unless another store takes its place. */
  async #stampNow(): Promise<string | undefined> {
    const { store } = await this.#sessions.locate(this.#request.session)
    const stamp = await store.stamp?.()
    return stamp && `${store.kind} ${store.path} ${stamp}`
  }

  #isPatientWith({ code }: StorageError): boolean {
    if (this.found === undefined || code === 'INVALID_OPTION') return false
    this.#failingSince ??= this.#now
    return this.#now - this.#failingSince < PATIENCE_MS
  }
}

function updateOf(result: Readable): FollowUpdate {
  const { value, cursor, reread, removed = [] } = result
  const issues = result.status === 'partial' ? result.issues : []
  return { messages: value.messages, removed, reread, session: value.session, issues, cursor }
}
