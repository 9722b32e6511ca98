/**
 * Sessions, messages, projects, todos and file diffs, in OpenCode's V1 shape; what only some versions write is optional.
 * Fields marked "era D" are OpenCode 2's own, which V1 has no place for; `docs/formats.md` has the whole mapping.
 */
import { type Document, isDocument, missingField, type Reading } from './documents.js'
import { type Field, keepFitting, keptItems, markOdd, type OddFields, tellOdd } from './fields.js'
import { isSafeId, type MessageId, type PartId, type ProjectId, type SessionId } from './ids.js'
import type { MessageKey, SessionKey } from './keys.js'
import type { Part, Tokens } from './parts.js'
import { ASSISTANT_FIELDS, DIFF_ITEM, PROJECT_FIELDS, SESSION_FIELDS, SESSION_TIME_FIELDS, TODO_ITEM, USER_FIELDS } from './record-fields.js'

export interface SessionRecord extends OddFields {
  readonly id: SessionId
  /** Since 1.1. */
  readonly slug?: string
  /** 'global' for folders outside git. */
  readonly projectID: ProjectId
  readonly workspaceID?: string
  /** The folder the session ran in, as that process saw it; may be ''. */
  readonly directory: string
  /** The folder relative to the worktree, since 1.14. */
  readonly path?: string
  readonly parentID?: SessionId
  /** Era D: the session that this one is a copy of, up to `forkBoundary`; its cost and tokens are not counted again here. */
  readonly forkSessionID?: SessionId
  readonly forkBoundary?: string
  /** Before 2.0, in `opencode-next.db`: the message that the copy ends at. */
  readonly forkMessageID?: MessageId
  /** '' where OpenCode 2 has not named the session yet. */
  readonly title: string
  /** The OpenCode version that created the session. */
  readonly version: string
  readonly summary?: { readonly additions?: number; readonly deletions?: number; readonly files?: number; readonly diffs?: readonly FileDiff[] }
  readonly share?: { readonly url: string }
  /** USD, a running sum; 0 or missing in imported sessions and before 1.15. */
  readonly cost?: number
  readonly tokens?: Tokens
  readonly agent?: string
  readonly model?: { readonly id: string; readonly providerID: string; readonly variant?: string }
  readonly metadata?: Document
  readonly permission?: readonly Document[]
  /** While set, messages from `messageID` on are hidden in OpenCode, yet still present. */
  readonly revert?: { readonly messageID: MessageId; readonly partID?: PartId; readonly snapshot?: string; readonly diff?: string }
  /** Era D: how the last turn ended: succeeded, failed, interrupted. */
  readonly idleOutcome?: string
  /** Era D. */
  readonly resumeAttempts?: number
  /** Of a log, as the three below: its lines that are not blank. */
  readonly entries?: number
  /** A mark that somebody gave. */
  readonly label?: string
  readonly tag?: string
  /** The beginning of what was asked first, where the title is not all of it. */
  readonly prompt?: string
  readonly time: SessionTime
}

/** Epoch milliseconds. */
export interface SessionTime {
  readonly created: number
  readonly updated: number
  readonly compacting?: number
  readonly archived?: number
  /** Era D, as the two below: the end of the last turn. */
  readonly idle?: number
  readonly viewed?: number
  readonly suspended?: number
}

export interface UserMessage extends OddFields {
  readonly role: 'user'
  readonly id: MessageId
  readonly sessionID: SessionId
  readonly time: { readonly created: number }
  /** Missing up to 1.0.65. */
  readonly agent?: string
  readonly model?: { readonly providerID: string; readonly modelID: string; readonly variant?: string }
  readonly summary?: { readonly title?: string; readonly body?: string; readonly diffs?: readonly FileDiff[] }
  readonly format?: unknown
  readonly system?: string
  readonly tools?: Readonly<Record<string, boolean>>
  /** Era D: what stands for a user message here: user, synthetic, system or skill. */
  readonly type?: string
  /** Era D, as all below. `description` is the short form of a synthetic or system text. */
  readonly description?: string
  /** The id and the name of the skill that the text comes from. */
  readonly skill?: string
  readonly name?: string
  readonly skills?: unknown
  readonly metadata?: Document
}

/** One step of the model; a turn that calls tools yields several, which share one `parentID`. */
export interface AssistantMessage extends OddFields {
  readonly role: 'assistant'
  readonly id: MessageId
  readonly sessionID: SessionId
  /** The user message that is answered; missing up to 1.0.65. */
  readonly parentID?: MessageId
  readonly modelID?: string
  readonly providerID?: string
  /** The older name of `agent`. */
  readonly mode?: string
  readonly agent?: string
  readonly path?: { readonly cwd: string; readonly root: string }
  readonly cost?: number
  readonly tokens?: Tokens
  /** True on the summary that a compaction writes. */
  readonly summary?: boolean
  readonly finish?: string
  readonly error?: { readonly name: string; readonly data?: Document }
  readonly structured?: unknown
  readonly variant?: string
  readonly system?: readonly string[]
  /**
   * Epoch milliseconds; without `completed` and `error` the message is still written, or its writer was killed.
   * `streamed` (era D) is when the model's answer ended, before its tools did.
   */
  readonly time: { readonly created: number; readonly completed?: number; readonly streamed?: number }
  /** Era D: what stands for an assistant message here: assistant, shell or compaction. */
  readonly type?: string
  /** Era D, as all below. */
  readonly rawFinish?: string
  readonly snapshot?: { readonly start?: string; readonly end?: string; readonly files?: readonly string[] }
  readonly retry?: Document
  readonly providerState?: Document
  readonly metadata?: Document
  /** Of a compaction: running, completed or failed; auto or manual; the messages that it kept, as text. */
  readonly status?: string
  readonly reason?: string
  readonly recent?: string
  readonly providerContext?: unknown
}

export interface UnknownMessage {
  readonly role: 'unknown'
  readonly id: MessageId
  readonly sessionID: SessionId
  readonly raw: Document
}

export type Message = UserMessage | AssistantMessage | UnknownMessage

/** A message with the parts that its own document holds; none where parts are documents of their own. */
export interface MessageReading {
  readonly message: Message
  readonly parts: readonly Part[]
}

export interface ProjectRecord extends OddFields {
  readonly id: ProjectId
  readonly worktree: string
  readonly vcs?: string
  readonly name?: string
  readonly icon?: Document
  readonly commands?: Document
  readonly sandboxes?: readonly string[]
  readonly time: { readonly created: number; readonly updated?: number; readonly initialized?: number; readonly active?: number }
}

export interface TodoItem {
  readonly id?: string
  readonly content: string
  readonly status: string
  readonly priority: string
}

/** Up to 1.3 with the whole file before and after, later with a patch. */
export interface FileDiff {
  readonly file?: string
  readonly path?: string
  readonly before?: string
  readonly after?: string
  readonly patch?: string
  readonly additions: number
  readonly deletions: number
  readonly status?: string
}

const MESSAGE_SHAPE = { role: 'string', time: 'object' } as const

/** Types a parsed document as a message; ids are set from the key. */
export function toMessage(document: unknown, key: MessageKey): Reading<Message> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  if (typeof document.role !== 'string') return { damage: 'the message has no role' }
  document.id = key.message
  document.sessionID = key.session
  const known = document.role === 'user' || document.role === 'assistant'
  const missing = missingField(document, MESSAGE_SHAPE) ?? (typeof (document.time as Document).created === 'number' ? undefined : 'time.created')
  if (known && missing === undefined) return knownMessage(document)
  const record: UnknownMessage = { role: 'unknown', id: key.message, sessionID: key.session, raw: document }
  return known ? { record, odd: `a ${document.role} message without its ${missing}` } : { record }
}

/** Of a document with its ids, its role and its time. */
export function knownMessage(document: Document): { readonly record: UserMessage | AssistantMessage; readonly odd?: string } {
  const unfit: Document = {}
  keepFitting(document, document.role === 'user' ? USER_FIELDS : ASSISTANT_FIELDS, unfit)
  const odd = markOdd(document, unfit)
  const record = document as unknown as UserMessage | AssistantMessage
  return odd === undefined ? { record } : { record, odd: `an odd ${record.role} message: ${odd}` }
}

/**
 * Types a parsed document as a session. The path names the session and its project, not the content:
 * files copied from era A carry neither `projectID` nor `directory`, and files move when a project is identified anew.
 */
export function toSession(document: unknown, key: SessionKey, project: string): Reading<SessionRecord> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  const odd: string[] = []
  document.id = key.session
  document.projectID ??= project
  for (const name of ['projectID', 'directory', 'title', 'version']) {
    if (typeof document[name] === 'string') continue
    if (document[name] !== undefined && document[name] !== null) odd.push(`its ${name} is no text`)
    document[name] = ''
  }
  if (document.parentID !== undefined && !isSafeId(document.parentID)) {
    if (document.parentID !== null) odd.push('its parentID is no id')
    delete document.parentID
  }
  const unfit: Document = {}
  if (!typeTimes(document, unfit)) odd.push('its times are no numbers')
  keepFitting(document, SESSION_FIELDS, unfit)
  const others = markOdd(document, unfit)
  if (others !== undefined) odd.push(others)
  const record = document as unknown as SessionRecord
  return odd.length === 0 ? { record } : { record, odd: `an odd session: ${odd.join(', ')}` }
}

/** False where one of the two that every session has was missing. */
function typeTimes(document: Document, unfit: Document): boolean {
  const time = isDocument(document.time) ? document.time : {}
  keepFitting(time, SESSION_TIME_FIELDS, unfit, 'time.')
  const isWhole = Number.isFinite(time.created) && Number.isFinite(time.updated)
  if (isWhole) return true
  const created = Number.isFinite(time.created) ? time.created : 0
  document.time = { ...time, created, updated: Number.isFinite(time.updated) ? time.updated : created }
  return false
}

/** Types a parsed document as a list of todos; a document that is no list is damage, an item that is no object is left out. */
export function toTodos(document: unknown): Reading<readonly TodoItem[]> {
  return Array.isArray(document) ? listed(document, 'todo list', TODO_ITEM) : { damage: 'the todo list is no list' }
}

/** Types a parsed document as the file diffs of a session; likewise. */
export function toDiffs(document: unknown): Reading<readonly FileDiff[]> {
  return Array.isArray(document) ? listed(document, 'diff list', DIFF_ITEM) : { damage: 'the diff list is no list' }
}

function listed<T>(items: readonly unknown[], what: string, item: Field): Reading<readonly T[]> {
  const unfit: Document = {}
  const record = keptItems(items, item, '', unfit) as readonly T[]
  const odd = tellOdd(unfit)
  return odd === undefined ? { record } : { record, odd: `an odd ${what}: ${odd}` }
}

export function toProject(document: unknown, id: ProjectId): Reading<ProjectRecord> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  document.id = id
  const unfit: Document = {}
  keepFitting(document, PROJECT_FIELDS, unfit)
  const odd = markOdd(document, unfit)
  const record = document as unknown as ProjectRecord
  return odd === undefined ? { record } : { record, odd: `an odd project: ${odd}` }
}
