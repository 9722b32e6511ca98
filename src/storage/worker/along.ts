/** Leaves that come in one answer with the messages of a session that is read straight through: no round trip for each kind of them. */
import { StorageError } from '../../core/errors.js'
import { type MessageKey, messageKey, partKey, type SessionKey } from '../../core/keys.js'
import { Slab, type SlabPool } from '../slab.js'
import type { Leaf, Listing, MessageEntry, OpenerAlong, PartLeaf, Read, ReadOptions, Store } from '../store.js'
import { LeafPacker, LeafReader } from './leaf-pack.js'
import { ALONG, type LeavesAlong } from './protocol.js'

interface Packed {
  readonly along: LeavesAlong
  readonly transfer: readonly ArrayBuffer[]
}

/**
 * The session's own leaf and those of its first messages. Undefined where they cannot be read, or there is more to tell of them than each
 * leaf says: the call that asks for them is told.
 */
export async function packAlong(
  store: Store,
  session: SessionKey,
  entries: readonly MessageEntry[],
  { pool, ...options }: ReadOptions & { readonly pool: SlabPool },
): Promise<Packed | undefined> {
  const isLog = store.supports.lines === true
  // A log is opened once or not at all.
  if (isLog && entries.length > ALONG.messages) return undefined
  using slab = new Slab(pool)
  const leaves: Leaf[] = []
  const parts: (readonly PartLeaf[])[] = []
  let bytes = 0
  try {
    leaves.push(...(await store.open([{ kind: 'session', key: session }], slab, options)))
    const keys = entries.slice(0, ALONG.messages).map(({ id }) => messageKey(session, id))
    // As many again as there are, so that no step brings much more than all before it.
    for (let at = 0; at < keys.length && bytes < ALONG.bytes; at = parts.length) {
      const opened = await openAll(store, session, keys.slice(at, isLog ? keys.length : 2 * at + 1), slab, options)
      if (opened === undefined) return undefined
      leaves.push(...opened.leaves)
      parts.push(...opened.parts)
      bytes += sizeOf(opened.leaves) + sizeOf(opened.parts.flat().map(({ leaf }) => leaf))
    }
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
  leaves.push(...parts.flat().map(({ leaf }) => leaf))
  const packer = new LeafPacker(sizeOf(leaves))
  for (const leaf of leaves) packer.add(leaf)
  const { pack, transfer } = packer.finish()
  return { along: { ids: parts.map((list) => list.map(({ key }) => key.part)), leaves: pack }, transfer }
}

interface Opened {
  readonly leaves: readonly Leaf[]
  readonly parts: readonly (readonly PartLeaf[])[]
}

async function openAll(
  store: Store,
  session: SessionKey,
  keys: readonly MessageKey[],
  slab: Slab,
  options: ReadOptions,
): Promise<Opened | undefined> {
  const whole = await store.openWhole?.(session, keys, slab, options)
  if (whole !== undefined) return { leaves: whole.map(({ leaf }) => leaf), parts: whole.map((message) => message.parts) }
  const reads = keys.map((key): Read => ({ kind: 'message', key }))
  const leaves = await store.open(reads, slab, options)
  const { entries, issues, complete } = await store.openParts(session, keys, slab, options)
  return issues.length > 0 || !complete ? undefined : { leaves, parts: entries }
}

function sizeOf(leaves: readonly Leaf[]): number {
  return leaves.reduce((sum, { span }) => sum + (span?.length ?? 0), 0)
}

export class AlongOpener implements OpenerAlong {
  readonly store: Store
  readonly #ids: LeavesAlong['ids']
  /** Of messages, in `ids`. */
  readonly #places: ReadonlyMap<string, number>
  readonly #leaves: LeafReader
  readonly #native: boolean

  constructor(store: Store, entries: readonly MessageEntry[], { ids, leaves }: LeavesAlong, native: boolean) {
    this.store = store
    this.#ids = ids
    this.#places = new Map(entries.slice(0, ids.length).map(({ id }, at) => [id, at]))
    this.#leaves = new LeafReader(leaves)
    this.#native = native
  }

  price(reads: readonly Read[]): ReturnType<Store['price']> {
    return this.store.price(reads)
  }

  async open(reads: readonly Read[], slab: Slab, options: ReadOptions = {}): Promise<readonly Leaf[]> {
    const { from, count } = this.#run(reads, options, ({ key, price }) => {
      if (price !== undefined || key.kind === 'part') return undefined
      return key.kind === 'session' ? -1 : this.#places.get(key.message)
    })
    this.#leaves.seek(1 + from)
    const leaves = reads.slice(0, count).map(({ key }) => this.#leaves.next(slab, key))
    return count === reads.length ? leaves : [...leaves, ...(await this.store.open(reads.slice(count), slab, options))]
  }

  async openParts(
    session: SessionKey,
    messages: readonly MessageKey[],
    slab: Slab,
    options: ReadOptions = {},
  ): Promise<Listing<readonly PartLeaf[]>> {
    const { from, count } = this.#run(messages, options, ({ message }) => this.#places.get(message))
    this.#leaves.seek(1 + this.#ids.length + this.#ids.slice(0, from).flat().length)
    const entries = messages.slice(0, count).map((message, at) =>
      (this.#ids[from + at] ?? []).map((id): PartLeaf => {
        const key = partKey(message, id)
        return { key, leaf: this.#leaves.next(slab, key) }
      }),
    )
    if (count === messages.length) return { entries, issues: [], complete: true }
    const rest = await this.store.openParts(session, messages.slice(count), slab, options)
    return { ...rest, entries: [...entries, ...rest.entries] }
  }

  /** How many of the first items follow each other here, and from which place on. */
  #run<T>(items: readonly T[], { native = false }: ReadOptions, placeOf: (item: T) => number | undefined): { from: number; count: number } {
    const [first] = items
    const from = first === undefined || native !== this.#native ? undefined : placeOf(first)
    if (from === undefined) return { from: 0, count: 0 }
    const end = items.findIndex((item, at) => placeOf(item) !== from + at)
    return { from, count: end < 0 ? items.length : end }
  }
}
