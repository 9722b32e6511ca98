/** Looks at files by their metadata, and at the leaves of a session. */
import { statSync } from 'node:fs'
import type { Clock } from '../../core/clock.js'
import { systemCode } from '../../core/errors.js'
import { idTime, type MessageId } from '../../core/ids.js'
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

export interface Looked {
  /** Moves with the names of all messages, and with the leaves of those that were looked at. */
  readonly fingerprint: string
  /** When one of the leaves was last written to, epoch milliseconds. */
  readonly touched: number
  /** When anything of one of them changed last, epoch milliseconds; infinite where one cannot be looked at. */
  readonly moved: number
  /** The messages that were looked at. */
  readonly messages: readonly string[]
  /** True for a file that was looked at, and for one that is in a folder that was. */
  has(path: string): boolean
}

/** The messages of a session, of the last `most` of them with their parts; of all of them with the folders of parts, which deletions move. */
export function lookAtLeaves({ key, project, record }: SessionEntry, most: number, layout: FileLayout, work: StoreWork, clock: Clock): Looked {
  const folder = layout.messageFolder(key.session, project)
  const near = record?.time.created || clock.now()
  const timeOf = (name: string): number => idTime(name, near) ?? 0
  const names = readableNames(folder, undefined, []).sort((a, b) => timeOf(a) - timeOf(b) || (a < b ? -1 : 1))
  const messages = names.slice(Math.max(0, names.length - most))
  const seen: string[] = [...names]
  const folders = new Set<string>()
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
      folders.add(parts)
      if (most === Number.POSITIVE_INFINITY) look(parts)
      for (const part of readableNames(parts, undefined, [])) look(`${parts}/${part}.json`)
    }
  }
  const files = new Set(messages.map((message) => `${folder}/${message}.json`))
  const has = (path: string): boolean => files.has(path) || folders.has(path) || folders.has(path.slice(0, path.lastIndexOf('/')))
  return { fingerprint: fingerprint(seen.join('\n')), touched, moved, messages, has }
}

/** What the file says, or the folder with the files in it. Ends with `?` as the state of one does. */
export function stateOf(path: string, work: StoreWork, clock: Clock): string {
  const states = [lookAtFile(path, work, clock).state]
  for (const name of readableNames(path, undefined, [])) states.push(name, lookAtFile(`${path}/${name}.json`, work, clock).state)
  return states.length === 1 ? states.join() : `${fingerprint(states.join('\n'))}${states.some((state) => state.endsWith('?')) ? '?' : ''}`
}
