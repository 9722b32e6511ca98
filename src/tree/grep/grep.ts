/**
 * Search for a text in what was said, without an index: reads everything once, page by page, and holds one page at a time.
 *
 * Of a page first the bytes are looked at (`filter.ts`), and only messages that may hold the text are parsed. So a damaged record
 * that cannot hold it is not told. Each session is read from the copy that is shown; what only a hidden copy holds is not searched.
 */
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { type Agent, encodeKey, type MessageKey, type PartKey, type SessionKey } from '../../core/keys.js'
import { checkNumber, refuseUnknown } from '../../core/options.js'
import { PART_KINDS } from '../../core/parts.js'
import type { Message } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import { turnsOf } from '../../storage/turns.js'
import { PlansAhead } from '../plans-ahead.js'
import { isInAny, readQuery, type SessionQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
import { byteFilter } from './filter.js'
import { AT_ONCE, type FoundText, GrepReader, type GrepSearch, taken } from './reader.js'
import { type GrepKind, matcherOf } from './text.js'
import { limitedTo, unlimited } from './time-limit.js'

export interface GrepOptions {
  /** @default every agent */
  readonly agent?: Agent | readonly Agent[]
  /** As in `SessionQuery`. */
  readonly cwd?: SessionQuery['cwd']
  /** Only these. @default all, children and archived ones too */
  readonly sessions?: readonly (SessionKey | SessionId)[]
  /** Kinds of parts; 'message' is what the record of the message says itself: its error. @default all */
  readonly kinds?: readonly GrepKind[]
  /** Upper and lower case are the same; accents are not left out. @default false */
  readonly ignoreCase?: boolean
  /** Ends after so many hits, or sessions. @default none */
  readonly limit?: number
  /** Characters that are shown of a line before and behind the match. @default 80 */
  readonly context?: number
  /** How long a regular expression may take of a text, in milliseconds. @default 2000 */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Damaged and unreadable records, and sessions that could not be read: everything else is searched. */
  readonly onIssue?: (issue: StageIssue) => void
  /** After each page. */
  readonly onProgress?: (progress: GrepProgress) => void
}

export interface GrepProgress {
  /** Sessions that were searched, of `total`. */
  readonly sessions: number
  readonly total: number
  readonly messages: number
  /** Bytes of content that were read. */
  readonly bytes: number
}

/** A line that holds the pattern. */
export interface GrepHit {
  readonly session: SessionMeta
  readonly message: MessageKey
  /** Undefined where the record of the message says it itself. */
  readonly part: PartKey | undefined
  readonly kind: GrepKind
  /** Which text of it: `text`; of a tool `input`, `output`, `error` or `title`; of a file `filename`. */
  readonly field: string
  /** Of a tool, its name. */
  readonly tool: string | undefined
  /** Undefined when the record of the message is damaged. */
  readonly role: Message['role'] | undefined
  /** Of the message, epoch milliseconds. */
  readonly created: number
  /** Of the text, counted from 1. */
  readonly line: number
  /** The line, or the part of it around the match. */
  readonly text: string
  /** Where the match stands in `text`, in UTF-16 units. Of a line's matches the first; its end where it is longer than 1,000. */
  readonly match: { readonly start: number; readonly end: number }
  /** Whether the line goes on before or behind `text`. */
  readonly cut: { readonly start: boolean; readonly end: boolean }
}

/**
 * The lines that hold a text, or that match a regular expression, as they are found: sessions from the last updated one, messages in their
 * order, one hit for each line of each text. A fork's copies are hits of their own. An expression sees whole texts: `^` and `$` are
 * the ends of lines with its flag `m`; `g` and `y` count for nothing. One that tries without end (`(a+)+$`) blocks the thread, with a worker
 * too, until `timeoutMs` have passed.
 * @throws StorageError INVALID_OPTION, also of an expression that takes too long; NOT_FOUND, AMBIGUOUS_ID; the reason of `signal` once it is
 * aborted, at the next page or the next places of a long text
 */
export async function* grepSessions(sessions: Sessions, pattern: string | RegExp, options: GrepOptions = {}): AsyncGenerator<GrepHit> {
  const { limit = Number.POSITIVE_INFINITY } = options
  const search = readSearch(pattern, options)
  const turns = turnsOf(sessions.clock, options.signal)
  let found = 0
  for await (const text of textsFound(sessions, search, options)) {
    const { session, message, part, kind, field, tool, role, created, rest } = text
    let { excerpts } = text
    while (excerpts.length > 0) {
      for (const excerpt of excerpts) {
        yield { session, message, part, kind, field, tool, role, created, ...excerpt }
        if (++found >= limit) return
      }
      // A text may have more places than others want to wait for.
      if (turns.isDue()) await turns.take()
      excerpts = excerpts.length < AT_ONCE ? [] : search.limit.within(() => taken(rest, AT_ONCE))
    }
  }
}

/** The sessions that hold a text, each once, as they are found: the last updated first. Of each no more is read than up to the text. */
export async function* findSessionsContaining(
  sessions: Sessions,
  text: string | RegExp,
  options: Omit<GrepOptions, 'context'> = {},
): AsyncGenerator<SessionMeta> {
  const { limit = Number.POSITIVE_INFINITY } = options
  const search = readSearch(text, options)
  let found = 0
  for await (const { session } of textsFound(sessions, { ...search, once: true }, options)) {
    yield session
    if (++found >= limit) return
  }
}

const TIMEOUT_MS = 2000
/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1

/** @throws StorageError INVALID_OPTION */
function readSearch(pattern: string | RegExp, options: GrepOptions): GrepSearch {
  refuseUnknown(options, ['agent', 'cwd', 'sessions', 'kinds', 'ignoreCase', 'limit', 'context', 'timeoutMs', 'signal', 'onIssue', 'onProgress'])
  const { kinds, ignoreCase = false, limit, context = 80, timeoutMs = TIMEOUT_MS, signal, onIssue } = options
  if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) throw invalid('the pattern must be a text or a regular expression')
  checkNumber('limit', limit, 1)
  checkNumber('context', context, 0)
  checkNumber('timeoutMs', timeoutMs, 1, LONGEST_MS)
  const stranger = kinds?.find((kind) => kind !== 'message' && !PART_KINDS.includes(kind))
  if (stranger !== undefined) throw invalid(`there is no kind ${JSON.stringify(stranger)}; a kind is one of ${PART_KINDS.join(', ')}, message`)
  return {
    find: matcherOf(pattern, ignoreCase),
    limit: typeof pattern === 'string' ? unlimited : limitedTo(timeoutMs),
    context,
    filter: typeof pattern === 'string' ? byteFilter(pattern, ignoreCase) : undefined,
    kinds: kinds && new Set(kinds),
    once: false,
    signal,
    tell: onIssue ?? (() => undefined),
  }
}

async function* textsFound(
  sessions: Sessions,
  search: GrepSearch,
  options: GrepOptions,
): AsyncGenerator<FoundText & { readonly session: SessionMeta }> {
  const asked = await sessionsAsked(sessions, options)
  const total = asked.length
  const reader = new GrepReader(sessions, search)
  const plans = new PlansAhead(
    sessions,
    asked.map(({ key }) => key),
    (key) => reader.plan(key),
  )
  for (const [at, session] of asked.entries()) {
    for await (const page of reader.pages(session.key, () => plans.take(at))) {
      for (const text of page) yield { ...text, session }
      options.onProgress?.({ sessions: at, total, ...reader.read })
      if (search.once && page.length > 0) break
    }
    options.onProgress?.({ sessions: at + 1, total, ...reader.read })
  }
}

/** The last updated first. */
async function sessionsAsked(sessions: Sessions, { agent, cwd, sessions: given, signal }: GrepOptions): Promise<readonly SessionMeta[]> {
  // What an earlier process listed may lack a session.
  if (sessions.stale) await sessions.refresh(signal === undefined ? {} : { signal })
  const { agents, folders } = readQuery({ ...(agent !== undefined && { agent }), ...(cwd !== undefined && { cwd }) })
  const names = given === undefined ? undefined : new Set<string>()
  for (const session of given ?? []) names?.add(encodeKey((await sessions.locate(session)).entry.key))
  return sessions.index
    .sessionsByTime()
    .filter(
      ({ key, directory }) =>
        (agents === undefined || agents.includes(key.agent)) &&
        (folders === undefined || isInAny(directory, folders)) &&
        (names === undefined || names.has(encodeKey(key))),
    )
}

function invalid(reason: string): StorageError {
  return new StorageError('INVALID_OPTION', { reason })
}
