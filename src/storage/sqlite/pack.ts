/**
 * Many rows as one buffer. A row that crosses from SQLite to JavaScript costs several allocations, more than its bytes;
 * so SQLite joins them, and what crosses is one JSON list per column and one blob that holds their `data` end to end.
 */
import { type SqlRow, sqliteFailure } from './driver.js'

/** Rows as columns, all in the order in which the rows' data stand in `bytes`. */
export interface PackedRows {
  /** Which of the ids asked for a row belongs to. */
  readonly at: readonly number[]
  /** The row's own id; null: it is no text. */
  readonly ids: readonly (string | null)[]
  /** Bytes; null: the row has no data. */
  readonly lengths: readonly (number | null)[]
  /** `time_updated`, epoch ms; undefined of the parts of messages, which are read whatever their version is. */
  readonly updated: readonly (number | null)[] | undefined
  /** What the rows say their records are; undefined where no column does. */
  readonly types: readonly string[] | undefined
  readonly bytes: Buffer
}

/** Which rows: messages by id, the parts of messages, parts by id, or messages of OpenCode 2 by id. */
export type PackSource = 'messages' | 'parts-of-messages' | 'parts' | 'session-messages'

type Query = (sql: string, ...parameters: string[]) => readonly SqlRow[]

const FROM: Readonly<Record<PackSource, string>> = {
  messages: 'json_each(?) w CROSS JOIN message r ON r.id = w.value',
  'parts-of-messages': 'json_each(?) w CROSS JOIN part r ON r.message_id = w.value',
  parts: 'json_each(?) w CROSS JOIN part r ON r.id = w.value',
  'session-messages': 'json_each(?) w CROSS JOIN session_message r ON r.id = w.value',
}

// JSON holds no BLOB, and an id that is one would fail the whole list.
const TEXT_ID = "CASE typeof(r.id) WHEN 'text' THEN r.id END"
const TEXT_TYPE = 'CAST(r.type AS TEXT)'

/** The rows for `ids`, in their order. More than SQLite can join at once is halved; what cannot be halved is read row by row. */
export function packRows(query: Query, source: PackSource, ids: readonly string[], first = 0): readonly PackedRows[] {
  if (ids.length === 0) return []
  const from = FROM[source]
  const ordinal = first === 0 ? 'w.key' : `w.key + ${first}`
  const type = source === 'session-messages' ? [TEXT_TYPE] : []
  const time = source === 'parts-of-messages' ? [] : ['r.time_updated']
  const columns = [ordinal, TEXT_ID, 'octet_length(r.data)', ...time, ...type].map((column) => `json_group_array(${column})`)
  try {
    const [[data, at, rowIds, lengths, updated, types] = []] = query(
      `SELECT CAST(group_concat(r.data, '') AS BLOB), ${columns} FROM ${from}`,
      JSON.stringify(ids),
    )
    if (at === undefined) return [] // there is no such table
    const lists = {
      at: list<number>(at),
      ids: list<string | null>(rowIds),
      lengths: list<number | null>(lengths),
      updated: updated === undefined ? undefined : list<number | null>(updated),
    }
    return [{ ...lists, types: types === undefined ? undefined : list(types), bytes: asBuffer(data) }]
  } catch (error) {
    if (sqliteFailure(error) !== 'too-big') throw error
  }
  if (ids.length > 1) {
    const middle = ids.length >> 1
    return [...packRows(query, source, ids.slice(0, middle), first), ...packRows(query, source, ids.slice(middle), first + middle)]
  }
  const rows = query(`SELECT ${[ordinal, TEXT_ID, 'CAST(r.data AS BLOB)', ...time, ...type]} FROM ${from}`, JSON.stringify(ids))
  return rows.map(([at, id, data, updated, type]) => {
    const bytes = asBuffer(data)
    const lists = { at: [Number(at)], ids: [typeof id === 'string' ? id : null], lengths: [bytes.length] }
    return { ...lists, updated: updated === undefined ? undefined : [Number(updated)], types: type === undefined ? undefined : [String(type)], bytes }
  })
}

/** Each row of a pack: which id it belongs to, which row it is, and where its data stand in `bytes`. */
export function eachRow({ at, lengths }: PackedRows, take: (at: number, row: number, start: number, length: number) => void): void {
  let start = 0
  for (let row = 0; row < at.length; row++) {
    const length = lengths[row] ?? 0
    take(at[row] ?? -1, row, start, length)
    start += length
  }
}

function list<T>(column: unknown): readonly T[] {
  return JSON.parse(String(column))
}

function asBuffer(data: unknown): Buffer {
  return data instanceof Uint8Array ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.alloc(0)
}
