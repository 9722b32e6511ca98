/** The three stages in one call: for one session, or streaming over many. */
import { StorageError } from '../core/errors.js'
import type { SessionId } from '../core/ids.js'
import type { SessionKey } from '../core/keys.js'
import { checkBoolean, checkSignal, checkWord, invalidOption, refuseUnknown, told } from '../core/options.js'
import type { PartKind } from '../core/parts.js'
import { fail, type StageResult } from '../core/stage.js'
import { turnsOf } from '../storage/turns.js'
import { checkParts } from './check-request.js'
import { isWhole, planSessionTree, planStraight } from './plan.js'
import { PlansAhead } from './plans-ahead.js'
import { readPlanned } from './read-planned.js'
import type { Sessions } from './sessions/sessions.js'
import { runTail, withCursor } from './tail.js'
import type { FlowResult, SessionHydratedTree, SessionTreePlan, TreeRequest } from './types.js'

/** Which sessions to stream: one, those of a project, or all; the last updated first. Exactly one of the three. */
export type FlowScope = { readonly session: SessionKey | SessionId } | { readonly project: string } | { readonly all: true }

export interface FlowOptions {
  /** 'sessions': a tree per session. 'messages': a session in several trees of up to 64 messages each, for sessions of any size. @default 'sessions' */
  readonly output?: 'sessions' | 'messages'
  readonly parts?: { readonly kinds?: readonly PartKind[] }
  /** Give the untouched documents beside the records. */
  readonly native?: boolean
  readonly signal?: AbortSignal
}

/** Messages per tree with `output: 'messages'`. */
const PAGE = 64

/**
 * Plan, resolve and hydrate a session.
 * @throws StorageError as `planSessionTree` does; the world's damage is in the result
 */
export async function runSessionTreeFlow(sessions: Sessions, request: TreeRequest): Promise<FlowResult<SessionHydratedTree>> {
  if (request.since !== undefined) return runTail(sessions, request, request.since)
  const planned = await planSessionTree(sessions, request)
  const result = await readPlanned(sessions, planned, request.signal)
  return isWhole(request) && planned.status !== 'failed' ? withCursor(result, planned.value.cursor) : result
}

/**
 * Reads sessions straight through, without looking up prices first: one session in memory at a time.
 * A session that cannot be read is a failed result, and the stream goes on.
 * @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID
 */
export async function* runSessionFlow(
  sessions: Sessions,
  scope: FlowScope,
  options: FlowOptions = {},
): AsyncGenerator<FlowResult<SessionHydratedTree>> {
  checkScope(scope)
  checkOptions(options)
  const { output = 'sessions', parts, native, signal } = options
  const keys = await sessionsIn(sessions, scope)
  const plans = new PlansAhead(sessions, keys, (session) =>
    planStraight(sessions, { session, ...(parts && { parts }), ...(native && { native }), ...(signal && { signal }) }),
  )
  const turns = turnsOf(sessions.clock, signal)
  for (const at of keys.keys()) {
    // What is here already would be read one after the other, with no turn for anybody else.
    if (turns.isDue()) await turns.take()
    signal?.throwIfAborted()
    const planned = await plannedIn(plans, at)
    if (output === 'sessions') yield await readPlanned(sessions, planned, signal)
    else for (const page of pagesOf(planned)) yield await readPlanned(sessions, page, signal)
  }
}

/** @throws StorageError INVALID_OPTION */
function checkScope(scope: FlowScope): void {
  refuseUnknown(scope, SCOPES, 'the scope')
  const given = Object.values(scope).filter((value) => value !== undefined)
  if (given.length !== 1) throw invalidOption(`the scope must have exactly one of ${SCOPES.join(', ')}`)
  // A session is looked at by who looks it up.
  if ('project' in scope && scope.project !== undefined && typeof scope.project !== 'string')
    throw invalidOption(`project must be a text, not ${told(scope.project)}`)
  if ('all' in scope && scope.all !== undefined && scope.all !== true) throw invalidOption(`all must be true, not ${told(scope.all)}`)
}

const SCOPES = ['session', 'project', 'all']

/** @throws StorageError INVALID_OPTION */
function checkOptions(options: FlowOptions): void {
  refuseUnknown(options, ['output', 'parts', 'native', 'signal'])
  const { output, parts, native, signal } = options
  checkWord('output', output, ['sessions', 'messages'])
  checkParts(parts)
  checkBoolean('native', native)
  checkSignal('signal', signal)
}

/** A session that was removed since the stream began is one that cannot be read. */
async function plannedIn(plans: PlansAhead, at: number): Promise<StageResult<SessionTreePlan>> {
  try {
    return await plans.take(at)
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'NOT_FOUND') throw error
    return fail(error, { stage: 'plan', durationMs: 0, files: 0, rows: 0, bytes: 0, records: 0 })
  }
}

async function sessionsIn(sessions: Sessions, scope: FlowScope): Promise<readonly SessionKey[]> {
  if ('session' in scope && scope.session !== undefined) return [(await sessions.locate(scope.session)).entry.key]
  const metas = 'project' in scope && scope.project !== undefined ? sessions.index.sessionsForProject(scope.project) : sessions.index.sessionsByTime()
  return metas.map((meta) => meta.key)
}

/** The plan in pages; its issues stand with the first. A session without messages is one page. */
function* pagesOf(planned: StageResult<SessionTreePlan>): Generator<StageResult<SessionTreePlan>> {
  if (planned.status === 'failed' || planned.value.messages.length <= PAGE) {
    yield planned
    return
  }
  const plan = planned.value
  for (let at = 0; at < plan.messages.length; at += PAGE) {
    const value = { ...plan, messages: plan.messages.slice(at, at + PAGE) }
    yield at === 0 ? { ...planned, value } : { status: 'ok', value, report: { ...planned.report, durationMs: 0, records: value.messages.length } }
  }
}
