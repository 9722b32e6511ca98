/**
 * OpenCode's SQLite databases, eras C (1.2 to 1.18) and D (2.x): sessions and messages, and in era C parts, as rows,
 * JSON in their `data` columns. A `Layout` says which tables; everything else is the same.
 * Most of a live database stands in its -wal; SQLite itself reads it. Every query is short and complete: no read
 * transaction lives across an await, so the writer's checkpoints are never held up.
 */
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../../core/clock.js'
import { byIdTime, isSafeId, type MessageId, type PartId, parseSessionId, quotedId, type SessionId } from '../../core/ids.js'
import { type EntityKey, type MessageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import { openDiffFile } from '../files/diff-files.js'
import { priceFile } from '../files/file-price.js'
import { fingerprint } from '../fingerprint.js'
import { rowGeneration, textGeneration } from '../generation.js'
import type { Slab } from '../slab.js'
import { SlabSpan, type SpanSource } from '../span.js'
import type {
  Leaf,
  Listing,
  ListOptions,
  MessageEntry,
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
import { databaseCensus } from './census.js'
import { DatabaseListings } from './changes.js'
import type { SqliteConnection } from './connection.js'
import type { SqlRow } from './driver.js'
import type { Layout } from './layouts.js'
import { partsWithColumns, withColumns } from './native.js'
import { eachRow } from './pack.js'
import { idOf, listing, noParts, rowPrice } from './records.js'
import type { RowText } from './rows.js'
import { databaseTotals, newestRows } from './totals.js'

/** Sessions that are counted one by one; of more all are counted at once. */
const FEW_COUNTS = 64

/** One generation's tables in a database. The connection is the store's own, and is closed with it. */
export class SqliteStore implements Store {
  readonly agent = 'opencode'
  readonly kind: Store['kind']
  readonly format: Store['format']
  readonly supports: Store['supports']
  readonly path: string
  readonly work: StoreWork
  readonly #connection: SqliteConnection
  readonly #layout: Layout
  readonly #listings: DatabaseListings
  readonly stamp = async (): Promise<string> => this.#connection.stamp()
  /** One source per type of row: leaves by the thousand share it. */
  readonly #sources = new Map<string, SpanSource>()

  constructor(connection: SqliteConnection, layout: Layout, clock: Clock = systemClock) {
    this.kind = layout.kind
    this.format = layout.format
    this.supports = { recordedTime: true, rows: true, map: false, partLeaves: layout.part !== undefined }
    this.path = connection.path
    this.work = connection.work
    this.#connection = connection
    this.#layout = layout
    this.#listings = new DatabaseListings(connection, layout, clock)
  }

  async sessions(options: ListOptions = {}): Promise<Listing<SessionEntry>> {
    return this.#listings.list(options)
  }

  async ids(): Promise<readonly SessionId[]> {
    const { session } = this.#layout
    return this.#connection.all(`SELECT id FROM ${session}`).flatMap(([id]) => (isSafeId(id) ? [parseSessionId(id)] : []))
  }

  async newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>> {
    return listing(newestRows(this.#connection, this.#layout, sessions), [])
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly number[]> {
    const { message } = this.#layout
    const one = `SELECT session_id, count(*) FROM ${message} WHERE session_id = ?`
    const rows =
      sessions.length <= FEW_COUNTS
        ? sessions.flatMap(({ session }) => this.#connection.all(one, session))
        : this.#connection.all(`SELECT session_id, count(*) FROM ${message} GROUP BY session_id`)
    const counts = new Map(rows.map(([id, count]) => [id, Number(count)]))
    return sessions.map(({ session }) => counts.get(session) ?? 0)
  }

  async messages({ session }: SessionKey, options: { readonly previous?: readonly MessageEntry[] | undefined } = {}): Promise<Listing<MessageEntry>> {
    const { message, order } = this.#layout
    const previous = options.previous ?? []
    const select = `SELECT id, time_created${order === 'seq' ? ', seq' : ''} FROM ${message} WHERE session_id = ?`
    const last = previous.at(-1)
    if (last !== undefined) {
      const place = last.order ?? last.created
      const since = this.#connection.all(`${select} AND ${order} >= ? ORDER BY ${order}, id`, session, place)
      const held = new Set(previous.slice(-since.length - 1).map((entry) => entry.id as string))
      const fresh = since.filter(([id]) => !held.has(String(id)))
      const [[count] = []] = this.#connection.all(`SELECT count(*) FROM ${message} WHERE session_id = ?`, session)
      const isTail = fresh.every(([id, created, seq]) => Number(seq ?? created) > place || String(id) > last.id)
      if (isTail && Number(count) === previous.length + fresh.length) {
        return fresh.length === 0 ? listing(previous, []) : this.#messageListing(fresh, previous)
      }
    }
    return this.#messageListing(this.#connection.all(`${select} ORDER BY ${order}, id`, session), [])
  }

  async parts(
    session: SessionKey,
    messages: readonly MessageId[],
    options: { readonly price?: boolean } = {},
  ): Promise<Listing<readonly PartEntry[]>> {
    if (this.#layout.part === undefined) return noParts(messages)
    const price = options.price === true ? ', p.time_updated, octet_length(p.data)' : ''
    const issues: StageIssue[] = []
    const lists = new Map<string, PartEntry[]>(messages.map((id) => [id, []]))
    const sql = `SELECT p.message_id, p.id${price} FROM json_each(?) w CROSS JOIN part p ON p.message_id = w.value`
    for (const [message, id, updated, bytes] of this.#connection.all(sql, JSON.stringify(messages))) {
      if (!this.#isSafe(id, 'part', issues)) continue
      const entry = { id: id as PartId }
      lists.get(String(message))?.push(price === '' ? entry : { ...entry, price: rowPrice(updated, bytes) })
    }
    const near = this.#timeOf(session)
    return listing(
      messages.map((id) => byIdTime(lists.get(id) ?? [], (entry) => entry.id, near)),
      issues,
    )
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    const rows = new Map<string, Price>()
    for (const leaf of ['message', 'part'] as const) {
      const table = this.#layout[leaf]
      const ids = reads.flatMap(({ kind, key }) => (kind === leaf ? [idOf(key)] : []))
      if (table === undefined || ids.length === 0) continue
      const parent = leaf === 'message' ? 'session_id' : 'message_id'
      const sql = `SELECT r.id, r.${parent}, r.time_updated, octet_length(r.data) FROM json_each(?) w CROSS JOIN ${table} r ON r.id = w.value`
      for (const [id, owner, updated, bytes] of this.#connection.all(sql, JSON.stringify(ids)))
        rows.set(`${leaf}/${owner}/${id}`, rowPrice(updated, bytes))
    }
    return reads.map(({ kind, key }) => {
      if (kind === 'message' || kind === 'part') return rows.get(`${kind}/${key.kind === 'part' ? key.message : key.session}/${idOf(key)}`)
      if (kind === 'diff') return priceFile(this.#diffPath(key.session), this.work)
      const text = this.#columnsText(kind, key.session)
      return text === undefined ? undefined : { generation: textGeneration(text), bytes: Buffer.byteLength(text), changed: this.#timeOf(key) }
    })
  }

  async open(reads: readonly Read[], slab: Slab, options: ReadOptions = {}): Promise<readonly Leaf[]> {
    const leaves = new Map<Read, Leaf>()
    this.#openRows('message', reads, slab, leaves)
    this.#openRows('part', reads, slab, leaves)
    const opened = reads.map((read) => leaves.get(read) ?? this.#openOther(read, slab))
    return options.native === true ? withColumns(this.#connection, this.#layout, opened) : opened
  }

  async openParts(
    session: SessionKey,
    messages: readonly MessageKey[],
    slab: Slab,
    options: ReadOptions = {},
  ): Promise<Listing<readonly PartLeaf[]>> {
    if (this.#layout.part === undefined) return noParts(messages)
    const issues: StageIssue[] = []
    const lists = messages.map((): PartLeaf[] => [])
    const source = this.#source(this.#layout.part, undefined)
    const ids = messages.map(({ message }) => message)
    for (const pack of this.#connection.pack('parts-of-messages', ids)) {
      slab.adopt(pack.bytes)
      eachRow(pack, (at, row, start, length) => {
        const owner = messages[at]
        const id = pack.ids[row]
        if (owner === undefined || !this.#isSafe(id, 'part', issues)) return
        const key = partKey(owner, id as PartId)
        lists[at]?.push({ key, leaf: { span: new SlabSpan(key, source, undefined, slab, start, length) } })
      })
    }
    const near = this.#timeOf(session)
    const ordered = lists.map((parts) => byIdTime(parts, ({ key }) => key.part, near))
    return listing(options.native === true ? partsWithColumns(this.#connection, this.#layout, ordered) : ordered, issues)
  }

  /** `time_updated` of the session moves neither with its messages nor with its parts, so all are asked. */
  async revision({ session }: SessionKey): Promise<string> {
    const own = this.#connection.all(`SELECT time_updated, title, time_archived FROM ${this.#layout.session} WHERE id = ?`, session)
    return fingerprint(JSON.stringify([own, ...this.#layout.revision.map((sql) => this.#connection.all(sql, session))]))
  }

  async totals(): Promise<StoreTotals> {
    return databaseTotals(this.#connection, this.#layout)
  }

  census(slab: () => Slab, options: ReadOptions = {}): ReturnType<Store['census']> {
    return databaseCensus(this.#connection, this.#layout, slab, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]()
  }

  #messageListing(rows: readonly SqlRow[], previous: readonly MessageEntry[]): Listing<MessageEntry> {
    const issues: StageIssue[] = []
    const entries: MessageEntry[] = []
    for (const [id, time, seq] of rows) {
      if (!this.#isSafe(id, this.#layout.message, issues)) continue
      const created = Number(time)
      entries.push(seq === undefined ? { id: id as MessageId, created } : { id: id as MessageId, created, order: Number(seq) })
    }
    return listing(previous.length === 0 ? entries : [...previous, ...entries], issues)
  }

  #isSafe(id: unknown, table: string, issues: StageIssue[]): id is string {
    if (isSafeId(id)) return true
    issues.push({ code: 'INVALID_ID', path: this.path, reason: `a row of ${table} has the unsafe id ${quotedId(id)}` })
    return false
  }

  #openRows(leaf: 'message' | 'part', reads: readonly Read[], slab: Slab, leaves: Map<Read, Leaf>): void {
    const table = this.#layout[leaf]
    if (table === undefined) return
    const wanted = reads.filter(({ kind }) => kind === leaf)
    const ids = wanted.map(({ key }) => idOf(key))
    for (const pack of this.#connection.pack(leaf === 'part' ? 'parts' : this.#layout.pack, ids)) {
      slab.adopt(pack.bytes)
      eachRow(pack, (at, row, start, length) => {
        const read = wanted[at]
        const source = this.#source(table, pack.types?.[row])
        if (read !== undefined) leaves.set(read, this.#rowLeaf(read, source, Number(pack.updated?.[row]), slab, start, length))
      })
    }
  }

  #rowLeaf(read: Read, source: SpanSource, updated: number, slab: Slab, start: number, length: number): Leaf {
    const generation = read.price && rowGeneration(updated, length)
    if (read.price?.generation !== generation) return { issue: this.#stale(read.key, 'rewritten') }
    return { span: new SlabSpan(read.key, source, generation, slab, start, length) }
  }

  /** Session rows, todo lists and diff files; and rows that were there when they were planned. */
  #openOther(read: Read, slab: Slab): Leaf {
    const { kind, key, price } = read
    if (kind === 'diff') return openDiffFile(this.#diffPath(key.session), key, price, slab, this.work)
    const text = kind === 'session' || kind === 'todo' ? this.#columnsText(kind, key.session) : undefined
    if (text === undefined) return { issue: this.#stale(key, 'removed') }
    const generation = price && textGeneration(text)
    if (price?.generation !== generation) return { issue: this.#stale(key, 'rewritten') }
    const bytes = Buffer.from(text)
    const start = slab.append(bytes)
    this.work.bytes += bytes.length
    const table = kind === 'session' ? this.#layout.session : kind
    return { span: new SlabSpan(key, { path: this.path, table }, generation, slab, start, bytes.length) }
  }

  #columnsText(kind: 'session' | 'todo', session: SessionId): string | undefined {
    const table = this.#layout[kind]
    if (table === undefined) return undefined
    const { schema } = this.#connection
    const { columns, text }: RowText = table === 'todo' ? schema.todo : schema.session[table].whole
    if (table !== 'todo') {
      const [row] = this.#connection.all(`SELECT ${columns} FROM ${table} WHERE id = ?`, session)
      return row && text(row)
    }
    const rows = this.#connection.all(`SELECT ${columns} FROM todo WHERE session_id = ? ORDER BY position`, session)
    return rows.length === 0 ? undefined : `[${rows.map(text).join(',')}]`
  }

  #timeOf({ session }: { readonly session: SessionId }): number {
    const [[updated] = []] = this.#connection.all(`SELECT time_updated FROM ${this.#layout.session} WHERE id = ?`, session)
    return Number(updated ?? 0)
  }

  #source(table: string, type: string | undefined): SpanSource {
    const name = type === undefined ? table : `${table} ${type}`
    const held = this.#sources.get(name)
    if (held !== undefined) return held
    const source = { path: this.path, table, ...(type !== undefined && { type }) }
    this.#sources.set(name, source)
    return source
  }

  #diffPath(session: SessionId): string {
    return join(dirname(this.path), 'storage', 'session_diff', `${session}.json`)
  }

  #stale(key: EntityKey, what: string): StageIssue {
    return { code: 'STALE_SPAN', key, path: this.path, reason: `the row was ${what} after it was planned`, transient: true }
  }
}
