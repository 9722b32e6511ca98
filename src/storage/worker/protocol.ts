/**
 * What the two threads say to each other. A call is answered by one page or by several; after each one but the last the worker
 * waits until pages that were taken make room: at most WINDOW of them are on their way.
 */
import type { FormatName } from '../../core/formats.js'
import type { MessageId, PartId } from '../../core/ids.js'
import type { Agent, EntityKey, SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import type { LogCursor } from '../cursor.js'
import type { Generation } from '../generation.js'
import type { CensusEntry, CensusKind, LogTail, MessageEntry, SessionEntry, StoreKind, StoreSupports, StoreTotals } from '../store.js'
import type { Delta } from './delta-list.js'
import type { PackedLeaves } from './leaf-pack.js'
import type { PackedPrices, PackedReads } from './read-pack.js'

/** Pages of one call that may be on their way. */
export const WINDOW = 2

/** Sizes of pages: each costs either thread a few milliseconds at most. */
export const PAGE = { sessions: 200, messages: 1000, leaves: 256, bytes: 2 ** 21, censusMs: 8 } as const

/** Of a session that is read straight through so much comes along with its messages; the message that passes the bound comes, too. */
export const ALONG = { messages: 64, bytes: 2 ** 17 } as const

export interface StoreState {
  /** Of this worker; another one numbers anew. */
  readonly id: number
  readonly agent: Agent
  readonly kind: StoreKind
  readonly format: FormatName
  readonly path: string
  readonly supports: StoreSupports
  /** Whether the store has these methods. */
  readonly stamp: boolean
  readonly tail: boolean
}

export interface SourceState {
  readonly stores: readonly StoreState[]
  readonly issues: readonly StageIssue[]
}

export interface ListingEnd {
  readonly issues: readonly StageIssue[]
  readonly complete: boolean
}

/** Of several pages the first has `from`, the last has `end`. */
export interface SessionsPage extends Delta<SessionEntry> {
  /** The worker has not the list that the call goes on from. */
  readonly lost?: boolean | undefined
  /** `list`: the number under which the worker holds this listing. */
  readonly end?: (ListingEnd & { readonly mark?: string | undefined; readonly list: number }) | undefined
}

export interface MessagesPage extends Delta<MessageEntry> {
  /** False: the worker had not the list that the call goes on from, so every entry is given. */
  readonly based: boolean
  readonly end?: (ListingEnd & { readonly cursor?: LogCursor | undefined; readonly list: number | undefined }) | undefined
  /** With `end`. */
  readonly along?: LeavesAlong | undefined
}

export interface LeavesAlong {
  /** The parts of each of the first messages. */
  readonly ids: readonly (readonly PartId[])[]
  /** That of the session, those of these messages, those of their parts. */
  readonly leaves: PackedLeaves
}

export interface NewestPage extends ListingEnd {
  readonly entries: readonly (MessageEntry | undefined)[]
}

export interface PartsPage extends ListingEnd {
  /** The parts of each message. */
  readonly ids: readonly (readonly PartId[])[]
  /** Of all of them, one after the other. Missing: of none. */
  readonly prices?: PackedPrices | undefined
}

export interface OpenPartsPage extends ListingEnd {
  /** The parts of each message, in the order of the leaves. */
  readonly ids: readonly (readonly PartId[])[]
  readonly leaves: PackedLeaves
}

export interface TailPage {
  /** The session is not listed. */
  readonly absent?: boolean | undefined
  readonly messages: readonly TailRow[]
  /** Of each message its own, then those of its lines. */
  readonly leaves: PackedLeaves
  readonly end?: Pick<LogTail, 'issues' | 'cursor' | 'reread'> | undefined
}

export interface TailRow {
  readonly entry: MessageEntry
  readonly lines: readonly PartId[]
  readonly generations: readonly Generation[]
  readonly changed: number
}

export interface CensusPage {
  readonly entries: readonly CensusRow[]
  /** Of each record its own, then its columns. */
  readonly leaves: PackedLeaves
}

export interface CensusRowOfRecord {
  readonly what: 'record'
  readonly kind: CensusKind
  readonly key: EntityKey
  readonly path: string
  readonly orphan: boolean
  readonly ignored?: string | undefined
  readonly columns?: readonly string[] | undefined
}

/** A text: kind and key of a record of which nothing else is to be told. */
export type CensusRow = string | CensusRowOfRecord | Exclude<CensusEntry, { readonly what: 'record' }>

/** What can be asked. Sessions and messages go by their ids: their agent is the store's. */
export interface Calls {
  /** Of the source. */
  readonly refresh: { readonly args: undefined; readonly page: SourceState }
  readonly found: { readonly args: undefined; readonly page: string }
  readonly close: { readonly args: undefined; readonly page: undefined }
  /** Brings a list for `sessions` to go on from, in pieces; gives its number after the last. */
  readonly hold: { readonly args: HoldArgs; readonly page: number | undefined }
  /** Lists the sessions and tells nobody: a store that was opened anew knows none before. */
  readonly prime: { readonly args: undefined; readonly page: undefined }
  readonly sessions: { readonly args: SessionsArgs; readonly page: SessionsPage }
  readonly newest: { readonly args: readonly string[]; readonly page: NewestPage }
  readonly messageCounts: { readonly args: readonly string[]; readonly page: readonly (number | undefined)[] }
  readonly messages: { readonly args: MessagesArgs; readonly page: MessagesPage }
  readonly parts: { readonly args: PartsArgs; readonly page: PartsPage }
  readonly price: { readonly args: PackedReads; readonly page: PackedPrices }
  readonly open: { readonly args: { readonly reads: PackedReads; readonly native: boolean }; readonly page: PackedLeaves }
  readonly openParts: { readonly args: OpenPartsArgs; readonly page: OpenPartsPage }
  readonly revision: { readonly args: string; readonly page: string }
  readonly stamp: { readonly args: undefined; readonly page: string }
  readonly tail: { readonly args: TailArgs; readonly page: TailPage }
  readonly totals: { readonly args: undefined; readonly page: StoreTotals }
  readonly census: { readonly args: { readonly deep: boolean | undefined; readonly beside: boolean | undefined }; readonly page: CensusPage }
}

export type Method = keyof Calls

export interface HoldArgs extends Delta<SessionEntry> {
  /** The list that `from` is about. Missing: this is a further piece. */
  readonly base?: number | undefined
  readonly last: boolean
}

export interface SessionsArgs {
  readonly before?: { readonly list: number; readonly mark: string | undefined } | undefined
  readonly only?: readonly string[] | undefined
  readonly hot?: readonly string[] | undefined
  readonly dirty?: readonly string[] | undefined
  readonly deep?: boolean | undefined
}

export interface MessagesArgs {
  readonly session: string
  readonly previous?: number | undefined
  readonly deep?: boolean | undefined
  readonly cursor?: boolean | undefined
  readonly passing?: boolean | undefined
  readonly along?: boolean | undefined
  readonly native?: boolean | undefined
}

export interface PartsArgs {
  readonly session: string
  readonly messages: readonly MessageId[]
  readonly price: boolean
}

export interface OpenPartsArgs {
  readonly session: string
  readonly messages: readonly MessageId[]
  readonly native: boolean
}

export interface TailArgs {
  readonly session: string
  readonly cursor: LogCursor | undefined
  readonly deep?: boolean | undefined
  readonly most?: number | undefined
  readonly native: boolean
}

/** To the worker. */
export type Message =
  | {
      readonly call: number
      readonly method: Method
      readonly store: number | undefined
      readonly args: unknown
      /** Others go first: of all the long calls one page is made per turn of the worker's loop. */
      readonly long: boolean
    }
  /** A page of this call was taken. */
  | { readonly more: number }
  | { readonly cancel: number }

/** Files, rows, bytes, stats: what the store did since it was opened. */
export type WorkNumbers = readonly [number, number, number, number]

/** From the worker, to be checked. */
export interface Answer {
  readonly call: number
  readonly last: boolean
  readonly page?: unknown
  readonly error?: unknown
  readonly work?: unknown
}

/** The data that a worker is started with. */
export interface WorkerStart {
  readonly spanleaf: 'stores'
  readonly stores: unknown
}

export function sessionIds(sessions: readonly SessionKey[]): readonly string[] {
  return sessions.map(({ session }) => session)
}
