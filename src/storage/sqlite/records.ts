/** What the rows of records are asked and told by. */
import { StorageError } from '../../core/errors.js'
import type { EntityKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import { rowGeneration } from '../generation.js'
import type { Listing, Price } from '../store.js'
import type { SqlRow } from './driver.js'

export function idOf(key: EntityKey): string {
  return key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
}

export function rowPrice(updated: SqlRow[number] | undefined, bytes: SqlRow[number] | undefined): Price {
  return { generation: rowGeneration(Number(updated), Number(bytes)), bytes: Number(bytes), changed: Number(updated) }
}

/** A query gives all its rows or throws: what an issue names is a row that is never listed. */
export function listing<T>(entries: readonly T[], issues: readonly StageIssue[]): Listing<T> {
  return { entries, issues, complete: true }
}

export function noParts<T>(messages: readonly unknown[]): Listing<readonly T[]> {
  const none: readonly (readonly T[])[] = messages.map(() => [])
  return listing(none, [])
}

/** Undefined where the database lacks a table or a column that not every version has: less is told then. */
export function unlessMissing<T>(ask: () => T): T | undefined {
  try {
    return ask()
  } catch (error) {
    if (error instanceof StorageError && error.code === 'STORE_NOT_READY') return undefined
    throw error
  }
}
