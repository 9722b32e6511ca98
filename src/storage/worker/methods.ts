/** What the worker does for each call on a store. Long answers are given in pages. */
import type { SessionId } from '../../core/ids.js'
import { messageKey, type SessionKey, sessionKey } from '../../core/keys.js'
import { Slab, type SlabPool } from '../slab.js'
import type { LogTail, Store } from '../store.js'
import { packAlong } from './along.js'
import { censusRow } from './census-rows.js'
import { deltaOf } from './delta-list.js'
import type { Hosted } from './hosted.js'
import { LeafPacker } from './leaf-pack.js'
import { type Calls, type CensusRow, type Method, PAGE, type TailRow } from './protocol.js'
import { packPrices, unpackReads } from './read-pack.js'

/** A page, and the buffers in it that are handed over. */
export interface Reply<T> {
  readonly page: T
  readonly transfer?: readonly ArrayBuffer[]
}

export interface Running {
  readonly signal: AbortSignal
  readonly pool: SlabPool
}

type Args<M extends Method> = Calls[M]['args']
type Page<M extends Method> = Calls[M]['page']
/** Gives all pages but the last, and ends with that. */
type Pages<M extends Method> = AsyncGenerator<Reply<Page<M>>, Reply<Page<M>>>
type StoreMethod = Exclude<Method, 'refresh' | 'found' | 'close'>

export const METHODS: { readonly [M in StoreMethod]: (hosted: Hosted, args: Args<M>, running: Running) => Pages<M> } = {
  hold: one(async (hosted, args) => ({ page: hosted.bring(args) })),
  prime: one(async ({ store }, _, { signal }) => {
    await store.sessions({ signal })
    return { page: undefined }
  }),
  sessions,
  newest,
  messageCounts: one(async ({ store }, ids) => ({ page: await store.messageCounts(keysOf(store, ids)) })),
  messages,
  parts: one(parts),
  price: one(async ({ store }, packed) => {
    const page = packPrices(await store.price(unpackReads(packed)))
    return { page, transfer: [page.numbers.buffer as ArrayBuffer] }
  }),
  open: one(open),
  openParts: one(openParts),
  revision: one(async ({ store }, session) => ({ page: await store.revision(keyOf(store, session)) })),
  stamp: one(async ({ store }) => ({ page: (await store.stamp?.()) ?? '' })),
  tail,
  totals: one(async ({ store }, _, { signal }) => ({ page: await store.totals({ signal }) })),
  census,
}

/** A method with one page. */
function one<M extends StoreMethod>(run: (hosted: Hosted, args: Args<M>, running: Running) => Promise<Reply<Page<M>>>) {
  // biome-ignore lint/correctness/useYield: a generator that ends with its only page
  return async function* (hosted: Hosted, args: Args<M>, running: Running): Pages<M> {
    return await run(hosted, args, running)
  }
}

async function* sessions(hosted: Hosted, { before, only, hot, dirty, deep }: Args<'sessions'>, { signal }: Running): Pages<'sessions'> {
  const { store } = hosted
  const held = before && hosted.sessionsOf(before.list)
  if (before !== undefined && held === undefined) return { page: { fresh: [], lost: true } }
  const isHot = hot && new Set(hot)
  const listing = await store.sessions({
    signal,
    deep,
    dirty,
    before: before && held && { entries: held, mark: before.mark },
    only: only && keysOf(store, only),
    hot: isHot && (({ session }) => isHot.has(session)),
  })
  const { entries, issues, complete, mark } = listing
  const { from, fresh } = deltaOf(entries, held ?? [])
  const end = { issues, complete, mark, list: hosted.holdSessions(entries) }
  const pieces = [...cut(fresh, PAGE.sessions)]
  for (const [at, piece] of pieces.slice(0, -1).entries()) yield { page: { fresh: piece, ...(at === 0 && { from }) } }
  return { page: { fresh: pieces.at(-1) ?? [], ...(pieces.length < 2 && { from }), end } }
}

async function* messages(hosted: Hosted, args: Args<'messages'>, { signal, pool }: Running): Pages<'messages'> {
  const { store } = hosted
  const { previous, deep, cursor, passing, along, native } = args
  const [session, before] = [keyOf(store, args.session), hosted.messagesOf(previous)]
  const options = { deep: deep ?? false, cursor: cursor ?? false, passing: passing ?? false }
  const listing = await store.messages(session, { ...options, signal, previous: before })
  const packed = along === true ? await packAlong(store, session, listing.entries, { signal, pool, native }) : undefined
  const { entries, issues, complete } = listing
  const { from, fresh } = deltaOf(entries, before ?? [])
  // As the set of sessions keeps them: a log that was read straight through is not gone on with.
  const isKept = passing !== true || store.supports.lines !== true
  const list = isKept ? hosted.holdMessages(entries, previous) : undefined
  const end = { issues, complete, list, ...(listing.cursor !== undefined && { cursor: listing.cursor }) }
  const based = before !== undefined
  const pieces = [...cut(fresh, PAGE.messages)]
  for (const [at, piece] of pieces.slice(0, -1).entries()) yield { page: { based, fresh: piece, ...(at === 0 && { from }) } }
  const page = { based, fresh: pieces.at(-1) ?? [], ...(pieces.length < 2 && { from }), end, along: packed?.along }
  return packed === undefined ? { page } : { page, transfer: packed.transfer }
}

async function* newest({ store }: Hosted, ids: Args<'newest'>): Pages<'newest'> {
  const { entries, issues, complete } = await store.newest(keysOf(store, ids))
  const pieces = [...cut(entries, PAGE.messages)]
  for (const piece of pieces.slice(0, -1)) yield { page: { entries: piece, issues: [], complete } }
  return { page: { entries: pieces.at(-1) ?? [], issues, complete } }
}

async function parts({ store }: Hosted, args: Args<'parts'>, { signal }: Running): Promise<Reply<Page<'parts'>>> {
  const { entries, issues, complete } = await store.parts(keyOf(store, args.session), args.messages, { price: args.price, signal })
  const ids = entries.map((list) => list.map(({ id }) => id))
  const all = entries.flat()
  const prices = all.some(({ price }) => price !== undefined) ? packPrices(all.map(({ price }) => price)) : undefined
  return { page: { ids, prices, issues, complete } }
}

async function open({ store }: Hosted, { reads: packed, native }: Args<'open'>, { signal, pool }: Running): Promise<Reply<Page<'open'>>> {
  const reads = unpackReads(packed)
  using slab = new Slab(pool)
  const leaves = await store.open(reads, slab, { native, signal })
  const packer = new LeafPacker(leaves.reduce((sum, { span }) => sum + (span?.length ?? 0), 0))
  for (const [at, leaf] of leaves.entries()) packer.add(leaf, reads[at]?.price?.generation)
  const { pack, transfer } = packer.finish()
  return { page: pack, transfer }
}

async function openParts({ store }: Hosted, args: Args<'openParts'>, { signal, pool }: Running): Promise<Reply<Page<'openParts'>>> {
  const session = keyOf(store, args.session)
  const keys = args.messages.map((message) => messageKey(session, message))
  using slab = new Slab(pool)
  const { entries, issues, complete } = await store.openParts(session, keys, slab, { native: args.native, signal })
  const leaves = entries.flatMap((parts) => parts.map(({ leaf }) => leaf))
  const packer = new LeafPacker(leaves.reduce((sum, { span }) => sum + (span?.length ?? 0), 0))
  for (const leaf of leaves) packer.add(leaf)
  const { pack, transfer } = packer.finish()
  return { page: { ids: entries.map((parts) => parts.map(({ key }) => key.part)), leaves: pack, issues, complete }, transfer }
}

async function* tail({ store }: Hosted, args: Args<'tail'>, { signal, pool }: Running): Pages<'tail'> {
  using slab = new Slab(pool)
  const { cursor, deep = false, most, native } = args
  const found = await store.tail?.(keyOf(store, args.session), cursor, slab, { deep, most, native, signal })
  if (found === undefined) return tailPage([], { absent: true })
  const { issues, reread } = found
  const pages = [...tailPages(found)]
  for (const page of pages.slice(0, -1)) yield tailPage(page)
  return tailPage(pages.at(-1) ?? [], { end: { issues, cursor: found.cursor, reread } })
}

function* tailPages({ messages }: LogTail): Generator<LogTail['messages']> {
  let page: LogTail['messages'][number][] = []
  let [leaves, bytes] = [0, 0]
  for (const message of messages) {
    page.push(message)
    leaves += 1 + message.lines.length
    bytes += (message.leaf.span?.length ?? 0) + message.lines.reduce((sum, { leaf }) => sum + (leaf.span?.length ?? 0), 0)
    if (leaves < PAGE.leaves && bytes < PAGE.bytes) continue
    yield page
    page = []
    leaves = 0
    bytes = 0
  }
  if (page.length > 0) yield page
}

function tailPage(messages: LogTail['messages'], more: Omit<Partial<Page<'tail'>>, 'leaves' | 'messages'> = {}): Reply<Page<'tail'>> {
  const packer = new LeafPacker()
  const rows = messages.map(({ entry, leaf, lines, generations, changed }): TailRow => {
    packer.add(leaf)
    for (const line of lines) packer.add(line.leaf)
    return { entry, lines: lines.map(({ key }) => key.part), generations, changed }
  })
  const { pack, transfer } = packer.finish()
  return { page: { messages: rows, leaves: pack, ...more }, transfer }
}

/** The bytes are copied as the entries come: a store may end their spans with the next. */
async function* census({ store }: Hosted, options: Args<'census'>, { signal, pool }: Running): Pages<'census'> {
  let slab = new Slab(pool)
  let packer = new LeafPacker()
  let rows: CensusRow[] = []
  let begun = performance.now()
  const page = (): Reply<Page<'census'>> => {
    const { pack, transfer } = packer.finish()
    return { page: { entries: rows, leaves: pack }, transfer }
  }
  try {
    for await (const entry of store.census(() => slab, { ...options, signal })) {
      rows.push(censusRow(entry, packer))
      const isFull = packer.leaves >= PAGE.leaves || rows.length >= PAGE.leaves || packer.used >= PAGE.bytes
      if (!isFull && performance.now() - begun < PAGE.censusMs) continue
      yield page()
      slab[Symbol.dispose]()
      slab = new Slab(pool)
      packer = new LeafPacker()
      rows = []
      begun = performance.now()
    }
    return page()
  } finally {
    slab[Symbol.dispose]()
  }
}

function* cut<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size)
}

function keyOf({ agent }: Store, session: string): SessionKey {
  return sessionKey(agent, session as SessionId)
}

function keysOf(store: Store, sessions: readonly string[]): readonly SessionKey[] {
  return sessions.map((session) => keyOf(store, session))
}
