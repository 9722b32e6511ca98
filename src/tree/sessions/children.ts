/** The sessions that a session started: by what they say, and by what its tools say. Either may be lost. */
import { type Document, isDocument } from '../../core/documents.js'
import { isSafeId, parseSessionId, type SessionId } from '../../core/ids.js'
import { type PartKey, partKey, type SessionKey, sessionKey } from '../../core/keys.js'
import type { Part, ToolPart } from '../../core/parts.js'
import type { MessageNode, SessionHydratedTree } from '../types.js'
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
 */
export function childLinks(sessions: Sessions, { key, messages }: Pick<SessionHydratedTree, 'key' | 'messages'>): readonly ChildLink[] {
  const named = namedByTools(key, messages)
  const links: ChildLink[] = []
  for (const { id } of sessions.index.children(key)) {
    const part = named.get(id)
    named.delete(id)
    if (id !== key.session) links.push({ session: id, by: part === undefined ? 'parent' : 'both', ...(part && { part }), missing: false })
  }
  for (const [session, part] of named) {
    const child = sessions.index.session(sessionKey(key.agent, session))
    const isOthers = child?.parent !== undefined && sessions.index.session(sessionKey(key.agent, child.parent)) !== undefined
    if (!isOthers) links.push({ session, by: 'tool', part, missing: child === undefined })
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
