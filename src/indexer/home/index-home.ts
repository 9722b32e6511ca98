/** The index on this machine: state, embedding cache, embedder, sinks, exclusions and redactor, put together from one private folder and the settings. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Clock, systemClock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import { checkBoolean, checkClock, checkFunction, checkMethods, checkSignal, checkText, invalidOption, refuseUnknown } from '../../core/options.js'
import { isInsideStore } from '../../tree/inside-store.js'
import type { Sessions } from '../../tree/sessions/sessions.js'
import { checkedConfig, type PartialConfig, resolveConfig } from '../config/config.js'
import type { IndexConfig } from '../config/config-settings.js'
import { type EmbedCache, openEmbedCache } from '../embedding/embed-cache.js'
import type { Limits } from '../engine.js'
import { checkPort } from '../port-checks.js'
import type { Embedder, Redactor, Sink } from '../ports.js'
import { spaceIdOf } from '../space.js'
import { openLmdbState } from '../state/lmdb/state.js'
import type { LocalIndexStore } from '../state/state.js'
import { type Exclusions, readExclusions } from './exclusions.js'
import { chosenEmbedder, describeSpace, type EmbedderChoice, embedderOfSpace } from './home-embedder.js'
import { emptyLeftSinks, moveDocuments, refuseMove } from './home-move.js'
import { changeHomeRecord, readHomeRecord } from './home-record.js'
import { heldPlace, openSinkAt, placeOf, type SinkChoice, tokenAddress } from './home-sinks.js'
import { tellOnce } from './home-told.js'

export interface IndexHomeOptions {
  /** Spanleaf's folder; the index lies in `index` below it. */
  readonly home: string
  /** Stores that the folder must not lie in: nothing is ever written there. */
  readonly sessions?: Sessions | undefined
  /** What was chosen, as `configFromEnv` and `readConfigFile` give it. @default nothing: `hash` and `local` */
  readonly config?: PartialConfig | undefined
  /** One of your own, or the name of one. @default config.embedder */
  readonly embedder?: Embedder | IndexConfig['embedder'] | undefined
  /** One of your own, of the embedder's space, or the name of one. @default config.sink */
  readonly sink?: Sink | IndexConfig['sink'] | undefined
  /** One of your own, which stays open. @default LMDB, in the folder */
  readonly state?: LocalIndexStore | undefined
  readonly clock?: Clock | undefined
  readonly signal?: AbortSignal | undefined
  /** Called at the crash points inside transactions. */
  readonly failpoint?: ((name: string) => void) | undefined
  /** Another embedder or sink that was chosen takes over: the index is built anew beside the old one, or brought over. False: it is refused. @default true */
  readonly rebuild?: boolean | undefined
  /** Told in a sentence what the user should know, such as that text is about to leave the machine. */
  readonly warn?: ((sentence: string) => void) | undefined
}

/** Everything that `createIndexer` takes beside the sessions: `createIndexer({ ...home, sessions })`. */
export interface IndexHome extends AsyncDisposable, Partial<Limits> {
  readonly directory: string
  readonly state: LocalIndexStore
  readonly cache: EmbedCache
  readonly embedder: Embedder
  readonly sink: Sink
  /** Of the other spaces of the index. */
  readonly former: readonly Sink[]
  /** When the index is of another space, that of the embedder is built beside it. */
  readonly rebuild: boolean
  readonly redact: Redactor | undefined
  readonly walEnabled: boolean
  readonly namespace: string
  /** Reads the exclusions of the folder anew. */
  readonly exclude: () => Exclusions
  /** What is to be searched: embedder and sink of the live space, also while another one is being built. */
  searched(): { readonly embedder: Embedder; readonly sink: Sink }
  close(): Promise<void>
}

/** True once something was indexed there. Makes nothing. */
export function hasIndex(home: string): boolean {
  return existsSync(join(indexFolder(home), 'state.mdb'))
}

/** The folder of the index in spanleaf's folder. */
export function indexFolder(home: string): string {
  return resolve(home, 'index')
}

const OPTIONS = ['home', 'sessions', 'config', 'embedder', 'sink', 'state', 'clock', 'signal', 'failpoint', 'rebuild', 'warn']

/**
 * Opens the index, and makes it when it does not exist (folder 0700, files 0600).
 * When it was built with another embedder, or is kept by another sink, and none was chosen, it is refused; one that was chosen takes over.
 * @throws StorageError INVALID_OPTION when the folder lies inside a store; SINK_MISMATCH, STATE_TOO_NEW, STATE_UNAVAILABLE, NETWORK_FILESYSTEM;
 * EMBEDDER_UNAVAILABLE, EMBEDDER_REFUSED, SINK_UNAVAILABLE, SINK_REFUSED, CHROMA_CLIENT_MISSING
 */
export async function openIndexHome(options: IndexHomeOptions): Promise<IndexHome> {
  checkHomeOptions(options)
  if (options.sessions !== undefined) refuseInsideStore(indexFolder(options.home), options.sessions)
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
    return { ...(await compose(options, keep)), close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkHomeOptions(options: IndexHomeOptions): void {
  refuseUnknown(options, OPTIONS)
  checkHome(options.home)
  checkMethods('sessions', options.sessions, ['refresh', 'locate', 'listMessages'], 'an open set of sessions, as openSessions() gives it')
  for (const name of ['embedder', 'sink'] as const) if (typeof options[name] !== 'string') checkPort(name, options[name])
  checkPort('state', options.state)
  checkClock('clock', options.clock)
  checkSignal('signal', options.signal)
  checkBoolean('rebuild', options.rebuild)
  for (const name of ['failpoint', 'warn'] as const) checkFunction(name, options[name])
}

/** @throws StorageError INVALID_OPTION */
export function checkHome(home: unknown): void {
  if (home === undefined) throw invalidOption('home must be the path of a folder')
  checkText('home', home)
}

type Keep = <T extends AsyncDisposable>(opening: Promise<T>) => Promise<T>

async function compose(options: IndexHomeOptions, keep: Keep): Promise<Omit<IndexHome, 'close' | typeof Symbol.asyncDispose>> {
  const { home, clock = systemClock, signal, failpoint, rebuild = true, warn = () => undefined } = options
  const directory = indexFolder(home)
  const chosen = chosenBy(options)
  const { values } = resolveConfig({ env: chosen })
  const { leaseMs, sweepPage, backoffMaxMs: maxDelayMs, namespace, walEnabled } = values
  const state = options.state ?? (await keep(openLmdbState({ directory, clock, leaseMs, maxDelayMs, sweepPage, failpoint })))
  const cache = await keep(openEmbedCache({ directory, now: () => clock.now() }))

  const spaces = state.spaces()
  const onTruncated = (texts: number): void => void state.note({ kind: 'count', name: 'truncated', by: texts }).catch(() => undefined)
  const choice: EmbedderChoice = { values, isChosen: chosen.embedder !== undefined, live: spaces[0], spaces, clock, signal, onTruncated }
  const embedder = typeof options.embedder === 'object' ? options.embedder : await chosenEmbedder(choice)
  const asked = { directory, values, chosen: rebuild ? chosen : { ...chosen, sink: undefined }, record: readHomeRecord(directory), spaces }
  const given = typeof options.sink === 'object' ? options.sink : undefined
  const place = given === undefined ? placeOf(embedder.space, asked).place : undefined
  const sinks: SinkChoice = { ...asked, tokenFor: tokenAddress(chosen, place) }
  const sink = given ?? (await ownSink(embedder.space, { ...sinks, state, keep, rebuild, warn }))

  const others = given !== undefined ? [] : await otherSinks(embedder.space, { ...sinks, keep, warn })
  const embedders = new Map<string, Embedder>([[embedder.space, embedder]])
  const live = spaces[0]?.space
  if (live !== undefined && !embedders.has(live)) embedders.set(live, await embedderOfSpace(live, choice))
  if (given === undefined) await emptyLeftSinks(state, { ...sinks, namespace, warn })
  if (rebuild && live !== undefined && spaces.every(({ space }) => space !== embedder.space))
    warn(`the index is built anew for ${describeSpace(embedder.space)}; until that is complete, the earlier one is searched`)
  const redact = await redactorOf(values, { isChosen: chosen.redact !== undefined, leaves: embedder.remote === true || sink.remote === true })
  const embedderAt = typeof options.embedder !== 'object' && values.embedder === 'ollama' ? values.ollamaUrl : undefined
  tellOnce(directory, { embedder, embedderAt, sink, sinkAt: place?.kind === 'chroma' ? place.url : undefined, redact, warn })
  const tellOfVain = eachOnce(warn)
  return {
    ...limitsOf(values),
    directory,
    state,
    cache,
    embedder,
    sink,
    former: others,
    // What is being built already goes on.
    rebuild: rebuild || spaces.some(({ space, state: phase }) => space === embedder.space && phase === 'building'),
    redact,
    walEnabled,
    namespace,
    exclude: () => readExclusions(home, tellOfVain),
    searched() {
      const space = state.spaces()[0]?.space ?? embedder.space
      const found = others.find((other) => other.space === space)
      return { embedder: embedders.get(space) ?? embedder, sink: found ?? sink }
    },
  }
}

function eachOnce(warn: (sentence: string) => void): (sentence: string) => void {
  const told = new Set<string>()
  return (sentence) => {
    if (!told.has(sentence)) warn(sentence)
    told.add(sentence)
  }
}

/** With the names that were given beside the settings. */
function chosenBy({ config = {}, embedder, sink }: IndexHomeOptions): PartialConfig {
  const named = { ...(typeof embedder === 'string' && { embedder }), ...(typeof sink === 'string' && { sink }) }
  return { ...checkedConfig(config), ...checkedConfig(named) }
}

type Opening = SinkChoice & { readonly keep: Keep }

async function ownSink(
  space: string,
  opening: Opening & { readonly state: LocalIndexStore; readonly rebuild: boolean; readonly warn: (sentence: string) => void },
): Promise<Sink> {
  const { directory, state, record, keep, values } = opening
  const { place, from } = placeOf(space, opening)
  if (from !== undefined && !opening.rebuild) refuseMove(from, place)
  const id = spaceIdOf(space)
  const sink = await keep(openSinkAt(place, space, opening))
  if (from !== undefined) await moveDocuments({ id, space, place, from, sink, state, directory, namespace: values.namespace, warn: opening.warn })
  else if (record.sinks[id] === undefined) changeHomeRecord(directory, (now) => ({ ...now, sinks: { ...now.sinks, [id]: place } }))
  return sink
}

/** Those of the other spaces. One that cannot be had now leaves its documents for later. */
async function otherSinks(own: string, opening: Opening & { readonly warn: (sentence: string) => void }): Promise<readonly Sink[]> {
  const found: Sink[] = []
  for (const { id, space } of opening.spaces) {
    const place = heldPlace(id, opening)
    if (space === own || place === undefined) continue
    try {
      found.push(await opening.keep(openSinkAt(place, space, opening)))
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      opening.warn(`what the index holds of an earlier embedder cannot be reached now: ${error.reason}`)
    }
  }
  return found
}

/** By default only where text leaves the machine. */
async function redactorOf(
  { redact }: IndexConfig,
  { isChosen, leaves }: { readonly isChosen: boolean; readonly leaves: boolean },
): Promise<Redactor | undefined> {
  if (!redact || !(leaves || isChosen)) return undefined
  const { secretlintRedactor } = await import('../text/redact-secretlint.js')
  return secretlintRedactor()
}

function limitsOf(values: IndexConfig): Partial<Limits> {
  const { pollMs, listRefreshMs, batchSize, sessionsPerTick, quantum, slowScanIntervalMs, slowScanBatch } = values
  const { listPage, backoffBaseMs, backoffMaxMs, walRecoverLimit } = values
  return {
    pollMs,
    listRefreshMs,
    listPage,
    batchSize,
    sessionsPerTick,
    quantum,
    slowScanIntervalMs,
    slowScanBatch,
    backoffBaseMs,
    backoffMaxMs,
    walRecoverLimit,
  }
}

/** @throws StorageError INVALID_OPTION when the folder lies inside one of the stores, links followed */
export function refuseInsideStore(home: string, sessions: Sessions): void {
  if (!isInsideStore(home, sessions)) return
  throw new StorageError('INVALID_OPTION', { reason: "the home folder lies inside an agent's store, where nothing may be written", path: home })
}
