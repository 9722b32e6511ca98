/** Exclusions, held to their form: one that would exclude nothing is refused, for nobody would learn of it. */
import { folderName, isWindowsPath } from '../core/folders.js'
import { isSafeId } from '../core/ids.js'
import { invalidOption, refuseUnknown, told } from '../core/options.js'
import type { Exclusion } from './exclusion.js'

const EXAMPLES = { directories: '"/home/me/private"', projects: 'the `project` of a session', sessions: 'the `id` of a session' } as const
const KINDS = ['directories', 'projects', 'sessions'] as const

/** `name`: what it was given as; '' where its lists stand alone. @throws StorageError INVALID_OPTION */
export function checkExclusion(given: Exclusion, name = ''): Exclusion {
  checkExclusionLists(given, name)
  const { directories = [], sessions = [] } = given
  const path = directories.find((one) => holdsNothing('directories', one))
  if (path !== undefined)
    throw invalidOption(`${nameOf(name, 'directories')} must be full paths without "." and "..", as path.resolve() gives them, not ${told(path)}`)
  const id = sessions.find((one) => holdsNothing('sessions', one))
  if (id !== undefined) throw invalidOption(`${nameOf(name, 'sessions')} must be the ids of sessions, not ${told(id)}`)
  return given
}

/** Whether no session can be of it, as nothing names itself so. */
export function holdsNothing(kind: (typeof KINDS)[number], value: string): boolean {
  if (kind === 'directories') return !isFullPath(value)
  // The name of a project may hold "..", and who has a name alone excludes both.
  return kind === 'sessions' ? !isSafeId(value.replaceAll('..', '')) : value === ''
}

/** That it is made of lists of texts; what these say is not looked at. @throws StorageError INVALID_OPTION */
export function checkExclusionLists(given: Exclusion, name = ''): void {
  const what = name === '' ? 'an exclusion' : name
  refuseUnknown(given, KINDS, what)
  if (!isPlain(given) && !KINDS.some((kind) => kind in given))
    throw invalidOption(`${what} must be an object with ${KINDS.join(', ')}, and no promise of one`)
  for (const kind of KINDS) {
    const list: unknown = given[kind]
    if (list === undefined) continue
    if (!Array.isArray(list)) throw invalidOption(`${nameOf(name, kind)} must be a list of texts, not ${told(list)}`)
    const wrong = list.findIndex((one) => typeof one !== 'string' || one === '')
    if (wrong !== -1) throw invalidOption(`${nameOf(name, kind)} must hold texts, such as ${EXAMPLES[kind]}, not ${told(list[wrong])}`)
  }
}

function nameOf(name: string, kind: string): string {
  return name === '' ? kind : `${name}.${kind}`
}

/** Of any realm. */
function isPlain(given: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(given)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Folders are compared by their spelling: one that no session spells so would hold none. */
function isFullPath(path: string): boolean {
  if (!path.startsWith('/') && !isWindowsPath(path)) return false
  const [, ...segments] = folderName(path).replace(/^\/\//, '/').split('/')
  return segments.every((segment, at) => segment !== '.' && segment !== '..' && (segment !== '' || at === segments.length - 1))
}
