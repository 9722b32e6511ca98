/** Hydrate: spans to typed records. Uses the CPU alone; opens nothing. */

import type { MessageLine } from '../core/agents/message-draft.js'
import type { Reading } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import { FORMATS, type RecordFormat } from '../core/formats.js'
import { compareText } from '../core/ids.js'
import type { EntityKey } from '../core/keys.js'
import type { Part, PartKind } from '../core/parts.js'
import type { Message, MessageReading, SessionRecord } from '../core/records.js'
import { issueOf, type StageIssue, type StageResult, settle } from '../core/stage.js'
import { parseAnew, parseSpan, type Span } from '../storage/span.js'
import type { Leaf } from '../storage/store.js'
import { unsettledSignature } from './plan.js'
import { isFinished } from './settled.js'
import type { MessageNode, MessageRefNode, NativeMessage, PartRefNode, SessionHydratedTree, SessionRefTree } from './types.js'

/**
 * Damaged records are issues, and everything else is in the tree: a damaged part is missing from its message,
 * a damaged message stands without its record but with its parts, and likewise the session.
 * @throws StorageError SPAN_DISPOSED when the tree was disposed
 */
export function hydrateSessionTree(refs: SessionRefTree): StageResult<SessionHydratedTree> {
  const started = performance.now()
  const format = FORMATS[refs.format]
  const hydration = new Hydration(format, refs)
  const session = hydration.record(refs.session.leaf, refs.key, (document, key) => format.session(document, key, refs.project))
  const messages = refs.messages.map((node) => hydration.message(node))
  messages.sort((a, b) => a.place - b.place || compareText(a.node.key.message, b.node.key.message))
  const native = refs.native === true && { native: original(refs.session.leaf) }
  const value: SessionHydratedTree = { key: refs.key, source: refs.source, session, messages: messages.map(({ node }) => node), ...native }
  const { bytes, records, issues } = hydration
  return settle(value, issues, { stage: 'hydrate', durationMs: performance.now() - started, files: 0, rows: 0, bytes, records })
}

type OpenLeaf = Exclude<Leaf, { readonly issue: StageIssue }>

class Hydration {
  readonly issues: StageIssue[] = []
  bytes = 0
  records = 0
  readonly #format: RecordFormat
  readonly #kinds: readonly PartKind[] | undefined
  readonly #native: boolean

  constructor(format: RecordFormat, { kinds, native = false }: Pick<SessionRefTree, 'kinds' | 'native'>) {
    this.#format = format
    this.#kinds = kinds
    this.#native = native
  }

  message(ref: MessageRefNode): { readonly node: MessageNode; readonly place: number } {
    const { assemble } = this.#format
    const { message, parts, damagedParts, originals } = assemble === undefined ? this.#read(ref) : this.#assemble(ref, assemble)
    const created = message === undefined || message.role === 'unknown' ? ref.created : message.time.created
    const settled = message === undefined || isFinished(message, parts, ref.log)
    const signature = ref.signature === undefined || settled ? ref.signature : unsettledSignature(ref.signature)
    const kept = this.#kinds === undefined ? parts : parts.filter((part) => this.#isKept(part))
    const node = { key: ref.key, message, parts: kept, damagedParts, signature, changed: ref.changed, ...(ref.log && { log: ref.log }) }
    return { place: ref.order ?? created, node: this.#native ? { ...node, native: nativeMessage(ref.leaf, originals) } : node }
  }

  /** A message with its parts as documents of their own, or inside its own. */
  #read(ref: MessageRefNode): Draft {
    const reading = this.record(ref.leaf, ref.key, this.#format.message)
    const parts: Part[] = [...(reading?.parts ?? [])]
    const originals: PartRefNode[] = []
    let damagedParts = 0
    for (const at of ref.parts) {
      const part = this.record(at.leaf, at.key, this.#format.part)
      if (part === undefined) damagedParts++
      else parts.push(part)
      if (this.#native && (part === undefined || this.#isKept(part))) originals.push(at)
    }
    return { message: reading?.message, parts, damagedParts, originals }
  }

  /** A message that lines of a log make up; a damaged line is missing from it. */
  #assemble(ref: MessageRefNode, assemble: NonNullable<RecordFormat['assemble']>): Draft {
    const lines: MessageLine[] = []
    this.#addLine(ref.leaf, lines)
    for (const { leaf } of ref.parts) this.#addLine(leaf, lines)
    const damagedParts = ref.parts.length + 1 - lines.length
    const reading = lines.length === 0 ? undefined : this.#typed(ref.leaf, assemble(lines, ref.key))
    return { message: reading && timed(reading.message, ref.created), parts: reading?.parts ?? [], damagedParts, originals: ref.parts }
  }

  #addLine(leaf: Leaf, lines: MessageLine[]): void {
    if (leaf.span === undefined) return
    const document = this.#document(leaf)
    if (document === undefined) return
    this.records++
    lines.push({ document, use: leaf.span.source.type === 'answer' ? 'answer' : 'own' })
  }

  #isKept({ type }: Part): boolean {
    return this.#kinds === undefined || this.#kinds.includes(type)
  }

  /** The record of a leaf; undefined when it is damaged (an issue), or could not be read (an issue of resolve). */
  record<K extends EntityKey, T extends MessageReading | Part | SessionRecord>(
    leaf: Leaf,
    key: K,
    type: (document: unknown, key: K, type: string | undefined) => Reading<T>,
  ): T | undefined {
    return this.#parsed(leaf, (document, type_) => type(document, key, type_))
  }

  #parsed<T>(leaf: Leaf, type: (document: unknown, type: string | undefined) => Reading<T>): T | undefined {
    if (leaf.span === undefined) return undefined
    const document = this.#document(leaf)
    return document === undefined ? undefined : this.#typed(leaf, type(document, leaf.span.source.type))
  }

  /** Undefined when it is damaged; no JSON is. */
  #document({ span, torn }: OpenLeaf): unknown {
    this.bytes += span.length
    try {
      return parseSpan(span)
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'SPAN_DISPOSED') throw error
      this.issues.push({ ...damageIn(span, error), ...(torn === true && { transient: true }) })
    }
    return undefined
  }

  #typed<T>(leaf: Leaf, reading: Reading<T>): T | undefined {
    if (leaf.span === undefined) return undefined
    const { span, torn } = leaf
    if ('record' in reading) {
      if (reading.odd !== undefined) this.issues.push(issue('UNEXPECTED_SHAPE', span, reading.odd))
      this.records++
      return reading.record
    }
    this.issues.push(issue('CORRUPT_RECORD', span, reading.damage, torn))
    return undefined
  }
}

/** Lines without a time of their own have that of the line before, which the log tells. */
function timed(message: Message, created: number): Message {
  return message.role === 'unknown' || message.time.created > 0 ? message : ({ ...message, time: { ...message.time, created } } as Message)
}

interface Draft extends Pick<MessageNode, 'message' | 'parts' | 'damagedParts'> {
  readonly originals: readonly PartRefNode[]
}

/** Of a line of a log the offset is that in its file. */
function damageIn({ key, source }: Span, error: StorageError): StageIssue {
  const issue = issueOf(error, key, source.path)
  if (source.offset === undefined) return issue
  return { ...issue, offset: source.offset + (error.offset ?? 0), ...lineOf(source) }
}

function lineOf({ line }: Span['source']): { readonly line?: number } {
  return line === undefined ? {} : { line }
}

function nativeMessage(message: Leaf, parts: readonly PartRefNode[]): NativeMessage {
  return { message: original(message), parts: parts.map(({ key, leaf }) => ({ id: key.part, document: original(leaf) })) }
}

/** Parsed anew: typing a document changes it, and others may share it. The row of a session is its document: the span was put together from it. */
function original(leaf: Leaf): unknown {
  if (leaf.span === undefined) return undefined
  const { span, row } = leaf
  if (row !== undefined && span.key.kind === 'session') return row
  try {
    const document = parseAnew(span)
    return row === undefined ? document : { ...row, data: document }
  } catch (error) {
    if (error instanceof StorageError && error.code === 'CORRUPT_RECORD') return undefined
    throw error
  }
}

function issue(code: StorageError['code'], span: Span, reason: string, torn?: boolean): StageIssue {
  const { path, offset } = span.source
  const place = offset === undefined ? {} : { offset, ...lineOf(span.source) }
  return { code, key: span.key, path, reason, ...place, ...(torn === true && { transient: true }) }
}
