/**
 * Keys: who a record is. Message ids repeat across sessions and agents, so every key carries its whole path.
 *
 * The encoding joins the path with U+0001, which no id may hold and which sorts below every character of an id.
 * So encoded keys sort as their paths do, a parent sorts right before its children,
 * and the children of a parent are one contiguous range.
 */
import { StorageError } from './errors.js'
import { inlinePartId, type MessageId, type PartId, parseMessageId, parsePartId, parseSessionId, type SessionId } from './ids.js'
import { invalidOption, told } from './options.js'

export const AGENTS = Object.freeze(['opencode', 'pi', 'claude', 'codex', 'jcode'] as const)
export type Agent = (typeof AGENTS)[number]

export interface SessionKey {
  readonly kind: 'session'
  readonly agent: Agent
  readonly session: SessionId
}

export interface MessageKey {
  readonly kind: 'message'
  readonly agent: Agent
  readonly session: SessionId
  readonly message: MessageId
}

export interface PartKey {
  readonly kind: 'part'
  readonly agent: Agent
  readonly session: SessionId
  readonly message: MessageId
  readonly part: PartId
}

export type EntityKey = SessionKey | MessageKey | PartKey

/** Stands for the session of a part whose message is nowhere: a part's place names its message alone. */
export const UNKNOWN_SESSION = 'unknown' as SessionId

/** Of ids that were parsed (`parseSessionId`) or read from a store: they are taken as they are. */
export function sessionKey(agent: Agent, session: SessionId): SessionKey {
  return { kind: 'session', agent, session }
}

/** Likewise; the key of a message in `parent`. */
export function messageKey(parent: SessionKey, message: MessageId): MessageKey {
  return { kind: 'message', agent: parent.agent, session: parent.session, message }
}

/** Likewise; the key of a part of `parent` that is a record of its own. */
export function partKey(parent: MessageKey, part: PartId): PartKey {
  return { kind: 'part', agent: parent.agent, session: parent.session, message: parent.message, part }
}

/** The key of a part inside its message's document: the place it stands at is all that names it. */
export function inlinePartKey(parent: MessageKey, at: number): PartKey {
  return partKey(parent, inlinePartId(parent.message, at))
}

/** The session that a key lies in. */
export function sessionOf(key: EntityKey): SessionKey {
  return key.kind === 'session' ? key : sessionKey(key.agent, key.session)
}

const JOINT = '\u0001'
const PAST_CHILDREN = '\u0002'

/** One text per key; equal keys have equal texts, and texts sort as keys do. */
export function encodeKey(key: EntityKey): string {
  const session = key.agent + JOINT + key.session
  switch (key.kind) {
    case 'session':
      return session
    case 'message':
      return session + JOINT + key.message
    case 'part':
      return session + JOINT + key.message + JOINT + key.part
  }
}

/** @throws StorageError INVALID_KEY, INVALID_ID */
export function decodeKey(text: string): EntityKey {
  if (typeof text !== 'string') throw new StorageError('INVALID_KEY', { reason: `${told(text)} is no encoded key` })
  const [agent, session, message, part, ...rest] = text.split(JOINT)
  if (session === undefined || rest.length > 0 || !isAgent(agent)) {
    throw new StorageError('INVALID_KEY', { reason: `${JSON.stringify(text)} is no encoded key` })
  }
  const parent = sessionKey(agent, parseSessionId(session))
  if (message === undefined) return parent
  const owner = messageKey(parent, parseMessageId(message))
  return part === undefined ? owner : partKey(owner, parsePartId(part))
}

export function isAgent(text: unknown): text is Agent {
  return (AGENTS as readonly unknown[]).includes(text)
}

/** An option that takes one agent or a list of them, each once. @throws StorageError INVALID_OPTION */
export function agentsIn(given: unknown): readonly Agent[] {
  const agents = [...new Set<unknown>([given].flat())]
  const stranger = agents.findIndex((agent) => !isAgent(agent))
  if (stranger < 0) return agents as readonly Agent[]
  throw invalidOption(`there is no agent ${told(agents[stranger])}; an agent is one of ${AGENTS.join(', ')}`)
}

/** The half-open range of encoded keys that holds every descendant of `parent` and nothing else. */
export function childRange(parent: SessionKey | MessageKey): { readonly start: string; readonly end: string } {
  const text = encodeKey(parent)
  return { start: text + JOINT, end: text + PAST_CHILDREN }
}
