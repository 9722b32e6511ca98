/** The composition root: finds the stores, opens them, and hands them over as one set of sessions. */
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { type Clock, systemClock } from './core/clock.js'
import { StorageError } from './core/errors.js'
import { checkNumber, refuseUnknown } from './core/options.js'
import type { StageIssue } from './core/stage.js'
import { openSqliteStores } from './storage/opencode-database.js'
import { openEraAStore, openFileStore } from './storage/opencode-files.js'
import { discoverStores, type Environment, type StorePlace, storesAt } from './storage/paths.js'
import type { Store } from './storage/store.js'
import { fixedStores } from './storage/store-source.js'
import { createSessionSet } from './tree/session-set.js'
import type { Sessions } from './tree/sessions.js'

export interface OpenOptions {
  /** Data folders or database files. Given: nothing else is looked for. Missing: the stores of this machine. */
  readonly data?: string | readonly string[]
  /** Only stores of these kinds, or at these paths; what they hold is then shown even where another store hides it. @default every store */
  readonly store?: string | readonly string[]
  /** The environment that discovery reads (XDG_DATA_HOME, OPENCODE_DB, HOME). @default process.env */
  readonly env?: Environment
  /** Bytes of single records kept in memory. @default 16 MiB */
  readonly cacheBytes?: number
  readonly clock?: Clock
  readonly signal?: AbortSignal
}

/**
 * Opens every store of the machine, or those that `data` names. Reads session records only; writes nothing.
 * A store that cannot be opened is an issue of the set when others can, and an error when it is the only one.
 * @throws StorageError INVALID_OPTION, STORE_MISSING, STORE_UNREADABLE, STORE_BUSY, STORE_DAMAGED, STORE_UNSUPPORTED, SQLITE_DRIVER_MISSING
 */
export async function openSessions(options: OpenOptions = {}): Promise<Sessions> {
  refuseUnknown(options, ['data', 'store', 'env', 'cacheBytes', 'clock', 'signal'])
  checkNumber('cacheBytes', options.cacheBytes, 0)
  const { env = process.env, clock = systemClock, data, cacheBytes } = options
  const paths = data === undefined ? undefined : [data].flat()
  if (paths?.some((path) => typeof path !== 'string' || path === '')) {
    throw new StorageError('INVALID_OPTION', { reason: 'data must be a path or a list of paths' })
  }
  const { places, issues } = paths === undefined ? discoverStores(env, env.HOME || homedir()) : storesAt(paths)
  const stores: Store[] = []
  const refused: StageIssue[] = [...issues]
  for (const place of places) {
    options.signal?.throwIfAborted()
    try {
      stores.push(...(await openPlace(place, clock)))
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      refused.push({ code: error.code, path: error.path ?? place.path, reason: error.reason, transient: error.retryable })
    }
  }
  const [first] = refused
  if (stores.length === 0 && first !== undefined) throw new StorageError(first.code, { reason: first.reason, path: first.path })
  return createSessionSet(fixedStores(await narrowed(stores, options.store), refused), { clock, ...(cacheBytes !== undefined && { cacheBytes }) })
}

/** @throws StorageError INVALID_OPTION for a name that fits none of the stores */
async function narrowed(stores: readonly Store[], names: OpenOptions['store']): Promise<readonly Store[]> {
  if (names === undefined) return stores
  const fits = (store: Store, name: string): boolean => name === store.kind || resolve(name) === store.path
  const missing = [names].flat().find((name) => !stores.some((store) => fits(store, name)))
  const kept = stores.filter((store) => [names].flat().some((name) => fits(store, name)))
  for (const store of stores) if (missing !== undefined || !kept.includes(store)) await store[Symbol.asyncDispose]()
  if (missing === undefined) return kept
  const kinds = [...new Set(stores.map(({ kind }) => kind))].join(', ')
  throw new StorageError('INVALID_OPTION', { reason: `no store is of the kind or at the path ${JSON.stringify(missing)}; found: ${kinds || 'none'}` })
}

/** A database may hold the stores of two generations. */
async function openPlace(place: StorePlace, clock: Clock): Promise<readonly Store[]> {
  switch (place.kind) {
    case 'opencode-sqlite':
      return openSqliteStores(place.path)
    case 'opencode-json':
      return [openFileStore(place.path, clock)]
    case 'opencode-era-a':
      return [openEraAStore(place.path, clock)]
  }
}
