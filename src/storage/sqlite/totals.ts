/** What the tables of one generation hold, counted in the database. */
import { statSync } from 'node:fs'
import { isSafeId, type MessageId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { MessageEntry, StoreTotals } from '../store.js'
import type { SqliteConnection } from './connection.js'
import type { SqlRow } from './driver.js'
import type { Layout } from './layouts.js'

export function databaseTotals(connection: SqliteConnection, { session, message, part }: Layout): StoreTotals {
  const rows = (table: string): number => Number(connection.all(`SELECT count(*) FROM ${table}`)[0]?.[0] ?? 0)
  const sizes = [connection.path, `${connection.path}-wal`].map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0)
  return {
    sessions: rows(session),
    messages: rows(message),
    parts: part === undefined ? undefined : rows(part),
    bytes: sizes.reduce((total, size) => total + size, 0),
  }
}

/** Above so many sessions one query over the whole table is cheaper than one for each. */
const ONE_BY_ONE = 64

/** What OpenCode 2 notes by itself: it tells nothing of whether the session went on. */
const NOTES = "('agent-switched', 'model-switched', 'location-switched', 'idle', 'system')"

/** The message created last of each session; `max` makes SQLite take the other columns from the row that has it. */
export function newestRows(
  connection: SqliteConnection,
  { message, order }: Layout,
  sessions: readonly SessionKey[],
): readonly (MessageEntry | undefined)[] {
  const [seq, said] = order === 'seq' ? [', seq', `type NOT IN ${NOTES}`] : ['', 'true']
  const select = `SELECT session_id, id, max(time_created)${seq} FROM ${message} WHERE ${said}`
  const rows =
    sessions.length > ONE_BY_ONE
      ? connection.all(`${select} GROUP BY session_id`)
      : sessions.flatMap(({ session }) => connection.all(`${select} AND session_id = ?`, session))
  const newest = new Map(rows.map((row) => [row[0], entryOf(row)]))
  return sessions.map(({ session }) => newest.get(session))
}

function entryOf([, id, created, seq]: SqlRow): MessageEntry | undefined {
  if (!isSafeId(id)) return undefined
  const entry = { id: id as MessageId, created: Number(created) }
  return seq === undefined ? entry : { ...entry, order: Number(seq) }
}
