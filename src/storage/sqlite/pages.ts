/**
 * All rows of a table, page by page in the order of their rowid; in one page where they have none (WITHOUT ROWID).
 * Each page is one short query, and what it returns is in memory at once.
 * A row that crosses from SQLite to JavaScript costs more than its bytes, so rows with a document cross packed, as in `pack.ts`.
 */
import type { SqliteConnection } from './connection.js'
import { type SqlRow, type SqlValue, sqliteFailure } from './driver.js'

/** What is selected of a table, called `r`. */
export interface Selection {
  readonly table: string
  /** Expressions. With `data`, those beside it give texts; what is none of them comes as null. */
  readonly fields: readonly string[]
  /** Which of them is the column of the document, to come as bytes. */
  readonly data?: number | undefined
}

/** At most these many rows per page, and about these many bytes. */
const PAGE_ROWS = 200
const PAGE_BYTES = 8 * 2 ** 20

/** Rows after one rowid and up to another. Rowids cross as text: they have more digits than a JavaScript number. */
interface Range {
  readonly after: string | undefined
  readonly upTo: string | undefined
}

interface Page {
  readonly rows: readonly SqlRow[]
  readonly bytes: number
}

export function* pages(connection: SqliteConnection, selection: Selection): Generator<readonly SqlRow[]> {
  let rows = PAGE_ROWS
  let after: string | undefined
  do {
    const upTo = lastOf(connection, selection.table, after, rows)
    const page = readPage(connection, selection, { after, upTo })
    if (page.rows.length > 0) yield page.rows
    rows = Math.max(1, Math.min(PAGE_ROWS, Math.floor((rows * PAGE_BYTES) / Math.max(1, page.bytes))))
    after = upTo
  } while (after !== undefined)
}

/** The last rowid of a full page; undefined where fewer rows are left. */
function lastOf(connection: SqliteConnection, table: string, after: string | undefined, rows: number): string | undefined {
  const sql = `SELECT CAST(r.rowid AS TEXT) FROM ${table} r ${whereOf({ after, upTo: undefined })} ORDER BY r.rowid LIMIT 1 OFFSET ?`
  const [[last] = []] = after === undefined ? connection.allOrNone(sql, rows - 1) : connection.allOrNone(sql, after, rows - 1)
  return last === undefined ? undefined : String(last)
}

function readPage(connection: SqliteConnection, selection: Selection, range: Range): Page {
  if (selection.data === undefined) return plainPage(connection, selection, range)
  try {
    return packedPage(connection, selection, selection.data, range)
  } catch (error) {
    if (sqliteFailure(error) !== 'too-big') throw error
    return plainPage(connection, selection, range)
  }
}

function plainPage(connection: SqliteConnection, { table, fields, data }: Selection, range: Range): Page {
  const columns = fields.map((field, at) => (at === data ? `CAST(${field} AS BLOB)` : field))
  const select = `SELECT ${columns} FROM ${table} r`
  const ordered = query(connection, select, range, 'ORDER BY r.rowid')
  const rows = ordered.length > 0 || range.after !== undefined ? ordered : query(connection, select, range)
  let bytes = 0
  for (const row of rows) for (const value of row) if (value instanceof Uint8Array) bytes += value.length
  return { rows, bytes }
}

/** One row of lists and one blob; all of them have the rows in one order, whichever that is. */
function packedPage(connection: SqliteConnection, { table, fields }: Selection, data: number, range: Range): Page {
  const lists = fields.map((field, at) => `json_group_array(${at === data ? `octet_length(${field})` : textOf(field)})`)
  const select = `SELECT CAST(group_concat(${fields[data]}, '') AS BLOB), ${lists} FROM ${table} r`
  const [[blob = null, ...columns] = []] = query(connection, select, range)
  const values = columns.map((column): SqlValue[] => JSON.parse(String(column)))
  const bytes = blob instanceof Uint8Array ? Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength) : Buffer.alloc(0)
  let start = 0
  const rows = (values[data] ?? []).map((length, row) => {
    const fields = values.map((column) => column[row] ?? null)
    if (typeof length === 'number') {
      fields[data] = bytes.subarray(start, start + length)
      start += length
    }
    return fields
  })
  return { rows, bytes: bytes.length }
}

/** JSON holds no BLOB, and one would fail the whole list. */
function textOf(field: string): string {
  return field === 'NULL' || field.startsWith('CAST(') ? field : `CASE typeof(${field}) WHEN 'text' THEN ${field} END`
}

function query(connection: SqliteConnection, select: string, range: Range, order = ''): readonly SqlRow[] {
  const bounds = [range.after, range.upTo].filter((bound) => bound !== undefined)
  return connection.allOrNone(`${select} ${whereOf(range)} ${order}`, ...bounds)
}

function whereOf({ after, upTo }: Range): string {
  const bounds = [...(after === undefined ? [] : ['r.rowid > CAST(? AS INTEGER)']), ...(upTo === undefined ? [] : ['r.rowid <= CAST(? AS INTEGER)'])]
  return bounds.length === 0 ? '' : `WHERE ${bounds.join(' AND ')}`
}
