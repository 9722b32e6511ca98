/** For people who just want data: whole records, no spans, no stages. Damage is in `issues`, never thrown. */

import type { Reading } from '../core/documents.js'
import type { ErrorCode } from '../core/errors.js'
import { StorageError } from '../core/errors.js'
import type { MessageId, SessionId } from '../core/ids.js'
import { type MessageKey, messageKey, type SessionKey, sessionKey } from '../core/keys.js'
import type { Part } from '../core/parts.js'
import { type FileDiff, type Message, type SessionRecord, type TodoItem, toDiffs, toTodos } from '../core/records.js'
import type { StageIssue } from '../core/stage.js'
import { parseSpan, type Span } from '../storage/span.js'
import { runSessionTreeFlow } from './flow.js'
import { readDiffSpan, readTodoSpan } from './read-span.js'
import { childLinks } from './sessions/children.js'
import type { Sessions } from './sessions/sessions.js'
import type { FlowResult, MessageMeta, SessionHydratedTree, SessionMeta, TreeRequest } from './types.js'

/** A session by its key, or by its id where one agent alone has that. */
export type SessionRef = SessionKey | SessionId

export interface LoadedSession {
  readonly meta: SessionMeta
  /** Undefined when the session's own record is damaged. */
  readonly session: SessionRecord | undefined
  readonly issues: readonly StageIssue[]
}

export interface MessageWithParts {
  readonly key: MessageKey
  /** Undefined when the message's own record is damaged. */
  readonly message: Message | undefined
  readonly parts: readonly Part[]
}

/** A session with its messages, and the sessions it started, as far as they exist. */
export interface SessionTree {
  readonly meta: SessionMeta
  readonly session: SessionRecord | undefined
  readonly messages: readonly MessageWithParts[]
  readonly children: readonly SessionTree[]
  readonly issues: readonly StageIssue[]
}

/** Every session, the last updated first. */
export function listSessions(sessions: Sessions): readonly SessionMeta[] {
  return sessions.index.sessionsByTime()
}

/**
 * Every message, its id and time, by (time created, id) or in the order that the store keeps; opens none of them where the store can tell without.
 * @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID, and what the store throws
 */
export async function listMessages(sessions: Sessions, session: SessionRef): Promise<readonly MessageMeta[]> {
  return sessions.index.messages((await sessions.locate(session)).entry.key)
}

/** The session's own record; opens none of its messages. @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID, and what the store throws */
export async function loadSession(sessions: Sessions, session: SessionRef): Promise<LoadedSession> {
  const { tree, issues } = await load(sessions, { session, messages: { last: 0 } })
  return { meta: await metaOf(sessions, tree.key), session: tree.session, issues }
}

/**
 * Messages with their parts, by (time created, id), or in the order that the store keeps; `window` as in `TreeRequest`. A damaged part is
 * missing from its message, and of a damaged message the record is.
 * @throws StorageError INVALID_OPTION, NOT_FOUND, AMBIGUOUS_ID, and what the store throws
 */
export async function loadMessages(sessions: Sessions, session: SessionRef, window?: TreeRequest['messages']): Promise<readonly MessageWithParts[]> {
  const { tree } = await load(sessions, { session, ...(window !== undefined && { messages: window }) })
  return tree.messages
}

/** One message with its parts. @throws StorageError INVALID_OPTION, NOT_FOUND (also of the message), AMBIGUOUS_ID, STALE_SPAN, and what the store throws */
export async function loadMessageWithParts(sessions: Sessions, session: SessionRef, message: MessageId): Promise<MessageWithParts> {
  const { entry } = await sessions.locate(session)
  const before = await sessions.index.message(messageKey(entry.key, message))
  if (before === undefined) throw new StorageError('NOT_FOUND', { reason: `the session has no message ${JSON.stringify(message)}`, key: message })
  const { tree } = await load(sessions, { session: entry.key, messages: await windowOf(sessions, entry.key, message) })
  const [found] = tree.messages
  if (found === undefined) throw new StorageError('STALE_SPAN', { reason: 'the message was removed while it was read', key: message })
  return found
}

/**
 * The parts of a message, in their order, those inside its document among them; without those that are damaged.
 * @throws StorageError as `loadMessageWithParts`
 */
export async function loadParts(sessions: Sessions, session: SessionRef, message: MessageId): Promise<readonly Part[]> {
  return (await loadMessageWithParts(sessions, session, message)).parts
}

/** The session, its messages, and its child sessions (see `childLinks`), all the way down. @throws StorageError as `loadMessages` */
export async function loadSessionTree(sessions: Sessions, session: SessionRef): Promise<SessionTree> {
  return loadTree(sessions, session, new Set())
}

/** Links are data: they may run in circles, and two sessions may name one child. Each session is entered once. */
async function loadTree(sessions: Sessions, session: SessionRef, entered: Set<string>): Promise<SessionTree> {
  const { tree, issues } = await load(sessions, { session })
  entered.add(tree.key.session)
  const children: SessionTree[] = []
  for (const { session: child, missing } of childLinks(sessions, tree)) {
    if (!missing && !entered.has(child)) children.push(await loadTree(sessions, sessionKey(tree.key.agent, child), entered))
  }
  return { meta: await metaOf(sessions, tree.key), session: tree.session, messages: tree.messages, children, issues }
}

/** The todo list of a session, of a hidden copy where the shown one has none; empty when none has. @throws StorageError CORRUPT_RECORD */
export async function loadTodos(sessions: Sessions, session: SessionRef): Promise<readonly TodoItem[]> {
  return loadList(sessions, session, readTodoSpan, toTodos)
}

/** The file diffs of a session, of a hidden copy where the shown one has none; empty when no version kept them as a file. @throws StorageError CORRUPT_RECORD */
export async function loadDiffs(sessions: Sessions, session: SessionRef): Promise<readonly FileDiff[]> {
  return loadList(sessions, session, readDiffSpan, toDiffs)
}

async function loadList<T>(
  sessions: Sessions,
  session: SessionRef,
  open: (sessions: Sessions, key: SessionKey) => Promise<Span>,
  type: (document: unknown) => Reading<readonly T[]>,
): Promise<readonly T[]> {
  const { entry } = await sessions.locate(session)
  try {
    using span = await open(sessions, entry.key)
    const reading = type(parseSpan(span))
    if ('record' in reading) return reading.record
    throw new StorageError('CORRUPT_RECORD', { reason: reading.damage, path: span.source.path, key: entry.key.session })
  } catch (error) {
    if (error instanceof StorageError && error.code === ('NOT_FOUND' satisfies ErrorCode)) return []
    throw error
  }
}

/** A window of the one message: everything after the message before it, up to it. */
async function windowOf(sessions: Sessions, key: SessionKey, message: MessageId): Promise<NonNullable<TreeRequest['messages']>> {
  const all = await sessions.index.messages(key)
  const at = all.findIndex(({ id }) => id === message)
  const [previous, next] = [all[at - 1], all[at + 1]]
  return { ...(previous && { after: previous.id }), ...(next && { before: next.id }) }
}

async function load(
  sessions: Sessions,
  request: TreeRequest,
): Promise<{ readonly tree: SessionHydratedTree; readonly issues: readonly StageIssue[] }> {
  const result: FlowResult<SessionHydratedTree> = await runSessionTreeFlow(sessions, request)
  if (result.status === 'failed') throw result.error
  return { tree: result.value, issues: result.status === 'partial' ? result.issues : [] }
}

async function metaOf(sessions: Sessions, key: SessionKey): Promise<SessionMeta> {
  const meta = sessions.index.session(key)
  if (meta === undefined) throw new StorageError('NOT_FOUND', { reason: 'the session was removed while it was read', key: key.session })
  return meta
}
