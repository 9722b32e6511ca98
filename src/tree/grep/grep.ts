/**
 * Search for a text in what was said, without an index: reads everything once, page by page, and holds one page at a time.
 *
 * Of a page first the bytes are looked at (`filter.ts`), and only messages that may hold the text are parsed. So a damaged record
 * that cannot hold it is not told. Each session is read from the copy that is shown; what only a hidden copy holds is not searched.
 */
import type { SessionId } from '../../core/ids.js'
import type { Agent, MessageKey, PartKey, SessionKey } from '../../core/keys.js'
import type { Message } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import type { SessionQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
import type { GrepKind } from './text.js'

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
  /** Which text of it: `text`; of a tool `input`, `output`, `error` or `title`; of a file `filename` or `content`. */
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
 * @throws StorageError INVALID_OPTION, also of an expression that takes too long; NOT_FOUND, AMBIGUOUS_ID; SET_CLOSED once the set is closed, if not all is
 * read by then; the reason of `signal` once it is aborted, at the next page or the next places of a long text
 */
export async function* grepSessions(sessions: Sessions, pattern: string | RegExp, options: GrepOptions = {}): AsyncGenerator<GrepHit> {
  // What searches is loaded by who does.
  const { linesFound } = await import('./search.js')
  yield* linesFound(sessions, pattern, options)
}

/** The sessions that hold a text, each once, as they are found: the last updated first. Of each no more is read than up to the text. */
export async function* findSessionsContaining(
  sessions: Sessions,
  text: string | RegExp,
  options: Omit<GrepOptions, 'context'> = {},
): AsyncGenerator<SessionMeta> {
  const { sessionsFound } = await import('./search.js')
  yield* sessionsFound(sessions, text, options)
}
