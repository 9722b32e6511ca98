/** Hydrate: spans to typed records. Uses the CPU alone; opens nothing. */

import type { Reading } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import { FORMATS, type RecordFormat } from '../core/formats.js'
import { compareText } from '../core/ids.js'
import type { EntityKey } from '../core/keys.js'
import type { Part, PartKind } from '../core/parts.js'
import type { MessageReading, SessionRecord } from '../core/records.js'
import { issueOf, type StageIssue, type StageResult, settle } from '../core/stage.js'
import { parseSpan, type Span } from '../storage/span.js'
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
    const reading = this.record(ref.leaf, ref.key, this.#format.message)
    const message = reading?.message
    const parts: Part[] = [...(reading?.parts ?? [])]
    const originals: PartRefNode[] = []
    let damagedParts = 0
    for (const at of ref.parts) {
      const part = this.record(at.leaf, at.key, this.#format.part)
      if (part === undefined) damagedParts++
      else parts.push(part)
      if (this.#native && (part === undefined || this.#isKept(part))) originals.push(at)
    }
    const created = message === undefined || message.role === 'unknown' ? ref.created : message.time.created
    const settled = message === undefined || isFinished(message, parts)
    const signature = ref.signature === undefined || settled ? ref.signature : unsettledSignature(ref.signature)
    const kept = this.#kinds === undefined ? parts : parts.filter((part) => this.#isKept(part))
    const node = { key: ref.key, message, parts: kept, damagedParts, signature, changed: ref.changed }
    return { place: ref.order ?? created, node: this.#native ? { ...node, native: nativeMessage(ref.leaf, originals) } : node }
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
    if (leaf.span === undefined) return undefined
    const { span, torn } = leaf
    this.bytes += span.length
    try {
      const reading = type(parseSpan(span), key, span.source.type)
      if ('record' in reading) {
        if (reading.odd !== undefined) this.issues.push(issue('UNEXPECTED_SHAPE', span, reading.odd))
        this.records++
        return reading.record
      }
      this.issues.push(issue('CORRUPT_RECORD', span, reading.damage, torn))
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'SPAN_DISPOSED') throw error
      this.issues.push({ ...issueOf(error, span.key, span.source.path), ...(torn === true && { transient: true }) })
    }
    return undefined
  }
}

function nativeMessage(message: Leaf, parts: readonly PartRefNode[]): NativeMessage {
  return { message: original(message), parts: parts.map(({ key, leaf }) => ({ id: key.part, document: original(leaf) })) }
}

/** Parsed anew, since typing a document changes it. The row of a session is its document: what the span holds was put together from it. */
function original(leaf: Leaf): unknown {
  if (leaf.span === undefined) return undefined
  const { span, row } = leaf
  if (row !== undefined && span.key.kind === 'session') return row
  try {
    const document = parseSpan(span)
    return row === undefined ? document : { ...row, data: document }
  } catch (error) {
    if (error instanceof StorageError && error.code === 'CORRUPT_RECORD') return undefined
    throw error
  }
}

function issue(code: StorageError['code'], span: Span, reason: string, torn?: boolean): StageIssue {
  return { code, key: span.key, path: span.source.path, reason, ...(torn === true && { transient: true }) }
}
