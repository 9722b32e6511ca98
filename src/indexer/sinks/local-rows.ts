/** The rows of `documents`, and the statements that write and read them. */
import { StorageError } from '../../core/errors.js'
import { isAgent } from '../../core/keys.js'
import type { SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import type { DocumentMetadata, SinkHit, SinkRow } from '../ports.js'
import type { Condition } from './local-filter.js'

const COLUMNS = [
  'id',
  'text',
  'agent',
  'session_id',
  'message_id',
  'chunk',
  'role',
  'created_at',
  'text_hash',
  'project_id',
  'directory',
  'title',
  'source',
  'rev',
  'space',
  'inherited',
] as const

/** The version that a column came with, and what a file of an earlier one has in its place. */
const ADDED: Readonly<Record<string, readonly [version: number, before: string]>> = { rev: [2, '0'], space: [2, "''"], inherited: [3, '0'] }

function columnOf(name: string, version: number, prefix: string): string {
  const [since, before] = ADDED[name] ?? [1, '']
  return version < since ? before : `${prefix}${name}`
}

/** The columns of a file of that version, in the order of COLUMNS. */
function columnsOf(version: number, prefix = ''): string {
  return COLUMNS.map((name) => columnOf(name, version, prefix)).join(', ')
}

/** Takes a number and the fields of a row; changes nothing when there is a document of that id. Six times as fast as an upsert that returns the number. */
export const INSERT_NEW = `INSERT INTO documents (doc, ${COLUMNS.join(', ')}) VALUES (?, ${COLUMNS.map(() => '?').join(', ')}) ON CONFLICT (id) DO NOTHING`
/** Takes the fields of a row and its number. */
export const UPDATE = `UPDATE documents SET ${COLUMNS.map((name) => `${name} = ?`).join(', ')} WHERE doc = ?`

/** Takes the number of a document. */
export function selectByDoc(version: number): string {
  return `SELECT ${columnsOf(version)} FROM documents WHERE doc = ?`
}

/** Takes a number and the values of the condition; gives number, id, text_hash and rev of the documents beyond, by number. */
export function selectPage(version: number, condition: Condition | undefined, limit: number): string {
  const passing = condition === undefined ? '' : ` AND ${condition.sql}`
  return `SELECT doc, id, text_hash, ${columnOf('rev', version, '')} FROM documents WHERE doc > ?${passing} ORDER BY doc LIMIT ${limit}`
}

/** How much a match in the pieces of identifiers counts beside one in the text. */
const RANK = 'bm25(words, 1.0, 0.6)'

/**
 * Takes an expression, the values of the condition, `limit - 1` and `limit`; gives the fields of rows and their scores, best first.
 * The first step reads the full text index alone (and `documents` outside of it only for the condition); rows are read of the best
 * and of those that score the same, so that the order among equals is that of ids.
 */
export function selectMatching(version: number, condition: Condition | undefined): string {
  const passing = condition === undefined ? '' : `CROSS JOIN documents d ON d.doc = words.rowid AND ${condition.sql}`
  return `WITH found AS MATERIALIZED (SELECT words.rowid AS found_doc, -${RANK} AS score FROM words ${passing} WHERE words MATCH ?)
    SELECT ${columnsOf(version, 'd.')}, score FROM found CROSS JOIN documents d ON d.doc = found_doc
    WHERE score >= coalesce((SELECT score FROM found ORDER BY score DESC LIMIT 1 OFFSET ?), -9e999)
    ORDER BY score DESC, d.id LIMIT ?`
}

export function fieldsOf({ id, text, metadata }: SinkRow): readonly SqlValue[] {
  const { inherited = false, ...others } = metadata
  const fields = { ...others, id, text, inherited: inherited ? 1 : 0 }
  return COLUMNS.map((name) => fields[name])
}

/** What follows the fields of the document is its score. */
export function toHit(row: SqlRow, score = Number(row[COLUMNS.length])): SinkHit {
  const text = (column: number): string => String(row[column])
  const agent = text(2)
  if (!isAgent(agent)) throw new StorageError('STATE_DAMAGED', { reason: 'a document of the sink names an unknown agent' })
  const metadata: DocumentMetadata = {
    agent,
    session_id: text(3),
    message_id: text(4),
    chunk: Number(row[5]),
    role: text(6),
    created_at: Number(row[7]),
    text_hash: text(8),
    project_id: text(9),
    directory: text(10),
    title: text(11),
    source: text(12),
    rev: Number(row[13]),
    space: text(14),
    ...(Number(row[15]) === 1 && { inherited: true }),
  }
  return { id: text(0), score, text: text(1), metadata }
}
