/** Listing a tree of files: names of records, and the session files with their light records. */
import { lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.js'
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
import { isFreshFile, mendTorn } from './torn-files.js'

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

/**
 * Every session file, newest copy first where one session stands in two project folders. Opens session files only.
 * Half-written ones are read again; what stays torn is damaged and said to be transient.
 */
export async function listSessionFiles(
  layout: FileLayout,
  work: StoreWork,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<Listing<SessionEntry>> {
  const issues: StageIssue[] = []
  const files: SessionFile[] = []
  using slab = new Slab()
  const read = (file: SessionFile): void => {
    slab.used = 0
    readSession(file, slab, work, clock)
  }
  for (const { project, path: folder } of layout.sessionFolders()) {
    signal?.throwIfAborted()
    for (const name of readableNames(folder, undefined, issues)) {
      const file = { key: sessionKey('opencode', name as SessionId), project, path: join(folder, `${name}${ENDING}`) }
      files.push(file)
      read(file)
    }
  }
  await mendTorn(files, ({ entry }) => entry?.damage?.transient === true, read, clock, signal)
  return { entries: newestCopies(files), issues, complete: issues.length === 0 }
}

interface SessionFile {
  readonly key: SessionKey
  readonly project: string
  readonly path: string
  /** Undefined: it was removed after its folder was listed. */
  entry?: SessionEntry | undefined
}

function newestCopies(files: readonly SessionFile[]): SessionEntry[] {
  const entries = new Map<SessionId, SessionEntry>()
  for (const { entry } of files) {
    const other = entry && entries.get(entry.key.session)
    if (entry !== undefined && (other === undefined || updated(entry) > updated(other))) entries.set(entry.key.session, entry)
  }
  return [...entries.values()]
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

function readSession(file: SessionFile, slab: Slab, work: StoreWork, clock: Clock): void {
  const { key, project, path } = file
  const base = { key, project, path }
  const damaged = (damage: Omit<StageIssue, 'key' | 'path'>, generation: SessionEntry['generation']): void => {
    file.entry = { ...base, record: undefined, generation, damage: { ...damage, key, path } }
  }
  let generation = '' as SessionEntry['generation']
  try {
    generation = fileGeneration(statSync(path))
    const length = readInto(slab, path)
    work.files++
    work.stats++
    work.bytes += length
    const reading = toSession(parseSpan(new SlabSpan(key, { path }, generation, slab, slab.used, length)), key, project)
    if ('record' in reading) file.entry = { ...base, record: reading.record, generation }
    else damaged({ code: 'CORRUPT_RECORD', reason: reading.damage }, generation)
  } catch (error) {
    if (error instanceof StorageError) {
      damaged({ ...issueOf(error, key, path), ...(isFreshFile(path, clock) && { transient: true }) }, generation)
    } else if (systemCode(error) === 'ENOENT' && lstatSync(path, { throwIfNoEntry: false }) === undefined) file.entry = undefined
    else damaged({ code: 'UNREADABLE_RECORD', reason: `it cannot be read (${systemCode(error) ?? String(error)})` }, generation)
  }
}
