/** The tables of a database whose rows are records: what a census selects of them, and what it makes of a row. */
import { isSafeId, type MessageId, type PartId, type SessionId } from '../../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../../core/keys.js'
import type { CensusKind } from '../store.js'
import type { SqliteConnection } from './connection.js'
import type { SqlRow, SqlValue } from './driver.js'
import type { Layout } from './layouts.js'
import type { Selection } from './pages.js'
import type { RowText, SessionTable } from './rows.js'

/** A row that is a record. */
export interface FoundRow {
  readonly key: EntityKey
  readonly data: SqlValue | undefined
  readonly orphan: boolean
  readonly type?: string
  /** In the order of the reading's `json`. */
  readonly columns?: readonly SqlValue[]
}

export interface TableReading extends Selection {
  readonly kind: CensusKind
  /** Names of the JSON columns that are checked on their own. */
  readonly json: readonly string[]
  /** Undefined for a row whose id may not be used. */
  readonly read: (row: SqlRow) => FoundRow | undefined
}

/** Columns that hold JSON and go into a record unparsed. */
const JSON_COLUMNS: Readonly<Record<SessionTable | 'project', readonly string[]>> = {
  session: ['model', 'summary_diffs', 'metadata', 'revert', 'permission'],
  session_v2: ['model', 'summary_diffs', 'metadata', 'revert', 'permission'],
  project: ['sandboxes', 'commands'],
}

/** `withShared` for the generation that also counts the tables that all have in common. */
export function recordTables(connection: SqliteConnection, layout: Layout, withShared: boolean, deep: boolean): readonly TableReading[] {
  const { schema } = connection
  const { session, message, part, todo } = layout
  const ids = schema.tables.has(session) ? connection.allOrNone(`SELECT id FROM ${session}`).map(([id]) => id) : []
  const sessions: ReadonlySet<SqlValue | undefined> = new Set(ids)
  const json = (table: SessionTable | 'project'): readonly string[] =>
    deep ? presentColumns(connection, table).filter((name) => JSON_COLUMNS[table].includes(name)) : []
  const all = [
    rowsOf('session', session, schema.session[session].whole, 'id', json(session), undefined),
    messages(message, sessions),
    ...(part === undefined ? [] : [parts(schema.tables.has(message) ? message : undefined, sessions)]),
    ...(todo === undefined ? [] : [rowsOf('todo', todo, schema.todo, 'session_id', [], sessions)]),
    ...(withShared ? [rowsOf('project', 'project', schema.project, 'id', json('project'), undefined)] : []),
  ]
  return all.filter(({ table }) => schema.tables.has(table))
}

export function presentColumns(connection: SqliteConnection, table: string): readonly string[] {
  return connection.allOrNone(`SELECT name FROM pragma_table_info('${table}')`).map(([name]) => String(name))
}

/** `sessions` are those that a row may belong to; undefined where it belongs to none. */
function rowsOf(
  kind: CensusKind,
  table: string,
  { columns, text }: RowText,
  id: string,
  json: readonly string[],
  sessions: ReadonlySet<SqlValue | undefined> | undefined,
): TableReading {
  const blobs = json.map((name) => `CAST(r."${name}" AS BLOB)`)
  return {
    kind,
    table,
    json,
    fields: [`r.${id}`, ...blobs, columns],
    read: ([id, ...row]) => {
      if (!isSafeId(id)) return undefined
      const found = { key: sessionKey('opencode', id as SessionId), data: text(row.slice(json.length)), orphan: sessions?.has(id) === false }
      return json.length === 0 ? found : { ...found, columns: row.slice(0, json.length) }
    },
  }
}

function messages(table: Layout['message'], sessions: ReadonlySet<SqlValue | undefined>): TableReading {
  const type = table === 'session_message' ? 'CAST(r.type AS TEXT)' : 'NULL'
  return {
    kind: 'message',
    table,
    json: [],
    fields: ['r.session_id', 'r.id', 'r.data', type],
    data: 2,
    read: ([session, id, data, type]) => {
      if (!isSafeId(session) || !isSafeId(id)) return undefined
      const key = messageKey(sessionKey('opencode', session as SessionId), id as MessageId)
      const found = { key, data, orphan: !sessions.has(session) }
      return typeof type === 'string' ? { ...found, type } : found
    },
  }
}

/** A part belongs to the session of its message; its own `session_id` has no foreign key. */
function parts(message: string | undefined, sessions: ReadonlySet<SqlValue | undefined>): TableReading {
  const owner = message === undefined ? 'NULL' : `CAST((SELECT m.session_id FROM ${message} m WHERE m.id = r.message_id) AS TEXT)`
  return {
    kind: 'part',
    table: 'part',
    json: [],
    fields: [owner, 'r.session_id', 'r.message_id', 'r.id', 'r.data'],
    data: 4,
    read: ([owner, session, message, id, data]) => {
      const parent = owner ?? session
      if (!isSafeId(parent) || !isSafeId(message) || !isSafeId(id)) return undefined
      const key = partKey(messageKey(sessionKey('opencode', parent as SessionId), message as MessageId), id as PartId)
      return { key, data, orphan: owner === null || !sessions.has(owner) }
    },
  }
}
