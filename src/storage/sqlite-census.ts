/** Everything in a database that is one generation's, row by row in pages: records, orphans, and the tables that are left alone and why. */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isSafeId, type MessageId, type PartId, type SessionId } from '../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../core/keys.js'
import { openDiffFile } from './diff-files.js'
import { isJsonTree } from './paths.js'
import type { Slab } from './slab.js'
import { SlabSpan, type SpanSource } from './span.js'
import type { SqliteConnection } from './sqlite-connection.js'
import type { SqlRow, SqlValue } from './sqlite-driver.js'
import { type Layout, layoutsIn } from './sqlite-layouts.js'
import type { RowText, Schema } from './sqlite-rows.js'
import type { CensusEntry, ReadOptions } from './store.js'

type RecordKind = Extract<CensusEntry, { what: 'record' }>['kind']

/** Rows per page: a page is one short query, and what it returns is in memory at once. */
const PAGE = 200

/** Tables whose rows are counted and never read, unless a generation in this database has its records there. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  permission: 'permission',
  session_share: 'share secret',
  event: 'event log',
  session_message: 'message event of a newer kind',
  session_v2: 'session of a newer kind',
  session_input: 'queued input',
  session_inbox: 'queued input',
  session_pending: 'queued input',
  kv: 'setting',
  instruction_blob: 'instruction',
  instruction_entry: 'instruction',
  instruction_state: 'instruction',
  instruction_checkpoint: 'instruction',
  workspace: 'workspace',
  worktree: 'worktree',
  account: 'secret',
  control_account: 'secret',
  credential: 'secret',
}

/**
 * Of a database with two generations each counts its own tables. Those that both have in common (projects, what is left alone)
 * are counted by the newer, diff files by the older, whose time they are from.
 */
export async function* databaseCensus(
  connection: SqliteConnection,
  layout: Layout,
  slab: () => Slab,
  options: ReadOptions,
): AsyncGenerator<CensusEntry> {
  const { path, schema } = connection
  const layouts = layoutsIn(schema.tables)
  let unsafe = 0
  for (const { kind, table, sql, read } of readings(schema, layout, layouts[0]?.kind === layout.kind)) {
    let met = 0
    for (const page of pages(connection, sql)) {
      options.signal?.throwIfAborted()
      met += page.length
      for (const row of page) {
        const found = read(row)
        if (found === undefined) unsafe++
        else yield recordEntry(kind, { path, table, ...(found.type !== undefined && { type: found.type }) }, found, slab())
      }
    }
    const [[count] = []] = met === 0 ? connection.all(`SELECT count(*) FROM ${table}`) : []
    if (Number(count ?? 0) > 0) yield { what: 'ignored', reason: 'row without the columns of a record', count: Number(count) }
  }
  if (unsafe > 0) yield { what: 'ignored', reason: 'unsafe id', count: unsafe }
  if (layouts[0]?.kind === layout.kind) yield* leftAlone(connection, layouts)
  if (layouts.at(-1)?.kind === layout.kind) yield* diffFiles(connection, layout, slab)
}

function recordEntry(kind: RecordKind, source: SpanSource, { key, data, orphan }: Found, into: Slab): CensusEntry {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data instanceof Uint8Array ? data : new Uint8Array()
  const span = new SlabSpan(key, source, undefined, into, into.append(bytes), bytes.length)
  return { what: 'record', kind, key, path: source.path, orphan, leaf: { span } }
}

function* leftAlone(connection: SqliteConnection, layouts: readonly Layout[]): Generator<CensusEntry> {
  const read = new Set<string>(layouts.flatMap(({ session, message }) => [session, message]))
  for (const [table, reason] of Object.entries(LEFT_ALONE)) {
    if (!connection.schema.tables.has(table) || read.has(table)) continue
    const [[count] = []] = connection.all(`SELECT count(*) FROM ${table}`)
    if (Number(count) > 0) yield { what: 'ignored', reason, count: Number(count) }
  }
}

interface Found {
  readonly key: EntityKey
  readonly data: SqlValue | undefined
  readonly orphan: boolean
  readonly type?: string
}

interface TableReading {
  readonly kind: RecordKind
  readonly table: string
  /** Selects rowid first, then what `read` takes; ends before the bounds of the page. */
  readonly sql: string
  readonly read: (row: SqlRow) => Found | undefined
}

function readings(schema: Schema, layout: Layout, withShared: boolean): readonly TableReading[] {
  const { session, message, part, todo } = layout
  const hasSession = (id: string): string => (schema.tables.has(session) ? `EXISTS (SELECT 1 FROM ${session} s WHERE s.id = ${id})` : '0')
  const all = [
    columnsReading('session', session, schema.session[session].whole, 'id', '1'),
    messageReading(message, hasSession('r.session_id')),
    ...(part === undefined ? [] : [partReading(schema.tables.has(message) ? message : undefined, hasSession('m.session_id'))]),
    ...(todo === undefined ? [] : [columnsReading('todo', todo, schema.todo, 'session_id', hasSession('r.session_id'))]),
    ...(withShared ? [columnsReading('project', 'project', schema.project, 'id', '1')] : []),
  ]
  return all.filter(({ table }) => schema.tables.has(table))
}

/** `owned` is 0 where the row's session is not there. */
function columnsReading(kind: RecordKind, table: string, { columns, text }: RowText, idColumn: string, owned: string): TableReading {
  return {
    kind,
    table,
    sql: `SELECT r.rowid, r.${idColumn}, ${owned}, ${columns} FROM ${table} r WHERE r.rowid > ?`,
    read: ([, id, owner, ...row]) =>
      isSafeId(id) ? { key: sessionKey('opencode', id as SessionId), data: text(row), orphan: owner === 0 } : undefined,
  }
}

function messageReading(table: Layout['message'], owned: string): TableReading {
  const type = table === 'session_message' ? 'CAST(r.type AS TEXT)' : 'NULL'
  return {
    kind: 'message',
    table,
    sql: `SELECT r.rowid, r.session_id, r.id, CAST(r.data AS BLOB), ${owned}, ${type} FROM ${table} r WHERE r.rowid > ?`,
    read: ([, session, id, data, owner, type]) => {
      if (!isSafeId(session) || !isSafeId(id)) return undefined
      const key = messageKey(sessionKey('opencode', session as SessionId), id as MessageId)
      return { key, data, orphan: owner === 0, ...(typeof type === 'string' && { type }) }
    },
  }
}

function partReading(message: string | undefined, owned: string): TableReading {
  return {
    kind: 'part',
    table: 'part',
    sql:
      message === undefined
        ? 'SELECT r.rowid, NULL, r.session_id, r.message_id, r.id, CAST(r.data AS BLOB), 0 FROM part r WHERE r.rowid > ?'
        : `SELECT r.rowid, m.session_id, r.session_id, r.message_id, r.id, CAST(r.data AS BLOB), ${owned}
          FROM part r LEFT JOIN ${message} m ON m.id = r.message_id WHERE r.rowid > ?`,
    read: ([, owner, session, message, id, data, owned]) => {
      const parent = owner ?? session
      if (!isSafeId(parent) || !isSafeId(message) || !isSafeId(id)) return undefined
      const key = partKey(messageKey(sessionKey('opencode', parent as SessionId), message as MessageId), id as PartId)
      return { key, data, orphan: owner === null || owned === 0 }
    },
  }
}

function* pages(connection: SqliteConnection, sql: string): Generator<readonly SqlRow[]> {
  let last = 0
  for (;;) {
    const page = connection.allOrNone(`${sql} ORDER BY r.rowid LIMIT ${PAGE}`, last)
    if (page.length === 0) return
    yield page
    last = Number(page.at(-1)?.[0])
  }
}

/** Diff files beside a database are its own, unless a JSON tree stands there that counts them. */
function* diffFiles(connection: SqliteConnection, layout: Layout, slab: () => Slab): Generator<CensusEntry> {
  const storage = join(dirname(connection.path), 'storage')
  const folder = join(storage, 'session_diff')
  if (isJsonTree(storage) || !existsSync(folder)) return
  const sessions = new Set(connection.all(`SELECT id FROM ${layout.session}`).map(([id]) => id))
  let files: string[]
  try {
    files = readdirSync(folder)
  } catch (error) {
    yield { what: 'unreadable', path: folder, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` }
    return
  }
  for (const file of files) {
    const session = file.replace(/\.json$/, '')
    if (session === file || !isSafeId(session)) {
      yield { what: 'ignored', reason: 'foreign file', count: 1 }
      continue
    }
    const key = sessionKey('opencode', session as SessionId)
    const work = { files: 0, rows: 0, bytes: 0, stats: 0 }
    const leaf = openDiffFile(join(folder, file), key, undefined, slab(), work)
    yield { what: 'record', kind: 'diff', key, path: join(folder, file), orphan: !sessions.has(session), leaf }
  }
}
