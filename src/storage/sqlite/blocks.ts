/**
 * Which rows of a small table changed, told without fetching those that did not: SQLite puts the rows of a block together to one text,
 * and a text that is the same as before is of the same rows. Rows are stepped, and their columns decoded, in SQLite alone.
 */
import type { SqliteConnection } from './connection.js'

/** So many rows are one text. */
const BLOCK = 1024
const COLUMN = '\u001f'
const ROW = '\u001e'

export interface RowBlocks {
  readonly texts: readonly string[]
  readonly rows: number
}

/**
 * The rows of a table by rowid, each the text of its columns, the first of which names the row.
 * Undefined where they cannot be told from one another: a column holds one of the separators.
 */
export function readBlocks(connection: SqliteConnection, table: string, columns: readonly string[]): RowBlocks | undefined {
  const separator = `char(${COLUMN.charCodeAt(0)})`
  const text = columns.map((column) => `ifnull("${column}", char(1))`).join(`, ${separator}, `)
  const block = (from: string): string =>
    `SELECT max(r), count(*), group_concat(t, char(${ROW.charCodeAt(0)})) FROM (SELECT rowid r, concat(${text}) t FROM ${table}${from} ORDER BY rowid LIMIT ${BLOCK})`
  const texts: string[] = []
  let rows = 0
  for (let last: number | undefined; ; ) {
    const [row] = last === undefined ? connection.all(block('')) : connection.all(block(' WHERE rowid > ?'), last)
    const [end, count, joined] = row ?? []
    if (row === undefined || Number(count) === 0) return { texts, rows }
    if (typeof joined !== 'string' || typeof end !== 'number' || !Number.isSafeInteger(end)) return undefined
    texts.push(joined)
    rows += Number(count)
    if (Number(count) < BLOCK) return { texts, rows }
    last = end
  }
}

/** The rows of the blocks that differ, by name; undefined for those that are not there any more. Undefined when a row cannot be told. */
export function changedRows(before: RowBlocks, now: RowBlocks): ReadonlyMap<string, string | undefined> | undefined {
  const held = new Set(before.texts)
  const fresh = new Set(now.texts)
  const old = rowsOf(before.texts.filter((text) => !fresh.has(text)))
  const changed = new Map<string, string | undefined>()
  let met = 0
  for (const [name, row] of rowsOf(now.texts.filter((text) => !held.has(text)))) {
    met++
    if (old.get(name) !== row) changed.set(name, row)
    old.delete(name)
  }
  const blocks = now.texts.filter((text) => !held.has(text))
  if (met !== blocks.reduce((sum, text) => sum + countOf(text), 0) || !isWhole(now)) return undefined
  for (const name of old.keys()) changed.set(name, undefined)
  return changed
}

/** The names of all rows, in their order. */
export function namesOf({ texts }: RowBlocks): readonly string[] {
  return texts.flatMap((text) => text.split(ROW).map(nameOf))
}

/** The second column of a row. */
export function secondIn(row: string): string {
  return row.split(COLUMN)[1] ?? ''
}

function isWhole({ texts, rows }: RowBlocks): boolean {
  return texts.reduce((sum, text) => sum + countOf(text), 0) === rows
}

function countOf(text: string): number {
  let count = 1
  for (let at = text.indexOf(ROW); at !== -1; at = text.indexOf(ROW, at + 1)) count++
  return count
}

function rowsOf(texts: readonly string[]): Map<string, string> {
  const rows = new Map<string, string>()
  for (const text of texts) for (const row of text.split(ROW)) rows.set(nameOf(row), row)
  return rows
}

function nameOf(row: string): string {
  const end = row.indexOf(COLUMN)
  return end === -1 ? row : row.slice(0, end)
}
