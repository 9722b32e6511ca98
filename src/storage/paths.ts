/** Where OpenCode keeps its data, and which stores stand there. The environment and the home folder are arguments. */
import { readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { StorageError, systemCode } from '../core/errors.js'
import type { StageIssue } from '../core/stage.js'

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
  found.push(examine(() => (isFolder(dataDir) ? storesIn(dataDir) : []), dataDir))
  return combined(found)
}

function databaseAt(path: string): Discovery {
  return examine(() => (isFile(path) ? [{ kind: 'opencode-sqlite', path }] : []), path)
}

/**
 * The stores that the given paths name: data folders, `storage` or `project` folders, or databases. Nothing else is looked at.
 * @throws StorageError STORE_MISSING for a path that is none of these
 */
export function storesAt(paths: readonly string[]): Discovery {
  return combined(paths.map((given) => examine(() => placesOf(resolve(given)), resolve(given))))
}

/** One place per path, the first one. */
function combined(found: readonly Discovery[]): Discovery {
  const places = new Map<string, StorePlace>()
  for (const place of found.flatMap((discovery) => discovery.places)) if (!places.has(place.path)) places.set(place.path, place)
  return { places: [...places.values()], issues: found.flatMap((discovery) => discovery.issues) }
}

function placesOf(path: string): StorePlace[] {
  if (isFile(path)) return [{ kind: 'opencode-sqlite', path }]
  if (!isFolder(path)) throw new StorageError('STORE_MISSING', { reason: 'there is nothing here', path })
  for (const folder of [path, join(path, 'opencode')]) {
    const places = isFolder(folder) ? storesIn(folder) : []
    if (places.length > 0) return places
  }
  if (isJsonTree(path)) return [{ kind: 'opencode-json', path }]
  if (isEraAFolder(path)) return [{ kind: 'opencode-era-a', path }]
  throw new StorageError('STORE_MISSING', { reason: 'this folder holds no OpenCode store', path })
}

/** The stores of one data folder; database files that end otherwise (-wal, -shm) belong to theirs. */
function storesIn(dataDir: string): StorePlace[] {
  const names = readdirSync(dataDir).filter((name) => /^opencode(-.+)?\.db$/.test(name))
  const databases = names.sort((a, b) => Number(b === 'opencode.db') - Number(a === 'opencode.db') || (a < b ? -1 : 1))
  const places = databases.map((name): StorePlace => ({ kind: 'opencode-sqlite', path: join(dataDir, name) }))
  const tree = join(dataDir, 'storage')
  if (basename(dataDir) !== 'storage' && isJsonTree(tree)) places.push({ kind: 'opencode-json', path: tree })
  const older = join(dataDir, 'project')
  if (basename(dataDir) !== 'storage' && isEraAFolder(older)) places.push({ kind: 'opencode-era-a', path: older })
  return places
}

/**
 * An era B tree has sessions, messages or parts; what databases leave in `storage` (diffs, a marker) makes none,
 * and neither does one project's tree of era A.
 */
export function isJsonTree(path: string): boolean {
  return !isProjectTree(path) && ['session', 'message', 'part'].some((name) => isFolder(join(path, name)))
}

/** The tree of one project of era A. */
function isProjectTree(path: string): boolean {
  try {
    return isFolder(join(path, 'session', 'info'))
  } catch {
    return false
  }
}

/** The `project` folder of a data folder that 0.x wrote to. One that cannot be looked into counts: its listing then says why. */
function isEraAFolder(path: string): boolean {
  try {
    return isFolder(path) && readdirSync(path).some((slug) => isFolder(join(path, slug, 'storage', 'session')))
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return true
  }
}

function examine(find: () => StorePlace[], path: string): Discovery {
  try {
    return { places: find(), issues: [] }
  } catch (error) {
    if (error instanceof StorageError) throw error
    return { places: [], issues: [{ code: 'STORE_UNREADABLE', path, reason: `it cannot be read (${systemCode(error) ?? 'unknown'})` }] }
  }
}

function isFile(path: string): boolean {
  return typeOf(path) === 'file'
}

function isFolder(path: string): boolean {
  return typeOf(path) === 'folder'
}

/** @throws the system's error when the path may exist and cannot be looked at */
function typeOf(path: string): 'file' | 'folder' | undefined {
  try {
    const stat = statSync(path)
    return stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : undefined
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}
