/** The index for searching: the live space and its sink, whatever is being built beside it. Changes nothing. */
import { type Clock, systemClock } from '../../core/clock.js'
import { checkClock, checkFunction, checkSignal, refuseUnknown } from '../../core/options.js'
import { checkedConfig, type PartialConfig, resolveConfig } from '../config/config.js'
import { checkPort } from '../port-checks.js'
import type { Embedder, Sink } from '../ports.js'
import { openLmdbState } from '../state/lmdb/state.js'
import type { LocalIndexStore } from '../state/state.js'
import { embedderToSearch } from './home-embedder.js'
import { readHomeRecord } from './home-record.js'
import { openSinkAt, placeToSearch, tokenAddress } from './home-sinks.js'
import { tellOfQueries } from './home-told.js'
import { checkHome, indexFolder } from './index-home.js'

export interface IndexReaderOptions {
  /** Spanleaf's folder. */
  readonly home: string
  /** What was chosen; a service that was not chosen is not asked. @default nothing */
  readonly config?: PartialConfig | undefined
  /** One of your own, which stays open. @default LMDB, in the folder */
  readonly state?: LocalIndexStore | undefined
  readonly clock?: Clock | undefined
  readonly signal?: AbortSignal | undefined
  /** Told in a sentence that what is searched for leaves the machine, to a service of which that was not said yet. */
  readonly warn?: ((sentence: string) => void) | undefined
}

/** What `searchIndex` takes. */
export interface IndexReader extends AsyncDisposable {
  readonly state: LocalIndexStore
  /** Throws when it is used and its service cannot be asked. */
  readonly embedder: Embedder
  readonly sink: Sink
}

/**
 * Undefined when nothing is indexed there yet.
 * @throws StorageError SINK_MISMATCH when the index is of another embedder or sink and none was chosen; STATE_TOO_NEW, STATE_UNAVAILABLE, SINK_UNAVAILABLE
 */
export async function openIndexReader(options: IndexReaderOptions): Promise<IndexReader | undefined> {
  checkReaderOptions(options)
  const { home, config = {}, clock = systemClock, signal, warn = () => undefined } = options
  const chosen = checkedConfig(config)
  const { values } = resolveConfig({ env: chosen })
  const directory = indexFolder(home)
  const state = options.state ?? (await openLmdbState({ directory, clock }))
  const end = async (): Promise<void> => (options.state === undefined ? state[Symbol.asyncDispose]() : undefined)
  try {
    const spaces = state.spaces()
    const [live] = spaces
    if (live === undefined) {
      await end()
      return undefined
    }
    const isChosen = chosen.embedder !== undefined
    const embedder = await embedderToSearch({ values, isChosen, live, spaces, clock, signal, onTruncated: () => undefined })
    const place = placeToSearch(live, { directory, values, chosen, record: readHomeRecord(directory), spaces })
    const sink = await openSinkAt(place, live.space, { directory, values, tokenFor: tokenAddress(chosen, place), readOnly: true })
    const embedderAt = values.embedder === 'ollama' ? values.ollamaUrl : undefined
    tellOfQueries(directory, { embedder, embedderAt, sink, sinkAt: place.kind === 'chroma' ? place.url : undefined, warn })
    const close = async (): Promise<void> => {
      await sink[Symbol.asyncDispose]()
      await end()
    }
    return { state, embedder, sink, [Symbol.asyncDispose]: close }
  } catch (error) {
    await end()
    throw error
  }
}

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkReaderOptions(options: IndexReaderOptions): void {
  refuseUnknown(options, ['home', 'config', 'state', 'clock', 'signal', 'warn'])
  checkHome(options.home)
  checkPort('state', options.state)
  checkClock('clock', options.clock)
  checkSignal('signal', options.signal)
  checkFunction('warn', options.warn)
}
