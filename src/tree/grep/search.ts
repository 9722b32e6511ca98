/** The search itself: which sessions are asked, and what is found in them, page by page. */
import { StorageError } from '../../core/errors.js'
import { encodeKey } from '../../core/keys.js'
import { checkNumber, refuseUnknown } from '../../core/options.js'
import { PART_KINDS } from '../../core/parts.js'
import { turnsOf } from '../../storage/turns.js'
import { PlansAhead } from '../plans-ahead.js'
import { isInAny, readQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
import { byteFilter } from './filter.js'
import type { GrepHit, GrepOptions } from './grep.js'
import { AT_ONCE, type FoundText, GrepReader, type GrepSearch, taken } from './reader.js'
import { matcherOf } from './text.js'
import { limitedTo, unlimited } from './time-limit.js'

export async function* linesFound(sessions: Sessions, pattern: string | RegExp, options: GrepOptions): AsyncGenerator<GrepHit> {
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

export async function* sessionsFound(sessions: Sessions, text: string | RegExp, options: Omit<GrepOptions, 'context'>): AsyncGenerator<SessionMeta> {
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
