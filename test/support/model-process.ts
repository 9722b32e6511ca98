/** A process that can be killed and stopped at a chosen point: each of its ports passes a gate, so that afterwards it touches nothing any more. */
import { StorageError } from '../../src/core/errors.js'
import type { EmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import type { Embedder, Sink } from '../../src/indexer/ports.js'
import type { SessionSource } from '../../src/indexer/source.js'
import type { IndexStore, LocalIndexStore } from '../../src/indexer/state/state.js'
import { lateState, READS } from './late-state.js'

/** Failpoints of the engine, and the moments around calls of the services. */
export const POINTS = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'k', 'sink:before', 'sink:after', 'embed:before', 'embed:after', 'read'] as const
export type Point = (typeof POINTS)[number]

/** kill: SIGKILL. stop: SIGSTOP, where something is awaited. fail: the call throws, which at `after` it does although it took effect. */
export interface Trap {
  readonly point: Point
  readonly nth: number
  readonly action: 'kill' | 'stop' | 'fail' | 'down'
}

const NEVER = new Promise<never>(() => undefined)

export class Gate {
  #dead = false
  #stopped: { readonly promise: Promise<void>; readonly open: () => void } | undefined
  #trap: { readonly point: Point; readonly action: Trap['action']; left: number } | undefined
  #halted = deferred()

  arm({ point, nth, action }: Trap): void {
    this.#trap = { point, action, left: nth }
  }

  disarm(): void {
    this.#trap = undefined
  }

  get state(): 'running' | 'stopped' | 'dead' {
    if (this.#dead) return 'dead'
    return this.#stopped === undefined ? 'running' : 'stopped'
  }

  /** Resolves once the process is killed or stopped. */
  get halted(): Promise<void> {
    return this.#halted.promise
  }

  kill(): void {
    this.#dead = true
    this.#halted.open()
  }

  stop(): void {
    this.#stopped = deferred()
    this.#halted.open()
  }

  resume(): void {
    this.#halted = deferred()
    this.#stopped?.open()
    this.#stopped = undefined
  }

  /** For what cannot wait. */
  check(): void {
    if (this.#dead) throw new Error('killed')
  }

  /** For failpoints. */
  touch(point: string): void {
    this.check()
    if (this.#springs(point) === 'kill') {
      this.kill()
      throw new Error('killed')
    }
  }

  async pass(point?: Point): Promise<void> {
    await this.#live()
    const action = point === undefined ? undefined : this.#springs(point)
    if (action === 'kill') this.kill()
    if (action === 'stop') this.stop()
    await this.#live()
    if (action === 'fail') throw new Error('a call that fails')
    if (action === 'down') throw new StorageError(point?.startsWith('sink') ? 'SINK_UNAVAILABLE' : 'EMBEDDER_UNAVAILABLE', { reason: 'down' })
  }

  async #live(): Promise<void> {
    if (this.#dead) return NEVER
    await this.#stopped?.promise
    if (this.#dead) return NEVER
  }

  #springs(point: string): Trap['action'] | undefined {
    const trap = this.#trap
    if (trap?.point !== point || --trap.left > 0) return undefined
    this.#trap = undefined
    return trap.action
  }
}

function deferred(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

export type Spy = (method: string, args: readonly unknown[], result: unknown) => void

/** A transition that has begun has taken place, whatever becomes of the process. */
export function gatedState(state: LocalIndexStore, gate: Gate, spy: Spy): LocalIndexStore {
  return new Proxy(state, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function' || typeof name !== 'string') return method
      if (READS.has(name)) {
        return (...args: unknown[]): unknown => {
          gate.check()
          return Reflect.apply(method, target, args)
        }
      }
      return async (...args: unknown[]): Promise<unknown> => {
        await gate.pass()
        const result: unknown = await Reflect.apply(method, target, args)
        spy(name, args, result)
        await gate.pass()
        return result
      }
    },
  })
}

/** As a state elsewhere: what was asked of it may be old by the time that it comes, and the process may be stopped before. */
export function lateGatedState(state: LocalIndexStore, gate: Gate): IndexStore {
  return lateState(state, async (read) => {
    await gate.pass()
    const answer = read()
    await gate.pass()
    return answer
  })
}

export function gatedSource(source: SessionSource, gate: Gate): SessionSource {
  return {
    async list(signal) {
      await gate.pass()
      return source.list(signal)
    },
    async revision(key, store) {
      await gate.pass()
      return source.revision(key, store)
    },
    async tail(key, known, options) {
      await gate.pass('read')
      return source.tail(key, known, options)
    },
  }
}

export function gatedSink(sink: Sink, gate: Gate): Sink {
  const write = async (call: () => Promise<void>): Promise<void> => {
    await gate.pass('sink:before')
    await call()
    await gate.pass('sink:after')
  }
  return {
    ...sink,
    // A request that is under way does not end with its caller.
    upsert: (rows) => write(() => sink.upsert(rows)),
    delete: (ids) => write(() => sink.delete(ids)),
    async count() {
      await gate.pass()
      return sink.count()
    },
    async *ids(filter) {
      await gate.pass()
      yield* sink.ids(filter)
    },
    async drop() {
      await gate.pass()
      await sink.drop?.()
    },
  }
}

export function gatedEmbedder(embedder: Embedder, gate: Gate, isLethal: (text: string) => boolean): Embedder {
  return {
    ...embedder,
    async embed(texts, options) {
      await gate.pass('embed:before')
      if (texts.some(isLethal)) gate.kill()
      await gate.pass()
      const vectors = await embedder.embed(texts, options)
      await gate.pass('embed:after')
      return vectors
    },
  }
}

export function gatedCache(cache: EmbedCache, gate: Gate, removed: (keys: readonly string[]) => void): EmbedCache {
  return {
    get(key) {
      gate.check()
      return cache.get(key)
    },
    async put(entries) {
      await gate.pass()
      await cache.put(entries)
    },
    async remove(keys) {
      await gate.pass()
      await cache.remove(keys)
      removed(keys)
    },
    stats: cache.stats,
    [Symbol.asyncDispose]: async () => {},
  }
}

export function memoryCache(): EmbedCache & { readonly vectors: ReadonlyMap<string, Float32Array> } {
  const vectors = new Map<string, Float32Array>()
  return {
    vectors,
    get: (key) => vectors.get(key)?.slice(),
    async put(entries) {
      for (const { key, vector } of entries) vectors.set(key, vector.slice())
    },
    async remove(keys) {
      for (const key of keys) vectors.delete(key)
    },
    stats: () => ({ hits: 0, misses: 0 }),
    [Symbol.asyncDispose]: async () => {},
  }
}
