/**
 * The Store port: one place on disk that holds sessions.
 *
 * Invariants, held by the contract suite (`test/contracts/store.ts`):
 * - listing methods open no message and no part; `openParts` and `open` parse nothing;
 * - `open` gives one leaf per read, in the order asked; a leaf whose generation moved is STALE_SPAN, never other bytes;
 * - damage is a leaf or an issue, never a throw; a store that as a whole cannot be read throws StorageError;
 * - nothing is ever written to `path`, and no read transaction lives across an await.
 */
import type { Document } from '../core/documents.js'
import type { FormatName } from '../core/formats.js'
import type { MessageId, PartId, SessionId } from '../core/ids.js'
import type { Agent, EntityKey, MessageKey, PartKey, SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import type { LogCursor } from './cursor.js'
import type { Generation } from './generation.js'
import type { KnownSession, Listing, ListOptions, ReadOptions, SessionEntry } from './listing.js'
import type { LogPosition } from './log-position.js'
import type { Slab } from './slab.js'
import type { Span } from './span.js'

export type { KnownSession, ListedBefore, Listing, ListOptions, ReadOptions, SessionEntry } from './listing.js'
export type { LogPosition, LogTrait } from './log-position.js'

/** 'opencode-sqlite' are the tables of OpenCode 1.2 to 1.18 (V1), 'opencode-v2' those of 2.x; one database may hold both. */
export type StoreKind =
  | 'memory'
  | 'opencode-era-a'
  | 'opencode-json'
  | 'opencode-sqlite'
  | 'opencode-v2'
  | 'pi-jsonl'
  | 'claude-jsonl'
  | 'codex-jsonl'
  | 'jcode-journal'

/** What a store cannot do it says here, and the contract suite then leaves out. */
export interface StoreSupports {
  /** Messages are ordered by their recorded time without being opened. */
  readonly recordedTime: boolean
  /** Leaves are rows of a database, not files. */
  readonly rows: boolean
  /** Leaves may be mapped: their files are never truncated or rewritten in place. */
  readonly map: boolean
  /**
   * Parts are leaves of their own; else they stand inside their message's document, and `parts` and `openParts` give none,
   * or, of a log, the further lines of messages that are made of several.
   */
  readonly partLeaves: boolean
  /** Leaves are lines of logs: what they are and whether they changed is known from one look at the file. @default false */
  readonly lines?: boolean
}

/** A version and its size; listed where they come free, or asked for with `price`. */
export interface Price {
  readonly generation: Generation
  readonly bytes: number
  /** When it was last written, epoch milliseconds. */
  readonly changed: number
}

export interface MessageEntry {
  readonly id: MessageId
  /** Epoch milliseconds: the row's time, or the time in the id, or else the file's. */
  readonly created: number
  /** The place in the session where the store keeps one; messages then go by it, whatever their times say. Else by (created, id). */
  readonly order?: number
  /** Of a log. */
  readonly log?: LogPosition
}

export interface PartEntry {
  readonly id: PartId
  readonly price?: Price
}

export type LeafKind = 'session' | 'message' | 'part' | 'todo' | 'diff'

/** One leaf to be opened. Todo lists and diffs go by the key of their session. */
export interface Read {
  readonly kind: LeafKind
  readonly key: EntityKey
  /** Undefined in a plan without prices: whatever version is there is taken. */
  readonly price?: Price
}

/** A span, or the issue that stands in its place. */
export type Leaf =
  | {
      readonly span: Span
      readonly issue?: undefined
      /** With `native`, of a row: its columns as they are stored, all but the document that is the span. */
      readonly row?: Document
      /** The file was written moments ago and looked half-written at every try. */
      readonly torn?: boolean
    }
  | { readonly span?: undefined; readonly issue: StageIssue }

export interface PartLeaf {
  readonly key: PartKey
  readonly leaf: Leaf
}

/** A message's own leaf, and its parts. */
export interface WholeMessage {
  readonly leaf: Leaf
  readonly parts: readonly PartLeaf[]
}

/** Files opened and rows stepped since the store was opened. Tests and reports read the difference. */
export interface StoreWork {
  files: number
  rows: number
  /** Bytes of content read. */
  bytes: number
  /** Files and folders asked for metadata only. */
  stats: number
}

export interface StoreTotals {
  readonly sessions: number
  readonly messages: number
  /** Undefined where parts stand inside their messages' documents. */
  readonly parts: number | undefined
  /** On disk: of the tree's files, or of the database with its -wal, whatever else it holds. */
  readonly bytes: number
}

/** What a census counts one by one; a 'document' is one that is left alone and still can be checked. */
export type CensusKind = LeafKind | 'project' | 'document'

/** One record met while everything on disk is counted. */
export interface CensusRecord {
  readonly what: 'record'
  readonly kind: CensusKind
  readonly key: EntityKey
  readonly path: string
  readonly leaf: Leaf
  /** Its session or its message is not in this store. */
  readonly orphan: boolean
  /** Why it is not read although it may be intact: then it counts as ignored. */
  readonly ignored?: string | undefined
  /** JSON columns of the row, which its document takes over unparsed. With `deep` only. */
  readonly columns?: readonly ColumnText[] | undefined
}

export interface ColumnText {
  readonly column: string
  readonly span: Span
}

export type CensusEntry =
  | CensusRecord
  | { readonly what: 'ignored'; readonly reason: string; readonly count: number }
  /** A folder, a table, or a store, of which some records were not counted. */
  | { readonly what: 'unreadable'; readonly path: string; readonly table?: string; readonly reason: string }

export interface CensusOptions extends ReadOptions {
  /** Gives documents that are left alone, and JSON columns, to be checked too. Never secrets, never the event log. @default false */
  readonly deep?: boolean | undefined
  /** Counts what stands beside a database in `storage`. @default the older generation of each database does */
  readonly beside?: boolean | undefined
}

/** What a log says since a cursor. */
export interface LogTail {
  /** Messages that are new or that got further lines, in order; all of them when the log was read from its start. */
  readonly messages: readonly TailMessage[]
  readonly issues: readonly StageIssue[]
  /** Undefined when a file of the log cannot be read. */
  readonly cursor: LogCursor | undefined
  /** Why the log was read from its start. */
  readonly reread: string | undefined
}

/** A message with its lines opened. */
export interface TailMessage {
  readonly entry: MessageEntry
  readonly leaf: Leaf
  readonly lines: readonly PartLeaf[]
  /** The generations of its lines. */
  readonly generations: readonly Generation[]
  /** The last write to the log, epoch milliseconds. */
  readonly changed: number
}

/** Opens leaves. */
export type Opener = Pick<Store, 'price' | 'open' | 'openParts' | 'openWhole'>

/** Holds leaves that came with a list of messages, as they were then, and asks the store for the rest. */
export interface OpenerAlong extends Opener {
  readonly store: Store
}

export interface MessageListing extends Listing<MessageEntry> {
  /** To be asked in the place of the store. */
  readonly opener?: OpenerAlong
}

export interface Store extends AsyncDisposable {
  readonly agent: Agent
  readonly kind: StoreKind
  /** How the documents of this store are read. */
  readonly format: FormatName
  /** Absolute. */
  readonly path: string
  readonly supports: StoreSupports
  readonly work: StoreWork
  /** Another thread answers: the next session is best asked for while this one is at work on one that is read straight through. @default false */
  readonly ahead?: boolean
  /** Every session, each with its light record. With what the listing before left this costs what changed since, and gives the same as without. */
  sessions(options?: ListOptions): Promise<Listing<SessionEntry>>
  /** The ids of all sessions, by their names alone. Missing in logs: there a name says less. */
  ids?(): Promise<readonly SessionId[]>
  /**
   * Of logs: these sessions, and those of logs that no listing met, as `sessions` would give them; of all others the names are looked at.
   * `known`: what each log was listed as, by path. Undefined where too many of them would be read.
   */
  look?(
    sessions: readonly SessionKey[],
    before: readonly SessionEntry[],
    known: ReadonlyMap<string, KnownSession>,
  ): Promise<Listing<SessionEntry> | undefined>
  /**
   * The message created last of each of the sessions, without opening one; undefined where there is none, and where an issue
   * with the session's key says that its messages cannot be listed.
   * What a store notes by itself (OpenCode 2: a switch, a turn's end) does not count.
   */
  newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>>
  /** How many messages each of the sessions has, in their order, without opening one; undefined where they cannot be listed. */
  messageCounts(sessions: readonly SessionKey[]): Promise<readonly (number | undefined)[]>
  /** The messages of a session by `order`, else by (created, id). With the `previous` entries at hand only what is new is looked at closely. */
  messages(
    session: SessionKey,
    options?: ReadOptions & {
      readonly previous?: readonly MessageEntry[] | undefined
      /** Of a log: read it from its start, whatever its metadata says. */
      readonly deep?: boolean
      /** Give the place where the log ends. */
      readonly cursor?: boolean
      /**
       * The session is read straight through: what was found need not be kept for the next call. Its log is read once: the bytes are held
       * until another session is begun so, and lines may be parsed already.
       */
      readonly passing?: boolean
      /** Leaves of the first messages, opened as the options say, may come with the list where that saves a call. */
      readonly along?: boolean
    },
  ): Promise<MessageListing>
  /** The parts of the given messages by id, each list in the place of its message; `price` asks for generation and size. */
  parts(
    session: SessionKey,
    messages: readonly MessageId[],
    options?: ReadOptions & { readonly price?: boolean },
  ): Promise<Listing<readonly PartEntry[]>>
  /** Versions and sizes, in order; undefined for what is gone. */
  price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]>
  /** Opens exactly these leaves. */
  open(reads: readonly Read[], slab: Slab, options?: ReadOptions): Promise<readonly Leaf[]>
  /** Opens every part of the given messages, unpriced, by id; each list in the place of its message. */
  openParts(session: SessionKey, messages: readonly MessageKey[], slab: Slab, options?: ReadOptions): Promise<Listing<readonly PartLeaf[]>>
  /** Of a log: `open` and `openParts` in one look, unpriced; each message in the place of its key. */
  openWhole?(session: SessionKey, messages: readonly MessageKey[], slab: Slab, options?: ReadOptions): Promise<readonly WholeMessage[]>
  /** A token that moves when any record of the session changes. Opens none. */
  revision(session: SessionKey): Promise<string>
  /**
   * Moves with anything that anybody writes to the store, and costs next to nothing: while it stays, so does every revision.
   * Missing in a store that cannot tell.
   */
  stamp?(): Promise<string>
  /**
   * Of a log: what was appended since `cursor`, or everything without one. Costs what it gives, not what the log has.
   * Undefined for a session that is not listed.
   * @throws StorageError PLAN_TOO_LARGE when the lines have more than `most` bytes, before they are opened
   */
  tail?(
    session: SessionKey,
    cursor: LogCursor | undefined,
    slab: Slab,
    options?: ReadOptions & { readonly deep?: boolean; readonly most?: number | undefined },
  ): Promise<LogTail | undefined>
  /** What is there, counted by names and rows: damaged records and orphans are among them. Opens none. */
  totals(options?: ReadOptions): Promise<StoreTotals>
  /** Everything on disk, record by record: what is read, what is damaged, what is orphaned, what is left alone and why. */
  census(slab: () => Slab, options?: CensusOptions): AsyncIterable<CensusEntry>
}
