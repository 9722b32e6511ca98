/** The composition root: finds the stores, opens them, and hands them over as one set of sessions. */
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { type Clock, systemClock } from './core/clock.js'
import { StorageError } from './core/errors.js'
import { type Agent, agentsIn } from './core/keys.js'
import { checkBoolean, checkClock, checkNumber, checkObject, checkSignal, invalidOption, refuseUnknown, told } from './core/options.js'
import { type LiveStoresOptions, liveStores } from './storage/live-stores.js'
import type { MapOption } from './storage/maps/file-maps.js'
import { type AgentTest, type Discovery, discoverStores, type Environment, storesAt } from './storage/paths.js'
import type { Store } from './storage/store.js'
import { StoreFilter } from './storage/store-filter.js'
import type { StoreSource } from './storage/store-source.js'
import type { PlainStores } from './storage/worker/plain-stores.js'
import { isInsideStore } from './tree/inside-store.js'
import { createSessionSet, type SessionSetOptions } from './tree/sessions/session-set.js'
import type { Sessions } from './tree/sessions/sessions.js'

export interface OpenOptions {
  /**
   * Data folders or databases of OpenCode; homes, folders of logs or single logs of other agents; folders with several of these, as a home is.
   * Given: nothing else is looked for. Missing: the stores of this machine.
   */
  readonly data?: string | readonly string[]
  /** Only stores of these agents. Unlike `store` it hides no copy of a session, for each is of one agent. @default all */
  readonly agent?: Agent | readonly Agent[]
  /**
   * Only stores of these kinds (`opencode-v2`, `opencode-sqlite`, `opencode-json`, `opencode-era-a`, `pi-jsonl`, `claude-jsonl`, `codex-jsonl`,
   * `jcode-journal`) or at these paths. @default all
   */
  readonly store?: string | readonly string[]
  /** What of logs is mapped instead of read: 'auto' (lines of 2 MiB and more, in logs that are cold), 'never', or logs of at least so many bytes. @default 'auto' */
  readonly map?: MapOption
  /**
   * The environment that discovery reads (HOME, XDG_DATA_HOME, XDG_CONFIG_HOME, OPENCODE_DB, PI_CODING_AGENT_DIR, PI_CODING_AGENT_SESSION_DIR, CLAUDE_CONFIG_DIR, CODEX_HOME,
   * JCODE_HOME). @default process.env
   */
  readonly env?: Environment
  /** Bytes of single records kept in memory. @default 16 MiB */
  readonly cacheBytes?: number
  readonly clock?: Clock
  /**
   * Stores are read in a worker thread, with the same results: what takes long there keeps nobody waiting here. The worker maps no file,
   * whatever `map` says, and goes by the clock of the system. One that hangs or ends is replaced: the calls that it owed fail with the
   * retryable WORKER_LOST. Needs the built files of this package beside one another, which a bundle may lack. @default false
   */
  readonly worker?: boolean
  /**
   * The folder of the catalog (`sessions.idx.db`), which keeps what was listed: then the sessions are there at once, `stale` until the stores
   * were listed in the background, which costs what changed since, and waits while pages are asked for, a second at most. It is made when it is
   * missing, and for its owner alone. It holds titles, folders and first prompts, no other messages. False: nothing is written anywhere.
   * @default false
   */
  readonly home?: string | false
  readonly signal?: AbortSignal
}

/**
 * Opens every store of the machine, or those that `data`, `agent` and `store` name. Writes nothing without a `home`, and reads session records; of
 * messages only a few, of sessions whose record is damaged or names no folder, and of copies that seem to be ahead of the one above them.
 * Every `refresh` looks for stores again: they may appear, be replaced, be upgraded and go while the set is open.
 * A store that cannot be opened is an issue of the set when others can, and an error when it is the only one.
 * @throws StorageError INVALID_OPTION, STORE_MISSING, STORE_UNREADABLE, STORE_NOT_READY, STORE_BUSY, STORE_DAMAGED,
 * STORE_TOO_LARGE_TO_COPY, STORE_UNSUPPORTED, SQLITE_DRIVER_MISSING, WORKER_LOST
 */
export async function openSessions(options: OpenOptions = {}): Promise<Sessions> {
  refuseUnknown(options, ['data', 'agent', 'store', 'map', 'env', 'cacheBytes', 'clock', 'worker', 'home', 'signal'])
  checkNumber('cacheBytes', options.cacheBytes, 0)
  checkMap(options.map)
  checkBoolean('worker', options.worker)
  checkClock('clock', options.clock)
  checkSignal('signal', options.signal)
  if (options.env !== undefined) checkObject('env', options.env)
  const { env = process.env, clock = systemClock, map = 'auto', cacheBytes, worker = false, signal, home = false } = options
  if (home !== false && (typeof home !== 'string' || home === '')) throw invalidOption('home must be a path, or false')
  const paths = textsOf('data', 'a path', options.data)
  const names = textsOf('store', 'a kind or a path', options.store)
  if (paths?.length === 0) throw invalidOption('data names no path')
  if (names?.length === 0) throw invalidOption('store names no store')
  const agents = options.agent === undefined ? undefined : agentsIn(options.agent)
  if (agents?.length === 0) throw invalidOption('agent names no agent')
  const wants: AgentTest | undefined = agents && ((agent) => agents.includes(agent))
  const discover = (): Discovery => (paths === undefined ? discoverStores(env, env.HOME || homedir(), wants) : storesAt(paths, wants))
  const filter = new StoreFilter(names)
  if (names !== undefined) await refuseStrangers(filter, { discover, clock, map })
  const source = worker
    ? await inWorker({ paths, env: { ...env }, home: env.HOME || homedir(), agents, names })
    : liveStores({ discover, clock, map, filter })
  let kept: Pick<SessionSetOptions, 'catalog' | 'issues'> = {}
  try {
    await source.refresh({ signal })
    const [first] = source.issues
    if (source.stores.length === 0 && first !== undefined) throw new StorageError(first.code, { reason: first.reason, path: first.path })
    if (home !== false) kept = await openHome(resolve(home), source.stores, clock)
  } catch (error) {
    await source[Symbol.asyncDispose]()
    throw error
  }
  return createSessionSet(source, { clock, ...kept, ...(cacheBytes !== undefined && { cacheBytes }) })
}

/**
 * The catalog, or the issue that tells why there is none.
 * @throws StorageError INVALID_OPTION for a folder in a store: nothing is ever written there
 */
async function openHome(home: string, stores: readonly Store[], clock: Clock): Promise<Pick<SessionSetOptions, 'catalog' | 'issues'>> {
  if (isInsideStore(home, { stores })) throw new StorageError('INVALID_OPTION', { reason: 'home is in the store of an agent', path: home })
  try {
    // Loaded by who has one, as what talks to a worker is.
    const { openCatalog } = await import('./tree/catalog/catalog.js')
    return { catalog: await openCatalog({ home, clock }) }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { issues: [{ code: error.code, path: error.path ?? home, reason: error.reason, transient: error.retryable }] }
  }
}

/** What talks to a worker is loaded by who has one. */
async function inWorker(stores: PlainStores): Promise<StoreSource> {
  const { workerStores } = await import('./storage/worker/worker-stores.js')
  return workerStores(stores)
}

/** An option that takes one text or a list of them. @throws StorageError INVALID_OPTION */
function textsOf(name: string, what: string, given: string | readonly string[] | undefined): readonly string[] | undefined {
  if (given === undefined) return undefined
  const texts = [given].flat()
  if (texts.every((text) => typeof text === 'string' && text !== '')) return texts
  throw invalidOption(`${name} must be ${what}, or a list of them`)
}

/** @throws StorageError INVALID_OPTION */
function checkMap(map: unknown): void {
  if (map === undefined || map === 'auto' || map === 'never' || (Number.isSafeInteger(map) && (map as number) >= 1)) return
  throw invalidOption(`map must be 'auto', 'never' or a whole number of bytes from 1 up, not ${told(map)}`)
}

/** @throws StorageError INVALID_OPTION when a store is named that is not found */
async function refuseStrangers(filter: StoreFilter, options: LiveStoresOptions): Promise<void> {
  const stranger = filter.strangerTo(options.discover().places)
  if (stranger === undefined) return
  await using all = liveStores(options)
  await all.refresh()
  const kinds = [...new Set(all.stores.map(({ kind }) => kind))]
  const found = kinds.length === 0 ? 'no store can be read here' : `the stores here are of the kinds ${kinds.join(', ')}`
  throw invalidOption(`there is no store ${told(stranger)}; ${found}`)
}
