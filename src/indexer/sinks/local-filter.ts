/** A filter as a condition on the rows of the local sink. */
import { folderName, isWindowsPath } from '../../core/folders.js'
import type { SqlValue } from '../../storage/sqlite/driver.js'
import type { SinkFilter } from '../ports.js'

export interface Condition {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

/** The condition on `documents`, or undefined when every document passes. */
export function conditionOf(filter: SinkFilter): Condition | undefined {
  const conditions: Condition[] = []
  const equal = (column: string, value: string | undefined): void => {
    if (value !== undefined) conditions.push({ sql: `${column} = ?`, values: [value] })
  }
  equal('session_id', filter.session)
  equal('agent', filter.agent)
  equal('role', filter.role)
  equal('source', filter.source)
  if (filter.project !== undefined) conditions.push(either({ sql: 'project_id = ?', values: [filter.project] }, within(filter.project)))
  if (filter.directory !== undefined) conditions.push(within(filter.directory))
  if (filter.since !== undefined) conditions.push({ sql: 'created_at >= ?', values: [filter.since] })
  if (filter.until !== undefined) conditions.push({ sql: 'created_at <= ?', values: [filter.until] })
  if (conditions.length === 0) return undefined
  return { sql: conditions.map(({ sql }) => sql).join(' AND '), values: conditions.flatMap(({ values }) => values) }
}

/**
 * As `isWithinFolder`. What is below a folder has a prefix, and a prefix is a range of an index: it ends before the character after
 * the slash. Documents keep a Windows path as their store spelled it, so there every path is compared, spelled with slashes.
 */
function within(directory: string): Condition {
  const folder = folderName(directory)
  const column = isWindowsPath(folder) ? "replace(directory, '\\', '/')" : 'directory'
  const self: Condition = { sql: `${column} = ?`, values: [folder] }
  if (folder === '') return self
  const base = folder === '/' ? '' : folder
  return either(self, { sql: `${column} >= ? AND ${column} < ?`, values: [`${base}/`, `${base}0`] })
}

function either(one: Condition, other: Condition): Condition {
  return { sql: `(${one.sql} OR ${other.sql})`, values: [...one.values, ...other.values] }
}
