/** The files below the root of an agent's logs, by their names: nothing is opened. */
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { StorageError, systemCode } from '../../core/errors.js'
import { compareText } from '../../core/ids.js'
import type { StageIssue } from '../../core/stage.js'

export interface FoundFile {
  /** Absolute when the root is. */
  readonly path: string
  readonly name: string
  /** The names of the folders between the root and the file. */
  readonly folders: readonly string[]
}

export interface FoundFiles {
  /** In the order of their paths. */
  readonly files: readonly FoundFile[]
  /** Folders that could not be read. */
  readonly issues: readonly StageIssue[]
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[]
}

const LEADS_NOWHERE = 'a link that leads nowhere'

/** Folders are looked into no deeper: links may lead in circles. */
const DEEPEST = 8

/**
 * `reasonOf` says why a folder is not looked into; undefined: it is.
 * @throws StorageError STORE_UNREADABLE when the root itself cannot be listed
 */
export function filesUnder(root: string, reasonOf: (folder: FoundFile) => string | undefined): FoundFiles {
  const files: FoundFile[] = []
  const issues: StageIssue[] = []
  const leftOut: { path: string; reason: string }[] = []
  const followed = new Set<string>()
  const look = (folder: string, folders: readonly string[]): void => {
    for (const entry of sortedEntries(folder, folders.length === 0, issues)) {
      const found = { path: join(folder, entry.name), name: entry.name, folders }
      const kind = kindOf(entry, found.path, root, followed)
      const reason = kind === 'file' ? undefined : kind === 'folder' ? (tooDeep(folders) ?? reasonOf(found)) : kind.reason
      // What a link led to may be on a disk that is away: then absence proves nothing.
      if (reason === LEADS_NOWHERE) issues.push({ code: 'UNREADABLE_RECORD', path: found.path, reason })
      else if (reason !== undefined) leftOut.push({ path: found.path, reason })
      else if (kind === 'file') files.push(found)
      else look(found.path, [...folders, entry.name])
    }
  }
  look(root, [])
  return { files, issues, leftOut }
}

function sortedEntries(folder: string, isRoot: boolean, issues: StageIssue[]): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => compareText(a.name, b.name))
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    const reason = `the folder cannot be read (${code})`
    if (isRoot) throw new StorageError('STORE_UNREADABLE', { reason, path: folder }, { cause: error })
    // A folder that went away meanwhile holds nothing.
    if (code !== 'ENOENT') issues.push({ code: 'UNREADABLE_RECORD', path: folder, reason })
    return []
  }
}

function tooDeep(folders: readonly string[]): string | undefined {
  return folders.length < DEEPEST ? undefined : 'a folder too deep below the root'
}

/** Links lead into a folder once (`followed`): else a few of them that lead to one another would be walked without end. */
function kindOf(entry: Dirent, path: string, root: string, followed: Set<string>): 'file' | 'folder' | { readonly reason: string } {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'folder'
  if (!entry.isSymbolicLink()) return { reason: 'no file' }
  try {
    const target = statSync(path)
    if (!target.isDirectory()) return target.isFile() ? 'file' : { reason: 'no file' }
    const real = realpathSync(path)
    if (`${realpathSync(root)}${sep}`.startsWith(`${real}${sep}`)) return { reason: 'a link to a folder around it' }
    if (followed.has(real)) return { reason: 'a link to a folder that is read already' }
    followed.add(real)
    return 'folder'
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return { reason: LEADS_NOWHERE }
  }
}

const SECRETS = /^[._]*(auth|credential|secret|token|oauth|key)|[._-](auth|credentials?|secrets?|tokens?|oauth|keys?)([._-]|$)/i

/** Whether a file is said to hold secrets by its name: whatever anybody names, it is not opened. */
export function isSecretName(name: string): boolean {
  return !name.startsWith('session_') && SECRETS.test(name)
}
