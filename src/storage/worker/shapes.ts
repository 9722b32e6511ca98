/** What every answer of the worker must look like. A thread that answers otherwise is not to be trusted with the next call. */
import { isDocument } from '../../core/documents.js'
import type { MessageId, PartId, SessionId } from '../../core/ids.js'
import { type EntityKey, isAgent, type SessionKey } from '../../core/keys.js'
import type { SessionRecord } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import { isCursor, type LogCursor } from '../cursor.js'
import type { Generation } from '../generation.js'
import type { SpanSource } from '../span.js'
import type { MessageEntry, SessionEntry, StoreSupports, StoreTotals } from '../store.js'
import type { PackedLeaves } from './leaf-pack.js'
import type {
  Answer,
  Calls,
  CensusPage,
  CensusRow,
  LeavesAlong,
  MessagesPage,
  Method,
  NewestPage,
  OpenPartsPage,
  PartsPage,
  SessionsPage,
  SourceState,
  StoreState,
  TailPage,
  TailRow,
  WorkNumbers,
} from './protocol.js'

import { decodeKind, type PackedPrices } from './read-pack.js'

export type Check<T> = (value: unknown) => value is T

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number'
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isNothing = (value: unknown): value is undefined => value === undefined
const isId = <T extends string>(value: unknown): value is T => typeof value === 'string'
const isMapOf =
  <T>(check: Check<T>): Check<ReadonlyMap<number, T>> =>
  (value): value is ReadonlyMap<number, T> =>
    value instanceof Map && [...value].every(([place, one]) => isNumber(place) && check(one))

function maybe<T>(check: Check<T>): Check<T | undefined> {
  return (value): value is T | undefined => value === undefined || check(value)
}

function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(check)
}

function shapeOf<T extends object>(fields: { readonly [K in keyof T]-?: Check<T[K] | undefined> }): Check<T> {
  const checks = Object.entries(fields) as [string, Check<unknown>][]
  return (value): value is T => isDocument(value) && checks.every(([name, check]) => check(value[name]))
}

const isKey = (value: unknown): value is EntityKey =>
  isDocument(value) &&
  isAgent(value.agent) &&
  isText(value.session) &&
  (value.kind === 'session' || (isText(value.message) && (value.kind === 'message' || (value.kind === 'part' && isText(value.part)))))
const isSessionKey = (value: unknown): value is SessionKey => isKey(value) && value.kind === 'session'
const isIssue = (value: unknown): value is StageIssue =>
  isDocument(value) && isText(value.code) && isText(value.reason) && maybe(isKey)(value.key) && maybe(isText)(value.path)
const isIssues = listOf(isIssue)
const isGeneration: Check<Generation> = isId
const isRecord = (value: unknown): value is SessionRecord =>
  isDocument(value) && isId<SessionId>(value.id) && isText(value.title) && isText(value.directory) && isDocument(value.time)
const isLogCursor = (value: unknown): value is LogCursor => isCursor(value) && value.kind === 'log'
const isPlaces = (value: unknown): value is Int32Array => value instanceof Int32Array

const isSessionEntry = shapeOf<SessionEntry>({
  key: isSessionKey,
  project: isText,
  record: maybe(isRecord),
  damage: maybe(isIssue),
  path: isText,
  generation: isGeneration,
  version: maybe(isText),
})
const isMessageEntry = shapeOf<MessageEntry>({ id: isId<MessageId>, created: isNumber, order: maybe(isNumber), log: maybe(isDocument) as never })
const isPriceColumns = shapeOf<PackedPrices>({
  generations: listOf(maybe(isGeneration)),
  numbers: (value): value is Float64Array => value instanceof Float64Array,
})
const isPrices = (value: unknown): value is PackedPrices => isPriceColumns(value) && value.numbers.length === 2 * value.generations.length
const END = { issues: isIssues, complete: isFlag }
const isPartsColumns = shapeOf<PartsPage>({ ...END, ids: listOf(listOf(isId<PartId>)), prices: maybe(isPrices) })

const isSource = shapeOf<SpanSource>({
  path: isText,
  table: maybe(isText),
  type: maybe(isText),
  offset: maybe(isNumber),
  line: maybe(isNumber),
})
const isPackShape = shapeOf<PackedLeaves>({
  bytes: (value): value is ArrayBuffer => value instanceof ArrayBuffer,
  lengths: (value): value is Float64Array => value instanceof Float64Array,
  sources: listOf(isSource),
  sourceAt: (value): value is Uint32Array => value instanceof Uint32Array,
  generations: maybe(listOf(maybe(isGeneration))),
  issues: isMapOf(isIssue),
  rows: isMapOf(isDocument),
  torn: (value): value is ReadonlySet<number> => value instanceof Set,
})

/** Every leaf is an issue, or lies within the bytes and has a source. */
const isPack = (value: unknown): value is PackedLeaves => {
  if (!isPackShape(value)) return false
  const { bytes, lengths, sources, sourceAt, generations, issues } = value
  if (sourceAt.length !== lengths.length || (generations !== undefined && generations.length !== lengths.length)) return false
  const isLeaf = (length: number, at: number): boolean => (length < 0 ? issues.has(at) : sources[sourceAt[at] ?? -1] !== undefined)
  return lengths.every(isLeaf) && lengths.reduce((sum, length) => sum + Math.max(0, length), 0) <= bytes.byteLength
}

const isStoreState = shapeOf<StoreState>({
  id: isNumber,
  agent: isAgent,
  kind: isId<StoreState['kind']>,
  format: isId<StoreState['format']>,
  path: isText,
  supports: shapeOf<StoreSupports>({ recordedTime: isFlag, rows: isFlag, map: isFlag, partLeaves: isFlag, lines: maybe(isFlag) }),
  stamp: isFlag,
  tail: isFlag,
})
const isTailRow = shapeOf<TailRow>({ entry: isMessageEntry, lines: listOf(isId<PartId>), generations: listOf(isGeneration), changed: isNumber })
const isCensusRow = (value: unknown): value is CensusRow => {
  if (typeof value === 'string') return decodeKind(value) !== undefined
  if (!isDocument(value)) return false
  if (value.what === 'ignored') return isText(value.reason) && isNumber(value.count)
  if (value.what === 'unreadable') return isText(value.reason) && isText(value.path) && maybe(isText)(value.table)
  const isRecordRow = value.what === 'record' && isText(value.kind) && isKey(value.key) && isText(value.path) && isFlag(value.orphan)
  return isRecordRow && maybe(isText)(value.ignored) && maybe(listOf(isText))(value.columns)
}

/** Leaves of a page are as many as its rows say. */
function counted<T extends { readonly leaves: PackedLeaves }>(check: Check<T>, count: (page: T) => number): Check<T> {
  return (value): value is T => check(value) && count(value) === value.leaves.lengths.length
}

const isAlong = counted(shapeOf<LeavesAlong>({ ids: listOf(listOf(isId<PartId>)), leaves: isPack }), ({ ids }) => 1 + ids.length + ids.flat().length)

export const PAGES: { readonly [M in Method]: Check<Calls[M]['page']> } = {
  refresh: shapeOf<SourceState>({ stores: listOf(isStoreState), issues: isIssues }),
  found: isText,
  close: isNothing,
  hold: maybe(isNumber),
  prime: isNothing,
  sessions: shapeOf<SessionsPage>({
    lost: maybe(isFlag),
    from: maybe(isPlaces),
    fresh: listOf(isSessionEntry),
    end: maybe(shapeOf<NonNullable<SessionsPage['end']>>({ ...END, mark: maybe(isText), list: isNumber })),
  }),
  newest: shapeOf<NewestPage>({ ...END, entries: listOf(maybe(isMessageEntry)) }),
  messageCounts: listOf(maybe(isNumber)),
  messages: shapeOf<MessagesPage>({
    based: isFlag,
    from: maybe(isPlaces),
    fresh: listOf(isMessageEntry),
    end: maybe(shapeOf<NonNullable<MessagesPage['end']>>({ ...END, cursor: maybe(isLogCursor), list: maybe(isNumber) })),
    along: maybe(isAlong),
  }),
  parts: (value): value is PartsPage =>
    isPartsColumns(value) && (value.prices === undefined || value.prices.generations.length === value.ids.flat().length),
  price: isPrices,
  open: isPack,
  openParts: counted(shapeOf<OpenPartsPage>({ ...END, ids: listOf(listOf(isId<PartId>)), leaves: isPack }), ({ ids }) => ids.flat().length),
  revision: isText,
  stamp: isText,
  tail: counted(
    shapeOf<TailPage>({
      absent: maybe(isFlag),
      messages: listOf(isTailRow),
      leaves: isPack,
      end: maybe(shapeOf<NonNullable<TailPage['end']>>({ issues: isIssues, cursor: maybe(isLogCursor), reread: maybe(isText) })),
    }),
    ({ messages }) => messages.reduce((count, { lines }) => count + 1 + lines.length, 0),
  ),
  totals: shapeOf<StoreTotals>({ sessions: isNumber, messages: isNumber, parts: maybe(isNumber), bytes: isNumber }),
  census: counted(shapeOf<CensusPage>({ entries: listOf(isCensusRow), leaves: isPack }), ({ entries }) =>
    entries.reduce((count, row) => count + (typeof row === 'string' ? 1 : row.what === 'record' ? 1 + (row.columns?.length ?? 0) : 0), 0),
  ),
}

export const isAnswer: Check<Answer> = (value): value is Answer => isDocument(value) && isNumber(value.call) && isFlag(value.last)

export const isWork = (value: unknown): value is WorkNumbers => Array.isArray(value) && value.length === 4 && value.every(isNumber)
