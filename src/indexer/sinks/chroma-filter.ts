/**
 * A filter as Chroma takes it.
 *
 * Chroma compares metadata for equality, and has no prefixes. So each document carries the folders above its directory, one key per level,
 * always all of them: "below this folder" is then one equality. Folders deeper than there are levels are told apart by the caller.
 */
import { folderName, isWithinFolder } from '../../core/folders.js'
import type { DocumentMetadata, SinkFilter } from '../ports.js'
import type { Where } from './chroma-server.js'

const LEVELS = 8

export interface ChromaFilter {
  readonly where: Where | undefined
  /** What the server could not tell; undefined when it could tell all. */
  readonly passes: ((metadata: DocumentMetadata) => boolean) | undefined
}

/** `folder_0` to `folder_7`: the folder with so many slashes in its path that the directory is or lies in, '' where it has fewer. */
export function folderKeys(directory: string): Readonly<Record<string, string>> {
  const folders = foldersOf(folderName(directory))
  return Object.fromEntries(Array.from({ length: LEVELS }, (_, level) => [keyOf(level), folders[level] ?? '']))
}

export function chromaFilter(filter: SinkFilter): ChromaFilter {
  const { project, directory } = filter
  const conditions: Where[] = []
  const equal = (name: string, value: string | undefined): void => {
    if (value !== undefined) conditions.push({ [name]: value })
  }
  equal('session_id', filter.session)
  equal('agent', filter.agent)
  equal('role', filter.role)
  equal('source', filter.source)
  if (project !== undefined) conditions.push({ $or: [{ project_id: project }, within(project)] })
  if (directory !== undefined) conditions.push(within(directory))
  if (filter.since !== undefined) conditions.push({ created_at: { $gte: filter.since } })
  if (filter.until !== undefined) conditions.push({ created_at: { $lte: filter.until } })
  const [first] = conditions
  const where = conditions.length > 1 ? { $and: conditions } : first
  return { where, passes: [project, directory].some(isTooDeep) ? (metadata) => isWithin(metadata, filter) : undefined }
}

function within(folder: string): Where {
  const folders = foldersOf(folderName(folder))
  const level = Math.min(folders.length, LEVELS) - 1
  return level < 0 ? { directory: '' } : { [keyOf(level)]: folders[level] ?? '' }
}

function isTooDeep(folder: string | undefined): boolean {
  return folder !== undefined && foldersOf(folderName(folder)).length > LEVELS
}

function isWithin(metadata: DocumentMetadata, { project, directory }: SinkFilter): boolean {
  if (directory !== undefined && !isWithinFolder(metadata.directory, directory)) return false
  return project === undefined || metadata.project_id === project || isWithinFolder(metadata.directory, project)
}

/** `/w/app` is in `/`, `/w` and `/w/app`: by the number of slashes in their path, but for the root. */
function foldersOf(name: string): readonly string[] {
  if (name === '') return []
  if (name === '/') return ['/']
  const folders: string[] = []
  for (let slash = name.indexOf('/'); slash !== -1; slash = name.indexOf('/', slash + 1)) folders.push(name.slice(0, slash) || '/')
  return [...folders, name]
}

function keyOf(level: number): string {
  return `folder_${level}`
}
