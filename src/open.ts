/** The composition root: finds the stores, opens them, and hands them over as one set of sessions. */
import { homedir } from 'node:os'
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
  refuseUnknown(options, ['data', 'env', 'cacheBytes', 'clock', 'signal'])
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
  return createSessionSet(fixedStores(stores, refused), { clock, ...(cacheBytes !== undefined && { cacheBytes }) })
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
