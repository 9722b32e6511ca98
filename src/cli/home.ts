/** The index as commands open it: the settings of flags, environment and config file, and the services that they choose. */
import type { Sessions } from '../index.js'
import {
  configFromEnv,
  configFromFlags,
  describePlace,
  describeSpace,
  hasIndex,
  type IndexHome,
  type IndexReader,
  indexFolder,
  openHomeToForget,
  openIndexHome,
  openIndexReader,
  type PartialConfig,
  type ResolvedConfig,
  readConfigFile,
  readHomeRecord,
  resolveConfig,
} from '../indexer/index.js'
import { type CommonOptions, homeOf, refuseHomeInStore } from './command.js'
import { failpointOf } from './failpoint.js'
import { warn } from './output.js'
import type { ServiceOptions } from './services.js'

/** @throws StorageError INVALID_OPTION, naming the flag, the variable or the key that is wrong */
export function configOf(options: ServiceOptions): ResolvedConfig {
  const { embedder, sink, redact } = options
  const { config: file, warning } = readConfigFile(homeOf(options))
  if (warning !== undefined) warn(warning)
  return resolveConfig({ flags: configFromFlags({ embedder, sink, redact }), env: configFromEnv(process.env), file })
}

export function chosenOf({ values, origins }: ResolvedConfig): PartialConfig {
  return Object.fromEntries(Object.entries(values).filter(([name]) => origins[name as keyof typeof origins] !== 'default'))
}

export interface OpenHome {
  readonly sessions?: Sessions
  readonly signal: AbortSignal
  readonly rebuild?: boolean
  /** Where they are read already: reading them may warn. */
  readonly settings?: ResolvedConfig
}

/** Opens the index, and makes it when it does not exist. Only `index` brings it over to another embedder or sink. */
export async function openHome(
  options: ServiceOptions,
  { sessions, signal, rebuild = false, settings = configOf(options) }: OpenHome,
): Promise<IndexHome> {
  if (sessions !== undefined) refuseHomeInStore(homeOf(options), sessions)
  const config = chosenOf(settings)
  return openIndexHome({ home: homeOf(options), sessions, config, signal, rebuild, failpoint: failpointOf(process.env), warn })
}

/** Opens the index to take something out of it, as it stands; undefined when nothing is indexed yet. */
export function openToForget(options: CommonOptions, signal: AbortSignal): Promise<IndexHome | undefined> {
  return openHomeToForget({ home: homeOf(options), config: chosenOf(configOf(options)), signal, failpoint: failpointOf(process.env), warn })
}

/** Opens what is searched; undefined when nothing is indexed yet. */
export async function openReader(
  options: ServiceOptions,
  { signal, settings }: { readonly signal: AbortSignal; readonly settings: ResolvedConfig },
): Promise<IndexReader | undefined> {
  if (!hasIndex(homeOf(options))) return undefined
  const index = await openIndexReader({ home: homeOf(options), config: chosenOf(settings), signal, warn })
  if (index !== undefined) warnOfOthers(options, index)
  return index
}

/** A search goes where the index is: flags that name another service move nothing. */
function warnOfOthers(options: ServiceOptions, { state }: IndexReader): void {
  const [live] = state.spaces()
  if (live === undefined) return
  if (options.embedder !== undefined && !live.space.startsWith(`${options.embedder}/`))
    warn(`the index is searched as it was built, with ${describeSpace(live.space)}; spanleaf index --embedder ${options.embedder} builds it anew`)
  const place = readHomeRecord(indexFolder(homeOf(options))).sinks[live.id]
  if (options.sink !== undefined && place !== undefined && place.kind !== options.sink)
    warn(`the index is searched where it is, in ${describePlace(place)}; spanleaf index --sink ${options.sink} brings it over`)
}
