/** The sessions of all stores as they change, for as long as the caller listens. */
import { setImmediate as turn } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import { checkFunction, checkNumber, checkSignal, LONGEST_MS, refuseUnknown, told } from '../../core/options.js'
import { untilAborted, whenAborted } from '../../core/signals.js'
import type { StageIssue } from '../../core/stage.js'
import type { Loaded, WatchedRoots } from '../../storage/watch/root.js'
import { pollingInstead, type StoresWatch, watchStores } from '../../storage/watch/stores.js'
import { type LoadWatcher, WATCH_BACKENDS, type WatchBackend } from '../../storage/watch/watch.js'
import type { Sessions } from '../sessions/sessions.js'
import { type Bell, createBell } from './bell.js'
import { ChangeFeed, type SessionChange } from './feed.js'
import { Pace } from './pace.js'
import { Places } from './places.js'
import { closingOf, isPassing, listenTo, tellWoken } from './told.js'

export interface WatchOptions {
  /** Ends the iteration, and lets go of everything at once. */
  readonly signal?: AbortSignal
  /**
   * What tells of changes: 'auto' is what the system has (inotify, FSEvents, Windows), through the optional peer `@parcel/watcher`; 'poll' and
   * 'brute-force' look again and again; one that cannot be had is an issue, and then it is 'poll'. Databases tell by themselves. @default 'auto'
   */
  readonly watch?: 'auto' | 'poll' | WatchBackend
  /** Milliseconds between two looks where nothing tells of changes. @default 500 */
  readonly pollMs?: number
  /** A change is told when its session is quiet for so many milliseconds. @default 50 */
  readonly debounceMs?: number
  /** A change is told after so many milliseconds, quiet or not. @default 400 */
  readonly maxDelayMs?: number
  /**
   * Where events are not to be had, or are lost; each reason once. Changes then come by polling. Also why the stores cannot be looked at
   * for the moment. What it throws is left alone.
   */
  readonly onIssue?: (issue: StageIssue) => void
}

/** For tests: what else would be the system's. */
export interface WatchDependencies {
  readonly load?: LoadWatcher
  readonly roots?: WatchedRoots
}

export interface SessionWatch extends AsyncIterableIterator<SessionChange, undefined>, AsyncDisposable {
  return(): Promise<IteratorResult<SessionChange, undefined>>
}

/** Milliseconds between two questions to what does not tell by itself and is cheap to ask. */
const BEAT_MS = 100
/** Milliseconds after a look that failed. */
const AGAIN_MS = 500

/**
 * Tells what changes from now on, each session once it is quiet; nothing of what is there already. A caller who is slow is told of a session
 * what became of it meanwhile, once. To apply what is told to a listing made before the call gives the sessions as they are, once they are quiet.
 * It looks at the stores with `sessions.refresh`, and never takes the place of anybody else who does.
 *
 * A change to a message rewritten in place counts as far as a refresh sees it: at once where events tell of it, else of hot messages;
 * of others within some minutes: then it looks at every file, which for 10,000 takes half a second of this thread, without `worker`.
 * Ends with the loop of the caller, and no handle, timer or subscription is left then; or with the signal, at once whatever it is about:
 * what the system takes to let go of folders `return()` waits for.
 * A refresh that fails for the moment, as while a worker is replaced, is an issue and is done again.
 * @throws StorageError INVALID_OPTION; SET_CLOSED once the set is closed; what else `sessions.refresh` throws and no time mends
 */
export function watchSessions(sessions: Sessions, options: WatchOptions = {}): SessionWatch {
  return startWatch(sessions, options)
}

export function startWatch(sessions: Sessions, options: WatchOptions, dependencies: WatchDependencies = {}): SessionWatch {
  checkOptions(options)
  const watching = new Watching(sessions, options, dependencies)
  const changes = watching.changes()
  const end = async (): Promise<IteratorResult<SessionChange, undefined>> => {
    await watching.end()
    return { done: true, value: undefined }
  }
  return {
    next: () => changes.next(),
    return: end,
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await end()
    },
  }
}

function checkOptions(options: WatchOptions): void {
  refuseUnknown(options, ['signal', 'watch', 'pollMs', 'debounceMs', 'maxDelayMs', 'onIssue'])
  checkNumber('pollMs', options.pollMs, 1, LONGEST_MS)
  checkNumber('debounceMs', options.debounceMs, 0, LONGEST_MS)
  checkNumber('maxDelayMs', options.maxDelayMs, 0, LONGEST_MS)
  checkSignal('signal', options.signal)
  checkFunction('onIssue', options.onIssue)
  const known: readonly unknown[] = ['auto', 'poll', ...WATCH_BACKENDS]
  if (options.watch === undefined || known.includes(options.watch)) return
  throw new StorageError('INVALID_OPTION', {
    reason: `there is no way of watching ${told(options.watch)}; it is one of ${known.join(', ')}`,
  })
}

class Watching {
  readonly #sessions: Sessions
  readonly #options: WatchOptions
  readonly #dependencies: WatchDependencies
  readonly #quietMs: number
  readonly #maxDelayMs: number
  readonly #feed: ChangeFeed
  readonly #pace: Pace
  readonly #places: Places
  readonly #bell: Bell
  readonly #told: Disposable
  readonly #ending = new AbortController()
  readonly #signal: AbortSignal
  readonly #sources: readonly Disposable[]
  readonly #closing: AbortSignal | undefined
  #stores: StoresWatch | undefined
  /** While it looks: what is found was written before. */
  #lookStart: number | undefined
  /** Why the last look was none. */
  #failure: string | undefined
  #beatAt = Number.NEGATIVE_INFINITY
  #ended: Promise<void> | undefined
  /** It was the set that ended it. */
  #isClosed = false

  constructor(sessions: Sessions, options: WatchOptions, dependencies: WatchDependencies) {
    this.#sessions = sessions
    this.#options = options
    this.#dependencies = dependencies
    const { debounceMs = 50, maxDelayMs = 400, pollMs = 500, signal } = options
    this.#quietMs = debounceMs
    this.#maxDelayMs = maxDelayMs
    this.#feed = new ChangeFeed({ quietMs: debounceMs, maxDelayMs })
    this.#pace = new Pace({ gapMs: Math.min(debounceMs, maxDelayMs), pollMs }, this.#now)
    this.#places = new Places(sessions)
    this.#bell = createBell(sessions.clock)
    this.#signal = this.#ending.signal
    // From here on nothing is missed, whoever looks at the stores.
    this.#told = listenTo(sessions, { changed: (changes) => this.#feed.add(changes, sessions.dirty.clock.tick(), this.#lookStart ?? this.#now) })
    this.#closing = closingOf(sessions)
    const sources = [signal, this.#closing].filter((source) => source !== undefined)
    this.#sources = sources.map((source) => whenAborted(source, () => void this.end()))
    if (sources.some(({ aborted }) => aborted)) void this.end()
  }

  async *changes(): AsyncGenerator<SessionChange, undefined, undefined> {
    try {
      await this.#untilEnd(this.#begin())
      while (!this.#signal.aborted) {
        await this.#untilEnd(this.#beat())
        const late = this.#now - this.#lookAt()
        // A look tells whether it is quiet. One that takes long lets what is due go first, but a caller who takes longer gets no old news.
        const goesFirst = late < 0 || (late < this.#maxDelayMs && this.#pace.took > this.#quietMs)
        const change = goesFirst ? this.#feed.take(this.#now) : undefined
        if (change !== undefined) yield change
        else if (late >= 0) await this.#untilEnd(this.#look())
        else await this.#rest()
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
    } finally {
      // It is begun; a system that takes its time keeps nobody waiting.
      await Promise.race([this.end(), turn()])
    }
    if (this.#isClosed) this.#closing?.throwIfAborted()
    return undefined
  }

  end(): Promise<void> {
    this.#ended ??= this.#letGo()
    return this.#ended
  }

  get #now(): number {
    return this.#sessions.clock.monotonic()
  }

  #untilEnd<T>(step: Promise<T>): Promise<T> {
    return untilAborted(step, this.#signal)
  }

  async #letGo(): Promise<void> {
    this.#isClosed = this.#closing?.aborted === true && this.#options.signal?.aborted !== true
    this.#ending.abort()
    this.#told[Symbol.dispose]()
    for (const source of this.#sources) source[Symbol.dispose]()
    await this.#stores?.[Symbol.asyncDispose]()
  }

  async #begin(): Promise<void> {
    const loaded = await this.#load()
    if (this.#signal.aborted) return
    this.#stores = watchStores({
      loaded,
      roots: this.#dependencies.roots,
      paths: (paths) => this.#written(paths),
      lost: () => {
        this.#pace.lost()
        this.#bell.ring()
      },
      issue: (issue) => this.#tell(issue),
    })
    this.#stores.follow(this.#sessions.stores)
  }

  async #load(): Promise<Loaded | undefined> {
    const { watch = 'auto' } = this.#options
    if (watch === 'poll' || watch === 'brute-force' || this.#signal.aborted) return undefined
    // What it needs of the system is loaded by who watches.
    const load = this.#dependencies.load ?? (await import('../../storage/watch/parcel.js')).loadParcelWatcher
    const loaded = await load(watch)
    if (loaded.why === undefined) return loaded
    this.#tell(pollingInstead(loaded.why))
    return undefined
  }

  #written(paths: readonly string[]): void {
    for (const path of paths) this.#sessions.dirty.mark(path)
    this.#pace.woken()
    this.#bell.ring()
    tellWoken(this.#sessions)
  }

  #tell(issue: StageIssue): void {
    try {
      this.#options.onIssue?.(issue)
    } catch {
      // the listener's own affair
    }
  }

  async #beat(): Promise<void> {
    const now = this.#now
    if (this.#stores === undefined || now - this.#beatAt < BEAT_MS) return
    this.#beatAt = now
    const isWritten = await this.#stores.beat(now)
    if (isWritten || (await this.#places.moved(now))) this.#pace.woken()
    if (isWritten) tellWoken(this.#sessions)
  }

  #lookAt(): number {
    return this.#pace.dueAt(this.#stores?.polls ?? true)
  }

  async #look(): Promise<void> {
    const start = this.#now
    const deep = this.#pace.isDeepDue(start)
    this.#pace.begin(deep)
    this.#lookStart = start
    try {
      await this.#sessions.refresh({ deep, signal: this.#signal })
      this.#failure = undefined
    } catch (error) {
      if (this.#signal.aborted || !isPassing(error)) throw error
      if (this.#failure !== error.reason)
        this.#tell({ code: error.code, reason: error.reason, transient: true, ...(error.path !== undefined && { path: error.path }) })
      this.#failure = error.reason
      this.#pace.lost()
    } finally {
      this.#lookStart = undefined
      this.#pace.end(start, this.#now, deep)
    }
    if (this.#failure === undefined) this.#stores?.follow(this.#sessions.stores)
    else await this.#sessions.clock.sleep(AGAIN_MS, this.#signal)
  }

  async #rest(): Promise<void> {
    const beatAt = this.#beatAt + BEAT_MS
    const askAt = this.#stores?.beats === true ? beatAt : Math.max(beatAt, this.#places.dueAt)
    const until = Math.min(this.#feed.dueAt(), this.#lookAt(), askAt)
    await this.#bell.wait(Math.min(Math.max(1, until - this.#now), LONGEST_MS), this.#signal)
  }
}
