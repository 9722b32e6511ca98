/**
 * What came to the tables of messages and parts since a look, and what of them tells of writes in place.
 * Rowids are hints: SQLite gives those of deleted rows to others, and VACUUM numbers all anew. So the last rows are known by their ids, too.
 */
import type { SqliteConnection } from './connection.js'
import type { Layout } from './layouts.js'

/** So many rows at the end of a table are remembered. */
const ANCHORS = 8

interface Anchor {
  readonly rowid: number
  readonly id: string
  readonly session: string
  /** When the row was last written to, epoch milliseconds. */
  readonly updated: number
}

/** The last rows of a table, the last one first. */
export type TableTail = readonly Anchor[]

export function tailOf(connection: SqliteConnection, table: string): TableTail {
  const rows = connection.all(`SELECT rowid, id, session_id, time_updated FROM ${table} ORDER BY rowid DESC LIMIT ${ANCHORS}`)
  return rows.map(([rowid, id, session, updated]) => ({ rowid: Number(rowid), id: String(id), session: String(session), updated: Number(updated) }))
}

/** What the end of a table tells. */
export interface TailNews {
  /** Sessions with new rows, and how many. More than are new where all rows got other numbers. */
  readonly rows: ReadonlyMap<string, number>
  readonly tail: TableTail
  /** The last row is another one, or gone: rows may have been deleted. */
  readonly isCut: boolean
}

export function newsOf(connection: SqliteConnection, table: string, before: TableTail): TailNews {
  const held = before.find(({ rowid, id }) => connection.all(`SELECT id FROM ${table} WHERE rowid = ?`, rowid)[0]?.[0] === id)
  const [last] = before
  const isCut = held !== last
  // Without the + SQLite goes through the index of sessions, all of it, to save itself the sorting of a few rows.
  const select = (where: string): string => `SELECT session_id, count(*) FROM ${table}${where} GROUP BY +session_id`
  const found =
    held !== undefined
      ? connection.all(select(' WHERE rowid > ?'), held.rowid)
      : last === undefined
        ? connection.all(select(''))
        : connection.all(select(' WHERE id > ?'), last.id)
  const rows = new Map(found.map(([session, count]) => [String(session), Number(count)]))
  return { rows, tail: rows.size === 0 && !isCut ? before : tailOf(connection, table), isCut }
}

export function messagesIn(connection: SqliteConnection, { message }: Layout): number {
  return Number(connection.all(`SELECT count(*) FROM ${message}`)[0]?.[0] ?? 0)
}

/** How many messages each session has that has any; SQLite puts them together to one row. */
export function countsOf(connection: SqliteConnection, { message }: Layout): Map<string, string> {
  const counted = `SELECT session_id s, count(*) n FROM ${message} GROUP BY session_id`
  const [[text] = []] = connection.all(`SELECT group_concat(concat(s, char(31), n), char(30)) FROM (${counted})`)
  const counts = new Map<string, string>()
  for (const row of typeof text === 'string' ? text.split('\u001e') : []) {
    const [session = '', count = ''] = row.split('\u001f')
    counts.set(session, count)
  }
  return counts
}

export interface SessionWindow {
  /** Of messages. */
  readonly count: string
  /** Moves when one of the last messages, or a part of one of those, is written to. */
  readonly window: string
}

/** So many messages at the end of a session are looked at. */
const LAST_MESSAGES = 8

/** One row for each of the sessions. */
export function windowsOf(
  connection: SqliteConnection,
  { message, part, order }: Layout,
  sessions: readonly string[],
): ReadonlyMap<string, SessionWindow> {
  if (sessions.length === 0) return new Map()
  const last = `FROM ${message} WHERE session_id = w.value ORDER BY ${order} DESC, id DESC LIMIT ${LAST_MESSAGES}`
  const parts =
    part === undefined
      ? "''"
      : `(SELECT concat(count(*), ' ', sum(time_updated), ' ', sum(octet_length(data))) FROM ${part} WHERE message_id IN (SELECT id ${last}))`
  const sql = `SELECT w.value, (SELECT count(*) FROM ${message} WHERE session_id = w.value),
    (SELECT group_concat(concat(id, ' ', time_updated, ' ', octet_length(data)), ',') FROM (SELECT id, time_updated, data ${last})), ${parts}
    FROM json_each(?) w`
  const rows = connection.all(sql, JSON.stringify(sessions))
  return new Map(rows.map(([id, count, messages, ofParts]) => [String(id), { count: String(count), window: `${messages ?? ''};${ofParts ?? ''}` }]))
}
