/** Where the agents keep their sessions, and which stores stand there. The environment and the home folder are arguments. */
import { readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { StorageError, systemCode } from '../core/errors.js'
import type { Agent } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import { agentOf, isLogName, isLogPlace, type LogPlace, logAt, logPlaces, logsInFolder } from './agent-places.js'
import { isFolder, isOr, isOrMayBe, isSomething, typeOf } from './file-type.js'
import { fileGeneration } from './generation.js'
import { headOf } from './log-sniff.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** A store that was found, not yet opened. */
export type StorePlace = LogPlace | OpenCodePlace

export interface OpenCodePlace {
  readonly kind: 'opencode-era-a' | 'opencode-json' | 'opencode-sqlite'
  /** Absolute: the database, the `storage` folder, or the `project` folder of era A. */
  readonly path: string
}

export interface Discovery {
  /** In order of precedence: databases, then the JSON tree beside them, then the older trees of era A; then the logs of other agents. */
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

/** Which agents are wanted. */
export type AgentTest = (agent: Agent) => boolean

const ANY: AgentTest = () => true

/**
 * The stores of this machine: $OPENCODE_DB, opencode.db, every opencode-<channel>.db and the JSON trees, and the logs of the other agents
 * where their own variables ($PI_CODING_AGENT_DIR, $CLAUDE_CONFIG_DIR, $CODEX_HOME, $JCODE_HOME) or their defaults say. Nothing else is looked at.
 */
export function discoverStores(env: Environment, home: string, wants: AgentTest = ANY): Discovery {
  const logs = logPlaces(env, home).filter(({ kind }) => wants(agentOf(kind)))
  const found = logs.map((place) => examine(() => (isLogPlace(place) ? [place] : []), place.path))
  return combined([...(wants('opencode') ? openCodeStores(env, home) : []), ...found])
}

function openCodeStores(env: Environment, home: string): readonly Discovery[] {
  const dataDir = opencodeDataDir(env, home)
  const named = env.OPENCODE_DB === ':memory:' ? undefined : env.OPENCODE_DB || undefined
  const found = named === undefined ? [] : [databaseAt(resolve(dataDir, named))]
  return [...found, examine(() => (isFolder(dataDir) ? storesIn(dataDir) : []), dataDir)]
}

/** Whatever stands there; opening it tells what it is. */
function databaseAt(path: string): Discovery {
  return examine(() => (isSomething(path) ? [{ kind: 'opencode-sqlite', path }] : []), path)
}

/**
 * The stores that the given paths name: data folders, `storage` or `project` folders, or databases of OpenCode; homes of other agents,
 * their folders of logs, those of one project, or single logs; folders that hold several of these, as a home does. Nothing else is looked at.
 */
export function storesAt(paths: readonly string[], wants: AgentTest = ANY): Discovery {
  const { places, issues } = combined(paths.map((given) => storesAtPath(resolve(given), wants)))
  return { places: places.filter(({ kind }) => wants(agentOf(kind))), issues }
}

function storesAtPath(path: string, wants: AgentTest): Discovery {
  const issues: StageIssue[] = []
  const found = examine(() => {
    const place = isFolder(path) ? undefined : placeOf(path)
    if (place !== undefined) return [place]
    const places = [...openCodeIn(path), ...discoverStores({}, path).places]
    issues.push(...discoverStores({}, path, wants).issues)
    return places.length > 0 || issues.length > 0 ? places : storesOfFolder(path)
  }, path)
  return { places: found.places, issues: [...found.issues, ...issues] }
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

/** What is no folder; undefined for one that was only just made. @throws StorageError STORE_MISSING */
function placeOf(path: string): StorePlace | undefined {
  const missing = (reason: string): never => {
    throw new StorageError('STORE_MISSING', { reason, path })
  }
  const type = typeOf(path)
  if (type === 'folder') return undefined
  if (type === 'other') return missing('this is neither a folder nor a file')
  if (type === undefined) return missing(isSomething(path) ? 'this link leads nowhere' : 'there is nothing here')
  const log = logAt(path)
  if (log !== undefined) return log
  if (isLogName(path) || path.endsWith('.json')) return missing('the beginning of this file is none of a log of pi, Claude Code, Codex or jcode')
  if (!mayBeDatabase(path))
    return missing('this file is no store: no database of OpenCode, and by its name no log of pi, Claude Code, Codex or jcode')
  return { kind: 'opencode-sqlite', path }
}

/** By its name, by its beginning, or empty: then it is about to be written. */
function mayBeDatabase(path: string): boolean {
  return /\.(db|sqlite3?)$/.test(path) || isOrMayBe(() => ['', 'SQLite format 3\0'].includes(headOf(path, 16).toString('latin1')))
}

/** OpenCode's data folder, or the one above it. */
function openCodeIn(path: string): readonly StorePlace[] {
  for (const folder of [path, join(path, 'opencode')]) {
    const places = isFolder(folder) ? storesIn(folder) : []
    if (places.length > 0) return places
  }
  return []
}

/** What the folder itself is. @throws StorageError STORE_MISSING */
function storesOfFolder(path: string): readonly StorePlace[] {
  if (isJsonTree(path)) return [{ kind: 'opencode-json', path }]
  const eraA: StorePlace = { kind: 'opencode-era-a', path }
  if (isOr(false, () => isEraAFolder(path, false))) return [eraA]
  const logs = logsInFolder(path)
  if (logs.length > 0) return logs
  if (isOrMayBe(() => isEraAFolder(path, true))) return [eraA]
  throw new StorageError('STORE_MISSING', {
    reason: 'this folder holds no store: no data of OpenCode, no logs of pi, Claude Code, Codex or jcode',
    path,
  })
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
  if (names.includes('project') && isOrMayBe(() => isEraAFolder(older, true))) places.push({ kind: 'opencode-era-a', path: older })
  return places
}

/**
 * An era B tree has sessions, messages or parts; what databases leave in `storage` (diffs, a marker) makes none,
 * and neither does one project's tree of era A.
 * @throws the system's error when it cannot be looked into
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

/** The `project` folder of a data folder that 0.x wrote to. `unknown`: what an entry is that cannot be looked into. */
function isEraAFolder(path: string, unknown: boolean): boolean {
  if (!isFolder(path)) return false
  const slugs = readdirSync(path, { withFileTypes: true }).filter((entry) => !entry.isFile())
  return slugs.some(({ name }) => isOr(unknown, () => isFolder(join(path, name, 'storage', 'session'))))
}

function examine(find: () => readonly StorePlace[], path: string): Discovery {
  try {
    return { places: find(), issues: [] }
  } catch (error) {
    const { code, reason } =
      error instanceof StorageError ? error : { code: 'STORE_UNREADABLE' as const, reason: `it cannot be read (${systemCode(error) ?? 'unknown'})` }
    return { places: [], issues: [{ code, path, reason }] }
  }
}
