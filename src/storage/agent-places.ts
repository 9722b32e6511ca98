/**
 * Where the agents that write logs keep them: the folders of a machine, and what a path that somebody names is.
 * Names tell the agent; where they do not, the first lines of a log do. Nothing but logs is ever opened.
 */
import { readdirSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { systemCode } from '../core/errors.js'
import type { Agent } from '../core/keys.js'
import { isFolder, isOrMayBe, typeOf } from './file-type.js'
import { isSecretName } from './jsonl/log-folders.js'
import type { LogKind } from './jsonl/open-logs.js'
import { agentOfLog, isSnapshot } from './log-sniff.js'
import type { Environment } from './paths.js'

/** The agents that write logs. */
export type LogAgent = Exclude<Agent, 'opencode'>

export interface LogPlace {
  readonly kind: LogKind
  /** Absolute: the folder of sessions, a folder of one project in it, the home of Codex, or one log. */
  readonly path: string
}

const KINDS: Readonly<Record<LogAgent, LogKind>> = {
  pi: 'pi-jsonl',
  claude: 'claude-jsonl',
  codex: 'codex-jsonl',
  jcode: 'jcode-journal',
}

const AGENTS_OF: ReadonlyMap<string, LogAgent> = new Map(Object.entries(KINDS).map(([agent, kind]) => [kind, agent as LogAgent]))

/** The agent that writes stores of a kind; those of OpenCode are no logs. */
export function agentOf(kind: string): Agent {
  return AGENTS_OF.get(kind) ?? 'opencode'
}

export function isLogKind(kind: string): kind is LogKind {
  return AGENTS_OF.has(kind)
}

/** Where the agents' own variables, or else their defaults, say that logs are; whether anything is there is another question. */
export function logPlaces(env: Environment, home: string): readonly LogPlace[] {
  const at = (agent: LogAgent, ...names: readonly [string, ...string[]]): LogPlace => ({ kind: KINDS[agent], path: resolve(...names) })
  const expanded = (path: string | undefined): string | undefined => path?.replace(/^~(?=$|[/\\])/, () => home)
  const pi = expanded(env.PI_CODING_AGENT_SESSION_DIR) || join(expanded(env.PI_CODING_AGENT_DIR) || join(home, '.pi', 'agent'), 'sessions')
  return [
    at('pi', pi),
    ...claudeFolders(env, home).map((folder) => at('claude', folder, 'projects')),
    at('codex', env.CODEX_HOME || join(home, '.codex')),
    at('jcode', env.JCODE_HOME || join(home, '.jcode'), 'sessions'),
  ]
}

/** $CLAUDE_CONFIG_DIR may be one folder, or a list with commas; a folder with a comma in its name is one. */
function claudeFolders(env: Environment, home: string): readonly string[] {
  const named = env.CLAUDE_CONFIG_DIR?.trim()
  if (!named) return [join(home, '.claude'), join(env.XDG_CONFIG_HOME || join(home, '.config'), 'claude')]
  if (!named.includes(',') || isOrMayBe(() => isFolder(named))) return [named]
  const folders = named.split(',').map((folder) => folder.trim())
  return folders.filter((folder) => folder !== '')
}

/** @throws the system's error when it cannot be looked into */
export function isLogPlace({ kind, path }: LogPlace): boolean {
  return kind === 'codex-jsonl' ? CODEX_FOLDERS.some((name) => isFolder(join(path, name))) : isFolder(path)
}

const CODEX_FOLDERS = ['sessions', 'archived_sessions']

/** The logs that an existing folder is or holds: an agent's home, its folder of sessions, or that of one project. */
export function logsInFolder(path: string): readonly LogPlace[] {
  const found = new Map<string, LogPlace>()
  for (const names of [['projects'], ['agent', 'sessions'], ...CODEX_FOLDERS.map((name) => [name])]) {
    const folder = join(path, ...names)
    const agent = isFolder(folder) ? agentOfFolder(folder) : undefined
    if (agent === undefined) continue
    const isHome = agent === 'codex' && CODEX_FOLDERS.includes(names.join(sep))
    const place = { kind: KINDS[agent], path: isHome ? path : folder }
    found.set(place.path, place)
  }
  if (found.size > 0) return [...found.values()]
  const agent = agentOfFolder(path)
  return agent === undefined ? [] : [{ kind: KINDS[agent], path }]
}

/** What a file is the log of; undefined when it is none. @throws the system's error when nothing but its content could tell, and it cannot be read */
export function logAt(path: string): LogPlace | undefined {
  const name = basename(path)
  if (isLogName(name)) {
    const snapshot = path.replace(/\.journal\.jsonl$/, '.json')
    if (snapshot !== path && typeOf(snapshot) === 'file') return { kind: KINDS.jcode, path: snapshot }
    const agent = agentOfPath(path) ?? agentOfName(name) ?? agentOfLog(path)
    return agent && { kind: KINDS[agent], path }
  }
  const isOne = agentOfName(name) === 'jcode' || (name.endsWith('.json') && !isSecretName(name) && isSnapshot(path))
  return isOne ? { kind: KINDS.jcode, path } : undefined
}

/** Whether a file of this name is read as a log, or not at all. */
export function isLogName(name: string): boolean {
  return /\.jsonl(\.zst)?$/.test(name)
}

function agentOfFolder(folder: string): LogAgent | undefined {
  return agentOfPath(folder) ?? agentOfEntries(folder) ?? agentOfFirstLogs(folder)
}

/** The folders that agents make in their homes. Other folders in these homes may hold anything. */
const FOLDERS: readonly (readonly [LogAgent, RegExp])[] = [
  ['pi', /\/\.pi\/agent\/sessions(\/|$)/],
  ['claude', /\/(\.claude|\.config\/claude)\/projects(\/|$)/],
  ['codex', /\/\.codex\/(archived_)?sessions(\/|$)/],
  ['jcode', /\/\.jcode\/sessions(\/|$)/],
]

function agentOfPath(path: string): LogAgent | undefined {
  const posix = posixOf(path)
  return FOLDERS.find(([, pattern]) => pattern.test(posix))?.[0]
}

/** Whether the folder that a log stands in, or its name, says that the agent wrote it. Asked of every log. */
export function isNamedAs(agent: Agent, path: string): boolean {
  const posix = posixOf(path)
  const name = posix.slice(posix.lastIndexOf('/') + 1)
  const says = ([named, pattern]: (typeof FOLDERS)[number], text: string): boolean => named === agent && pattern.test(text)
  return FOLDERS.some((folder) => says(folder, posix)) || NAMES.some((form) => says(form, name))
}

function posixOf(path: string): string {
  return sep === '/' ? path : path.split(sep).join('/')
}

/** How agents name their logs. Claude Code's are named by an id alone, as those of others may be. */
const NAMES: readonly (readonly [LogAgent, RegExp])[] = [
  ['codex', /^rollout-.+\.jsonl(\.zst)?$|\.jsonl\.zst$/],
  ['jcode', /^session_.+\.json$|\.journal\.jsonl$/],
  ['pi', /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z_.+\.jsonl$/],
]

function agentOfName(name: string): LogAgent | undefined {
  return NAMES.find(([, pattern]) => pattern.test(name))?.[0]
}

/** By the names of its logs, or of the folders that logs are grouped in. */
function agentOfEntries(folder: string): LogAgent | undefined {
  const entries = readdirSync(folder, { withFileTypes: true }).slice(0, MOST_ENTRIES)
  for (const entry of entries) {
    const agent = entry.isDirectory() ? agentOfGroup(folder, entry.name) : agentOfName(entry.name)
    if (agent !== undefined) return agent
  }
  return undefined
}

function agentOfGroup(folder: string, name: string): LogAgent | undefined {
  if (/^--.*--$/.test(name)) return 'pi'
  const isYear = /^20\d\d$/.test(name)
  return isYear && isOrMayBe(() => readdirSync(join(folder, name)).some((month) => /^[01]\d$/.test(month))) ? 'codex' : undefined
}

/** Folders are looked into so deep: a session's own below its project's. */
const DEEPEST = 2
const MOST_ENTRIES = 500
/** One that was only just begun tells nothing. */
const MOST_LOGS = 64
/** Logs of something else than a session. */
const OTHER_LOGS = ['history.jsonl', 'session_index.jsonl']

function agentOfFirstLogs(folder: string): LogAgent | undefined {
  let [logs, entries] = [MOST_LOGS, MOST_ENTRIES]
  const look = (path: string, depth: number): LogAgent | undefined => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (logs === 0 || entries === 0) return undefined
      entries--
      const inner = join(path, entry.name)
      if (depth > 0 && entry.isDirectory()) {
        const agent = unlessUnreadable(() => look(inner, depth - 1))
        if (agent !== undefined) return agent
      }
      if (!isLogName(entry.name) || OTHER_LOGS.includes(entry.name)) continue
      logs--
      const agent = unlessUnreadable(() => (typeOf(inner) === 'file' ? agentOfLog(inner) : undefined))
      if (agent !== undefined) return agent
    }
    return undefined
  }
  return look(folder, DEEPEST)
}

/** Others may tell what this one does not. */
function unlessUnreadable<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}
