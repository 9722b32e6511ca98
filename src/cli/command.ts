/** What every command shares: its options, its stores, and how it ends. */
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import {
  AGENTS,
  type Agent,
  isInsideStore,
  isWithinFolder,
  type OpenOptions,
  openSessions,
  type SessionId,
  type SessionMeta,
  type Sessions,
  type StageIssue,
  StorageError,
  spanleafHome,
} from '../index.js'
import { ABOUT, type CommandName } from './about.js'
import { issueLine, warn } from './output.js'

export interface CommonOptions {
  readonly data?: readonly string[]
  readonly agent?: readonly Agent[]
  readonly store?: readonly string[]
  readonly home?: string
  readonly json?: boolean
  /** Of commands that may go on from what was listed before (`withCatalog`). */
  readonly catalog?: boolean
}

/** What a command looks at. */
export interface Reach {
  /** False for those that must see every store. */
  readonly narrows?: boolean
  /** False for those that work on the index of all agents. @default narrows */
  readonly agents?: boolean
}

/** A subcommand with the options that all have. */
export function command(name: CommandName, { narrows = true, agents = narrows }: Reach = {}): Command {
  const data = new Option('--data <path>', 'read this folder, database or log instead of looking for stores (repeatable)')
  const agent = new Option('--agent <name>', `only sessions of this agent: ${AGENTS.join(', ')} (repeatable)`)
  const store = new Option('--store <kind>', 'only stores of this kind, or at this path, also what others hide (see spanleaf stores; repeatable)')
  const home = new Option('--home <dir>', "spanleaf's own folder")
  // Commander orders groups by their first options: with `--json` the command's own stand above those that all have.
  const made = new Command(name).description(ABOUT[name]).option('--json', 'one JSON object per line')
  made.addOption(data.argParser(collect).helpGroup(STORES))
  if (agents) made.addOption(agent.argParser(collectAgent).helpGroup(STORES))
  if (narrows) made.addOption(store.argParser(collect).helpGroup(STORES))
  return made.addOption(home.default(spanleafHome(process.env, homedir()), '$SPANLEAF_HOME or the XDG state folder').helpGroup(STORES))
}

const STORES = 'Stores and folders:'

/** Lets a command go on from what an earlier one listed, and leave what it lists: in spanleaf's own folder. */
export function withCatalog(made: Command): Command {
  return made.addOption(new Option('--no-catalog', 'list every store anew, and keep nothing of it').helpGroup(STORES))
}

/** Where what was listed is kept. A view that is narrowed to some stores is another one than the next command has. */
export function catalogHome(options: CommonOptions): string | false {
  return options.catalog === true && options.store === undefined ? homeOf(options) : false
}

/** Without a catalog a command works as well, if more slowly. */
export function isOfCatalog({ path }: StageIssue, options: CommonOptions): boolean {
  const home = catalogHome(options)
  return home !== false && path !== undefined && isWithinFolder(path, resolve(home))
}

/** For who waits for stores: there may be none yet. */
export interface Awaiting {
  /** @default false */
  readonly none?: boolean
}

/** Runs `use` with the open stores, listed; warns of what could not be read, and closes them. */
export function withSessions<T>(
  options: CommonOptions,
  signal: AbortSignal,
  use: (sessions: Sessions) => Promise<T>,
  { none = false }: Awaiting = {},
): Promise<T> {
  return withStores(options, signal, async (sessions) => {
    if (!none) refuseNone(sessions, options)
    // What is told here is exact; from the catalog this costs what changed.
    if (sessions.stale) await sessions.refresh({ signal })
    warnOf(sessions, options)
    return use(sessions)
  })
}

async function withStores<T>(options: CommonOptions, signal: AbortSignal, use: (sessions: Sessions) => Promise<T>): Promise<T> {
  const { data, agent, store } = options
  const home = catalogHome(options)
  const sessions = await openStores({ ...(data && { data }), ...(agent && { agent }), ...(store && { store }), home, signal })
  try {
    return await use(sessions)
  } finally {
    await sessions.close()
  }
}

/** @throws StorageError what `openSessions` throws, in the words of the command line */
export async function openStores(options: OpenOptions & { readonly home: string | false }): Promise<Sessions> {
  try {
    return await openSessions(options)
  } catch (error) {
    const isOfHome =
      error instanceof StorageError && error.code === 'INVALID_OPTION' && options.home !== false && error.path === resolve(options.home)
    throw isOfHome ? homeInStore(options.home, error) : error
  }
}

/** @throws StorageError INVALID_OPTION: nothing is ever written into the store of an agent */
export function refuseHomeInStore(home: string, sessions: Sessions): void {
  if (isInsideStore(home, sessions)) throw homeInStore(home)
}

function homeInStore(home: string, cause?: unknown): StorageError {
  const reason = "--home (or $SPANLEAF_HOME) lies inside an agent's store, where nothing may be written"
  return new StorageError('INVALID_OPTION', { reason, path: resolve(home) }, { cause })
}

/** A store that cannot be read: then what is found may not be all there is. The database of another program holds nothing of ours. */
export function isUnread({ key, code }: StageIssue): boolean {
  return key === undefined && code !== 'STORE_UNSUPPORTED'
}

/** Exit status when something is damaged, differs or cannot be read. */
export const DAMAGED = 3

function warnOf(sessions: Sessions, options: CommonOptions): void {
  for (const issue of sessions.issues) if (issue.key === undefined && !isOfCatalog(issue, options)) warn(issueLine(issue))
}

/**
 * Runs `use` with one session: what was listed before names its store, it is looked at alone, and nothing else is listed where it is there as
 * it was. Warns of stores that cannot be opened, and of all that could not be read where everything was listed.
 */
export async function withSession<T>(
  id: string,
  options: CommonOptions,
  signal: AbortSignal,
  use: (sessions: Sessions, meta: SessionMeta) => Promise<T>,
): Promise<T> {
  return withStores(options, signal, async (sessions) => {
    refuseNone(sessions, options)
    const meta = await sessionMeta(sessions, id)
    warnOf(sessions, options)
    return use(sessions, meta)
  })
}

function refuseNone({ stores }: Sessions, options: CommonOptions): void {
  if (stores.length === 0) refuseNoStore(options)
}

/** Names what was asked for, if anything was. @throws StorageError STORE_MISSING */
export function refuseNoStore({ agent, store }: CommonOptions): never {
  const wanted = [...(store === undefined ? [] : [`of the kind ${store.join(' or ')}`]), ...(agent === undefined ? [] : [`of ${agent.join(' or ')}`])]
  const details =
    wanted.length === 0
      ? { reason: 'no store of a coding agent was found on this machine', advice: 'Name one with --data.' }
      : { reason: `there is no store ${wanted.join(' ')}`, advice: '`spanleaf stores` lists those that are here.' }
  throw new StorageError('STORE_MISSING', details)
}

/** Spanleaf's own folder. */
export function homeOf({ home }: CommonOptions): string {
  if (home === '') throw new StorageError('INVALID_OPTION', { reason: '--home must be the path of a folder' })
  return home ?? spanleafHome(process.env, process.env.HOME || homedir())
}

/** Collects a repeatable option. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  if (value === '') throw new InvalidArgumentError('It must not be empty.')
  return [...(previous ?? []), value]
}

function collectAgent(value: string, previous: readonly Agent[] | undefined): readonly Agent[] {
  const agent = AGENTS.find((name) => name === value)
  if (agent === undefined) throw new InvalidArgumentError(`It must be one of ${AGENTS.join(', ')}.`)
  return [...(previous ?? []), agent]
}

/** @throws StorageError NOT_FOUND */
export function refuseNoIndex(): never {
  throw new StorageError('NOT_FOUND', { reason: 'nothing is indexed yet', advice: 'Run `spanleaf index` first.' })
}

/** A whole number from 0 up. */
export function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number.')
}

/** A whole number from 1 up. */
export function positiveNumber(text: string): number {
  if (/^0*[1-9]\d*$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1 up.')
}

/** A whole number from 1 to `most`. */
export function numberUpTo(most: number): (text: string) => number {
  return (text) => {
    const number = positiveNumber(text)
    if (number <= most) return number
    throw new InvalidArgumentError(`It must be at most ${most.toLocaleString('en')}.`)
  }
}

/** The longest that a timer can wait, in milliseconds. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1

/** The first moment that a date (`2026-11-20`, local), a time (ISO 8601) or an age (`36h`, `7d`, `2w`) names, as epoch milliseconds. */
export function sinceOption(text: string): number {
  return timeOf(text, 'first')
}

/** Likewise the last moment: a date is the whole day. */
export function untilOption(text: string): number {
  return timeOf(text, 'last')
}

function timeOf(text: string, which: 'first' | 'last'): number {
  const [, amount, unit] = /^(\d+)([mhdw])$/.exec(text) ?? []
  if (amount !== undefined && unit !== undefined) return Date.now() - Number(amount) * (UNIT_MS[unit] ?? 0)
  const [, date = '', time] = /^(\d{4}-\d{2}-\d{2})(T.*)?$/.exec(text) ?? []
  const day = dayOf(date)
  const moment = time !== undefined ? Date.parse(text) : which === 'first' ? day?.first : day?.last
  if (day !== undefined && moment !== undefined && Number.isFinite(moment)) return moment
  throw new InvalidArgumentError('It must be a date such as 2026-11-20, or an age such as 36h, 7d or 2w.')
}

/** The first and the last moment of a local day since 1970; undefined for one that no calendar has. */
function dayOf(date: string): { readonly first: number; readonly last: number } | undefined {
  const [year = 0, month = 0, day = 0] = date.split('-').map(Number)
  const start = new Date(year, month - 1, day)
  const isThere = start.getFullYear() === year && start.getMonth() === month - 1 && start.getDate() === day
  if (!isThere || start.getTime() < 0) return undefined
  return { first: start.getTime(), last: new Date(year, month - 1, day + 1).getTime() - 1 }
}

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** @throws StorageError NOT_FOUND, AMBIGUOUS_ID */
async function sessionMeta(sessions: Sessions, id: string): Promise<SessionMeta> {
  const { entry } = await locate(sessions, id as SessionId)
  const meta = sessions.index.session(entry.key)
  if (meta === undefined) throw new StorageError('NOT_FOUND', { reason: `there is no session ${JSON.stringify(id)}` })
  return meta
}

async function locate(sessions: Sessions, id: SessionId): ReturnType<Sessions['locate']> {
  try {
    return await sessions.locate(id)
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    const { code, reason } = error
    const advice = code === 'AMBIGUOUS_ID' ? 'Name one of them with --agent.' : code === 'NOT_FOUND' ? longerIds(sessions, id) : undefined
    throw advice === undefined ? error : new StorageError(code, { reason, advice }, { cause: error })
  }
}

/** For who gave the beginning of an id; undefined where none begins so. */
function longerIds({ index }: Sessions, beginning: string): string | undefined {
  if (beginning.length < 4) return undefined
  const ids = index.sessionsByTime().flatMap(({ id }) => (id.startsWith(beginning) ? [id] : []))
  const more = ids.length > 3 ? ` or one of ${ids.length - 3} more` : ''
  return ids.length === 0 ? undefined : `Did you mean ${ids.slice(0, 3).join(' or ')}${more}?`
}
