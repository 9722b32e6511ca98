/**
 * Lists of the catalog's sessions: a query becomes ranges of indexes, each in the order that is asked for, and their rows are merged.
 * No range is read further than the page goes, and none is sorted; only a search, and a folder in another order than the last update, sort what
 * they found.
 */
import { compareText } from '../../core/ids.js'
import type { Agent } from '../../core/keys.js'
import type { SqliteDatabase, SqliteStatement, SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import { ftsExpression } from '../sessions/search-words.js'
import { comparePlaces, placeOf, type ReadQuery, type SessionPlace } from '../sessions/session-page.js'
import type { SessionMeta, SessionOrigin } from '../types.js'
import { CARD_COLUMNS, metaIn } from './rows.js'

/** Rows that stand together in every index. */
export interface Segment {
  readonly segment: number
  readonly agent: Agent
  readonly source: SessionOrigin
  readonly store: number
  /** Of children (1), of archived ones (2). */
  readonly aside: number
  /** Which of its rows are shown. */
  readonly shown: Condition
}

export interface FoundSessions {
  /** One more than the page holds where there are more. */
  readonly sessions: readonly SessionMeta[]
  /** Rows that did not pass, which are not among the sessions. */
  readonly damaged: number
}

/** Prepares a statement once. */
export type Prepare = (sql: string) => SqliteStatement

export function preparing(database: SqliteDatabase): Prepare {
  const statements = new Map<string, SqliteStatement>()
  return (sql) => {
    const held = statements.get(sql)
    if (held !== undefined) return held
    const statement = database.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
}

/** Which rows, and the values that this asks for. */
export interface Condition {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

const ALL: Condition = { sql: 'segment = ?', values: [] }

interface Range {
  readonly segment: Segment
  readonly condition: Condition
}

/** The sessions of these segments in the order of the query, as many as a page holds and one more. */
export function findSessions(prepare: Prepare, segments: readonly Segment[], query: ReadQuery): FoundSessions {
  const limit = query.limit < Number.MAX_SAFE_INTEGER ? query.limit + 1 : -1
  const wanted = segments.filter((one) => isWanted(one, query)).sort((x, y) => compareText(x.agent, y.agent))
  const ranges = wanted.flatMap((segment) => rangesOf(prepare, segment, query).map((condition): Range => ({ segment, condition })))
  const isMerged = ranges.length > 1 && ranges.length <= MOST_MERGED && query.words.length === 0
  const found: SessionMeta[] = []
  let damaged = 0
  const take = (segment: Segment | undefined, row: SqlRow): void => {
    const meta = segment && metaOfRow(segment, row)
    if (meta === undefined) damaged++
    else found.push(meta)
  }
  if (isMerged) for (const row of mergeRanges(prepare, ranges, query, limit)) take(ranges[Number(row[CARD_WIDTH])]?.segment, row)
  else for (const { segment, condition } of ranges) for (const row of readRange(prepare, condition, segment, query, limit)) take(segment, row)
  return { sessions: ranges.length > 1 && !isMerged ? merged(found, query, limit) : found, damaged }
}

/** Ranges that one statement merges; SQLite takes 500 parts at most, and each range may be two. */
const MOST_MERGED = 100
const CARD_WIDTH = CARD_COLUMNS.split(', ').length

/** In the order of the query, reading of each range what is given of it: SQLite merges what is in order. Of equal places the first range comes first. */
function mergeRanges(prepare: Prepare, ranges: readonly Range[], query: ReadQuery, limit: number): readonly SqlRow[] {
  const { column, direction } = ORDERS[query.sort]
  const { after } = query
  const values: SqlValue[] = []
  const parts = ranges.flatMap(({ segment: { segment, agent }, condition }, at) => {
    const part = (place: string, ...more: readonly SqlValue[]): string => {
      values.push(segment, ...condition.values, ...more)
      return `SELECT ${CARD_COLUMNS}, ${at}, ${column} FROM sessions WHERE ${condition.sql}${place}`
    }
    if (after === undefined) return [part('')]
    return [part(tieOf(query), after.value, firstOf(agent, after)), part(restOf(query), after.value)]
  })
  return prepare(`${parts.join(' UNION ALL ')} ORDER BY ${CARD_WIDTH + 2}${direction}, 1 LIMIT ?`).all(...values, limit)
}

/** Of an equal place the agents stand in order, and a range is of one agent. */
function firstOf(agent: Agent, after: SessionPlace): string {
  return compareText(agent, after.agent) > 0 ? after.id : `${after.id}\0`
}

/** The sessions of these segments that a condition holds for, in no order. */
export function sessionsWhere(prepare: Prepare, segments: readonly Segment[], { sql, values }: Condition): FoundSessions {
  let damaged = 0
  const sessions = segments.flatMap((segment) => {
    const rows = prepare(`SELECT ${CARD_COLUMNS} FROM sessions WHERE ${sql} AND segment = ?${segment.shown.sql}`)
    const metas = rows.all(...values, segment.segment, ...segment.shown.values).map((row) => metaOfRow(segment, row))
    const found = metas.filter((meta) => meta !== undefined)
    damaged += metas.length - found.length
    return found
  })
  return { sessions, damaged }
}

function metaOfRow({ source, agent }: Segment, row: SqlRow): SessionMeta | undefined {
  return metaIn(storeName(source), agent, source, row)
}

export function countSessions(prepare: Prepare, segments: readonly Segment[], query: ReadQuery): number {
  let count = 0
  for (const segment of segments.filter((one) => isWanted(one, query))) {
    for (const { sql, values } of rangesOf(prepare, segment, query)) {
      count += Number(prepare(`SELECT count(*) FROM sessions WHERE ${sql}`).get(segment.segment, ...values)?.[0] ?? 0)
    }
  }
  return count
}

/** What the sums of a store's rows are made with. */
export function storeName({ kind, path }: SessionOrigin): string {
  return `${kind} ${path}`
}

function isWanted({ agent, aside }: Segment, { agents, children, archived }: ReadQuery): boolean {
  if (agents !== undefined && !agents.includes(agent)) return false
  return (children || (aside & 1) === 0) && (archived || (aside & 2) === 0)
}

/** Each in the order of the query. */
function rangesOf(prepare: Prepare, { segment, shown }: Segment, { folders, tag, words, sort }: ReadQuery): readonly Condition[] {
  const searched = words.length === 0 ? ALL : matching(prepare, ftsExpression(words))
  const base = both(tag === undefined ? searched : both(searched, { sql: ' AND tag = ?', values: [tag] }), shown)
  if (folders === undefined) return [base]
  const names = sort === 'updated' && words.length === 0 && tag === undefined ? namesOf(prepare, segment, folders) : undefined
  if (names !== undefined) return names.map((name) => both(base, { sql: ' AND cwd = ?', values: [name] }))
  return [both(base, anyFolder(folders))]
}

/** Titles that match, up to which it is cheaper to sort them than to go through the segment in order until the page is full. */
const FEW_TITLES = 2000

/** The plus keeps SQLite from the index of the segment, or from the list of the rows. */
function matching(prepare: Prepare, expression: string): Condition {
  const [count] = prepare('SELECT count(*) FROM (SELECT rowid FROM titles WHERE titles MATCH ? LIMIT ?)').get(expression, FEW_TITLES) ?? []
  const rows = 'row IN (SELECT rowid FROM titles WHERE titles MATCH ?)'
  return { sql: Number(count) < FEW_TITLES ? `+segment = ? AND ${rows}` : `segment = ? AND +${rows}`, values: [expression] }
}

function both(a: Condition, b: Condition): Condition {
  return { sql: a.sql + b.sql, values: [...a.values, ...b.values] }
}

/** Folders of one segment that are read one by one; of more the whole segment is gone through. */
const MOST_FOLDERS = 100

/** The folders that sessions of a segment ran in, found by steps down the index; undefined when there are too many. */
function namesOf(prepare: Prepare, segment: number, folders: NonNullable<ReadQuery['folders']>): readonly string[] | undefined {
  const names = new Set<string>()
  for (const { name, below } of folders) {
    names.add(name)
    if (!below) continue
    const [start, end] = insideOf(name)
    const next = prepare('SELECT cwd FROM sessions WHERE segment = ? AND cwd > ? AND cwd < ? ORDER BY cwd LIMIT 1')
    for (let at: SqlValue | undefined = start; typeof at === 'string'; ) {
      at = next.get(segment, at, end)?.[0]
      if (typeof at === 'string') names.add(at)
      if (names.size > MOST_FOLDERS) return undefined
    }
  }
  return [...names]
}

/** What is below a folder sorts between these two. */
function insideOf(folder: string): readonly [string, string] {
  const base = folder.endsWith('/') ? folder.slice(0, -1) : folder
  return [`${base}/`, `${base}0`]
}

/** An expression of SQLite has a thousand levels at most, and each folder is two. */
export const MOST_ASKED_FOLDERS = 400

/** The plus keeps SQLite from an index that is not in the order that is asked for. */
function anyFolder(folders: NonNullable<ReadQuery['folders']>): Condition {
  const values: string[] = []
  const tests = folders.map(({ name, below }) => {
    values.push(name)
    if (!below) return '+cwd = ?'
    values.push(...insideOf(name))
    return '+cwd = ? OR (+cwd > ? AND +cwd < ?)'
  })
  return { sql: ` AND (${tests.join(' OR ') || '0'})`, values }
}

function readRange(prepare: Prepare, { sql, values }: Condition, { segment, agent }: Segment, query: ReadQuery, limit: number): readonly SqlRow[] {
  const { after } = query
  if (after === undefined) return prepare(statementOf(query, sql, '')).all(segment, ...values, limit)
  const ties = prepare(statementOf(query, sql, tieOf(query))).all(segment, ...values, after.value, firstOf(agent, after), limit)
  if (limit >= 0 && ties.length >= limit) return ties
  const rest = limit < 0 ? limit : limit - ties.length
  return [...ties, ...prepare(statementOf(query, sql, restOf(query))).all(segment, ...values, after.value, rest)]
}

const ORDERS = {
  updated: { column: 'last_modified', direction: ' DESC', behind: '<' },
  created: { column: 'started_at', direction: ' DESC', behind: '<' },
  name: { column: 'name_order', direction: '', behind: '>' },
} as const

function tieOf({ sort }: ReadQuery): string {
  return ` AND ${ORDERS[sort].column} = ? AND id >= ?`
}

function restOf({ sort }: ReadQuery): string {
  return ` AND ${ORDERS[sort].column} ${ORDERS[sort].behind} ?`
}

function statementOf({ sort }: ReadQuery, condition: string, place: string): string {
  const { column, direction } = ORDERS[sort]
  return `SELECT ${CARD_COLUMNS} FROM sessions WHERE ${condition}${place} ORDER BY ${column}${direction}, id LIMIT ?`
}

function merged(found: readonly SessionMeta[], { sort }: ReadQuery, limit: number): readonly SessionMeta[] {
  const placed = found.map((meta): { readonly meta: SessionMeta; readonly place: SessionPlace } => ({ meta, place: placeOf(meta, sort) }))
  const sorted = placed.sort((a, b) => comparePlaces(a.place, b.place)).map(({ meta }) => meta)
  return limit < 0 ? sorted : sorted.slice(0, limit)
}
