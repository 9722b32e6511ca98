/** What `--project`, `--exclude`, `--include` and `forget` name: a folder, or the id of a project or a session. */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, resolve, win32 } from 'node:path'
import { folderName, isWithinFolder, type SessionMeta, type Sessions, StorageError } from '../index.js'
import type { Exclusion } from '../indexer/index.js'

export type Scope =
  | {
      readonly kind: 'folder'
      /** As given and with its links followed, each as `folderName` spells it: sessions keep the folder as their process saw it. */
      readonly paths: readonly string[]
    }
  | { readonly kind: 'id'; readonly id: string }

/**
 * A text with a separator, `.`, `..` or `~` is a folder, and so is a bare name that is a folder here and no id of a project.
 * @throws StorageError INVALID_OPTION for an empty text
 */
export function scopeOf(text: string, sessions?: Sessions): Scope {
  if (text === '') throw new StorageError('INVALID_OPTION', { reason: 'an empty text names no folder, project or session' })
  const isId = sessions?.index.sessionsByTime().some(({ id, project }) => id === text || project === text) === true
  const isPath = isAbsolute(text) || /[/\\]/.test(text) || ['.', '..', '~'].includes(text)
  if (!isPath && (isId || !isFolder(text))) return { kind: 'id', id: text }
  return { kind: 'folder', paths: folderPaths(text) }
}

/** Every path that sessions of the folder may name it by. A Windows path is one on every system: stores are read elsewhere, too. */
export function folderPaths(text: string): readonly [string, ...string[]] {
  const isWindows = /^(?:[A-Za-z]:[\\/]|\\\\)/.test(text)
  const path = isWindows ? win32.normalize(text) : resolve(text.replace(/^~(?=$|[/\\])/, () => homedir()))
  const others = [...(existsSync(path) ? [realpathSync(path)] : []), ...(text.startsWith('//') ? [text] : [])].map(folderName)
  return [folderName(path), ...new Set(others.filter((other) => other !== folderName(path)))]
}

export function exclusionOf(scopes: readonly Scope[]): Exclusion {
  const ids = scopes.flatMap((scope) => (scope.kind === 'id' ? [scope.id] : []))
  return { directories: scopes.flatMap((scope) => (scope.kind === 'folder' ? scope.paths : [])), projects: ids, sessions: ids }
}

/** True for sessions that ran in the folder or below it, or are of the project. */
export function inScope(scope: Scope): (session: Pick<SessionMeta, 'project' | 'directory'>) => boolean {
  if (scope.kind === 'id') return ({ project }) => project === scope.id
  return ({ directory }) => scope.paths.some((path) => isWithinFolder(directory, path))
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** `--cwd`: the spellings of a folder, for `SessionQuery.cwd`; a separator at its end stays, since it stands for what is below. */
export function cwdOption(text: string): readonly string[] {
  if (text === '') throw new StorageError('INVALID_OPTION', { reason: 'an empty text names no folder' })
  const below = /[/\\]$/.test(text)
  return folderPaths(text).map((path) => (below && !path.endsWith('/') ? `${path}/` : path))
}
