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
  return excluder(exclusion, parents)(meta)
}

/** `isExcluded` for many sessions of one listing: each link between them is followed once. */
export function excluder(exclusion: Exclusion, parents: Parents): (meta: Excludable) => boolean {
  const { directories = [] } = exclusion
  const projects = new Set(exclusion.projects)
  const ancestorOf = ancestorFinder(exclusion, parents)
  return (meta) => {
    if (projects.has(meta.project) || ancestorOf(meta) !== undefined) return true
    return directories.some((directory) => isWithinFolder(meta.directory, directory))
  }
}

/** The session itself, or the nearest that it comes from, that is excluded by its id. Of a parent nothing but its id need be known. */
export function ancestorFinder({ sessions }: Exclusion, parents: Parents): (session: Pick<Excludable, 'key' | 'parent'>) => SessionId | undefined {
  const excluded = new Set<string>(sessions)
  const known = new Map<string, SessionId | undefined>()
  return ({ key, parent }) => {
    if (excluded.size === 0) return undefined
    const way: string[] = []
    const seen = new Set<string>()
    let found: SessionId | undefined
    for (let id: SessionId | undefined = key.session; id !== undefined; ) {
      const name = encodeKey(sessionKey(key.agent, id))
      found = known.get(name) ?? (excluded.has(id) ? id : undefined)
      if (found !== undefined || known.has(name) || seen.has(name)) break
      way.push(name)
      seen.add(name)
      id = (way.length === 1 ? parent : undefined) ?? parents.get(name)
    }
    for (const name of way) known.set(name, found)
    return found
  }
}

/** True while nobody can tell whether a session ran in an excluded folder: neither its record nor its first messages name one. What is indexed of it stays. */
export function isWithheld({ directories = [] }: Exclusion, { directory }: Pick<Excludable, 'directory'>): boolean {
  return directory === '' && directories.length > 0
}
