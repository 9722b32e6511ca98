/**
 * Parts: the twelve kinds of OpenCode's V1 shape (1.0 to 1.18), all with `id`, `sessionID` and `messageID`.
 * A kind from next year, or a known kind whose essential fields are missing, becomes `unknown` with the document kept whole.
 */

import { type Document, isDocument, missingField, type Reading, type Shape } from './documents.js'
import type { MessageId, PartId, SessionId } from './ids.js'
import type { PartKey } from './keys.js'

interface PartIds {
  readonly id: PartId
  readonly sessionID: SessionId
  readonly messageID: MessageId
}

/** Epoch milliseconds; `end` is missing while the block is still written, or for ever when its writer was killed. */
export interface TimeSpan {
  readonly start: number
  readonly end?: number
}

export interface TextPart extends PartIds {
  readonly type: 'text'
  readonly text: string
  readonly synthetic?: boolean
  readonly ignored?: boolean
  readonly time?: TimeSpan
  readonly metadata?: Document
}

export interface ReasoningPart extends PartIds {
  readonly type: 'reasoning'
  readonly text: string
  readonly time?: TimeSpan
  readonly metadata?: Document
}

/** pending -> running (rewritten in place) -> completed | error. `time.compacted` is set later, when pruning hides the output. */
export type ToolState =
  | { readonly status: 'pending'; readonly input?: unknown; readonly raw?: string }
  | { readonly status: 'running'; readonly input?: unknown; readonly title?: string; readonly metadata?: Document; readonly time?: TimeSpan }
  | {
      readonly status: 'completed'
      readonly input?: unknown
      readonly output: string
      readonly title?: string
      readonly metadata?: Document
      readonly time?: TimeSpan & { readonly compacted?: number }
      readonly attachments?: readonly Document[]
    }
  | {
      readonly status: 'error'
      readonly input?: unknown
      readonly error: string
      /** Era D: the error as it is stored, with its type. */
      readonly cause?: Document
      readonly metadata?: Document
      readonly time?: TimeSpan
      readonly attachments?: readonly Document[]
    }

export interface ToolPart extends PartIds {
  readonly type: 'tool'
  readonly tool: string
  readonly callID?: string
  readonly state: ToolState
  readonly metadata?: Document
  /** Era D: the provider ran the tool itself, and what it wants to see again. */
  readonly executed?: boolean
  readonly providerResultState?: Document
  /** Era D, epoch milliseconds: asked for, begun, ended, output hidden. */
  readonly time?: { readonly created: number; readonly ran?: number; readonly completed?: number; readonly pruned?: number }
}

export interface FilePart extends PartIds {
  readonly type: 'file'
  readonly mime: string
  /** A `data:` URL with the whole content, or a `file:` URL. */
  readonly url: string
  readonly filename?: string
  /** Era D. */
  readonly description?: string
  readonly source?: Document
}

export interface StepStartPart extends PartIds {
  readonly type: 'step-start'
  readonly snapshot?: string
}

export interface StepFinishPart extends PartIds {
  readonly type: 'step-finish'
  readonly reason?: string
  readonly snapshot?: string
  /** USD. */
  readonly cost?: number
  readonly tokens?: Tokens
}

export interface SnapshotPart extends PartIds {
  readonly type: 'snapshot'
  readonly snapshot: string
}

export interface PatchPart extends PartIds {
  readonly type: 'patch'
  readonly hash: string
  readonly files: readonly string[]
}

export interface AgentPart extends PartIds {
  readonly type: 'agent'
  readonly name: string
  readonly source?: Document
}

export interface SubtaskPart extends PartIds {
  readonly type: 'subtask'
  readonly prompt: string
  readonly description?: string
  readonly agent?: string
  readonly model?: Document
  readonly command?: string
}

export interface RetryPart extends PartIds {
  readonly type: 'retry'
  readonly attempt: number
  readonly error?: Document
  readonly time?: { readonly created: number }
}

export interface CompactionPart extends PartIds {
  readonly type: 'compaction'
  readonly auto?: boolean
  readonly overflow?: boolean
  readonly tail_start_id?: string
}

export interface UnknownPart extends PartIds {
  readonly type: 'unknown'
  /** The document as it stands in the store, ids attached. */
  readonly raw: Document
}

export type KnownPart =
  | TextPart
  | ReasoningPart
  | ToolPart
  | FilePart
  | StepStartPart
  | StepFinishPart
  | SnapshotPart
  | PatchPart
  | AgentPart
  | SubtaskPart
  | RetryPart
  | CompactionPart

export type Part = KnownPart | UnknownPart
export type PartKind = Part['type']

/** Token counts of one step; `input` excludes what was read from the cache. */
export interface Tokens {
  readonly total?: number
  readonly input: number
  readonly output: number
  readonly reasoning: number
  readonly cache: { readonly read: number; readonly write: number }
}

const KINDS: ReadonlyMap<string, Shape> = new Map<KnownPart['type'], Shape>([
  ['text', { text: 'string' }],
  ['reasoning', { text: 'string' }],
  ['tool', { tool: 'string', state: 'object' }],
  ['file', { mime: 'string', url: 'string' }],
  ['step-start', {}],
  ['step-finish', {}],
  ['snapshot', { snapshot: 'string' }],
  ['patch', { hash: 'string', files: 'array' }],
  ['agent', { name: 'string' }],
  ['subtask', { prompt: 'string' }],
  ['retry', { attempt: 'number' }],
  ['compaction', {}],
])

const STATES: ReadonlyMap<unknown, Shape> = new Map<ToolState['status'], Shape>([
  ['pending', {}],
  ['running', {}],
  ['completed', { output: 'string' }],
  ['error', { error: 'string' }],
])

export const PART_KINDS: readonly PartKind[] = [...(KINDS.keys() as Iterable<KnownPart['type']>), 'unknown']

/** Types a parsed document as a part. The document becomes the part: its ids are set from the key, which is who it is. */
export function toPart(document: unknown, key: PartKey): Reading<Part> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  if (typeof document.type !== 'string') return { damage: 'the part has no type' }
  document.id = key.part
  document.sessionID = key.session
  document.messageID = key.message
  const odd = oddity(document)
  if (odd === undefined) return { record: document as unknown as KnownPart }
  const part: UnknownPart = { type: 'unknown', id: key.part, sessionID: key.session, messageID: key.message, raw: document }
  return odd === '' ? { record: part } : { record: part, odd }
}

/** undefined: a known part; '': a kind that is not known; else: what is wrong with a known kind. */
function oddity(document: Document): string | undefined {
  const kind = document.type as string
  const fields = KINDS.get(kind)
  if (fields === undefined) return ''
  const missing = missingField(document, fields)
  if (missing !== undefined) return `a ${kind} part without its ${missing}`
  return kind === 'tool' ? stateOddity(document.state as Document) : undefined
}

function stateOddity(state: Document): string | undefined {
  const fields = STATES.get(state.status)
  if (fields === undefined) return `a tool part in the unknown state ${JSON.stringify(state.status)}`
  const missing = missingField(state, fields)
  return missing === undefined ? undefined : `a ${state.status} tool part without its ${missing}`
}
