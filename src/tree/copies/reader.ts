/** Single records of one copy of a session, typed: what is intact in it, of what is asked for. */
import type { Reading } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import { FORMATS, type RecordFormat } from '../../core/formats.js'
import { type EntityKey, encodeKey, type MessageKey } from '../../core/keys.js'
import type { Part } from '../../core/parts.js'
import type { MessageReading, SessionRecord } from '../../core/records.js'
import { issueOf, type StageIssue } from '../../core/stage.js'
import type { SessionCopy } from '../../storage/merged.js'
import type { Slab } from '../../storage/slab.js'
import { parseSpan, type Span } from '../../storage/span.js'
import type { Leaf } from '../../storage/store.js'

export type CopiedRecord =
  | { readonly kind: 'session'; readonly record: SessionRecord }
  | { readonly kind: 'message'; readonly record: MessageReading }
  | { readonly kind: 'part'; readonly record: Part }

/** The parts of a message that are records of their own. */
export interface CopiedParts {
  readonly parts: readonly Part[]
  /** One for each part that is damaged here too. */
  readonly issues: readonly StageIssue[]
}

/** Records per call of the store. */
const BATCH = 256

export class CopyReader {
  /** What was read so far. */
  readonly count = { files: 0, rows: 0, bytes: 0, records: 0 }
  readonly #copy: SessionCopy
  readonly #format: RecordFormat
  readonly #slab: Slab
  readonly #signal: AbortSignal | undefined

  /** Reads into `slab`, which stays the caller's; no record refers to it. */
  constructor(copy: SessionCopy, slab: Slab, signal: AbortSignal | undefined) {
    this.#copy = copy
    this.#format = FORMATS[copy.store.format]
    this.#slab = slab
    this.#signal = signal
  }

  /** By encoded key; what this copy lacks or holds damaged is not among them. */
  async records(keys: readonly EntityKey[]): Promise<ReadonlyMap<string, CopiedRecord>> {
    const found = new Map<string, CopiedRecord>()
    for (let at = 0; at < keys.length; at += BATCH) {
      const batch = keys.slice(at, at + BATCH)
      const leaves = await this.#copy.store.open(
        batch.map((key) => ({ kind: key.kind, key })),
        this.#slab,
        { signal: this.#signal },
      )
      for (const [index, key] of batch.entries()) {
        const leaf = leaves[index]
        const read = leaf && this.#read(leaf, (span) => this.#typed(key, span))
        if (read !== undefined && 'record' in read) found.set(encodeKey(key), read.record)
      }
    }
    return found
  }

  /** Each in the place of its message. */
  async partsOf(messages: readonly MessageKey[]): Promise<readonly CopiedParts[]> {
    const { entries } = await this.#copy.store.openParts(this.#copy.entry.key, messages, this.#slab, { signal: this.#signal })
    return messages.map((_, at) => {
      const read = (entries[at] ?? []).map(({ key, leaf }) => this.#read(leaf, (span) => this.#format.part(parseSpan(span), key)))
      return {
        parts: read.flatMap((one) => ('record' in one ? [one.record] : [])),
        issues: read.flatMap((one) => ('issue' in one ? [one.issue] : [])),
      }
    })
  }

  #typed(key: EntityKey, span: Span): Reading<CopiedRecord> {
    const document = parseSpan(span)
    switch (key.kind) {
      case 'session':
        return copied(this.#format.session(document, key, this.#copy.entry.project), (record) => ({ kind: 'session', record }))
      case 'message':
        return copied(this.#format.message(document, key, span.source.type), (record) => ({ kind: 'message', record }))
      case 'part':
        return copied(this.#format.part(document, key), (record) => ({ kind: 'part', record }))
    }
  }

  #read<T>({ span, issue }: Leaf, type: (span: Span) => Reading<T>): { readonly record: T } | { readonly issue: StageIssue } {
    if (span === undefined) return { issue }
    this.count.bytes += span.length
    if (span.source.table === undefined) this.count.files++
    else this.count.rows++
    const { key, source } = span
    try {
      const reading = type(span)
      if (!('record' in reading)) return { issue: { code: 'CORRUPT_RECORD', key, path: source.path, reason: reading.damage } }
      this.count.records++
      return { record: reading.record }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      return { issue: issueOf(error, key, source.path) }
    }
  }
}

function copied<T>(reading: Reading<T>, as: (record: T) => CopiedRecord): Reading<CopiedRecord> {
  return 'record' in reading ? { record: as(reading.record) } : reading
}
