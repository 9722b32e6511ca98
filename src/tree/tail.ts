/**
 * What is new in a session since a cursor, and the next cursor. Of a log: what was appended, read from where the last reading ended.
 * Of OpenCode's stores: the messages whose signature is not the one that the cursor holds.
 */
import { StorageError } from '../core/errors.js'
import { isSafeId, parseMessageId } from '../core/ids.js'
import { messageKey } from '../core/keys.js'
import { issuesOf, type StageIssue, type StageReport } from '../core/stage.js'
import { isLogKind } from '../storage/agent-places.js'
import { type Cursor, isCursor, type LogCursor, type SignatureCursor } from '../storage/cursor.js'
import type { MergedSession } from '../storage/merged.js'
import { Slab } from '../storage/slab.js'
import type { Leaf, LogTail, TailMessage } from '../storage/store.js'
import { checkRequest } from './check-request.js'
import { hydrateSessionTree } from './hydrate.js'
import { planSessionTree, signatureOf, UNREAD } from './plan.js'
import { readPlanned } from './read-planned.js'
import type { Sessions } from './sessions/sessions.js'
import type { FlowResult, MessageRefNode, SessionHydratedTree, SessionRefTree, TreeRequest } from './types.js'
import { lookAgain } from './watch/told.js'

/** @throws StorageError INVALID_OPTION (a window, `known`, or a cursor of another session beside `since`), NOT_FOUND, AMBIGUOUS_ID */
export async function runTail(sessions: Sessions, request: TreeRequest, since: Cursor): Promise<FlowResult<SessionHydratedTree>> {
  checkRequest(request)
  const { messages, known } = request
  if (messages !== undefined || known !== undefined) {
    throw new StorageError('INVALID_OPTION', { reason: 'since goes with neither messages nor known: a cursor says itself what is new' })
  }
  const session = await sessions.locate(request.session)
  checkCursor(since, session)
  if (since.kind === 'signatures') return tailOfStore(sessions, session, request, since)
  const result = await tailOfLog(sessions, session, request, since)
  // A file that is not where it was listed: the listing is older than what happened to the log.
  if (result.status === 'failed' || !unreadIn(result).some(({ transient }) => transient === true)) return result
  await lookAgain(sessions, request.signal && { signal: request.signal })
  return tailOfLog(sessions, await sessions.locate(request.session), request, since)
}

/** A cursor may have been kept in a file, or be of a session that moved to another store. */
function checkCursor(since: Cursor, { entry, store }: MergedSession): void {
  if (!isCursor(since)) throw new StorageError('INVALID_OPTION', { reason: 'since is no cursor', key: entry.key.session })
  const { kind, session } = since
  if (since.kind === 'signatures' && Object.entries(since.signatures).some(([id, signature]) => !isSafeId(id) || typeof signature !== 'string'))
    throw new StorageError('INVALID_OPTION', { reason: 'since is no cursor', key: entry.key.session })
  const expected = store.tail === undefined ? 'signatures' : 'log'
  if (kind === expected && session === entry.key.session) return
  const what = session === entry.key.session ? `a cursor of the kind ${JSON.stringify(kind)}` : `a cursor of the session ${JSON.stringify(session)}`
  throw new StorageError('INVALID_OPTION', { reason: `since is ${what}; read the session without it to get one`, key: entry.key.session })
}

async function tailOfStore(
  sessions: Sessions,
  session: MergedSession,
  request: TreeRequest,
  { signatures }: SignatureCursor,
): Promise<FlowResult<SessionHydratedTree>> {
  const { since: _, ...rest } = request
  const known: TreeRequest['known'] = ({ message }) => (Object.hasOwn(signatures, message) ? signatures[message] : undefined)
  const planned = await planSessionTree(sessions, { ...rest, known })
  const result = await readPlanned(sessions, planned, request.signal)
  if (result.status === 'failed') return result
  const now = await listedNow(sessions, session, [...Object.keys(signatures), ...result.value.messages.map(({ key }) => key.message)], request.signal)
  // What went after it was planned is in the next cursor no more: it must not be given either.
  const read = { ...result, value: { ...result.value, messages: result.value.messages.filter(({ key }) => now.has(key.message)) } }
  const kept = Object.entries(signatures).filter(([id]) => now.has(id))
  const removed = Object.keys(signatures).flatMap((id) => (now.has(id) ? [] : [messageKey(session.entry.key, parseMessageId(id)).message]))
  return { ...read, cursor: signatureCursor(read, new Map(kept)), ...(removed.length > 0 && { removed }) }
}

/** Those of the messages that are there. A listing that is not complete says nothing of what is absent from it, nor does one without its session's record. */
async function listedNow(
  sessions: Sessions,
  session: MergedSession,
  messages: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const { entries, issues } = await sessions.listMessages(session, { signal })
  const listed = new Set<string>(entries.map(({ id }) => id))
  if (issues.length === 0 && messages.every((id) => listed.has(id))) return listed
  // Of a tree of files that is moved away, or not mounted, every folder is as good as empty.
  const [record] = issues.length > 0 ? [] : await session.store.price([{ kind: 'session', key: session.entry.key }])
  return record === undefined ? new Set([...listed, ...messages]) : listed
}

/** A message that could not be read for the moment gets a signature that no reading has, so that the next one asks for it again. */
function signatureCursor(result: Exclude<FlowResult<SessionHydratedTree>, { status: 'failed' }>, held: ReadonlyMap<string, string>): SignatureCursor {
  const { value } = result
  const unread = unreadIn(result)
  const signatures = new Map(held)
  for (const { key, signature } of value.messages) if (signature !== undefined) signatures.set(key.message, signature)
  for (const { key } of unread) if (key !== undefined && key.kind !== 'session' && signatures.has(key.message)) signatures.set(key.message, UNREAD)
  return { kind: 'signatures', session: value.key.session, signatures: Object.fromEntries(signatures) }
}

/** The result of a whole reading with the place where it ended. `log`: where the log ended when it was planned. */
export function withCursor(result: FlowResult<SessionHydratedTree>, log: LogCursor | undefined): FlowResult<SessionHydratedTree> {
  if (result.status === 'failed') return result
  if (log !== undefined) return unreadIn(result).length > 0 ? result : { ...result, cursor: log }
  // A log that cannot be read to its end has none.
  return isLogKind(result.value.source.kind) ? result : { ...result, cursor: signatureCursor(result, new Map()) }
}

/** What could not be read this time. A line that is too long never can. */
function unreadIn(result: FlowResult<SessionHydratedTree>): readonly StageIssue[] {
  if (result.status !== 'partial') return []
  return result.issues.filter(({ code, transient, line }) => transient === true || (code === 'UNREADABLE_RECORD' && line === undefined))
}

async function tailOfLog(
  sessions: Sessions,
  session: MergedSession,
  request: TreeRequest,
  since: LogCursor,
): Promise<FlowResult<SessionHydratedTree>> {
  const { entry, store } = session
  const { signal, native, deep = false } = request
  const started = sessions.clock.monotonic()
  using slab = new Slab(sessions.slabs)
  let tail: LogTail | undefined
  let own: Leaf | undefined
  try {
    tail = await store.tail?.(entry.key, since, slab, { signal, native, deep, most: request.limit?.bytes })
    own = (await store.open([{ kind: 'session', key: entry.key }], slab, { signal, native }))[0]
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { status: 'failed', stage: error.code === 'PLAN_TOO_LARGE' ? 'plan' : 'resolve', error, reports: [] }
  }
  if (tail === undefined || own === undefined)
    throw new StorageError('NOT_FOUND', { reason: 'the session was removed while it was read', key: entry.key.session })
  const refs: SessionRefTree = {
    key: entry.key,
    project: entry.project,
    format: store.format,
    source: { kind: store.kind, path: store.path },
    session: { key: entry.key, leaf: own },
    messages: tail.messages.map((message) => refNode(message, session)),
    kinds: request.parts?.kinds,
    ...(native === true && { native }),
    [Symbol.dispose]: () => slab[Symbol.dispose](),
  }
  const unopened = refs.messages.flatMap(({ leaf, parts }) => [leaf, ...parts.map((part) => part.leaf)].flatMap(({ issue }) => issue ?? []))
  const hydrated = hydrateSessionTree(refs)
  const reports = [resolveReport(refs, sessions.clock.monotonic() - started), hydrated.report]
  if (hydrated.status === 'failed') return { status: 'failed', stage: 'hydrate', error: hydrated.error, reports }
  const [first, ...rest] = [...tail.issues, ...unopened, ...issuesOf(hydrated)]
  const { value } = hydrated
  const result =
    first === undefined
      ? { status: 'ok' as const, value, reports }
      : { status: 'partial' as const, value, issues: [first, ...rest] as const, reports }
  const reread = tail.reread ?? (deep ? 'a deep reading was asked for' : undefined)
  return {
    ...result,
    ...(tail.cursor !== undefined && unreadIn(result).length === 0 && { cursor: tail.cursor }),
    ...(reread !== undefined && { reread }),
  }
}

function refNode({ entry, leaf, lines, generations, changed }: TailMessage, session: MergedSession): MessageRefNode {
  const [own, ...further] = generations
  const parts = lines.map(({ key }, at) => ({ part: key.part, generation: further[at] }))
  return {
    key: messageKey(session.entry.key, entry.id),
    created: entry.created,
    order: entry.order,
    log: entry.log,
    signature: own && signatureOf(own, parts, entry.log?.leaf),
    changed,
    leaf,
    parts: lines,
  }
}

function resolveReport({ messages }: SessionRefTree, durationMs: number): StageReport {
  const leaves = messages.flatMap(({ leaf, parts }) => [leaf, ...parts.map((part) => part.leaf)])
  const spans = leaves.flatMap(({ span }) => span ?? [])
  return {
    stage: 'resolve',
    durationMs,
    files: new Set(spans.map(({ source }) => source.path)).size,
    rows: 0,
    bytes: spans.reduce((sum, { length }) => sum + length, 0),
    records: spans.length,
  }
}
