/** One store's account of everything on disk: each record in exactly one column. */
import { dirname } from 'node:path'
import { FORMATS, type RecordFormat } from '../core/formats.js'
import type { SessionId } from '../core/ids.js'
import { type Agent, type EntityKey, encodeKey, sessionOf, UNKNOWN_SESSION } from '../core/keys.js'
import type { JsonValidator } from '../storage/json-validator.js'
import type { CensusEntry, CensusKind, CensusRecord, Store, StoreKind } from '../storage/store.js'
import { checkRecord, type RecordDamage, type RecordFlaw } from './copies/record-check.js'
import type { ShownCopies } from './copies/shown-copies.js'
import type { Sessions } from './sessions/sessions.js'
import type { SessionOrigin } from './types.js'

/** Where a record stands. */
export interface RecordPlace {
  /** 'store' for a folder, a table or a store that could not be read to its end. */
  readonly kind: CensusKind | 'store'
  readonly path: string
  /** Of a row. */
  readonly table?: string
  /** Of a line of a log, counted from 1; the offset of its damage is then that in the file. */
  readonly line?: number
  /** Ids joined by '/', as far as the path or the row names them. */
  readonly key: string
  /** Of a record of a session: whose it is. */
  readonly agent?: Agent
  /** Missing where the session of a part is not known, since its message is nowhere. */
  readonly session?: SessionId
}

export interface DamagedRecord extends RecordPlace, RecordFlaw {}

/** An intact record whose session or message is not in its store. */
export interface OrphanRecord extends RecordPlace {
  readonly damage: Extract<RecordDamage, 'missing parent'>
}

export interface OrphanCounts {
  readonly messages: number
  readonly parts: number
  readonly todos: number
  readonly diffs: number
}

/**
 * One store's account. Records are counted once: intact, damaged, orphaned, superseded, or ignored with a reason.
 * So these add up to the files or the rows of the store, with two exceptions: parts `inside` messages are no records of
 * their own, and a folder that is left alone whole (git's snapshots) counts as one.
 */
export interface StoreLedger {
  readonly kind: StoreKind
  readonly path: string
  readonly sessions: number
  readonly messages: number
  readonly parts: number
  /** How many of `parts` stand inside the record of their message. With any message but an intact one they are that one record. */
  readonly inside: number
  /** Todo lists as files, or todo rows. */
  readonly todos: number
  /** Diff files. */
  readonly diffs: number
  readonly projects: number
  /** Intact, and without their parent. */
  readonly orphans: OrphanCounts
  /** Intact records of sessions that are read from another store. */
  readonly superseded: number
  /** What of `superseded` the copy that is read does not have, parts inside messages included. */
  readonly onlyHere: { readonly messages: number; readonly parts: number }
  readonly ignored: readonly { readonly reason: string; readonly count: number }[]
  readonly damaged: readonly DamagedRecord[]
  /** With `orphans` only. */
  readonly orphanRecords?: readonly OrphanRecord[]
}

export interface LedgerOptions {
  readonly validator: JsonValidator | undefined
  /** Whether orphans are named. */
  readonly orphans: boolean
}

export class Ledger {
  readonly #store: Store
  readonly #format: RecordFormat
  readonly #sessions: Sessions
  readonly #shown: ShownCopies
  readonly #options: LedgerOptions
  readonly #count: Record<Exclude<CensusKind, 'document'>, number> = { session: 0, message: 0, part: 0, todo: 0, diff: 0, project: 0 }
  readonly #orphans = { message: 0, part: 0, todo: 0, diff: 0 }
  readonly #onlyHere = { messages: 0, parts: 0 }
  readonly #ignored = new Map<string, number>()
  readonly #damaged: DamagedRecord[] = []
  readonly #orphanRecords: OrphanRecord[] = []
  #session: EntityKey['session'] | undefined
  #source: SessionOrigin | undefined
  #inside = 0
  #superseded = 0

  constructor(store: Store, sessions: Sessions, shown: ShownCopies, options: LedgerOptions) {
    this.#store = store
    this.#format = FORMATS[store.format]
    this.#sessions = sessions
    this.#shown = shown
    this.#options = options
  }

  /** A promise only where another copy must be asked. */
  add(entry: CensusEntry): Promise<void> | undefined {
    if (entry.what === 'record') return this.#addRecord(entry)
    if (entry.what === 'ignored') this.#ignore(entry.reason, entry.count)
    else
      this.#damaged.push({ ...placeOf('store', entry.path, entry.table, ''), code: 'UNREADABLE_RECORD', damage: 'unreadable', reason: entry.reason })
    return undefined
  }

  /** Records that could not be counted, because the store could not be read on. */
  fail(flaw: RecordFlaw, path: string): void {
    this.#damaged.push({ ...placeOf('store', path, undefined, ''), ...flaw })
  }

  close(): StoreLedger {
    const { session, message, part, todo, diff, project } = this.#count
    const orphans = this.#orphans
    return {
      kind: this.#store.kind,
      path: this.#store.path,
      sessions: session,
      messages: message,
      parts: part + this.#inside,
      inside: this.#inside,
      todos: todo,
      diffs: diff,
      projects: project,
      orphans: { messages: orphans.message, parts: orphans.part, todos: orphans.todo, diffs: orphans.diff },
      superseded: this.#superseded,
      onlyHere: { ...this.#onlyHere },
      ignored: [...this.#ignored].map(([reason, count]) => ({ reason, count })),
      damaged: this.#damaged,
      ...(this.#options.orphans && { orphanRecords: this.#orphanRecords }),
    }
  }

  #addRecord(record: CensusRecord): Promise<void> | undefined {
    const { kind } = record
    const { flaw, inside } = checkRecord(this.#format, record, this.#options.validator)
    if (flaw !== undefined) {
      this.#damaged.push({ ...recordPlace(record), ...flaw, ...inFile(record, flaw) })
      return undefined
    }
    if (kind === 'document' || record.ignored !== undefined) {
      this.#ignore(record.ignored ?? 'left alone', 1)
      return undefined
    }
    const place = kind === 'project' ? 'read' : this.#columnOf(record)
    if (place === 'superseded') return this.#supersede(record, inside)
    if (place === 'orphan' && kind !== 'session' && kind !== 'project') {
      this.#orphans[kind]++
      if (this.#options.orphans) this.#orphanRecords.push({ ...recordPlace(record), damage: 'missing parent' })
      return undefined
    }
    this.#count[kind]++
    this.#inside += inside
    return undefined
  }

  /** Todo lists and diff files name their session alone, so that it may be another store's. */
  #columnOf({ kind, key, orphan }: CensusRecord): 'read' | 'orphan' | 'superseded' {
    const source = this.#sourceOf(key)
    if (source === undefined || (orphan && (kind === 'message' || kind === 'part'))) return orphan ? 'orphan' : 'read'
    if (source.path === this.#store.path && source.kind === this.#store.kind) return 'read'
    const isShared = kind === 'diff' && (orphan || this.#store.supports.rows)
    return isShared && readsBeside(source, this.#store) ? 'read' : 'superseded'
  }

  /** Where the session of a record is read from. Records of one session mostly come one after the other. */
  #sourceOf(key: EntityKey): SessionOrigin | undefined {
    if (key.session !== this.#session) {
      this.#session = key.session
      this.#source = this.#sessions.index.session(sessionOf(key))?.source
    }
    return this.#source
  }

  #supersede({ kind, key }: CensusRecord, inside: number): Promise<void> | undefined {
    this.#superseded++
    if (key.kind === 'session' || (kind !== 'message' && kind !== 'part')) return undefined
    return this.#shown.has(key).then((has) => {
      if (has) return
      if (kind === 'part') this.#onlyHere.parts++
      else {
        this.#onlyHere.messages++
        this.#onlyHere.parts += inside
      }
    })
  }

  #ignore(reason: string, count: number): void {
    this.#ignored.set(reason, (this.#ignored.get(reason) ?? 0) + count)
  }
}

/** Databases read the diff files of the `storage` folder beside them, whichever store counts these. */
function readsBeside({ kind, path }: SessionOrigin, { path: counted }: Store): boolean {
  return (kind === 'opencode-sqlite' || kind === 'opencode-v2') && dirname(path) === dirname(counted)
}

function recordPlace({ kind, key, path, leaf }: CensusRecord): RecordPlace {
  const line = leaf.span?.source.line ?? leaf.issue?.line
  return { ...placeOf(kind, path, leaf.span?.source.table, nameOf(key)), ...(line !== undefined && { line }), ...sessionNamed(kind, key) }
}

/** Keys of projects, and of what is no record beside OpenCode's sessions, hold other names in the place of a session's. */
function sessionNamed(kind: CensusKind, { agent, session }: EntityKey): Pick<RecordPlace, 'agent' | 'session'> {
  if (kind === 'project' || (kind === 'document' && agent === 'opencode')) return {}
  return kind === 'part' && session === UNKNOWN_SESSION ? { agent } : { agent, session }
}

function inFile({ leaf }: CensusRecord, { offset = 0 }: RecordFlaw): { readonly offset?: number } {
  const start = leaf.span?.source.offset ?? leaf.issue?.offset
  return start === undefined ? {} : { offset: start + offset }
}

function placeOf(kind: RecordPlace['kind'], path: string, table: string | undefined, key: string): RecordPlace {
  return table === undefined ? { kind, path, key } : { kind, path, table, key }
}

function nameOf(key: EntityKey): string {
  return encodeKey(key).split('\u0001').slice(1).join('/')
}
