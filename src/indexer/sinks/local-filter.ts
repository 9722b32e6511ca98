/** A filter as a condition on the rows of the local sink. */
import type { SqlValue } from '../../storage/sqlite-driver.js'
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
  if (filter.project !== undefined) conditions.push(either({ sql: 'project_id = ?', values: [filter.project] }, within(filter.project)))
  if (filter.directory !== undefined) conditions.push(within(filter.directory))
  if (filter.since !== undefined) conditions.push({ sql: 'created_at >= ?', values: [filter.since] })
  if (filter.until !== undefined) conditions.push({ sql: 'created_at <= ?', values: [filter.until] })
  if (conditions.length === 0) return undefined
  return { sql: conditions.map(({ sql }) => sql).join(' AND '), values: conditions.flatMap(({ values }) => values) }
}

/**
 * The directory itself or one below it: `/a` holds `/a/b`, not `/ab`.
 * What is below has a prefix, and a prefix is a range of an index: it ends before the character after the separator.
 */
function within(directory: string): Condition {
  const separator = directory.includes('\\') ? '\\' : '/'
  const base = directory.endsWith(separator) ? directory.slice(0, -1) : directory
  const self: Condition = { sql: 'directory = ?', values: [base === '' ? directory : base] }
  if (directory === '') return self
  const past = String.fromCharCode(separator.charCodeAt(0) + 1)
  return either(self, { sql: 'directory >= ? AND directory < ?', values: [base + separator, base + past] })
}

function either(one: Condition, other: Condition): Condition {
  return { sql: `(${one.sql} OR ${other.sql})`, values: [...one.values, ...other.values] }
}
