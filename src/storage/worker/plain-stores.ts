/** What names a set of stores, as plain data that crosses to a worker thread, and the stores that it names. */
import type { Clock } from '../../core/clock.js'
import type { Agent } from '../../core/keys.js'
import { type LiveStoresOptions, liveStores } from '../live-stores.js'
import type { MapOption } from '../maps/file-maps.js'
import { type Discovery, discoverStores, type Environment, storesAt } from '../paths.js'
import { StoreFilter } from '../store-filter.js'
import type { StoreSource } from '../store-source.js'

export interface PlainStores {
  /** Given: nothing else is looked for. Missing: the stores of this machine. */
  readonly paths?: readonly string[] | undefined
  /** What discovery reads when no paths are given. */
  readonly env: Environment
  readonly home: string
  /** @default all */
  readonly agents?: readonly Agent[] | undefined
  /** Kinds and paths of the stores that are wanted. @default all */
  readonly names?: readonly string[] | undefined
  readonly map?: MapOption | undefined
  readonly busyTimeoutMs?: number | undefined
}

export function liveOptions({ paths, env, home, agents, names, map, busyTimeoutMs }: PlainStores, clock: Clock): LiveStoresOptions {
  const wants = agents && ((agent: Agent): boolean => agents.includes(agent))
  const discover = (): Discovery => (paths === undefined ? discoverStores(env, home, wants) : storesAt(paths, wants))
  return { discover, clock, filter: new StoreFilter(names), ...(map !== undefined && { map }), ...(busyTimeoutMs !== undefined && { busyTimeoutMs }) }
}

/** A map does not cross threads, and one whose bytes are copied saves nothing: what a worker reads it never maps. */
export function unmappedStores(plain: PlainStores, clock: Clock): StoreSource {
  return liveStores({ ...liveOptions(plain, clock), map: 'never' })
}
