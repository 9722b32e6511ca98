/**
 * Many rows as one buffer. A row that crosses from SQLite to JavaScript costs several allocations, more than its bytes;
 * so SQLite joins them, and what crosses is one JSON list of the rows and one blob that holds their `data` end to end.
 */
import { type SqlRow, sqliteFailure } from './sqlite-driver.js'

/** Which of the ids asked for the row belongs to, its own id, its bytes (null: it has no data), `time_updated` in epoch ms, its type if that is a column. */
export type PackedRow = readonly [at: number, id: string, length: number | null, updated: number, type?: string]

export interface PackedRows {
  /** In the order in which their data stand in `bytes`. */
  readonly rows: readonly PackedRow[]
  readonly bytes: Buffer
}

/** Which rows: messages by id, the parts of messages, parts by id, or the messages of OpenCode 2 by id. */
export type PackSource = 'messages' | 'parts-of-messages' | 'parts' | 'session-messages'

type Query = (sql: string, ...parameters: string[]) => readonly SqlRow[]

const FROM: Readonly<Record<PackSource, string>> = {
  messages: 'json_each(?) w CROSS JOIN message r ON r.id = w.value',
  'parts-of-messages': 'json_each(?) w CROSS JOIN part r ON r.message_id = w.value',
  parts: 'json_each(?) w CROSS JOIN part r ON r.id = w.value',
  'session-messages': 'json_each(?) w CROSS JOIN session_message r ON r.id = w.value',
}

/** The rows for `ids`, in their order. More than SQLite can join at once is halved; what cannot be halved is read row by row. */
export function packRows(query: Query, source: PackSource, ids: readonly string[], first = 0): readonly PackedRows[] {
  if (ids.length === 0) return []
  const from = FROM[source]
  const type = source === 'session-messages' ? ', CAST(r.type AS TEXT)' : ''
  const ordinal = first === 0 ? 'w.key' : `w.key + ${first}`
  try {
    const [[listing, data] = []] = query(
      `SELECT json_group_array(json_array(${ordinal}, r.id, octet_length(r.data), r.time_updated${type})), CAST(group_concat(r.data, '') AS BLOB) FROM ${from}`,
      JSON.stringify(ids),
    )
    return [{ rows: JSON.parse(String(listing)), bytes: asBuffer(data) }]
  } catch (error) {
    if (sqliteFailure(error) !== 'too-big') throw error
  }
  if (ids.length > 1) {
    const middle = ids.length >> 1
    return [...packRows(query, source, ids.slice(0, middle), first), ...packRows(query, source, ids.slice(middle), first + middle)]
  }
  const rows = query(`SELECT ${ordinal}, r.id, r.time_updated, CAST(r.data AS BLOB)${type} FROM ${from}`, JSON.stringify(ids))
  return rows.map(([at, id, updated, data, type]) => {
    const bytes = asBuffer(data)
    const row = [Number(at), String(id), bytes.length, Number(updated)] as const
    return { rows: [typeof type === 'string' ? [...row, type] : row], bytes }
  })
}

function asBuffer(data: unknown): Buffer {
  return data instanceof Uint8Array ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.alloc(0)
}
