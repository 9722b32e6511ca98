/** A store that lives in a worker: the same port, answered from there. */
import type { MessageId } from '../../core/ids.js'
import { type MessageKey, messageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { LogCursor } from '../cursor.js'
import type { Slab } from '../slab.js'
import type {
  CensusEntry,
  CensusOptions,
  Leaf,
  Listing,
  ListOptions,
  LogTail,
  MessageEntry,
  MessageListing,
  PartEntry,
  PartLeaf,
  Price,
  Read,
  ReadOptions,
  SessionEntry,
  Store,
  StoreTotals,
  StoreWork,
} from '../store.js'
import { AlongOpener } from './along.js'
import { CensusEntries } from './census-rows.js'
import { applyDelta, fits } from './delta-list.js'
import { LeafReader } from './leaf-pack.js'
import { inPieces, type Measure, upTo } from './pieces.js'
import { type MessagesPage, PAGE, type StoreState, sessionIds, type TailPage } from './protocol.js'
import { packReads, unpackPrices } from './read-pack.js'
import { SessionLists } from './session-lists.js'
import type { StoreCalls } from './store-calls.js'

type MessagesOptions = NonNullable<Parameters<Store['messages']>[1]>
type TailOptions = NonNullable<Parameters<NonNullable<Store['tail']>>[3]>

export class ProxyStore implements Store {
  readonly agent: Store['agent']
  readonly kind: Store['kind']
  readonly format: Store['format']
  readonly path: string
  readonly supports: Store['supports']
  readonly ahead: boolean
  readonly stamp?: () => Promise<string>
  readonly tail?: NonNullable<Store['tail']>
  readonly #calls: StoreCalls
  readonly #lists: SessionLists
  /** Lists of messages that a worker holds. */
  readonly #held = new WeakMap<readonly MessageEntry[], { readonly list: number; readonly incarnation: number }>()

  constructor({ agent, kind, format, path, supports, stamp, tail }: StoreState, calls: StoreCalls) {
    this.agent = agent
    this.kind = kind
    this.format = format
    this.path = path
    this.supports = supports
    // Of logs that are read straight through the worker holds the last one alone.
    this.ahead = supports.lines !== true
    this.#calls = calls
    this.#lists = new SessionLists(calls)
    if (stamp) this.stamp = () => calls.one('stamp', undefined)
    if (tail) this.tail = (session, cursor, slab, options) => this.#tail(session, cursor, slab, options)
  }

  get work(): StoreWork {
    return this.#calls.work
  }

  sessions(options: ListOptions = {}): Promise<Listing<SessionEntry>> {
    return this.#lists.list(options)
  }

  async newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>> {
    const pages = await inPieces(sessionIds(sessions), this.#bySession(), async (ids, long) => {
      const found = []
      for await (const page of this.#calls.pages('newest', ids, { long })) found.push(page)
      return found
    })
    return joined(pages.flat())
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly (number | undefined)[]> {
    const pages = await inPieces(sessionIds(sessions), this.#bySession(), (ids, long) => this.#calls.one('messageCounts', ids, { long }))
    return pages.flat()
  }

  async messages({ session }: SessionKey, options: MessagesOptions = {}): Promise<MessageListing> {
    const { signal, previous = [], deep, cursor, passing, along, native = false } = options
    await this.#calls.ready()
    const held = this.#held.get(previous)
    const list = held?.incarnation === this.#calls.incarnation ? held.list : undefined
    const delta: { from: Int32Array | undefined; fresh: MessageEntry[] } = { from: undefined, fresh: [] }
    let before = previous
    let last: MessagesPage | undefined
    const args = { session, previous: list, deep, cursor, passing, along, native }
    // What is read straight through lets others go first.
    for await (const page of this.#calls.pages('messages', args, { signal, long: along })) {
      if (!page.based) before = []
      delta.from ??= page.from
      delta.fresh.push(...page.fresh)
      last = page
    }
    const end = last?.end
    if (end === undefined || !fits(delta, before)) throw this.#calls.distrust('messages')
    const entries = applyDelta(delta, before)
    const came = last?.along
    if (came !== undefined && came.ids.length > entries.length) throw this.#calls.distrust('messages')
    if (end.list !== undefined) this.#held.set(entries, { list: end.list, incarnation: this.#calls.incarnation })
    return {
      entries,
      issues: end.issues,
      complete: end.complete,
      ...(end.cursor !== undefined && { cursor: end.cursor }),
      ...(came !== undefined && { opener: new AlongOpener(this, entries, came, native) }),
    }
  }

  async parts(
    { session }: SessionKey,
    messages: readonly MessageId[],
    { price = false, signal }: ReadOptions & { readonly price?: boolean } = {},
  ): Promise<Listing<readonly PartEntry[]>> {
    const pages = await inPieces(messages, upTo(PAGE.leaves), async (piece, long) => {
      const page = await this.#calls.one('parts', { session, messages: piece, price }, { signal, long })
      if (page.ids.length !== piece.length) throw this.#calls.distrust('parts')
      const prices = page.prices && unpackPrices(page.prices)
      let next = 0
      const entries = page.ids.map((ids) =>
        ids.map((id): PartEntry => {
          const own = prices?.[next++]
          return own === undefined ? { id } : { id, price: own }
        }),
      )
      return { entries, issues: page.issues, complete: page.complete }
    })
    return joined(pages)
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    const pages = await inPieces(reads, upTo(PAGE.leaves), async (piece, long) => {
      const prices = await this.#calls.one('price', packReads(piece, false), { long })
      if (prices.generations.length !== piece.length) throw this.#calls.distrust('price')
      return unpackPrices(prices)
    })
    return pages.flat()
  }

  async open(reads: readonly Read[], slab: Slab, { native = false, signal }: ReadOptions = {}): Promise<readonly Leaf[]> {
    const pages = await inPieces(reads, byBytes, async (piece, long) => {
      const pack = await this.#calls.one('open', { reads: packReads(piece, true), native }, { signal, long })
      if (pack.lengths.length !== piece.length) throw this.#calls.distrust('open')
      const leaves = new LeafReader(pack)
      return piece.map(({ key, price }) => leaves.next(slab, key, price?.generation))
    })
    return pages.flat()
  }

  async openParts(
    { session }: SessionKey,
    messages: readonly MessageKey[],
    slab: Slab,
    { native = false, signal }: ReadOptions = {},
  ): Promise<Listing<readonly PartLeaf[]>> {
    // Nobody knows how many parts a message has, and of what size: the pieces follow those before them.
    let size = PAGE.leaves / 4
    const pages = await inPieces(
      messages,
      () => size,
      async (piece, long) => {
        const ids = piece.map(({ message }) => message)
        const {
          ids: parts,
          leaves: pack,
          issues,
          complete,
        } = await this.#calls.one('openParts', { session, messages: ids, native }, { signal, long })
        if (parts.length !== piece.length) throw this.#calls.distrust('openParts')
        const cost = Math.max(pack.lengths.length / PAGE.leaves, pack.bytes.byteLength / PAGE.bytes) / piece.length
        size = Math.max(1, Math.min(PAGE.leaves, Math.floor(1 / cost)))
        const leaves = new LeafReader(pack)
        const entries = piece.map((message, at) =>
          (parts[at] ?? []).map((id): PartLeaf => {
            const key = partKey(message, id)
            return { key, leaf: leaves.next(slab, key) }
          }),
        )
        return { entries, issues, complete }
      },
    )
    return joined(pages)
  }

  revision({ session }: SessionKey): Promise<string> {
    return this.#calls.one('revision', session)
  }

  totals({ signal }: ReadOptions = {}): Promise<StoreTotals> {
    return this.#calls.one('totals', undefined, { signal, long: true })
  }

  census(slab: () => Slab, { signal, deep, beside }: CensusOptions = {}): AsyncIterable<CensusEntry> {
    return new CensusEntries(this.#calls.pages('census', { deep, beside }, { signal, long: true }), slab, signal)
  }

  /** The source closes its stores. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #tail(
    session: SessionKey,
    cursor: LogCursor | undefined,
    slab: Slab,
    { native = false, deep, most, signal }: TailOptions = {},
  ): Promise<LogTail | undefined> {
    const messages: LogTail['messages'][number][] = []
    let end: TailPage['end']
    for await (const page of this.#calls.pages('tail', { session: session.session, cursor, deep, most, native }, { signal })) {
      if (page.absent === true) return undefined
      const leaves = new LeafReader(page.leaves)
      for (const { entry, lines, generations, changed } of page.messages) {
        const key = messageKey(session, entry.id)
        const leaf = leaves.next(slab, key)
        const own = lines.map((id) => ({ key: partKey(key, id), leaf: leaves.next(slab, partKey(key, id)) }))
        messages.push({ entry, leaf, lines: own, generations, changed })
      }
      end = page.end
    }
    if (end === undefined) throw this.#calls.distrust('tail')
    return { messages, issues: end.issues, cursor: end.cursor, reread: end.reread }
  }

  /** A database answers for all sessions at once more cheaply than for a few at a time. */
  #bySession(): Measure<unknown> {
    return this.supports.rows ? (items) => items.length : upTo(PAGE.leaves)
  }
}

function byBytes(reads: readonly Read[], from: number): number {
  let bytes = 0
  let size = 0
  while (size < PAGE.leaves && from + size < reads.length && (size === 0 || bytes < PAGE.bytes)) {
    bytes += reads[from + size]?.price?.bytes ?? 0
    size++
  }
  return Math.max(1, size)
}

function joined<T>(pages: readonly Omit<Listing<T>, 'cursor' | 'mark'>[]): Listing<T> {
  return {
    entries: pages.flatMap(({ entries }) => entries),
    issues: pages.flatMap(({ issues }) => issues),
    complete: pages.every(({ complete }) => complete),
  }
}
