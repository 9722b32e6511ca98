/**
 * A folder under watch, for as long as somebody listens:
 *
 *   starting -> watching          the watcher has subscribed
 *   starting, watching -> polling it refused, reported a loss, or another folder (or none) stands at the path
 *   polling -> starting           the folder is there again, at once; after a refusal, and where events tell too little, with growing pauses
 *
 * Whoever listens polls except while it is watched. The watcher knows a folder by its path: two subscriptions to one path are one inside
 * it, and stay with the folder of the first when another takes its place. So there is one for each path in the process, shared.
 */
import { realpathSync } from 'node:fs'
import { messageOf } from '../../core/errors.js'
import { identityOf } from '../paths.js'
import { type FilesystemOf, filesystemOf, whyUnheard } from './places.js'
import type { FolderEvent, FolderSubscription, LoadedWatcher } from './watch.js'

export interface RootListener {
  /** Something was written at these paths, below the root as it was named. */
  paths(paths: readonly string[]): void
  /** Events may be lacking from now on. */
  lost(reason: string): void
  /** Events come again; what happened meanwhile they did not tell. */
  back(): void
}

export interface RootHandle {
  readonly isWatched: boolean
  /** To be called now and then. @param now Monotonic milliseconds. */
  check(now: number): void
  /** Resolves when nothing is left of the subscription, if this was the last listener. */
  leave(): Promise<void>
}

export type Loaded = Extract<LoadedWatcher, { why?: undefined }>

export interface WatchedRoots {
  join(path: string, ignore: readonly string[], loaded: Loaded, listener: RootListener): RootHandle
  /** Folders that somebody listens to. */
  readonly size: number
}

export function createWatchedRoots(filesystem: FilesystemOf = filesystemOf): WatchedRoots {
  const roots = new Map<string, WatchedRoot>()
  return {
    get size() {
      return roots.size
    },
    join(path, ignore, loaded, listener) {
      const name = `${loaded.backend} ${path}`
      const root = roots.get(name) ?? new WatchedRoot(path, ignore, loaded, filesystem)
      roots.set(name, root)
      root.listeners.add(listener)
      return {
        get isWatched() {
          return root.state === 'watching'
        },
        check: (now) => root.check(now),
        async leave() {
          if (!root.listeners.delete(listener) || root.listeners.size > 0) return
          roots.delete(name)
          await root.end()
        },
      }
    },
  }
}

/** Those of the process. */
export const watchedRoots: WatchedRoots = createWatchedRoots()

/** So long a watcher may take to subscribe, in milliseconds; a large tree on a slow disk takes some. */
const SUBSCRIBE_MS = 60_000
/** Pauses after a refusal, in milliseconds. */
const RETRY_MS = 10_000
const LONGEST_RETRY_MS = 600_000

class WatchedRoot {
  state: 'starting' | 'watching' | 'polling' = 'starting'
  readonly listeners = new Set<RootListener>()
  readonly #path: string
  readonly #ignore: readonly string[]
  readonly #loaded: Loaded
  readonly #filesystem: FilesystemOf
  readonly #ended = new AbortController()
  #subscription: FolderSubscription | undefined
  #identity: string | undefined
  /** Subscribing and unsubscribing, one after the other. */
  #turn: Promise<void> = Promise.resolve()
  #refusals = 0
  /** Not before; undefined until a check tells the time. */
  #retryAt: number | undefined

  constructor(path: string, ignore: readonly string[], loaded: Loaded, filesystem: FilesystemOf) {
    this.#path = path
    this.#ignore = ignore
    this.#loaded = loaded
    this.#filesystem = filesystem
    this.#begin()
  }

  check(now: number): void {
    const identity = identityOf(this.#path)
    if (this.state === 'watching' && identity !== this.#identity) {
      this.#lose(identity === undefined ? 'the folder is gone' : 'another folder stands in its place')
      return
    }
    if (this.state !== 'polling' || identity === undefined) return
    const pause = this.#refusals === 0 ? 0 : Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** (this.#refusals - 1))
    this.#retryAt ??= now + pause
    if (now >= this.#retryAt) this.#begin()
  }

  async end(): Promise<void> {
    this.#ended.abort()
    this.#unsubscribe()
    await this.#turn
  }

  #begin(): void {
    this.state = 'starting'
    this.#turn = this.#turn.then(() => this.#subscribe())
  }

  async #subscribe(): Promise<void> {
    if (this.#ended.signal.aborted) return
    this.#identity = identityOf(this.#path)
    if (this.#identity === undefined) return this.#lose('the folder is not there')
    const unheard = whyUnheard(this.#path, this.#filesystem)
    if (unheard !== undefined) return this.#refused(unheard)
    try {
      const real = realpathSync(this.#path)
      // What an earlier subscription still has to tell is of an earlier folder.
      const subscribed: { current?: FolderSubscription | undefined } = {}
      const tell = (error: Error | null, events: readonly FolderEvent[]): void => {
        if (this.#subscription === undefined || this.#subscription !== subscribed.current) return
        if (error !== null) this.#refused(messageOf(error))
        else this.#told(real, events)
      }
      const options = { backend: this.#loaded.backend, ignore: this.#ignore }
      const subscription = await inTime(this.#loaded.watcher.subscribe(real, tell, options), this.#ended.signal)
      if (subscription === undefined) return
      subscribed.current = subscription
      this.#subscription = subscription
    } catch (error) {
      return this.#refused(messageOf(error))
    }
    if (identityOf(this.#path) !== this.#identity) return this.#lose('another folder stands in its place')
    this.state = 'watching'
    for (const listener of this.listeners) listener.back()
  }

  #told(real: string, events: readonly FolderEvent[]): void {
    this.#refusals = 0
    const paths = events.map(({ path }) => (path.startsWith(real) ? this.#path + path.slice(real.length) : path))
    for (const listener of this.listeners) listener.paths(paths)
    if (events.some(({ path, type }) => path === real && type === 'delete')) this.#lose('the folder is gone')
  }

  #refused(reason: string): void {
    this.#refusals++
    this.#lose(reason)
  }

  #lose(reason: string): void {
    if (this.#ended.signal.aborted) return
    this.state = 'polling'
    this.#retryAt = undefined
    this.#unsubscribe()
    for (const listener of this.listeners) listener.lost(reason)
  }

  #unsubscribe(): void {
    const subscription = this.#subscription
    this.#subscription = undefined
    // Of a folder that is gone it may fail, and then nothing is left either.
    if (subscription !== undefined) this.#turn = this.#turn.then(() => subscription.unsubscribe()).then(nothing, nothing)
  }
}

const nothing = (): void => undefined

/** Undefined when the signal came first; a subscription that comes later is ended. @throws Error when it takes too long */
async function inTime(subscribing: Promise<FolderSubscription>, signal: AbortSignal): Promise<FolderSubscription | undefined> {
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  let onAbort = nothing
  const late = new Promise<undefined>((resolve, reject) => {
    const end = (how: () => void) => (): void => {
      isLate = true
      how()
    }
    onAbort = end(() => resolve(undefined))
    const tooLong = end(() => reject(new Error('the watcher does not come to an end of subscribing')))
    timer = setTimeout(tooLong, SUBSCRIBE_MS)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  subscribing.then((subscription) => (isLate ? subscription.unsubscribe() : undefined)).catch(nothing)
  try {
    return await Promise.race([subscribing, late])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
