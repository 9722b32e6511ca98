/** Everything in a database that is one generation's, row by row in pages: records, orphans, and the tables that are left alone and why. */
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { sessionKey } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import { OwnedSpan, type Span, type SpanSource } from '../span.js'
import type { CensusEntry, CensusOptions, CensusRecord } from '../store.js'
import { besideDatabase } from './beside-database.js'
import type { SqliteConnection } from './connection.js'
import type { SqlValue } from './driver.js'
import { type Layout, layoutsIn } from './layouts.js'
import { pages } from './pages.js'
import { type FoundRow, presentColumns, recordTables, type TableReading } from './tables.js'

/** Tables whose rows are counted and never read, unless a generation in this database has its records there. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  permission: 'permission',
  session_share: 'share secret',
  event: 'event log',
  event_sequence: 'counter of events',
  session_message: 'message event of a newer kind',
  session_v2: 'session of a newer kind',
  session_input: 'queued input',
  session_inbox: 'queued input',
  session_pending: 'queued input',
  session_context_epoch: 'context of a model',
  kv: 'setting',
  instruction_blob: 'instruction',
  instruction_entry: 'instruction',
  instruction_state: 'instruction',
  instruction_checkpoint: 'instruction',
  workspace: 'workspace',
  worktree: 'worktree',
  project_directory: 'folder of a project',
  migration: 'mark of a migration',
  data_migration: 'mark of a migration',
  __drizzle_migrations: 'mark of a migration',
  account: 'secret',
  account_state: 'secret',
  control_account: 'secret',
  credential: 'secret',
}

/** Columns of those that hold JSON and no secret. */
const CHECKED: Readonly<Record<string, string>> = {
  permission: 'data',
  session_message: 'data',
  session_input: 'prompt',
  session_inbox: 'payload',
  session_pending: 'data',
}

/**
 * Of a database with two generations each counts its own tables. Those that both have in common (projects, what is left alone)
 * are counted by the newer, files beside the database by the older, whose time they are from.
 */
export function databaseCensus(connection: SqliteConnection, layout: Layout, slab: () => Slab, options: CensusOptions): AsyncIterable<CensusEntry> {
  const entries = everyEntry(connection, layout, slab, options)
  // Delegating to generators costs an asynchronous one several promises per row; each step here is synchronous anyway.
  const steps = { next: async () => entries.next(), return: async () => entries.return(undefined) }
  return { [Symbol.asyncIterator]: () => steps }
}

function* everyEntry(connection: SqliteConnection, layout: Layout, slab: () => Slab, options: CensusOptions): Generator<CensusEntry> {
  const { schema } = connection
  const layouts = layoutsIn(schema.tables)
  const isNewest = layouts[0]?.kind === layout.kind
  const deep = options.deep === true
  for (const reading of recordTables(connection, layout, isNewest, deep)) yield* tableCensus(connection, reading, undefined, options)
  if (isNewest) yield* leftAlone(connection, layouts, options)
  if (options.beside ?? layouts.at(-1)?.kind === layout.kind) yield* besideDatabase(connection, layout, slab)
}

/** Every row of one table; `ignored` says why none of them is a record. */
function* tableCensus(
  connection: SqliteConnection,
  reading: TableReading,
  ignored: string | undefined,
  { signal }: CensusOptions,
): Generator<CensusEntry> {
  const { table, read } = reading
  const { path } = connection
  const sourceOf = sources(path, table)
  let met = 0
  let unsafe = 0
  try {
    for (const page of pages(connection, reading)) {
      signal?.throwIfAborted()
      met += page.length
      for (const row of page) {
        const found = read(row)
        if (found === undefined) unsafe++
        else yield recordOf(reading, found, sourceOf(found.type), ignored)
      }
    }
    const rest = met === 0 ? rowsIn(connection, table) : 0
    if (rest > 0) yield { what: 'ignored', reason: ignored ?? 'row without the columns of a record', count: rest }
  } catch (error) {
    yield unreadable(error, path, table)
  }
  if (unsafe > 0) yield { what: 'ignored', reason: 'unsafe id', count: unsafe }
}

function recordOf(
  { kind, json }: TableReading,
  { key, data, orphan, columns }: FoundRow,
  source: SpanSource,
  ignored: string | undefined,
): CensusRecord {
  const leaf = { span: spanOf(key, source, data) }
  if (columns === undefined) return { what: 'record', kind, key, path: source.path, leaf, orphan, ignored }
  const texts = columns.flatMap((value, at) => (value === null ? [] : [{ column: json[at] ?? '', span: spanOf(key, source, value) }]))
  return { what: 'record', kind, key, path: source.path, leaf, orphan, ignored, columns: texts }
}

function spanOf(key: Span['key'], source: SpanSource, value: SqlValue | undefined): OwnedSpan {
  const isBytes = value instanceof Uint8Array
  const bytes = isBytes ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(typeof value === 'string' ? value : '')
  return new OwnedSpan(key, source, undefined, bytes)
}

/** One source per type of row: rows by the thousand share it. */
function sources(path: string, table: string): (type: string | undefined) => SpanSource {
  const held = new Map<string | undefined, SpanSource>()
  return (type) => {
    let source = held.get(type)
    if (source === undefined) {
      source = { path, table, ...(type !== undefined && { type }) }
      held.set(type, source)
    }
    return source
  }
}

/** Every table but those of the generations' records. Names of tables are told, contents are not looked at. */
function* leftAlone(connection: SqliteConnection, layouts: readonly Layout[], options: CensusOptions): Generator<CensusEntry> {
  const { tables } = connection.schema
  const read = new Set<string>(['project', ...layouts.flatMap(({ session, message, part, todo }) => [session, message, part ?? '', todo ?? ''])])
  const known = Object.keys(LEFT_ALONE).filter((table) => tables.has(table))
  const foreign = [...tables].filter((table) => LEFT_ALONE[table] === undefined && !table.startsWith('sqlite_')).sort()
  for (const table of [...known, ...foreign].filter((table) => !read.has(table))) {
    const reason = LEFT_ALONE[table] ?? `foreign table ${table}`
    const column = CHECKED[table]
    if (options.deep === true && column !== undefined && presentColumns(connection, table).includes(column)) {
      yield* tableCensus(connection, documents(table, column), reason, options)
      continue
    }
    try {
      const count = rowsIn(connection, table)
      if (count > 0) yield { what: 'ignored', reason, count }
    } catch (error) {
      yield unreadable(error, connection.path, table)
    }
  }
}

/** Rows of whatever id; the place of the row names it. */
function documents(table: string, column: string): TableReading {
  return {
    kind: 'document',
    table,
    json: [],
    fields: ["'row ' || r.rowid", `r."${column}"`],
    data: 1,
    read: ([id, data]) => ({ key: sessionKey('opencode', String(id) as SessionId), data, orphan: false }),
  }
}

function rowsIn(connection: SqliteConnection, table: string): number {
  const [[count] = []] = connection.all(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
  return Number(count ?? 0)
}

/** A table that SQLite cannot read to its end is named, and hides no other. */
function unreadable(error: unknown, path: string, table: string): CensusEntry {
  if (error instanceof StorageError && !error.retryable && error.code !== 'SET_CLOSED')
    return { what: 'unreadable', path, table, reason: error.reason }
  throw error
}
