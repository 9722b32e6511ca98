/**
 * Parts: the twelve kinds of OpenCode's V1 shape (1.0 to 1.18), all with `id`, `sessionID` and `messageID`.
 * A kind from next year, or a known kind whose essential fields are missing, becomes `unknown` with the document kept whole.
 */

import { type Document, isDocument, missingField, type Reading, type Shape } from './documents.js'
import {
  document,
  type Field,
  type Fields,
  fieldsOf,
  flag,
  keepFitting,
  list,
  markOdd,
  number,
  type OddFields,
  object,
  text,
  tokens,
} from './fields.js'
import type { MessageId, PartId, SessionId } from './ids.js'
import type { PartKey } from './keys.js'

interface PartIds extends OddFields {
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

/** What a part or a state cannot do without, and its optional fields. */
interface Kind {
  readonly needs: Shape
  readonly fields: Fields
}

function kind(needs: Shape, fields: Readonly<Record<string, Field>> = {}): Kind {
  return { needs, fields: fieldsOf(fields) }
}

const span = object({ start: 'number' }, { end: number })
const callTime = object({ created: 'number' }, { ran: number, completed: number, pruned: number })

const KINDS: ReadonlyMap<string, Kind> = new Map<KnownPart['type'], Kind>([
  ['text', kind({ text: 'string' }, { synthetic: flag, ignored: flag, time: span, metadata: document })],
  ['reasoning', kind({ text: 'string' }, { time: span, metadata: document })],
  [
    'tool',
    kind({ tool: 'string', state: 'object' }, { callID: text, metadata: document, executed: flag, providerResultState: document, time: callTime }),
  ],
  ['file', kind({ mime: 'string', url: 'string' }, { filename: text, description: text, source: document })],
  ['step-start', kind({}, { snapshot: text })],
  ['step-finish', kind({}, { reason: text, snapshot: text, cost: number, tokens })],
  ['snapshot', kind({ snapshot: 'string' })],
  ['patch', kind({ hash: 'string', files: 'array' }, { files: list(text) })],
  ['agent', kind({ name: 'string' }, { source: document })],
  ['subtask', kind({ prompt: 'string' }, { description: text, agent: text, model: document, command: text })],
  ['retry', kind({ attempt: 'number' }, { error: document, time: object({ created: 'number' }) })],
  ['compaction', kind({}, { auto: flag, overflow: flag, tail_start_id: text })],
])

const STATES: ReadonlyMap<unknown, Kind> = new Map<ToolState['status'], Kind>([
  ['pending', kind({}, { raw: text })],
  ['running', kind({}, { title: text, metadata: document, time: span })],
  [
    'completed',
    kind(
      { output: 'string' },
      { title: text, metadata: document, time: object({ start: 'number' }, { end: number, compacted: number }), attachments: list(document) },
    ),
  ],
  ['error', kind({ error: 'string' }, { cause: document, metadata: document, time: span, attachments: list(document) })],
])

export const PART_KINDS: readonly PartKind[] = [...(KINDS.keys() as Iterable<KnownPart['type']>), 'unknown']

/** Types a parsed document as a part. The document becomes the part: its ids are set from the key, which is who it is. */
export function toPart(document: unknown, key: PartKey): Reading<Part> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  if (typeof document.type !== 'string') return { damage: 'the part has no type' }
  document.id = key.part
  document.sessionID = key.session
  document.messageID = key.message
  const known = KINDS.get(document.type)
  const odd = known && oddity(document, known)
  if (known !== undefined && odd === undefined) return knownPart(document, known)
  const part: UnknownPart = { type: 'unknown', id: key.part, sessionID: key.session, messageID: key.message, raw: document }
  return odd === undefined ? { record: part } : { record: part, odd }
}

const NO_FIELDS: Fields = new Map()

function knownPart(document: Document, { fields }: Kind): Reading<KnownPart> {
  const unfit: Document = {}
  keepFitting(document, fields, unfit)
  if (document.type === 'tool') {
    const state = document.state as Document
    keepFitting(state, STATES.get(state.status)?.fields ?? NO_FIELDS, unfit, 'state.')
  }
  const odd = markOdd(document, unfit)
  const record = document as unknown as KnownPart
  return odd === undefined ? { record } : { record, odd: `an odd ${record.type} part: ${odd}` }
}

/** What it lacks of a known kind. */
function oddity(document: Document, { needs }: Kind): string | undefined {
  const missing = missingField(document, needs)
  if (missing !== undefined) return `a ${document.type} part without its ${missing}`
  return document.type === 'tool' ? stateOddity(document.state as Document) : undefined
}

function stateOddity(state: Document): string | undefined {
  const known = STATES.get(state.status)
  if (known === undefined) return `a tool part in the unknown state ${JSON.stringify(state.status)}`
  const missing = missingField(state, known.needs)
  return missing === undefined ? undefined : `a ${state.status} tool part without its ${missing}`
}
