/** Where OpenCode keeps its data, and which stores stand there. The environment and the home folder are arguments. */
import { lstatSync, readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { StorageError, systemCode } from '../core/errors.js'
import type { StageIssue } from '../core/stage.js'
import { fileGeneration } from './generation.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** A store that was found, not yet opened. */
export interface StorePlace {
  readonly kind: 'opencode-era-a' | 'opencode-json' | 'opencode-sqlite'
  /** Absolute: the database, the `storage` folder, or the `project` folder of era A. */
  readonly path: string
}

export interface Discovery {
  /** In order of precedence: databases, then the JSON tree beside them, then the older trees of era A. */
  readonly places: readonly StorePlace[]
  readonly issues: readonly StageIssue[]
}

/** OpenCode's data folder: the same rule on every system, macOS and Windows included. */
export function opencodeDataDir(env: Environment, home: string): string {
  return resolve(env.XDG_DATA_HOME || join(home, '.local', 'share'), 'opencode')
}

/** Spanleaf's own folder: $SPANLEAF_HOME, else $XDG_STATE_HOME/spanleaf, else ~/.local/state/spanleaf. */
export function spanleafHome(env: Environment, home: string): string {
  return resolve(env.SPANLEAF_HOME || join(env.XDG_STATE_HOME || join(home, '.local', 'state'), 'spanleaf'))
}

/** The stores of this machine: $OPENCODE_DB, opencode.db, every opencode-<channel>.db, and the JSON trees. */
export function discoverStores(env: Environment, home: string): Discovery {
  const dataDir = opencodeDataDir(env, home)
  const named = env.OPENCODE_DB === ':memory:' ? undefined : env.OPENCODE_DB || undefined
  const found = named === undefined ? [] : [databaseAt(resolve(dataDir, named))]
  found.push(examine(() => (typeOf(dataDir) === 'folder' ? storesIn(dataDir) : []), dataDir))
  return combined(found)
}

/** Whatever stands there; opening it tells what it is. */
function databaseAt(path: string): Discovery {
  return examine(() => (isSomething(path) ? [{ kind: 'opencode-sqlite', path }] : []), path)
}

/** The stores that the given paths name: data folders, `storage` or `project` folders, or databases. Nothing else is looked at. */
export function storesAt(paths: readonly string[]): Discovery {
  return combined(paths.map((given) => examine(() => placesOf(resolve(given)), resolve(given))))
}

/** What stands at a path, through links: its device and inode. Undefined where nothing can be looked at. */
export function identityOf(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stat && `${stat.dev}:${stat.ino}`
  } catch {
    return undefined
  }
}

/** The version of what stands at a path: moves with every write to it. */
export function versionOf(path: string): string | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat && fileGeneration(stat)
  } catch {
    return undefined
  }
}

/** One place for all the paths that lead to it, the first one. */
function combined(found: readonly Discovery[]): Discovery {
  const places = new Map<string, StorePlace>()
  for (const place of found.flatMap((discovery) => discovery.places)) {
    const name = identityOf(place.path) ?? place.path
    if (!places.has(name)) places.set(name, place)
  }
  return { places: [...places.values()], issues: found.flatMap((discovery) => discovery.issues) }
}

function placesOf(path: string): StorePlace[] {
  const type = typeOf(path)
  if (type === 'file') return [{ kind: 'opencode-sqlite', path }]
  if (type !== 'folder') {
    const reason = type === 'other' ? 'this is neither a folder nor a file' : isSomething(path) ? 'this link leads nowhere' : 'there is nothing here'
    throw new StorageError('STORE_MISSING', { reason, path })
  }
  for (const folder of [path, join(path, 'opencode')]) {
    const places = typeOf(folder) === 'folder' ? storesIn(folder) : []
    if (places.length > 0) return places
  }
  if (isJsonTree(path)) return [{ kind: 'opencode-json', path }]
  if (isEraAFolder(path)) return [{ kind: 'opencode-era-a', path }]
  throw new StorageError('STORE_MISSING', { reason: 'this folder holds no OpenCode store', path })
}

/** The stores of one data folder; database files that end otherwise (-wal, -shm) belong to theirs. */
function storesIn(dataDir: string): StorePlace[] {
  const names = readdirSync(dataDir)
  const databases = names.filter((name) => /^opencode(-.+)?\.db$/.test(name))
  databases.sort((a, b) => Number(b === 'opencode.db') - Number(a === 'opencode.db') || (a < b ? -1 : 1))
  const places = databases.map((name): StorePlace => ({ kind: 'opencode-sqlite', path: join(dataDir, name) }))
  if (basename(dataDir) === 'storage') return places
  const tree = join(dataDir, 'storage')
  if (names.includes('storage') && isOrMayBe(() => isJsonTree(tree))) places.push({ kind: 'opencode-json', path: tree })
  const older = join(dataDir, 'project')
  if (names.includes('project') && isOrMayBe(() => isEraAFolder(older))) places.push({ kind: 'opencode-era-a', path: older })
  return places
}

/** What cannot be looked into counts: its listing then says why. */
function isOrMayBe(test: () => boolean): boolean {
  try {
    return test()
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return true
  }
}

/**
 * An era B tree has sessions, messages or parts; what databases leave in `storage` (diffs, a marker) makes none,
 * and neither does one project's tree of era A.
 * @throws the system's error when it cannot be looked into
 */
export function isJsonTree(path: string): boolean {
  return !isProjectTree(path) && ['session', 'message', 'part'].some((name) => typeOf(join(path, name)) === 'folder')
}

/** The tree of one project of era A. */
function isProjectTree(path: string): boolean {
  try {
    return typeOf(join(path, 'session', 'info')) === 'folder'
  } catch {
    return false
  }
}

/** The `project` folder of a data folder that 0.x wrote to. */
function isEraAFolder(path: string): boolean {
  return isOrMayBe(() => typeOf(path) === 'folder' && readdirSync(path).some((slug) => typeOf(join(path, slug, 'storage', 'session')) === 'folder'))
}

function examine(find: () => StorePlace[], path: string): Discovery {
  try {
    return { places: find(), issues: [] }
  } catch (error) {
    const { code, reason } =
      error instanceof StorageError ? error : { code: 'STORE_UNREADABLE' as const, reason: `it cannot be read (${systemCode(error) ?? 'unknown'})` }
    return { places: [], issues: [{ code, path, reason }] }
  }
}

/** Whether anything has this name, a link that leads nowhere too. @throws the system's error when the path may exist and cannot be looked at */
function isSomething(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}

/** Of what links lead to. @throws the system's error when the path may exist and cannot be looked at */
export function typeOf(path: string): 'file' | 'folder' | 'other' | undefined {
  try {
    const stat = statSync(path)
    return stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other'
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}
