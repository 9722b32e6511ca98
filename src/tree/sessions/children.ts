/** The sessions that a session started: by what they say, and by what its tools say. Either may be lost. */
import { type Document, isDocument } from '../../core/documents.js'
import { isSafeId, parseSessionId, type SessionId } from '../../core/ids.js'
import { type PartKey, partKey, type SessionKey, sessionKey } from '../../core/keys.js'
import type { Part, ToolPart } from '../../core/parts.js'
import { earlySessionsOf } from '../catalog/early.js'
import type { LookOptions } from '../catalog/look-alone.js'
import type { MessageNode, SessionHydratedTree, SessionMeta } from '../types.js'
import { lookAgain } from '../watch/told.js'
import { byAge } from './session-order.js'
import type { Sessions } from './sessions.js'

export interface ChildLink {
  readonly session: SessionId
  /** 'parent': the child's record names this session. 'tool': a tool of this session names the child. */
  readonly by: 'parent' | 'tool' | 'both'
  /** The first tool part that names it. */
  readonly part?: PartKey
  /** No store holds the session any more. */
  readonly missing: boolean
}

/**
 * Each child once: those that name this session, oldest first, then those that only a tool names, in the order of the tools.
 * A session that names another parent, which exists, is that one's: a fork holds copies of the tools of its origin.
 * Of a tree with a window of messages, or without tool parts, the tools in it are asked.
 * While the sessions are stale it goes by what was listed before; `findChildLinks` looks.
 */
export function childLinks({ index }: Sessions, tree: Tree): readonly ChildLink[] {
  const { key, messages } = tree
  const family = { children: index.children(key), find: (id: SessionId) => index.session(sessionKey(key.agent, id)) }
  return linksTo(key, namedByTools(key, messages), family)
}

/**
 * As `childLinks`, of the sessions as they are now: while they are stale the family is looked at alone, or everything is listed. That a session
 * which was listed before has another parent than it had is seen by a listing: no agent moves one.
 */
export async function findChildLinks(sessions: Sessions, tree: Tree): Promise<readonly ChildLink[]> {
  const { key, messages } = tree
  const named = namedByTools(key, messages)
  const early = earlySessionsOf(sessions)
  const look = async (ids: Iterable<SessionId>, options?: LookOptions) => (await early?.look(key.agent, [...new Set(ids)], options)) ?? undefined
  const near = await look([...sessions.index.children(key).map(({ id }) => id), ...named.keys()], { news: true })
  const parents = near && (await look(near.flatMap(({ parent }) => (parent === undefined || parent === key.session ? [] : parent))))
  if (near === undefined || parents === undefined) {
    if (sessions.stale) await lookAgain(sessions)
    return childLinks(sessions, tree)
  }
  const found = new Map([...parents, ...near].map((meta) => [meta.id, meta]))
  const children = near.filter(({ parent }) => parent === key.session).sort(byAge)
  return linksTo(key, named, { children, find: (id) => found.get(id) })
}

type Tree = Pick<SessionHydratedTree, 'key' | 'messages'>

interface Family {
  /** The oldest first. */
  readonly children: readonly SessionMeta[]
  find(id: SessionId): SessionMeta | undefined
}

function linksTo({ session }: SessionKey, named: ReadonlyMap<SessionId, PartKey>, { children, find }: Family): readonly ChildLink[] {
  const links: ChildLink[] = []
  for (const { id } of children) {
    const part = named.get(id)
    if (id !== session) links.push({ session: id, by: part === undefined ? 'parent' : 'both', ...(part && { part }), missing: false })
  }
  const own = new Set(children.map(({ id }) => id))
  for (const [id, part] of named) {
    const child = find(id)
    const isOthers = child?.parent !== undefined && find(child.parent) !== undefined
    if (!own.has(id) && !isOthers) links.push({ session: id, by: 'tool', part, missing: child === undefined })
  }
  return links
}

/** Each session that a tool names, with the first part that does. */
function namedByTools(session: SessionKey, messages: readonly MessageNode[]): Map<SessionId, PartKey> {
  const named = new Map<SessionId, PartKey>()
  for (const { key, parts } of messages) {
    for (const part of parts) {
      const id = startedBy(part)
      if (id !== undefined && id !== session.session && !named.has(id)) named.set(id, partKey(key, part.id))
    }
  }
  return named
}

/** `task` is V1's tool, `subagent` that of OpenCode 2. */
const TOOLS: readonly unknown[] = ['task', 'subagent']
/** How the output of V1's tool begins. */
const OUTPUT = /^(?:task_id: (\S+)|<task id="([^"]+)")/

/** The session that a tool part started, where it says so. */
function startedBy(part: Part): SessionId | undefined {
  if (part.type !== 'tool' || !TOOLS.includes(part.tool)) return undefined
  const { sessionId, sessionID } = metadataOf(part)
  const [, older, newer] = OUTPUT.exec(part.state.status === 'completed' ? part.state.output : '') ?? []
  const id = [sessionId, sessionID, older, newer].find(isSafeId)
  return id === undefined ? undefined : parseSessionId(id)
}

function metadataOf({ state }: ToolPart): Document {
  return state.status !== 'pending' && isDocument(state.metadata) ? state.metadata : {}
}
