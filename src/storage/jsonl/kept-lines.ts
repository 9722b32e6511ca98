/** Lines as leaves from the bytes that were kept for a straight read: nothing is read, and what nobody may ask for is made when it is asked for. */
import { StorageError } from '../../core/errors.js'
import { type EntityKey, encodeKey, type MessageKey, type PartKey, partKey } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import type { Span, SpanSource } from '../span.js'
import type { Leaf, PartLeaf, WholeMessage } from '../store.js'
import { linePart, sourceOf } from './line-names.js'
import type { UsedLine } from './log-index.js'
import type { LogView } from './log-view.js'

/** The file that lines stand in, its bytes, and the slab that shares them. */
export interface KeptFile {
  readonly path: string
  readonly bytes: Buffer
  readonly slab: Slab
}

/** A line of a file whose bytes were kept. */
export class KeptSpan implements Span {
  readonly generation = undefined
  readonly mapped = false
  readonly #owner: EntityKey
  readonly #isFurther: boolean
  readonly #line: UsedLine
  readonly #file: KeptFile
  #isOver = false

  /** `isFurther`: `owner` is the message, and the line one of its further ones; else `owner` is the line's own key. */
  constructor(owner: EntityKey, isFurther: boolean, line: UsedLine, file: KeptFile) {
    this.#owner = owner
    this.#isFurther = isFurther
    this.#line = line
    this.#file = file
  }

  get key(): EntityKey {
    return this.#isFurther ? partKey(this.#owner as MessageKey, linePart(this.#line)) : this.#owner
  }

  get source(): SpanSource {
    return sourceOf(this.#file.path, this.#line)
  }

  get length(): number {
    return this.#line.length
  }

  bytes(): Uint8Array {
    const { offset, length } = this.#line
    return this.#live().subarray(offset, offset + length)
  }

  text(): string {
    const { offset, length } = this.#line
    return this.#live().toString('utf8', offset, offset + length)
  }

  takeDocument(): unknown {
    this.#live()
    const { parsed } = this.#line
    const document = parsed?.document
    if (parsed?.isShared === false) parsed.document = undefined
    return document
  }

  #live(): Buffer {
    if (!this.#isOver && !this.#file.slab.disposed) return this.#file.bytes
    throw new StorageError('SPAN_DISPOSED', { reason: 'the span has ended', path: this.#file.path, key: encodeKey(this.key) })
  }

  [Symbol.dispose](): void {
    this.#isOver = true
  }
}

class KeptPart implements PartLeaf {
  readonly leaf: { readonly span: KeptSpan }

  constructor(span: KeptSpan) {
    this.leaf = { span }
  }

  get key(): PartKey {
    return this.leaf.span.key as PartKey
  }
}

/** Messages with all their lines, each in the place of its key; undefined where the bytes of a file were not kept. `missing` stands for a message that the log does not have. */
export function keptMessages(
  { log, files, texts }: LogView,
  keys: readonly MessageKey[],
  slab: Slab,
  missing: (key: MessageKey) => Leaf,
): readonly WholeMessage[] | undefined {
  const kept: KeptFile[] = []
  for (const [at, { file, stat }] of files.entries()) {
    const text = texts?.[at]
    if (text !== undefined) kept[at] = { path: file.path, bytes: text.bytes, slab }
    else if (stat !== undefined && stat.size > 0) return undefined
  }
  return keys.map((key) => {
    const [own, ...further] = log.find(key.message)?.lines ?? []
    if (own === undefined) return { leaf: missing(key), parts: [] }
    const span = (line: UsedLine): KeptSpan => new KeptSpan(key, line !== own, line, kept[line.file] as KeptFile)
    return { leaf: { span: span(own) }, parts: further.map((line) => new KeptPart(span(line))) }
  })
}
