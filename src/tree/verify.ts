/** Verify: reads everything in every store and accounts for each record. */
import type { Reading } from '../core/documents.js'
import { type ErrorCode, StorageError } from '../core/errors.js'
import { FORMATS, type RecordFormat } from '../core/formats.js'
import { parseProjectId } from '../core/ids.js'
import { type EntityKey, encodeKey, type MessageKey, type PartKey, type SessionKey, sessionOf } from '../core/keys.js'
import { toDiffs, toProject, toTodos } from '../core/records.js'
import { Slab } from '../storage/slab.js'
import { parseSpan, type Span } from '../storage/span.js'
import type { CensusEntry, Store, StoreKind } from '../storage/store.js'
import type { Sessions } from './sessions.js'

export interface DamagedRecord {
  readonly path: string
  /** Ids joined by '/', as far as the path or the row names them. */
  readonly key: string
  readonly code: ErrorCode
  readonly reason: string
}

/**
 * One store's account. Records are counted once: intact, damaged, orphaned, superseded, or ignored with a reason.
 * Parts inside an intact message are counted as parts too; with any other message they are that one record.
 */
export interface StoreLedger {
  readonly kind: StoreKind
  readonly path: string
  readonly sessions: number
  readonly messages: number
  readonly parts: number
  /** Todo lists as files, or todo rows. */
  readonly todos: number
  /** Diff files. */
  readonly diffs: number
  readonly projects: number
  /** Intact messages and parts without their parent. */
  readonly orphans: number
  /** Intact records of sessions that are read from another store. */
  readonly superseded: number
  readonly ignored: readonly { readonly reason: string; readonly count: number }[]
  readonly damaged: readonly DamagedRecord[]
}

export type LedgerTotal = Omit<StoreLedger, 'kind' | 'path' | 'ignored' | 'damaged'> & { readonly damaged: number; readonly ignored: number }

export interface Verification {
  readonly stores: readonly StoreLedger[]
  readonly total: LedgerTotal
}

/** Reads and parses every record of every store; nothing is kept in memory but the counts and the damage. */
export async function verifyStores(sessions: Sessions, options: { readonly signal?: AbortSignal } = {}): Promise<Verification> {
  const stores: StoreLedger[] = []
  for (const store of sessions.stores) stores.push(await verifyStore(sessions, store, options))
  const sum = (pick: (ledger: StoreLedger) => number): number => stores.reduce((total, ledger) => total + pick(ledger), 0)
  const total: LedgerTotal = {
    sessions: sum((ledger) => ledger.sessions),
    messages: sum((ledger) => ledger.messages),
    parts: sum((ledger) => ledger.parts),
    todos: sum((ledger) => ledger.todos),
    diffs: sum((ledger) => ledger.diffs),
    projects: sum((ledger) => ledger.projects),
    orphans: sum((ledger) => ledger.orphans),
    superseded: sum((ledger) => ledger.superseded),
    ignored: sum((ledger) => ledger.ignored.reduce((count, row) => count + row.count, 0)),
    damaged: sum((ledger) => ledger.damaged.length),
  }
  return { stores, total }
}

/** Records between two turns of the event loop. */
const BATCH = 500

async function verifyStore(sessions: Sessions, store: Store, { signal }: { readonly signal?: AbortSignal }): Promise<StoreLedger> {
  const account = new Account(store, (key) => {
    const source = sessions.index.session(key)?.source
    return source?.path === store.path && source.kind === store.kind
  })
  let slab = new Slab(sessions.slabs)
  let taken = 0
  try {
    for await (const entry of store.census(() => slab, { signal })) {
      account.add(entry)
      taken++
      if (taken % BATCH !== 0) continue
      slab[Symbol.dispose]()
      slab = new Slab(sessions.slabs)
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
    return account.ledger()
  } finally {
    slab[Symbol.dispose]()
  }
}

type RecordEntry = Extract<CensusEntry, { what: 'record' }>
type Kind = RecordEntry['kind']

class Account {
  readonly #store: Store
  readonly #reads: (session: SessionKey) => boolean
  readonly #count: Record<Kind, number> = { session: 0, message: 0, part: 0, todo: 0, diff: 0, project: 0 }
  readonly #ignored = new Map<string, number>()
  readonly #damaged: DamagedRecord[] = []
  #orphans = 0
  #superseded = 0

  constructor(store: Store, reads: (session: SessionKey) => boolean) {
    this.#store = store
    this.#reads = reads
  }

  add(entry: CensusEntry): void {
    if (entry.what === 'ignored') this.#ignored.set(entry.reason, (this.#ignored.get(entry.reason) ?? 0) + entry.count)
    else if (entry.what === 'unreadable') this.#damaged.push({ path: entry.path, key: '', code: 'UNREADABLE_RECORD', reason: entry.reason })
    else this.#addRecord(entry)
  }

  ledger(): StoreLedger {
    const { session, message, part, todo, diff, project } = this.#count
    return {
      kind: this.#store.kind,
      path: this.#store.path,
      sessions: session,
      messages: message,
      parts: part,
      todos: todo,
      diffs: diff,
      projects: project,
      orphans: this.#orphans,
      superseded: this.#superseded,
      ignored: [...this.#ignored].map(([reason, count]) => ({ reason, count })),
      damaged: this.#damaged,
    }
  }

  #addRecord({ kind, key, path, leaf, orphan }: RecordEntry): void {
    const { damage, inside } = leaf.span === undefined ? { damage: leaf.issue, inside: 0 } : check(FORMATS[this.#store.format], kind, key, leaf.span)
    if (damage !== undefined) {
      this.#damaged.push({ path, key: nameOf(key), code: damage.code, reason: damage.reason })
    } else if (orphan && (kind === 'message' || kind === 'part')) {
      this.#orphans++
    } else if (kind !== 'project' && !orphan && !this.#reads(sessionOf(key))) {
      this.#superseded++
    } else {
      this.#count[kind]++
      this.#count.part += inside
    }
  }
}

interface Checked {
  readonly damage?: { readonly code: ErrorCode; readonly reason: string }
  /** Parts inside a message's own document. */
  readonly inside: number
}

/** What is wrong with a record, if anything. */
function check(format: RecordFormat, kind: Kind, key: EntityKey, span: Span): Checked {
  try {
    if (kind !== 'message') return checked(typed(format, kind, key, span), 0)
    const reading = format.message(parseSpan(span), key as MessageKey, span.source.type)
    return checked(reading, 'record' in reading ? reading.record.parts.length : 0)
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { damage: { code: error.code, reason: error.reason }, inside: 0 }
  }
}

function checked(reading: Reading<unknown>, inside: number): Checked {
  return 'damage' in reading ? { damage: { code: 'CORRUPT_RECORD', reason: reading.damage }, inside } : { inside }
}

function typed(format: RecordFormat, kind: Exclude<Kind, 'message'>, key: EntityKey, span: Span): Reading<unknown> {
  const document = parseSpan(span)
  switch (kind) {
    case 'session':
      return format.session(document, key as SessionKey, '')
    case 'part':
      return format.part(document, key as PartKey)
    case 'diff':
      return toDiffs(document)
    case 'todo':
      // One item where it is a row of a database, a list where it is a file.
      return span.source.table === undefined ? toTodos(document) : { record: document }
    case 'project':
      return toProject(document, parseProjectId(key.session))
  }
}

function nameOf(key: EntityKey): string {
  return encodeKey(key).split('\u0001').slice(1).join('/')
}
