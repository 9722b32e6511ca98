/** The index on this machine: state, embedding cache, sink and exclusions in one private folder, with the embedded defaults. */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { type Clock, systemClock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import { refuseUnknown } from '../core/options.js'
import type { Sessions } from '../tree/sessions.js'
import { type EmbedCache, openEmbedCache } from './embed-cache.js'
import { hashEmbedder } from './embedders/hash.js'
import { openLmdbState } from './lmdb-state.js'
import type { Embedder, Sink } from './ports.js'
import { openLocalSink } from './sinks/local.js'
import type { IndexStore } from './state.js'

export interface IndexHomeOptions {
  /** Spanleaf's folder; the index lies in `index` below it. */
  readonly home: string
  /** Stores that the folder must not lie in: nothing is ever written there. */
  readonly sessions?: Sessions | undefined
  /** @default the lexical `hash` embedder */
  readonly embedder?: Embedder | undefined
  readonly clock?: Clock | undefined
}

export interface IndexHome extends AsyncDisposable {
  readonly directory: string
  readonly state: IndexStore
  readonly cache: EmbedCache
  readonly embedder: Embedder
  readonly sink: Sink
  close(): Promise<void>
}

/** True once something was indexed there. Makes nothing. */
export function hasIndex(home: string): boolean {
  return existsSync(join(home, 'index', 'state.mdb'))
}

/**
 * Opens the index, and makes it when it does not exist (folder 0700, files 0600).
 * @throws StorageError INVALID_OPTION when the folder lies inside a store; SINK_MISMATCH, STATE_TOO_NEW, STATE_UNAVAILABLE, NETWORK_FILESYSTEM
 */
export async function openIndexHome(options: IndexHomeOptions): Promise<IndexHome> {
  refuseUnknown(options, ['home', 'sessions', 'embedder', 'clock'])
  if (typeof options.home !== 'string' || options.home === '')
    throw new StorageError('INVALID_OPTION', { reason: 'home must be the path of a folder' })
  const { clock = systemClock, embedder = hashEmbedder(), sessions } = options
  const directory = resolve(options.home, 'index')
  if (sessions !== undefined) refuseInsideStore(directory, sessions)
  const opened: AsyncDisposable[] = []
  const close = async (): Promise<void> => {
    for (const part of opened.splice(0).reverse()) await part[Symbol.asyncDispose]()
  }
  const keep = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => {
    const part = await opening
    opened.push(part)
    return part
  }
  try {
    const state = await keep(openLmdbState({ directory, clock }))
    const cache = await keep(openEmbedCache({ directory, now: () => clock.now() }))
    const sink = await keep(openLocalSink({ path: join(directory, 'documents.db'), space: embedder.space }))
    return { directory, state, cache, embedder, sink, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** @throws StorageError INVALID_OPTION when the folder lies inside one of the stores, links followed */
export function refuseInsideStore(home: string, sessions: Sessions): void {
  const place = realPath(resolve(home))
  for (const { path, kind } of sessions.stores) {
    const folder = realPath(kind === 'opencode-json' ? path : dirname(path))
    if (`${place}${sep}`.startsWith(`${folder}${sep}`)) {
      throw new StorageError('INVALID_OPTION', { reason: "the home folder lies inside an agent's store, where nothing may be written", path: home })
    }
  }
}

/** With the links of what exists followed; what does not exist yet is below it. */
function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const parent = dirname(path)
  return parent === path ? path : join(realPath(parent), basename(path))
}
