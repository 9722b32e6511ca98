/**
 * Rows as they are stored, for those who ask for the originals: every column under its own name, those too that OpenCode
 * does not have (forks of it add some). Left out are the document, which is the span, and columns that are secret by their name.
 */
import type { Document } from '../../core/documents.js'
import type { Leaf, PartLeaf } from '../store.js'
import type { SqliteConnection } from './connection.js'
import type { SqlRow, SqlValue } from './driver.js'
import type { Layout } from './layouts.js'

const SECRET = /(^|_)secret$/i

/** The leaves of sessions, messages and parts with the columns of their rows; others as they are. */
export function withColumns(connection: SqliteConnection, layout: Layout, leaves: readonly Leaf[]): readonly Leaf[] {
  const tables: readonly (string | undefined)[] = [layout.session, layout.message, layout.part]
  const rows = new Map(tables.map((table) => [table, rowsOf(connection, table, table === layout.session, leaves)]))
  return leaves.map((leaf) => {
    const row = leaf.span && rows.get(leaf.span.source.table)?.get(idOf(leaf))
    return row === undefined || leaf.span === undefined ? leaf : { ...leaf, row }
  })
}

/** Likewise for the lists that `openParts` gives. */
export function partsWithColumns(
  connection: SqliteConnection,
  layout: Layout,
  lists: readonly (readonly PartLeaf[])[],
): readonly (readonly PartLeaf[])[] {
  const flat = lists.flatMap((parts) => parts.map(({ leaf }) => leaf))
  const leaves = withColumns(connection, layout, flat).values()
  return lists.map((parts) => parts.map((part) => ({ key: part.key, leaf: leaves.next().value ?? part.leaf })))
}

/** The rows of one table that `leaves` are of, by id. */
function rowsOf(connection: SqliteConnection, table: string | undefined, isWhole: boolean, leaves: readonly Leaf[]): ReadonlyMap<string, Document> {
  const ids = table === undefined ? [] : leaves.filter(({ span }) => span?.source.table === table).map(idOf)
  if (ids.length === 0) return new Map()
  const columns = connection.all(`SELECT name FROM pragma_table_xinfo('${table}')`).map(([name]) => String(name))
  const wanted = columns.filter((name) => (isWhole || name !== 'data') && !SECRET.test(name))
  const sql = `SELECT r.id AS own_id, ${wanted.map(columnText).join(', ')} FROM json_each(?) w CROSS JOIN ${table} r ON r.id = w.value`
  return new Map(connection.all(sql, JSON.stringify(ids)).map(([id, ...values]) => [String(id), documentOf(wanted, values)]))
}

/** The drivers refuse or round a whole number that no double holds, so it comes as its digits. Each column has a name of its own. */
function columnText(name: string, at: number): string {
  const column = `r."${name.replaceAll('"', '""')}"`
  const isHuge = `typeof(${column}) = 'integer' AND ${column} NOT BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER}`
  return `CASE WHEN ${isHuge} THEN CAST(${column} AS TEXT) ELSE ${column} END AS column_${at}`
}

function idOf({ span }: Leaf): string {
  if (span === undefined) return ''
  return span.key.kind === 'part' ? span.key.part : span.key.kind === 'message' ? span.key.message : span.key.session
}

/** NULL is kept; a BLOB, which JSON has no form for, becomes `{base64}`. */
function documentOf(names: readonly string[], values: SqlRow): Document {
  const plain = (value: SqlValue): unknown => (value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value)
  return Object.fromEntries(names.map((name, at) => [name, plain(values[at] ?? null)]))
}
