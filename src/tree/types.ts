/** The shapes that pass between the stages: request -> plan -> spans -> records. */
import type { StorageError } from '../core/errors.js'
import type { FormatName } from '../core/formats.js'
import type { MessageId, PartId, SessionId } from '../core/ids.js'
import type { MessageKey, SessionKey } from '../core/keys.js'
import type { Part, PartKind, Tokens } from '../core/parts.js'
import type { Message, SessionRecord } from '../core/records.js'
import type { StageIssue, StageName, StageReport } from '../core/stage.js'
import type { Cursor, LogCursor } from '../storage/cursor.js'
import type { Leaf, LogPosition, OpenerAlong, PartLeaf, Read, StoreKind } from '../storage/store.js'

/** The store a session is read from. */
export interface SessionOrigin {
  readonly kind: StoreKind
  /** Absolute path of the store: the JSON tree or the database. */
  readonly path: string
}

/** Light metadata of a session, from its own record alone. */
export interface SessionMeta {
  readonly key: SessionKey
  readonly id: SessionId
  readonly title: string
  readonly directory: string
  readonly project: string
  readonly parent: SessionId | undefined
  /** Epoch milliseconds; 0 when the record is damaged and the id tells nothing. */
  readonly created: number
  readonly updated: number
  readonly archived: number | undefined
  /** Messages from this one on are hidden in OpenCode, yet present. */
  readonly revert: MessageId | undefined
  readonly version: string
  readonly model: { readonly id: string; readonly providerID: string } | undefined
  /** Running sums of the record. Undefined when it holds none or only zeros: `usage()` then adds up the messages. */
  readonly usage: Usage | undefined
  /** Of a log: the lines that are not blank. */
  readonly entries?: number
  /** Of a log: a mark that somebody gave the session. */
  readonly label?: string
  /** Of a log: a tag that somebody gave the session. */
  readonly tag?: string
  /** Of a log: the beginning of what was asked first, at most 1,000 characters on one line, where the title is not all of it. */
  readonly prompt?: string
  /** The session's own record is damaged; these fields are of a lower copy, or rebuilt from its messages. */
  readonly damaged: boolean
  /** The store that the session is read from. */
  readonly source: SessionOrigin
  /** Stores with another copy, which this one hides; `compareCopies` tells what only they hold. In order of precedence. */
  readonly hides: readonly SessionOrigin[]
}

/** What a session used. */
export interface Usage {
  /** USD. */
  readonly cost: number
  readonly tokens: Tokens
}

/** Light metadata of a message, without its content. */
export interface MessageMeta {
  readonly key: MessageKey
  readonly id: MessageId
  /** Epoch milliseconds. */
  readonly created: number
}

/** A part that exists, without its content. */
export interface PartRef {
  readonly key: PartLeaf['key']
  readonly bytes: number
}

export interface ReadLimit {
  readonly bytes?: number
  readonly files?: number
  readonly rows?: number
}

export interface TreeRequest {
  readonly session: SessionKey | SessionId
  /** A window on the messages: the last n, those before one, those after one. Combined, `last` counts within the rest. */
  readonly messages?: { readonly last?: number; readonly before?: MessageId; readonly after?: MessageId }
  /** Keep only parts of these kinds. The kind stands inside the part, so all are read and the others dropped at hydrate. */
  readonly parts?: { readonly kinds?: readonly PartKind[] }
  /**
   * Signatures that the caller holds from an earlier tree. Messages whose signature is unchanged are left out.
   * Settled messages before the last eight, older than ten minutes, are trusted unless `deep` asks to check them all.
   */
  readonly known?: (key: MessageKey) => string | undefined
  /** Over it the plan fails with PLAN_TOO_LARGE, before any content is read. */
  readonly limit?: ReadLimit
  /**
   * Where an earlier reading ended (`FlowResult.cursor`): gives the messages that are new or changed since, and the next cursor. Of
   * OpenCode's stores hot messages are checked as with `known`, of a log what was appended is read. An old edit is seen with `deep`.
   */
  readonly since?: Cursor
  readonly deep?: boolean
  /** Give the untouched documents beside the records. */
  readonly native?: boolean
  readonly signal?: AbortSignal
}

export interface PlannedMessage {
  readonly key: MessageKey
  /** Epoch milliseconds, as far as the plan can see. */
  readonly created: number
  /** See MessageEntry. */
  readonly order: number | undefined
  readonly log: LogPosition | undefined
  readonly read: Read
  /** Undefined in a plan without prices: resolve takes whatever parts it finds. */
  readonly parts: readonly Read[] | undefined
  /** Names the versions of the message and of all its parts. Opaque: compare, never parse. */
  readonly signature: string | undefined
  /** The last write to the message or a part of it, epoch milliseconds. */
  readonly changed: number | undefined
}

/** What a request will read, in order, with its price. Plain data. */
export interface SessionTreePlan {
  readonly key: SessionKey
  /** The project whose folder holds the session, for records that do not name one. */
  readonly project: string
  readonly format: FormatName
  readonly source: SessionOrigin
  readonly session: Read
  readonly messages: readonly PlannedMessage[]
  /** Messages left out because the caller holds their current version. */
  readonly unchanged: number
  readonly kinds: readonly PartKind[] | undefined
  /** The originals are asked for. */
  readonly native?: boolean
  /** Where the log ended when it was planned. */
  readonly cursor?: LogCursor
  /** Opens its leaves in the place of the store, while the session is in that: some came with the list of messages. */
  readonly opener?: OpenerAlong
  /** Files to be opened. */
  readonly files: number
  /** Rows to be read. */
  readonly rows: number
  /** Bytes of content to be read; 0 in a plan without prices. */
  readonly bytes: number
}

export interface SessionRefNode {
  readonly key: SessionKey
  readonly leaf: Leaf
}

export interface MessageRefNode {
  readonly key: MessageKey
  readonly created: number
  readonly order: number | undefined
  readonly log: LogPosition | undefined
  readonly signature: string | undefined
  readonly changed: number | undefined
  readonly leaf: Leaf
  readonly parts: readonly PartRefNode[]
}

export type PartRefNode = PartLeaf

/** A session as spans: nothing parsed yet. Disposing it ends every span in it. */
export interface SessionRefTree extends Disposable {
  readonly key: SessionKey
  readonly project: string
  readonly format: FormatName
  readonly source: SessionOrigin
  readonly session: SessionRefNode
  readonly messages: readonly MessageRefNode[]
  readonly kinds: readonly PartKind[] | undefined
  readonly native?: boolean
}

/**
 * The documents as they stand in the store, parsed and otherwise untouched; undefined where they are damaged.
 * Of a row all columns under their own names, its document in `data`.
 */
export interface NativeMessage {
  readonly message: unknown
  /** In the order of the message's `parts`, damaged ones among them. Empty where parts stand inside their message's document. */
  readonly parts: readonly { readonly id: PartId; readonly document: unknown }[]
}

export interface MessageNode {
  readonly key: MessageKey
  /** Undefined when the message's own record is damaged; its parts are still here. */
  readonly message: Message | undefined
  /** By id time; a part that is damaged is an issue and not in this list. */
  readonly parts: readonly Part[]
  /** How many parts are damaged or unreadable. */
  readonly damagedParts: number
  /** To be handed back through `known`. Undefined when the tree was read without prices. */
  readonly signature: string | undefined
  readonly changed: number | undefined
  /** Of a log: its place in the tree of messages. */
  readonly log?: LogPosition
  /** With `native` only. */
  readonly native?: NativeMessage
}

export interface SessionHydratedTree {
  readonly key: SessionKey
  readonly source: SessionOrigin
  /** Undefined when the session's own record is damaged; its messages are still here. */
  readonly session: SessionRecord | undefined
  /** By (time created, id), or in the order that the store keeps (OpenCode 2). */
  readonly messages: readonly MessageNode[]
  /** With `native` only: the session's own document, or all columns of its row as they are stored. */
  readonly native?: unknown
}

/** The result of all three stages. */
export type FlowResult<T> =
  | ({ readonly status: 'ok'; readonly value: T; readonly reports: readonly StageReport[] } & FlowEnd)
  | ({
      readonly status: 'partial'
      readonly value: T
      readonly issues: readonly [StageIssue, ...StageIssue[]]
      readonly reports: readonly StageReport[]
    } & FlowEnd)
  | { readonly status: 'failed'; readonly stage: StageName; readonly error: StorageError; readonly reports: readonly StageReport[] }

/** Where a reading ended. */
export interface FlowEnd {
  /**
   * For `since`: plain data, which JSON keeps. Of a whole session or of what is new in it; missing with a window, with `known`, and when
   * something of a log could not be read for the moment: then go on from the cursor before.
   */
  readonly cursor?: Cursor
  /** With `since`: why the log was read from its start. The messages are all there are, not what is new. */
  readonly reread?: string
  /** With `since`: messages that are gone. The tree has none of them, so the order of applying does not matter. */
  readonly removed?: readonly MessageId[]
}

/** The lookups of an open set of stores: light metadata, no content. */
export interface SessionIndex {
  session(key: SessionKey): SessionMeta | undefined
  message(key: MessageKey): Promise<MessageMeta | undefined>
  /** Undefined also for a part that stands inside its message's document. */
  part(key: PartLeaf['key']): Promise<PartRef | undefined>
  /** Sessions whose records name this one as their parent, oldest first; `childLinks` also asks the tools. */
  children(key: SessionKey): readonly SessionMeta[]
  /** @throws StorageError AMBIGUOUS_ID when several agents have it */
  findById(id: SessionId): SessionMeta | undefined
  sessionsForProject(project: string): readonly SessionMeta[]
  /** Every session, the last updated first. */
  sessionsByTime(): readonly SessionMeta[]
  sessionsUpdatedSince(time: number): readonly SessionMeta[]
  /** By (created, id), or in the order that the store keeps. Listed when first asked for. */
  messages(key: SessionKey): Promise<readonly MessageMeta[]>
  /** Parts with records of their own; none of a message whose document holds its parts (OpenCode 2, and 0.1), which must be hydrated. */
  parts(key: MessageKey): Promise<readonly PartRef[]>
  messageCount(key: SessionKey): Promise<number>
  messageCounts(keys: readonly SessionKey[]): Promise<readonly number[]>
  /** Cost and tokens: of the record, or added up from the messages where the record has none (opens them). */
  usage(key: SessionKey): Promise<Usage>
  /** A token that moves when any record of the session changes. Opens none. */
  revision(key: SessionKey): Promise<string>
  stats(): IndexStats
}

export interface IndexStats {
  readonly sessions: number
  /** Messages whose metadata is held at the moment. */
  readonly messages: number
  readonly cache: { readonly spans: number; readonly bytes: number; readonly budget: number }
}
