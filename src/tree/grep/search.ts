/** The search itself: which sessions are asked, and what is found in them, page by page. */
import { isDocument } from '../../core/documents.js'
import { encodeKey } from '../../core/keys.js'
import {
  checkBoolean,
  checkFunction,
  checkNumber,
  checkSignal,
  checkWhole,
  invalidOption,
  LONGEST_MS,
  refuseUnknown,
  told,
} from '../../core/options.js'
import { PART_KINDS } from '../../core/parts.js'
import { turnsOf } from '../../storage/turns.js'
import { PlansAhead } from '../plans-ahead.js'
import { isInAny, readQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
import { closingOf, lookAgain } from '../watch/told.js'
import { byteFilter } from './filter.js'
import type { GrepHit, GrepOptions } from './grep.js'
import { AT_ONCE, type FoundText, GrepReader, type GrepSearch, taken } from './reader.js'
import { type GrepKind, matcherOf } from './text.js'
import { limitedTo, unlimited } from './time-limit.js'

export async function* linesFound(sessions: Sessions, pattern: string | RegExp, options: GrepOptions): AsyncGenerator<GrepHit> {
  const search = readSearch(pattern, options)
  const { limit = Number.POSITIVE_INFINITY } = options
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

export async function* sessionsFound(sessions: Sessions, text: string | RegExp, options: Omit<GrepOptions, 'context'>): AsyncGenerator<SessionMeta> {
  const search = readSearch(text, options)
  const { limit = Number.POSITIVE_INFINITY } = options
  let found = 0
  for await (const { session } of textsFound(sessions, { ...search, once: true }, options)) {
    yield session
    if (++found >= limit) return
  }
}

const TIMEOUT_MS = 2000
const KINDS: readonly GrepKind[] = [...PART_KINDS, 'message']

/** @throws StorageError INVALID_OPTION */
function readSearch(pattern: string | RegExp, options: GrepOptions): GrepSearch {
  refuseUnknown(options, ['agent', 'cwd', 'sessions', 'kinds', 'ignoreCase', 'limit', 'context', 'timeoutMs', 'signal', 'onIssue', 'onProgress'])
  const { kinds, ignoreCase = false, context = 80, timeoutMs = TIMEOUT_MS, signal, onIssue } = options
  if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) throw invalidOption('the pattern must be a text or a regular expression')
  checkOptions(options)
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

/** @throws StorageError INVALID_OPTION */
function checkOptions({ kinds, sessions, ignoreCase, limit, context, timeoutMs, signal, onIssue, onProgress }: GrepOptions): void {
  if (limit !== Number.POSITIVE_INFINITY) checkWhole('limit', limit, 1)
  if (context !== Number.POSITIVE_INFINITY) checkWhole('context', context, 0)
  checkNumber('timeoutMs', timeoutMs, 1, LONGEST_MS)
  checkBoolean('ignoreCase', ignoreCase)
  checkSignal('signal', signal)
  checkFunction('onIssue', onIssue)
  checkFunction('onProgress', onProgress)
  for (const kind of listed('kinds', kinds))
    if (!KINDS.some((known) => known === kind)) throw invalidOption(`there is no kind ${told(kind)}; a kind is one of ${KINDS.join(', ')}`)
  for (const session of listed('sessions', sessions)) {
    const isNamed = typeof session === 'string' || (isDocument(session) && typeof session.agent === 'string' && typeof session.session === 'string')
    if (!isNamed) throw invalidOption(`sessions must be ids or keys of sessions, not ${told(session)}`)
  }
}

function listed(name: string, value: unknown): readonly unknown[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value
  throw invalidOption(`${name} must be a list, not ${told(value)}`)
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
  closingOf(sessions)?.throwIfAborted()
  // What an earlier process listed may lack a session.
  if (sessions.stale) await lookAgain(sessions, signal && { signal })
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
