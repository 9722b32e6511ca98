/** Names in the folders of a tree of files. */
import { readdirSync } from 'node:fs'
import { StorageError, systemCode } from '../../core/errors.js'
import { isSafeId } from '../../core/ids.js'
import type { EntityKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'

/** Of the files of records. */
export const ENDING = '.json'

/**
 * The record names in a folder, in no order; a folder that is not there has none.
 * @throws the system's error when the folder cannot be read: that is no emptiness
 */
export function namesIn(folder: string): string[] {
  let files: string[]
  try {
    files = readdirSync(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw error
  }
  const names: string[] = []
  for (const file of files) {
    if (!file.endsWith(ENDING)) continue
    const name = file.slice(0, -ENDING.length)
    if (isSafeId(name)) names.push(name)
  }
  return names
}

/** The record names of a folder; one that cannot be read has none, and an issue. */
export function readableNames(path: string, key: EntityKey | undefined, issues: StageIssue[]): string[] {
  try {
    return namesIn(path)
  } catch (error) {
    issues.push({ code: 'UNREADABLE_RECORD', ...(key && { key }), path, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
    return []
  }
}

/** Undefined for a folder that cannot be read. */
export function countNames(folder: string): number | undefined {
  try {
    return namesIn(folder).length
  } catch {
    return undefined
  }
}

/** The record names in a folder. @throws StorageError STORE_UNREADABLE */
export function allNames(folder: string): readonly string[] {
  try {
    return namesIn(folder)
  } catch (error) {
    throw unreadable(folder, error)
  }
}

/** @throws StorageError STORE_UNREADABLE */
export function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [] : [entry.name]))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw unreadable(folder, error)
  }
}

function unreadable(folder: string, error: unknown): StorageError {
  const reason = `the folder cannot be read (${systemCode(error) ?? 'unknown'})`
  return new StorageError('STORE_UNREADABLE', { reason, path: folder }, { cause: error })
}
