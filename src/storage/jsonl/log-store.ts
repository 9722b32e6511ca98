/**
 * The logs of one agent as a store: pi, Claude Code, Codex, jcode. A session is a log, or a snapshot with a journal.
 *
 * A message is one line of its log, or several; a leaf is a line. Which lines make up a message is found in their bytes once, and from
 * then on in what was appended (`log-view.ts`), so a plan of a log that did not change reads nothing.
 */
import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { systemCode } from '../../core/errors.js'
import type { FormatName } from '../../core/formats.js'
import type { MessageId } from '../../core/ids.js'
import { type Agent, type MessageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { LogCursor } from '../cursor.js'
import { typeOf } from '../file-type.js'
import type { FileMaps } from '../maps/file-maps.js'
import { type Slab, SlabPool } from '../slab.js'
import type {
  CensusEntry,
  CensusOptions,
  KnownSession,
  Leaf,
  Listing,
  ListOptions,
  LogTail,
  MessageEntry,
  PartEntry,
  PartLeaf,
  Price,
  Read,
  ReadOptions,
  SessionEntry,
  Store,
  StoreKind,
  StoreTotals,
  StoreWork,
  WholeMessage,
} from '../store.js'
import { keptMessages } from './kept-lines.js'
import { lineGeneration, lineOf, linePart } from './line-names.js'
import type { LogAdapter } from './log-adapter.js'
import { logCensus } from './log-census.js'
import { revisionOf } from './log-entries.js'
import type { LogLine } from './log-index.js'
import { type LineRead, openLines } from './log-leaves.js'
import { sessionLeaf, sessionPrice } from './log-record.js'
import { LogSessions } from './log-sessions.js'
import { current, gone, isStale } from './log-stale.js'
import { cursorOf, openTail, resumeView } from './log-tail.js'
import type { LogView } from './log-view.js'
import { type HeldView, LogViews, type LookOptions } from './log-views.js'

export interface LogStoreOptions {
  readonly clock: Clock
  readonly maps: FileMaps
}

export class LogStore implements Store {
  readonly agent: Agent
  readonly kind: StoreKind
  readonly format: FormatName
  readonly path: string
  readonly supports = { recordedTime: false, rows: false, map: true, partLeaves: false, lines: true }
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly #maps: FileMaps
  readonly #sessions: LogSessions
  readonly #views: LogViews

  /** `path`: the root of the agent's sessions, or one log. */
  constructor(adapter: LogAdapter, path: string, { clock, maps }: LogStoreOptions) {
    this.agent = adapter.agent
    this.kind = adapter.kind
    this.format = adapter.format
    this.path = path
    this.#maps = maps
    const pool = new SlabPool()
    this.#sessions = new LogSessions(adapter, clock, this.work, pool)
    this.#views = new LogViews(adapter, this.#sessions, clock, this.work, pool)
  }

  async sessions(options: ListOptions = {}): Promise<Listing<SessionEntry>> {
    const isLog = isFile(this.path)
    return this.#sessions.list(isLog ? dirname(this.path) : this.path, isLog ? this.path : undefined, options)
  }

  async look(
    sessions: readonly SessionKey[],
    before: readonly SessionEntry[],
    known: ReadonlyMap<string, KnownSession>,
  ): Promise<Listing<SessionEntry> | undefined> {
    const isLog = isFile(this.path)
    const wanted = new Set(sessions.map(({ session }) => session))
    return this.#sessions.look(isLog ? dirname(this.path) : this.path, isLog ? this.path : undefined, { wanted, before, known })
  }

  async newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>> {
    const listings = await this.#each(sessions, async (key) =>
      this.#sessions.find(key.session) === undefined ? NOTHING : this.#messages(key, { passing: true, unsummed: true }),
    )
    const issues = listings.flatMap((listing) => listing.issues)
    return { entries: listings.map(({ entries }) => entries.at(-1)), issues, complete: issues.length === 0 }
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly number[]> {
    return this.#each(sessions, (key) => this.#views.count(key))
  }

  async messages(
    session: SessionKey,
    options: ReadOptions & { readonly deep?: boolean; readonly cursor?: boolean; readonly passing?: boolean } = {},
  ): Promise<Listing<MessageEntry>> {
    const { signal, deep, passing = false, cursor = false } = options
    return this.#messages(session, { signal, deep, passing, straight: passing && !cursor }, cursor)
  }

  async #messages(session: SessionKey, options: LookOptions, cursor = false): Promise<Listing<MessageEntry>> {
    const held = await this.#views.view(session, options)
    // That the last listing lacks it, which may have failed in part, is not that it has no messages.
    if (held === undefined) return { entries: [], issues: [gone(session, this.path, 'session')], complete: false }
    const { issues } = held.view
    const end = cursor && { cursor: cursorOf(held.view, session.session) }
    return { entries: held.entries(), issues, complete: issues.length === 0, ...end }
  }

  async parts(session: SessionKey, messages: readonly MessageId[]): Promise<Listing<readonly PartEntry[]>> {
    const held = await this.#views.view(session)
    const lists = messages.map((id) =>
      held?.view.log
        .find(id)
        ?.lines.slice(1)
        .map((line): PartEntry => ({ id: linePart(line), price: priceOf(line, held) })),
    )
    return { entries: lists.map((list) => list ?? []), issues: [], complete: true }
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    const viewOf = this.#views.once()
    return this.#each(reads, async ({ kind, key }) => {
      if (kind === 'session') return sessionPrice(this.#sessions.find(key.session)?.entry)
      if (kind !== 'message' && kind !== 'part') return undefined
      const held = await viewOf(key)
      const line = held && lineOf(held.view.log, key)
      return line && held && priceOf(line, held)
    })
  }

  async open(reads: readonly Read[], slab: Slab, options: ReadOptions = {}): Promise<readonly Leaf[]> {
    const leaves: Leaf[] = new Array(reads.length)
    const unsummed = reads.every(({ price }) => price === undefined)
    const viewOf = this.#views.once({ signal: options.signal, unsummed, slab })
    const lines = new Map<string, { readonly view: LogView; readonly reads: LineRead[]; readonly places: number[] }>()
    for (const [place, { kind, key, price }] of reads.entries()) {
      if (kind === 'session') {
        const entry = this.#sessions.find(key.session)?.entry
        leaves[place] = entry === undefined ? { issue: gone(key, this.path, kind) } : sessionLeaf(key, entry, price, slab)
        continue
      }
      const seen = kind === 'message' || kind === 'part' ? viewOf(key) : undefined
      const held = seen instanceof Promise ? await seen : seen
      const line = held && lineOf(held.view.log, key)
      if (held === undefined || line === undefined) {
        leaves[place] = { issue: gone(key, held?.view.session.files[0]?.path ?? this.path, kind) }
        continue
      }
      const group = lines.get(key.session) ?? { view: held.view, reads: [], places: [] }
      lines.set(key.session, group)
      group.reads.push({ key, line, generation: price?.generation })
      group.places.push(place)
    }
    for (const { view, reads: own, places } of lines.values()) {
      const opened = await openLines(view, own, slab, { maps: this.#maps, work: this.work, signal: options.signal })
      if (opened.some(isStale)) this.#views.distrust(view)
      for (const [at, place] of places.entries()) leaves[place] = current(opened[at] as Leaf, own[at] as LineRead)
    }
    return leaves
  }

  /** The further lines of messages that are made of several. */
  async openParts(
    session: SessionKey,
    messages: readonly MessageKey[],
    slab: Slab,
    options: ReadOptions = {},
  ): Promise<Listing<readonly PartLeaf[]>> {
    const held = await this.#views.view(session, { signal: options.signal, unsummed: true, slab })
    const reads = messages.map((key) =>
      (held?.view.log.find(key.message)?.lines.slice(1) ?? []).map((line) => ({ key: partKey(key, linePart(line)), line, generation: undefined })),
    )
    const leaves =
      held === undefined ? [] : await openLines(held.view, reads.flat(), slab, { maps: this.#maps, work: this.work, signal: options.signal })
    if (held !== undefined && leaves.some(isStale)) this.#views.distrust(held.view)
    let next = 0
    const entries = reads.map((own) => own.map(({ key }): PartLeaf => ({ key, leaf: leaves[next++] as Leaf })))
    return { entries, issues: [], complete: true }
  }

  async openWhole(session: SessionKey, messages: readonly MessageKey[], slab: Slab, options: ReadOptions = {}): Promise<readonly WholeMessage[]> {
    const held = await this.#views.view(session, { signal: options.signal, unsummed: true, slab })
    const missing = (key: MessageKey): Leaf => ({ issue: gone(key, held?.view.session.files[0]?.path ?? this.path, 'message') })
    if (held === undefined) return messages.map((key) => ({ leaf: missing(key), parts: [] }))
    const kept = keptMessages(held.view, messages, slab, missing)
    if (kept !== undefined) return kept
    const leaves = await this.open(
      messages.map((key): Read => ({ kind: 'message', key })),
      slab,
      options,
    )
    const { entries } = await this.openParts(session, messages, slab, options)
    return leaves.map((leaf, at) => ({ leaf, parts: entries[at] ?? [] }))
  }

  async tail(
    session: SessionKey,
    cursor: LogCursor | undefined,
    slab: Slab,
    options: ReadOptions & { readonly deep?: boolean; readonly most?: number | undefined } = {},
  ): Promise<LogTail | undefined> {
    const listed = this.#sessions.find(session.session)
    if (listed === undefined) return undefined
    const { signal, deep, most } = options
    const leaves = { maps: this.#maps, work: this.work, signal, most }
    const resumed =
      cursor === undefined || deep === true ? undefined : await resumeView(listed.session, cursor, { ...this.#views.viewing(signal), slab })
    if (resumed === 'unchanged') return { messages: [], issues: [], cursor, reread: undefined }
    if (resumed?.view !== undefined) {
      const touched = resumed.view.log.takeTouched()
      return { ...(await openTail(resumed.view, session, touched, slab, leaves)), reread: undefined }
    }
    const held = await this.#views.view(session, { signal, deep })
    if (held === undefined) return undefined
    const { view } = held
    const { log, files, issues } = view
    // Of a log that cannot be read nothing is known, which is not that it has no messages.
    if (cursor !== undefined && files.some(({ stat }) => stat === undefined)) return { messages: [], issues, cursor: undefined, reread: undefined }
    const tail = await openTail(view, session, log.messages, slab, leaves)
    if (tail.messages.some(({ leaf, lines }) => isStale(leaf) || lines.some((line) => isStale(line.leaf)))) this.#views.distrust(view)
    return { ...tail, reread: resumed?.reread }
  }

  async revision(session: SessionKey): Promise<string> {
    return revisionOf(this.#sessions.statsNow(session.session))
  }

  async totals(options: ReadOptions = {}): Promise<StoreTotals> {
    let sessions = 0
    let messages = 0
    let bytes = 0
    for (const { key, stats } of this.#sessions.all) {
      options.signal?.throwIfAborted()
      sessions++
      messages += await this.#views.count(key, options.signal)
      for (const stat of stats) bytes += stat?.size ?? 0
    }
    return { sessions, messages, parts: undefined, bytes }
  }

  census(slab: () => Slab, options: CensusOptions = {}): AsyncIterable<CensusEntry> {
    return logCensus({ ...this.#views.viewing(options.signal), sessions: this.#sessions, maps: this.#maps, deep: options.deep === true }, slab)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#views.clear()
  }

  /** One after the other: each may read a log. */
  async #each<T, R>(items: readonly T[], of: (item: T) => Promise<R>): Promise<readonly R[]> {
    const results: R[] = []
    for (const item of items) results.push(await of(item))
    return results
  }
}

const NOTHING: Listing<MessageEntry> = { entries: [], issues: [], complete: true }

/** What cannot be looked at is none: to list it then says why. */
function isFile(path: string): boolean {
  try {
    return typeOf(path) === 'file'
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return false
  }
}

function priceOf(line: LogLine, { view }: HeldView): Price {
  return { generation: lineGeneration(line), bytes: line.length, changed: view.files[line.file]?.stat?.mtimeMs ?? 0 }
}
