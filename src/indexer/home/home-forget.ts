/** The index home for taking something out of it: as it stands, whatever is chosen now, and without a word to any embedder. */
import type { PartialConfig } from '../config/config.js'
import { openLmdbState } from '../state/lmdb/state.js'
import type { SpaceRow } from '../state/rows.js'
import { absentEmbedder } from './home-embedder.js'
import { readHomeRecord } from './home-record.js'
import { heldPlace } from './home-sinks.js'
import { hasIndex, type IndexHome, type IndexHomeOptions, indexFolder, openIndexHome } from './index-home.js'

export type ForgettingOptions = Pick<IndexHomeOptions, 'home' | 'config' | 'clock' | 'signal' | 'failpoint' | 'warn'>

/** Undefined when nothing is indexed there yet. @throws what `openIndexHome` throws of the state and of the sinks */
export async function openHomeToForget(options: ForgettingOptions): Promise<IndexHome | undefined> {
  const { home, config = {} } = options
  if (!hasIndex(home)) return undefined
  const directory = indexFolder(home)
  const spaces = await spacesOf(directory, options)
  const [live] = spaces
  if (live === undefined) return undefined
  const place = heldPlace(live.id, { directory, spaces, record: readHomeRecord(directory) })
  const sink = place?.kind ?? 'local'
  return openIndexHome({ ...options, config: { ...withoutPlaces(config), sink }, embedder: absentEmbedder(live.space), rebuild: false })
}

async function spacesOf(directory: string, { clock }: ForgettingOptions): Promise<readonly SpaceRow[]> {
  await using state = await openLmdbState({ directory, clock })
  return state.spaces()
}

/** Where the documents are is not for the settings to say. */
function withoutPlaces({ chromaUrl: _1, chromaCollection: _2, chromaTenant: _3, chromaDatabase: _4, ...config }: PartialConfig): PartialConfig {
  return config
}
