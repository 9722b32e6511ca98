/** Verify: reads everything in every store and accounts for each record. */
import type { Reading } from '../core/documents.js'
import { type ErrorCode, StorageError } from '../core/errors.js'
import { parseProjectId } from '../core/ids.js'
import { type EntityKey, encodeKey, type MessageKey, type PartKey, type SessionKey, sessionOf } from '../core/keys.js'
import { toPart } from '../core/parts.js'
import { toDiffs, toMessage, toProject, toSession, toTodos } from '../core/records.js'
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

/** One store's account. Records are counted once: intact, damaged, orphaned, superseded, or ignored with a reason. */
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
  const account = new Account(store, (key) => sessions.index.session(key)?.source.path === store.path)
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
    const damage = leaf.span === undefined ? leaf.issue : check(kind, key, leaf.span)
    if (damage !== undefined) {
      this.#damaged.push({ path, key: nameOf(key), code: damage.code, reason: damage.reason })
    } else if (orphan && (kind === 'message' || kind === 'part')) {
      this.#orphans++
    } else if (kind !== 'project' && !orphan && !this.#reads(sessionOf(key))) {
      this.#superseded++
    } else {
      this.#count[kind]++
    }
  }
}

/** What is wrong with a record, if anything. */
function check(kind: Kind, key: EntityKey, span: Span): { readonly code: ErrorCode; readonly reason: string } | undefined {
  try {
    const reading = typed(kind, key, span)
    return 'damage' in reading ? { code: 'CORRUPT_RECORD', reason: reading.damage } : undefined
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { code: error.code, reason: error.reason }
  }
}

function typed(kind: Kind, key: EntityKey, span: Span): Reading<unknown> {
  const document = parseSpan(span)
  switch (kind) {
    case 'session':
      return toSession(document, key as SessionKey, '')
    case 'message':
      return toMessage(document, key as MessageKey)
    case 'part':
      return toPart(document, key as PartKey)
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
