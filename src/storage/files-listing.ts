/** Listing a tree of files: names of records, and the session files with their light records. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError, systemCode } from '../core/errors.js'
import { isSafeId, type SessionId } from '../core/ids.js'
import { type EntityKey, type SessionKey, sessionKey } from '../core/keys.js'
import { toSession } from '../core/records.js'
import { issueOf, type StageIssue } from '../core/stage.js'
import type { FileLayout } from './file-layout.js'
import { fileGeneration } from './generation.js'
import { readInto } from './read-file.js'
import { Slab } from './slab.js'
import { parseSpan, SlabSpan } from './span.js'
import type { Listing, SessionEntry, StoreWork } from './store.js'

const ENDING = '.json'

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

/** Every session file, newest copy first where one session stands in two project folders. Opens session files only. */
export function listSessionFiles(layout: FileLayout, work: StoreWork, signal: AbortSignal | undefined): Listing<SessionEntry> {
  const entries = new Map<SessionId, SessionEntry>()
  const issues: StageIssue[] = []
  using slab = new Slab()
  for (const { project, path: folder } of layout.sessionFolders()) {
    signal?.throwIfAborted()
    try {
      for (const name of namesIn(folder)) {
        slab.used = 0
        const entry = readSession(sessionKey('opencode', name as SessionId), project, join(folder, `${name}${ENDING}`), slab, work)
        const other = entries.get(entry.key.session)
        if (other === undefined || updated(entry) > updated(other)) entries.set(entry.key.session, entry)
      }
    } catch (error) {
      issues.push({ code: 'UNREADABLE_RECORD', path: folder, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
    }
  }
  return { entries: [...entries.values()], issues, complete: issues.length === 0 }
}

/** @throws StorageError STORE_UNREADABLE */
export function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [] : [entry.name]))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw new StorageError(
      'STORE_UNREADABLE',
      { reason: `the folder cannot be read (${systemCode(error) ?? 'unknown'})`, path: folder },
      { cause: error },
    )
  }
}

function updated(entry: SessionEntry): number {
  return entry.record?.time.updated ?? -1
}

function readSession(key: SessionKey, project: string, path: string, slab: Slab, work: StoreWork): SessionEntry {
  const base = { key, project, path }
  try {
    const stat = statSync(path)
    const length = readInto(slab, path)
    work.files++
    work.stats++
    work.bytes += length
    const generation = fileGeneration(stat)
    const span = new SlabSpan(key, { path }, generation, slab, slab.used, length)
    const reading = toSession(parseSpan(span), key, project)
    if ('record' in reading) return { ...base, record: reading.record, generation }
    return { ...base, record: undefined, generation, damage: { code: 'CORRUPT_RECORD', key, path, reason: reading.damage } }
  } catch (error) {
    const damage: StageIssue =
      error instanceof StorageError
        ? issueOf(error, key, path)
        : { code: 'UNREADABLE_RECORD', key, path, reason: `it cannot be read (${systemCode(error) ?? String(error)})` }
    return { ...base, record: undefined, generation: '' as SessionEntry['generation'], damage }
  }
}
