/** A store in memory: the model that the contract suite holds the others against, and a stand-in for tests of callers. */
import { StorageError } from '../core/errors.js'
import { byIdTime, compareText, type MessageId, type PartId, parseMessageId, parsePartId, parseSessionId, type SessionId } from '../core/ids.js'
import { type EntityKey, type MessageKey, messageKey, partKey, type SessionKey, sessionKey } from '../core/keys.js'
import { toSession } from '../core/records.js'
import { issueOf } from '../core/stage.js'
import { fingerprint } from './fingerprint.js'
import { numberedGeneration } from './generation.js'
import { Slab } from './slab.js'
import { parseSpan, SlabSpan } from './span.js'
import type {
  CensusEntry,
  Leaf,
  LeafKind,
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
  StoreKind,
  StoreTotals,
  StoreWork,
} from './store.js'

interface MemoryRecord {
  readonly kind: LeafKind
  readonly key: EntityKey
  readonly bytes: Uint8Array
  readonly version: number
  /** Epoch milliseconds. */
  readonly created: number
  readonly changed: number
}

/** Where a record goes: a session, a message of one, or a part of that. */
export interface MemoryPlace {
  readonly session: string
  readonly message?: string
  readonly part?: string
  /** `todo` and `diff` stand beside their session. @default by the ids given */
  readonly kind?: LeafKind
}

export class MemoryStore implements Store {
  readonly agent = 'opencode'
  readonly kind: StoreKind
  readonly format = 'v1'
  readonly supports = { recordedTime: true, rows: true, map: false, partLeaves: true }
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly path: string
  readonly #records = new Map<string, MemoryRecord>()
  #version = 0

  constructor(path = 'memory:', kind: StoreKind = 'memory') {
    this.path = path
    this.kind = kind
  }

  /** Writes a record: a document, or text that stands as it is (to be damaged). `time` is when, in epoch milliseconds. */
  put(place: MemoryPlace, content: object | string, time: number): void {
    const { kind, key } = locate(place)
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    const created = this.#records.get(nameOf(kind, key))?.created ?? time
    this.#version++
    this.#records.set(nameOf(kind, key), { kind, key, bytes: Buffer.from(text), version: this.#version, created, changed: time })
  }

  /** Removes a record and everything below it. */
  remove(place: MemoryPlace): void {
    const { key } = locate(place)
    this.#version++
    for (const [name, record] of this.#records) if (isBelow(record.key, key)) this.#records.delete(name)
  }

  async sessions({ before, only }: ListOptions = {}): Promise<Listing<SessionEntry>> {
    const held = new Map((before?.entries ?? []).map((entry) => [entry.key.session, entry]))
    const wanted = only && new Set<string>(only.map(({ session }) => session))
    using slab = new Slab()
    const entries = this.#select('session').map((record) => {
      const known = held.get(record.key.session)
      if (known !== undefined && wanted?.has(record.key.session) === false) return known
      const version = this.#revision(record.key as SessionKey)
      return known !== undefined && known.version === version ? known : { ...this.#entry(record, slab), version }
    })
    return whole(entries)
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly number[]> {
    return sessions.map((session) => this.#messagesOf(session).length)
  }

  async newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>> {
    const lists = await Promise.all(sessions.map((session) => this.messages(session)))
    return whole(lists.map(({ entries }) => entries.at(-1)))
  }

  async totals(): Promise<StoreTotals> {
    const bytes = [...this.#records.values()].reduce((total, record) => total + record.bytes.length, 0)
    const count = (kind: LeafKind): number => this.#select(kind).length
    return { sessions: count('session'), messages: count('message'), parts: count('part'), bytes }
  }

  async messages(session: SessionKey): Promise<Listing<MessageEntry>> {
    const entries = this.#messagesOf(session).map(({ key, created }) => ({ id: (key as MessageKey).message, created }))
    return whole(entries.sort((a, b) => a.created - b.created || compareText(a.id, b.id)))
  }

  async parts(
    session: SessionKey,
    messages: readonly MessageId[],
    options: { readonly price?: boolean } = {},
  ): Promise<Listing<readonly PartEntry[]>> {
    return whole(
      messages.map((id) =>
        this.#partsOf(messageKey(session, id)).map((record) => {
          const entry = { id: (record.key as PartLeaf['key']).part }
          return options.price === true ? { ...entry, price: priceOf(record) } : entry
        }),
      ),
    )
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    return reads.map(({ kind, key }) => {
      const record = this.#records.get(nameOf(kind, key))
      return record && priceOf(record)
    })
  }

  async open(reads: readonly Read[], slab: Slab): Promise<readonly Leaf[]> {
    return reads.map((read) => {
      const record = this.#records.get(nameOf(read.kind, read.key))
      const fits = record !== undefined && (read.price === undefined || read.price.generation === priceOf(record).generation)
      if (fits) return this.#leaf(record, slab)
      return { issue: { code: 'STALE_SPAN', key: read.key, path: this.path, reason: 'the record changed after it was planned', transient: true } }
    })
  }

  async openParts(_session: SessionKey, messages: readonly MessageKey[], slab: Slab): Promise<Listing<readonly PartLeaf[]>> {
    return whole(
      messages.map((message) => this.#partsOf(message).map((record) => ({ key: record.key as PartLeaf['key'], leaf: this.#leaf(record, slab) }))),
    )
  }

  async revision(session: SessionKey): Promise<string> {
    return this.#revision(session)
  }

  #revision(session: SessionKey): string {
    const versions = [...this.#records.values()].filter(({ key }) => isBelow(key, session)).map(({ version }) => version)
    return fingerprint(JSON.stringify(versions))
  }

  async *census(slab: () => Slab, options: ReadOptions = {}): AsyncGenerator<CensusEntry> {
    for (const record of this.#records.values()) {
      options.signal?.throwIfAborted()
      const { kind, key } = record
      const orphan = !this.#records.has(nameOf('session', sessionKey(key.agent, key.session))) || (key.kind === 'part' && !this.#hasMessage(key))
      yield { what: 'record', kind, key, path: this.path, orphan, leaf: this.#leaf(record, slab()) }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#records.clear()
  }

  #select(kind: LeafKind): MemoryRecord[] {
    return [...this.#records.values()].filter((record) => record.kind === kind)
  }

  #messagesOf(session: SessionKey): MemoryRecord[] {
    return this.#select('message').filter(({ key }) => isBelow(key, session))
  }

  #partsOf(message: MessageKey): MemoryRecord[] {
    const parts = this.#select('part').filter(({ key }) => isBelow(key, message))
    return byIdTime(parts, ({ key }) => (key as PartLeaf['key']).part, parts[0]?.created ?? 0)
  }

  #hasMessage(key: PartLeaf['key']): boolean {
    return this.#records.has(nameOf('message', messageKey(sessionKey(key.agent, key.session), key.message)))
  }

  #leaf(record: MemoryRecord, slab: Slab): Leaf {
    this.work.rows++
    this.work.bytes += record.bytes.length
    const start = slab.append(record.bytes)
    const source = { path: this.path, table: record.kind }
    return { span: new SlabSpan(record.key, source, priceOf(record).generation, slab, start, record.bytes.length) }
  }

  #entry(record: MemoryRecord, slab: Slab): SessionEntry {
    const key = record.key as SessionKey
    const base = { key, project: '', path: this.path, generation: priceOf(record).generation }
    try {
      const { span } = this.#leaf(record, slab)
      const reading = toSession(span && parseSpan(span), key, 'global')
      if ('record' in reading) return { ...base, project: reading.record.projectID, record: reading.record }
      return { ...base, record: undefined, damage: { code: 'CORRUPT_RECORD', key, path: this.path, reason: reading.damage } }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      return { ...base, record: undefined, damage: issueOf(error, key, this.path) }
    }
  }
}

function locate({ session, message, part, kind }: MemoryPlace): { readonly kind: LeafKind; readonly key: EntityKey } {
  const parent = sessionKey('opencode', parseSessionId(session))
  if (message === undefined) return { kind: kind ?? 'session', key: parent }
  const owner = messageKey(parent, parseMessageId(message))
  return part === undefined ? { kind: kind ?? 'message', key: owner } : { kind: kind ?? 'part', key: partKey(owner, parsePartId(part)) }
}

function nameOf(kind: LeafKind, key: EntityKey): string {
  const message: MessageId | '' = key.kind === 'session' ? '' : key.message
  const part: PartId | '' = key.kind === 'part' ? key.part : ''
  const session: SessionId = key.session
  return [kind, session, message, part].join('\u0001')
}

function isBelow(key: EntityKey, parent: EntityKey): boolean {
  if (key.session !== parent.session) return false
  if (parent.kind === 'session') return true
  if (key.kind === 'session' || key.message !== parent.message) return false
  return parent.kind === 'message' || (key.kind === 'part' && key.part === parent.part)
}

function priceOf({ version, bytes, changed }: MemoryRecord): Price {
  return { generation: numberedGeneration(version), bytes: bytes.length, changed }
}

function whole<T>(entries: readonly T[]): Listing<T> {
  return { entries, issues: [], complete: true }
}
