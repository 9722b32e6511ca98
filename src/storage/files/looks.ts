/** Looks at files by their metadata, and at the leaves of a session. */
import { statSync } from 'node:fs'
import type { Clock } from '../../core/clock.js'
import { systemCode } from '../../core/errors.js'
import { idTime, type MessageId } from '../../core/ids.js'
import type { StageIssue } from '../../core/stage.js'
import { fingerprint } from '../fingerprint.js'
import { fileGeneration, isUnsure, unreadableGeneration } from '../generation.js'
import type { SessionEntry } from '../listing.js'
import type { StoreWork } from '../store.js'
import type { FileLayout } from './layout.js'
import { readableNames } from './names.js'

export interface Seen {
  /** Ends with `?` when another write at the moment of the look could leave it as it is. */
  readonly state: string
  /** When it was written to, epoch milliseconds. */
  readonly changed: number
  /** When anything of it changed, its name and rights included: no program can set it back. Epoch milliseconds. */
  readonly moved: number
}

export const ABSENT: Seen = { state: '-', changed: 0, moved: 0 }

export function lookAtFile(path: string, work: StoreWork, clock: Clock): Seen {
  work.stats++
  const from = clock.now()
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return ABSENT
    const state = stat.isDirectory() ? `${stat.ino}:${stat.mtimeMs}:${stat.ctimeMs}` : fileGeneration(stat)
    const isSure = !isUnsure({ changed: stat.mtimeMs, moved: stat.ctimeMs }, from, clock.now())
    return { state: isSure ? state : `${state}?`, changed: stat.mtimeMs, moved: stat.ctimeMs }
  } catch (error) {
    return { state: unreadableGeneration(systemCode(error) ?? String(error)), changed: 0, moved: Number.POSITIVE_INFINITY }
  }
}

/** What is kept of a look at the leaves of a session. */
export interface LookedBefore {
  /** Moves with the names of all messages, and with the leaves of those that were looked at. */
  readonly fingerprint: string
  /** When one of the leaves was last written to, epoch milliseconds. */
  readonly touched: number
  /** The messages that were looked at. */
  readonly messages: readonly string[]
  /** The folders that were looked into, by path. */
  readonly folders: ReadonlyMap<string, Folder>
}

export interface Looked extends LookedBefore {
  /** When anything of one of them changed last, epoch milliseconds; infinite where one cannot be looked at. */
  readonly moved: number
  /** True for a file that was looked at, and for one that is in a folder that was. */
  has(path: string): boolean
}

export interface Folder {
  /** Taken before the names were read. */
  readonly state: string
  readonly names: readonly string[]
}

/** What stands in a folder; it is not read again while nothing was added or removed since it was `held`. */
function lookIntoFolder(path: string, held: Folder | undefined, work: StoreWork, clock: Clock): Folder {
  const { state } = lookAtFile(path, work, clock)
  if (held?.state === state && !state.endsWith('?')) return held
  const issues: StageIssue[] = []
  const names = readableNames(path, undefined, issues)
  // What cannot be read for the moment, as with too many open files, can be read later without a trace in its state.
  return { state: issues.length === 0 ? state : `${state}?`, names }
}

/** What a look at the leaves of a session needs besides. */
export interface LeafLook {
  readonly layout: FileLayout
  readonly work: StoreWork
  readonly clock: Clock
  /** The look before this one; undefined where nothing may be taken from it. */
  readonly held?: LookedBefore | undefined
}

/** The messages of a session, of the last `most` of them with their parts; of all of them with the folders of parts, which deletions move. */
export function lookAtLeaves({ key, project, record }: SessionEntry, most: number, { layout, work, clock, held }: LeafLook): Looked {
  const folders = new Map<string, Folder>()
  const namesIn = (path: string): readonly string[] => {
    const looked = lookIntoFolder(path, held?.folders.get(path), work, clock)
    folders.set(path, looked)
    return looked.names
  }
  const folder = layout.messageFolder(key.session, project)
  const near = record?.time.created || clock.now()
  const timed = namesIn(folder).map((name) => ({ name, time: idTime(name, near) ?? 0 }))
  const names = timed.sort((a, b) => a.time - b.time || (a.name < b.name ? -1 : 1)).map(({ name }) => name)
  const messages = names.slice(Math.max(0, names.length - most))
  const seen: string[] = [...names]
  let [touched, moved] = [0, 0]
  const look = (path: string): void => {
    const leaf = lookAtFile(path, work, clock)
    seen.push(path, leaf.state)
    touched = Math.max(touched, leaf.changed)
    moved = Math.max(moved, leaf.moved)
  }
  for (const message of messages) {
    look(`${folder}/${message}.json`)
    for (const parts of layout.partFolders(key.session, message as MessageId, project)) {
      if (most === Number.POSITIVE_INFINITY) look(parts)
      for (const part of namesIn(parts)) look(`${parts}/${part}.json`)
    }
  }
  const files = new Set(messages.map((message) => `${folder}/${message}.json`))
  const isParts = (path: string): boolean => path !== folder && folders.has(path)
  const has = (path: string): boolean => files.has(path) || isParts(path) || isParts(path.slice(0, path.lastIndexOf('/')))
  return { fingerprint: fingerprint(seen.join('\n')), touched, moved, messages, folders, has }
}

/** What the file says, or the folder with the files in it. Ends with `?` as the state of one does. */
export function stateOf(path: string, work: StoreWork, clock: Clock): string {
  const states = [lookAtFile(path, work, clock).state]
  for (const name of readableNames(path, undefined, [])) states.push(name, lookAtFile(`${path}/${name}.json`, work, clock).state)
  return states.length === 1 ? states.join() : `${fingerprint(states.join('\n'))}${states.some((state) => state.endsWith('?')) ? '?' : ''}`
}
