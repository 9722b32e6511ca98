/**
 * Lists of the catalog's sessions: a query becomes ranges of indexes, each in the order that is asked for, and their rows are merged.
 * Of each range little more is read than its share of the page, and none is sorted; only a search, and a folder in another order than the
 * last update, sort what they found.
 */
import { compareText } from '../../core/ids.js'
import type { Agent } from '../../core/keys.js'
import type { SqliteDatabase, SqliteStatement, SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import { ftsExpression } from '../sessions/search-words.js'
import { compareValues, type ReadQuery, type SessionPlace } from '../sessions/session-page.js'
import type { SessionMeta, SessionOrigin } from '../types.js'
import { CARD_COLUMNS, metaIn } from './cards.js'

/** Rows that stand together in every index. */
export interface Segment {
  readonly segment: number
  readonly agent: Agent
  readonly source: SessionOrigin
  /** What the sums of its rows begin with. */
  readonly seed: number
  readonly store: number
  /** Of children (1), of archived ones (2). */
  readonly aside: number
  /** Which of its rows are shown. */
  readonly shown: Condition
}

export interface FoundSessions {
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

/** The sessions of a query in order, read little by little: what was read and not given is there for the next page. */
export interface SessionReading {
  /** As many sessions as there are, up to `count`. */
  take(count: number): FoundSessions
  isAtEnd(): boolean
}

/** Begins behind `query.after`. Of what is written meanwhile a part may show: it is for who knows that nothing is. */
export function readSessions(prepare: Prepare, segments: readonly Segment[], query: ReadQuery): SessionReading {
  const searched = matching(prepare, query)
  const wanted = segments.filter((one) => isWanted(one, query)).sort((x, y) => compareText(x.agent, y.agent))
  const ranges = wanted.flatMap((segment) => rangesOf(prepare, segment, query, searched).map((condition): Range => ({ segment, condition })))
  // To go on with a search is to search anew.
  const share = query.words.length > 0 ? query.limit : Math.ceil(query.limit / ranges.length)
  const asked = query.limit < Number.MAX_SAFE_INTEGER ? share + 1 : EVERYTHING
  const heads = ranges.map((range): Head => ({ range, rows: readRange(prepare, range, query, query.after, asked), at: 0, asked }))
  let ahead = 0
  const first = (missing: number): Head | undefined => {
    let found: Head | undefined
    for (const head of heads) {
      if (head.at === head.asked) readOn(prepare, head, query, Math.max(ahead, missing))
      const row = head.rows[head.at]
      if (row !== undefined && (found === undefined || isBefore(row, found.rows[found.at] ?? row))) found = head
    }
    return found
  }
  return {
    take(count) {
      const sessions: SessionMeta[] = []
      let damaged = 0
      for (let head = first(count); head !== undefined; head = sessions.length < count ? first(count - sessions.length) : undefined) {
        const { seed, agent, source } = head.range.segment
        const row = head.rows[head.at++]
        const meta = metaIn(seed, agent, source, row?.[0], row?.[1])
        if (meta === undefined) damaged++
        else sessions.push(meta)
      }
      // Who goes on will go on.
      ahead = Math.min(MOST_AHEAD, Math.max(count, 2 * ahead))
      return { sessions, damaged }
    },
    isAtEnd: () => first(1) === undefined,
  }
}

/** What was read of a range, and how far it was given. */
interface Head {
  readonly range: Range
  rows: readonly SqlRow[]
  at: number
  /** How many rows were asked for: if there are less, that was all. */
  asked: number
}

/** Instead of a limit. */
const EVERYTHING = -1
/** Rows of one range that are read at a time, at most. */
const MOST_AHEAD = 256

function readOn(prepare: Prepare, head: Head, query: ReadQuery, asked: number): void {
  const last = head.rows.at(-1) ?? []
  const place = { value: valueIn(last), id: String(last[0]), agent: head.range.segment.agent }
  head.asked = Math.min(MOST_AHEAD, asked)
  head.rows = readRange(prepare, head.range, query, place, head.asked)
  head.at = 0
}

/** Of equal places the first one comes first: the segments stand in the order of their agents. */
function isBefore(a: SqlRow, b: SqlRow): boolean {
  return (compareValues(valueIn(a), valueIn(b)) || compareText(String(a[0]), String(b[0]))) < 0
}

function valueIn(row: SqlRow): string | number {
  const value = row[PLACE]
  return typeof value === 'number' ? value : String(value)
}

/** The column behind those of the card. */
const PLACE = CARD_COLUMNS.split(', ').length

/** Of an equal place the agents stand in order, and a range is of one agent. */
function firstOf(agent: Agent, after: SessionPlace): string {
  return compareText(agent, after.agent) > 0 ? after.id : `${after.id}\0`
}

/** The sessions of these segments that a condition holds for, in no order. */
export function sessionsWhere(prepare: Prepare, segments: readonly Segment[], condition: (segment: Segment) => Condition): FoundSessions {
  let damaged = 0
  const sessions = segments.flatMap((segment) => {
    const { sql, values } = condition(segment)
    const rows = prepare(`SELECT ${CARD_COLUMNS} FROM sessions WHERE ${sql} AND segment = ?${segment.shown.sql}`)
    const { seed, agent, source, shown } = segment
    const metas = rows.all(...values, segment.segment, ...shown.values).map(([id, card]) => metaIn(seed, agent, source, id, card))
    const found = metas.filter((meta) => meta !== undefined)
    damaged += metas.length - found.length
    return found
  })
  return { sessions, damaged }
}

export function countSessions(prepare: Prepare, segments: readonly Segment[], query: ReadQuery): number {
  const searched = matching(prepare, query)
  let count = 0
  for (const segment of segments.filter((one) => isWanted(one, query))) {
    for (const { sql, values } of rangesOf(prepare, segment, query, searched)) {
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
function rangesOf(
  prepare: Prepare,
  { segment, shown }: Segment,
  { folders, tag, words, sort }: ReadQuery,
  searched: Condition,
): readonly Condition[] {
  const base = both(tag === undefined ? searched : both(searched, { sql: ' AND tag = ?', values: [tag] }), shown)
  if (folders === undefined) return [base]
  const names = sort === 'updated' && words.length === 0 && tag === undefined ? namesOf(prepare, segment, folders) : undefined
  if (names !== undefined) return names.map((name) => both(base, { sql: ' AND cwd = ?', values: [name] }))
  return [both(base, anyFolder(folders))]
}

/** Titles that match, up to which it is cheaper to sort them than to go through the segment in order until the page is full. */
const FEW_TITLES = 2000

/** The plus keeps SQLite from the index of the segment, or from the list of the rows. */
function matching(prepare: Prepare, { words }: ReadQuery): Condition {
  if (words.length === 0) return ALL
  const expression = ftsExpression(words)
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

function readRange(
  prepare: Prepare,
  { segment: { segment, agent }, condition: { sql, values } }: Range,
  query: ReadQuery,
  after: SessionPlace | undefined,
  limit: number,
): readonly SqlRow[] {
  if (after === undefined) return prepare(statementOf(query, sql, '')).all(segment, ...values, limit)
  const ties = prepare(statementOf(query, sql, tieOf(query))).all(segment, ...values, after.value, firstOf(agent, after), limit)
  if (limit !== EVERYTHING && ties.length >= limit) return ties
  const rest = limit === EVERYTHING ? limit : limit - ties.length
  const behind = prepare(statementOf(query, sql, restOf(query))).all(segment, ...values, after.value, rest)
  return ties.length === 0 ? behind : [...ties, ...behind]
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
  return `SELECT ${CARD_COLUMNS}, ${column} FROM sessions WHERE ${condition}${place} ORDER BY ${column}${direction}, id LIMIT ?`
}
