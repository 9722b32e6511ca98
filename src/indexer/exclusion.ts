/** What an exclusion keeps out: folders, projects, and sessions with all that they start. */
import { isWithinFolder } from '../core/folders.js'
import type { SessionId } from '../core/ids.js'
import { encodeKey, type SessionKey, sessionKey } from '../core/keys.js'
import type { SessionMeta } from '../tree/types.js'

export interface Exclusion {
  /** Full paths of folders, in either spelling of Windows; what ran in one or below it is left out. A relative one is refused. */
  readonly directories?: readonly string[] | undefined
  readonly projects?: readonly string[] | undefined
  /** With the sessions that they start, and what those start. */
  readonly sessions?: readonly string[] | undefined
}

/** What exclusions go by. */
export interface Excludable {
  readonly key: SessionKey
  readonly project: string
  readonly directory: string
  readonly parent?: SessionId | undefined
}

/** What started each session, by encoded key. */
export type Parents = ReadonlyMap<string, SessionId>

export function parentsOf(metas: Iterable<Pick<SessionMeta, 'key' | 'parent'>>): Map<string, SessionId> {
  const parents = new Map<string, SessionId>()
  for (const { key, parent } of metas) if (parent !== undefined) parents.set(encodeKey(key), parent)
  return parents
}

export function isExcluded(exclusion: Exclusion, meta: Excludable, parents: Parents = new Map()): boolean {
  const { directories = [], projects = [] } = exclusion
  if (projects.includes(meta.project) || excludedAncestor(exclusion, meta, parents) !== undefined) return true
  return directories.some((directory) => isWithinFolder(meta.directory, directory))
}

/** The session itself, or the nearest that it comes from, that is excluded by its id. Of a parent nothing but its id need be known. */
export function excludedAncestor(
  { sessions = [] }: Exclusion,
  { key, parent }: Pick<Excludable, 'key' | 'parent'>,
  parents: Parents,
): SessionId | undefined {
  if (sessions.length === 0) return undefined
  const seen = new Set<SessionId>()
  let next = parent
  for (let id: SessionId | undefined = key.session; id !== undefined && !seen.has(id); id = next) {
    if (sessions.includes(id)) return id
    next = (seen.size === 0 ? parent : undefined) ?? parents.get(encodeKey(sessionKey(key.agent, id)))
    seen.add(id)
  }
  return undefined
}

/** True while nobody can tell whether a session ran in an excluded folder: neither its record nor its first messages name one. What is indexed of it stays. */
export function isWithheld({ directories = [] }: Exclusion, { directory }: Pick<Excludable, 'directory'>): boolean {
  return directory === '' && directories.length > 0
}
