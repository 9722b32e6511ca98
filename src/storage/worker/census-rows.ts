/** A census on its way between threads: of most records a text says all that their leaf does not. */
import type { Slab } from '../slab.js'
import type { CensusEntry, CensusKind, CensusRecord } from '../store.js'
import { type LeafPacker, LeafReader } from './leaf-pack.js'
import type { CensusPage, CensusRow } from './protocol.js'
import { decodeKind, encodeKind } from './read-pack.js'

/** Adds the leaves of the entry to the pack. */
export function censusRow(entry: CensusEntry, packer: LeafPacker): CensusRow {
  if (entry.what !== 'record') return entry
  const { what, kind, key, path, leaf, orphan, ignored, columns } = entry
  packer.add(leaf)
  for (const { span } of columns ?? []) packer.add({ span })
  const isPlain = !orphan && ignored === undefined && columns === undefined
  if (isPlain && leaf.span?.source.path === path && packer.endsInSpan) return encodeKind(kind, key)
  return { what, kind, key, path, orphan, ignored, columns: columns?.map(({ column }) => column) }
}

/** The entries of pages that come one by one. Each span is of the slab that is current when its entry is taken. */
export class CensusEntries implements AsyncIterableIterator<CensusEntry> {
  readonly #pages: AsyncGenerator<CensusPage>
  readonly #slab: () => Slab
  readonly #signal: AbortSignal | undefined
  #rows: readonly CensusRow[] = []
  #leaves: LeafReader | undefined
  #place = 0

  constructor(pages: AsyncGenerator<CensusPage>, slab: () => Slab, signal: AbortSignal | undefined) {
    this.#pages = pages
    this.#slab = slab
    this.#signal = signal
  }

  /** No async function: entries come by the hundred thousand, and most are here already. */
  next(): Promise<IteratorResult<CensusEntry>> {
    const row = this.#rows[this.#place]
    if (row === undefined) return this.#turn()
    this.#place++
    try {
      this.#signal?.throwIfAborted()
      return Promise.resolve({ done: false, value: typeof row === 'string' ? this.#plain(row) : this.#whole(row) })
    } catch (error) {
      return this.#pages.return(undefined).then(() => Promise.reject(error))
    }
  }

  async return(): Promise<IteratorResult<CensusEntry>> {
    await this.#pages.return(undefined)
    this.#rows = []
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #turn(): Promise<IteratorResult<CensusEntry>> {
    const { value, done } = await this.#pages.next()
    if (done === true) return { done, value: undefined }
    this.#rows = value.entries
    this.#leaves = new LeafReader(value.leaves)
    this.#place = 0
    return this.next()
  }

  #plain(row: string): CensusRecord {
    const named = decodeKind(row)
    const leaf = named && this.#leaves?.next(this.#slab(), named.key)
    if (named === undefined || leaf?.span === undefined) throw new RangeError('a record of the answer has no leaf')
    return { what: 'record', kind: named.kind as CensusKind, key: named.key, path: leaf.span.source.path, leaf, orphan: false }
  }

  #whole(row: Exclude<CensusRow, string>): CensusEntry {
    if (row.what !== 'record') return row
    const next = (): ReturnType<LeafReader['next']> => {
      if (this.#leaves === undefined) throw new RangeError('a record of the answer has no leaf')
      return this.#leaves.next(this.#slab(), row.key)
    }
    const leaf = next()
    const columns = row.columns?.flatMap((column) => {
      const { span } = next()
      return span === undefined ? [] : [{ column, span }]
    })
    return { ...row, leaf, columns }
  }
}
