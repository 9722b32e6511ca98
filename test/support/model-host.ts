/** A machine of the model test: sessions, a clock, sinks, and a few processes over one state, of which each can be killed and stopped. */
import { StorageError } from '../../src/core/errors.js'
import type { SessionKey } from '../../src/core/keys.js'
import { createIndexer } from '../../src/indexer/indexer.js'
import type { Indexer } from '../../src/indexer/indexer-types.js'
import type { Embedder, Sink } from '../../src/indexer/ports.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import type { Claim } from '../../src/indexer/state/rows.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { fakeClock, fakeOwners, World } from './index-world.js'
import { type MemorySink, memorySink } from './memory-sink.js'
import type { ModelPlace } from './model-place.js'
import { Gate, gatedCache, gatedEmbedder, gatedSink, gatedSource, gatedState, lateGatedState, memoryCache } from './model-process.js'
import { DIMENSIONS, NAMESPACE, SPACES, vectorOf } from './model-vectors.js'
import { Witness } from './model-witness.js'

export const LEASE_MS = 10_000
export const MAX_DELAY_MS = 20_000
const PROCESSES = 3

export const LIMITS = {
  batchSize: 2,
  recordSize: 2,
  sinkBatchSize: 2,
  quantum: 3,
  settleMs: 10_000,
  abandonMs: 60_000,
  settleRecheckMs: 5000,
  incompleteRecheckMs: 5000,
  backoffBaseMs: 1000,
  backoffMaxMs: 4000,
  sweepMs: 1000,
  forgetWaitMs: 0,
  slowScanBatch: 1,
  slowScanIntervalMs: 20_000,
  listRefreshMs: 0,
}

export interface HostOptions {
  readonly cache: boolean
  readonly walEnabled: boolean
  readonly concurrency: number
  /** The state answers later. @default false */
  readonly late?: boolean
}

export interface Process {
  readonly pid: number
  /** The place of the space that it began in. */
  readonly space: number
  readonly gate: Gate
  readonly state: LocalIndexStore
  readonly indexer: Indexer
  /** Held by the process and not worked on. */
  readonly held: Claim[]
  /** What was under way when it was stopped. */
  busy: Promise<unknown> | undefined
}

/** Settings that no process sees directly. */
export interface Weather {
  readonly excluded: Set<string>
  embedderDown: boolean
  sinkDown: boolean
  /** Poison is taken, what is lethal does no harm. */
  cured: boolean
  /** The next listing throws. */
  listFails: boolean
}

export class Host {
  readonly clock = fakeClock()
  readonly world = new World(this.clock)
  readonly sinks = new Map<string, MemorySink>(SPACES.map((space) => [space, memorySink()]))
  readonly cache = memoryCache()
  readonly witness: Witness
  readonly weather: Weather = { excluded: new Set(), embedderDown: false, sinkDown: false, cured: false, listFails: false }
  readonly processes: Process[] = []
  readonly place: ModelPlace
  readonly options: HostOptions
  /** The place of the space that processes begin in. */
  space = 0
  /** Of each session: within one its watermark does not fall. */
  readonly epochs = new Map<string, number>()
  /** Some record was damaged. */
  rotten = false
  /** Messages made, and texts unlike any other. */
  made = 0
  texts = 0
  /** Of all sessions: one that is made anew under its old id has none of those it had. */
  revisions = 0
  readonly #dead = new Set<number>()
  readonly #open: AsyncDisposable[] = []
  #lastPid = 0
  #observer: LocalIndexStore | undefined

  constructor(place: ModelPlace, options: HostOptions) {
    this.place = place
    this.options = options
    this.witness = new Witness(this)
  }

  async begin(): Promise<void> {
    this.#observer = await this.#openState(0)
    for (let at = 0; at < PROCESSES; at++) this.processes.push(await this.#spawn())
  }

  /** Asks, and is none of the processes. */
  get observer(): LocalIndexStore {
    if (this.#observer === undefined) throw new Error('the machine has not begun')
    return this.#observer
  }

  async #openState(pid: number): Promise<LocalIndexStore> {
    const state = await this.place.open({ clock: this.clock, owners: fakeOwners(pid, this.#dead), leaseMs: LEASE_MS, maxDelayMs: MAX_DELAY_MS })
    this.#open.push(state)
    return state
  }

  async #spawn(): Promise<Process> {
    const pid = ++this.#lastPid
    const gate = new Gate()
    const state = gatedState(await this.#openState(pid), gate, (method, args, result) => this.witness.saw(method, args, result))
    const name = SPACES[this.space] ?? ''
    const sinkOf = (space: string): Sink => gatedSink(this.#weatherSink(space), gate)
    const indexer = createIndexer({
      ...LIMITS,
      sessions: gatedSource(this.#weatherSource(), gate),
      state: this.options.late === true ? lateGatedState(state, gate) : state,
      embedder: gatedEmbedder(this.#embedder(name), gate, (text) => !this.weather.cured && text.includes('lethal')),
      sink: sinkOf(name),
      former: SPACES.filter((space) => space !== name).map(sinkOf),
      rebuild: true,
      cache: this.options.cache ? gatedCache(this.cache, gate, (keys) => this.witness.uncached(keys)) : undefined,
      walEnabled: this.options.walEnabled,
      concurrency: this.options.concurrency,
      namespace: NAMESPACE,
      exclude: () => ({ sessions: [...this.weather.excluded] }),
      clock: this.clock,
      random: () => 0.5,
      failpoint: (point) => gate.touch(point),
    })
    return { pid, space: this.space, gate, state, indexer, held: [], busy: undefined }
  }

  /** The process at a place; one that died is replaced by another, as a supervisor would. */
  async processAt(at: number): Promise<Process> {
    const place = at % PROCESSES
    const process = this.processes[place]
    if (process !== undefined && process.gate.state !== 'dead') return process
    return this.#replace(place)
  }

  async #replace(place: number): Promise<Process> {
    const next = await this.#spawn()
    this.processes[place] = next
    return next
  }

  /** SIGKILL, between two steps. */
  kill(process: Process): void {
    process.gate.kill()
    this.#bury(process)
  }

  #bury(process: Process): void {
    this.#dead.add(process.pid)
  }

  /** Runs the work until it ends, or the process is stopped or dies. Gives what it came to, in a word. */
  async run(process: Process, work: () => Promise<unknown>): Promise<string> {
    const working = work().then(
      () => 'done',
      (error: unknown) => (error instanceof StorageError ? error.code : `thrown: ${String(error)}`),
    )
    return this.#until(process, working)
  }

  async #until(process: Process, working: Promise<string>): Promise<string> {
    const end = await Promise.race([working, process.gate.halted.then(() => 'halted')])
    process.gate.disarm()
    if (process.gate.state === 'dead') this.#bury(process)
    process.busy = process.gate.state === 'stopped' ? working : undefined
    return process.gate.state === 'running' ? end : process.gate.state
  }

  /** SIGCONT: what was under way goes on, and ends. */
  async resume(process: Process): Promise<string> {
    const { busy } = process
    // A request to the embedder that was under way reaches it now.
    this.witness.resumed()
    process.gate.resume()
    return busy === undefined ? 'idle' : this.#until(process, busy as Promise<string>)
  }

  /** All that run now end, and others begin, in the next space. Those that are stopped stay. */
  async switchSpace(): Promise<void> {
    this.space = (this.space + 1) % SPACES.length
    for (const [at, process] of this.processes.entries()) {
      if (process.gate.state === 'stopped') continue
      if (process.gate.state === 'running') this.kill(process)
      await this.#replace(at)
    }
  }

  /** Ends what was stopped while the others went over to another space, and runs again. */
  endFormer(): void {
    for (const process of this.processes) if (process.space !== this.space && process.gate.state === 'running') this.kill(process)
  }

  #weatherSource() {
    const source = this.world.source()
    return {
      ...source,
      list: async (signal?: AbortSignal) => {
        if (this.weather.listFails) throw new Error('a listing that fails')
        return source.list(signal)
      },
    }
  }

  #weatherSink(space: string): Sink {
    const sink = this.sinks.get(space) ?? memorySink()
    const check = (): void => {
      if (this.weather.sinkDown) throw new StorageError('SINK_UNAVAILABLE', { reason: 'the sink is down' })
    }
    return {
      ...sink,
      space,
      upsert: async (rows) => {
        check()
        this.witness.upserts(space, rows)
        const refused = this.weather.cured ? undefined : rows.find(({ text }) => text.includes('refused'))
        if (refused !== undefined) throw new StorageError('SINK_REFUSED', { reason: 'refused', key: refused.id })
        await sink.upsert(rows)
        this.witness.upserted(space, rows)
      },
      delete: async (ids) => {
        check()
        this.witness.deletes(space, ids)
        await sink.delete(ids)
      },
      count: async () => {
        check()
        return sink.count()
      },
      ids: (filter) => {
        check()
        return this.witness.reading(space, sink.ids(filter))
      },
      drop: async () => {
        check()
        await sink.drop?.()
        // Whoever opens it from now on finds an empty one.
        if (this.sinks.get(space) === sink) this.sinks.set(space, memorySink())
      },
    }
  }

  #embedder(space: string): Embedder {
    return {
      name: 'model',
      space,
      dimensions: DIMENSIONS,
      embed: async (texts) => {
        if (this.weather.embedderDown) throw new StorageError('EMBEDDER_UNAVAILABLE', { reason: 'the embedder is down' })
        if (!this.weather.cured && texts.some((text) => text.includes('poison'))) throw new StorageError('TEXT_REFUSED', { reason: 'poison' })
        this.witness.embedded(space, texts)
        return Float32Array.from(texts.flatMap((text) => [...vectorOf(space, text)]))
      },
    }
  }

  ledgerOf(key: SessionKey, space = spaceIdOf(SPACES[this.space] ?? '')): ReturnType<LocalIndexStore['ledger']> {
    return this.observer.ledger(key, space)
  }

  knownKeys(): readonly SessionKey[] {
    return this.observer.sessions().map(({ key }) => key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { gate } of this.processes) gate.kill()
    for (const one of this.#open.reverse()) await one[Symbol.asyncDispose]()
    await this.place[Symbol.asyncDispose]()
  }
}
