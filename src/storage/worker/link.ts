/**
 * The side of the caller's thread: one worker, which is started when it is needed, and the calls that it has not answered.
 *
 * A worker that ends, does not answer in time, or answers in the wrong shape is let go: every call in flight fails with WORKER_LOST,
 * and the next one starts another worker. One that does not come up is not tried again before a pause, which grows; calls fail meanwhile.
 */
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { messageOf, StorageError, setClosed } from '../../core/errors.js'
import { whenAborted } from '../../core/signals.js'
import type { Answer, Calls, Message, Method, WorkerStart, WorkNumbers } from './protocol.js'
import { isAnswer, isWork, PAGES } from './shapes.js'
import { fromWire, isWireError } from './wire-error.js'

export interface LinkOptions {
  readonly entry: () => URL
  /** For the worker, plain. */
  readonly start: WorkerStart
  /** How long a call waits for its next page. */
  readonly timeoutMs: number
  /** Runs before any other call on a worker that was started just now. When it fails so does the call that needed the worker. */
  readonly onStart: () => Promise<void>
}

export interface CallOptions {
  readonly store?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Whatever arrives meanwhile goes first. */
  readonly long?: boolean | undefined
  readonly onWork?: ((work: WorkNumbers) => void) | undefined
  /** @default that of the link */
  readonly timeoutMs?: number | undefined
}

/** How long a worker that is closed may take to close its stores. */
const CLOSING_MS = 2000
/** Pauses after starts that failed, in milliseconds. */
const RESTART_MS = 100
const LONGEST_RESTART_MS = 30_000

export class WorkerLink {
  /** Counts the workers. */
  incarnation = 0
  readonly #options: LinkOptions
  readonly #calls = new Map<number, PendingCall>()
  #worker: Worker | undefined
  #starting: Promise<void> | undefined
  /** Starts in a row that failed, and until when there is no other. */
  #failed: { readonly starts: number; readonly until: number; readonly error: unknown } | undefined
  #numbers = 0
  #closed = false

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Starts a worker where there is none, and says whether it did. @throws StorageError WORKER_LOST, SET_CLOSED */
  async ready(): Promise<boolean> {
    this.#refuseClosed()
    const isStart = this.#starting === undefined
    if (isStart && this.#failed !== undefined && performance.now() < this.#failed.until) throw this.#failed.error
    const starting = this.#starting ?? this.#start()
    this.#starting = starting
    try {
      await starting
    } catch (error) {
      if (this.#starting === starting) this.#starting = undefined
      throw error
    }
    return isStart
  }

  /** The pages of a call, each checked. The worker must be ready. @throws StorageError, what the worker threw; the reason of the signal */
  async *pages<M extends Method>(
    method: M,
    args: Calls[M]['args'],
    { store, signal, long = false, onWork, timeoutMs = this.#options.timeoutMs }: CallOptions = {},
  ): AsyncGenerator<Calls[M]['page']> {
    signal?.throwIfAborted()
    if (method !== 'close') this.#refuseClosed()
    const worker = this.#worker
    if (worker === undefined) throw lost('the worker ended before it was asked')
    const number = ++this.#numbers
    const call = new PendingCall(timeoutMs, () => this.#lose(worker, `it did not answer ${method} in time`), signal)
    let isOpen = true
    this.#add(number, call)
    try {
      this.#post({ call: number, method, store, args, long })
      while (isOpen) {
        const answer = await call.next()
        if (isWork(answer.work)) onWork?.(answer.work)
        if (answer.last) isOpen = false
        if (answer.error !== undefined) throw this.#thrown(worker, method, answer.error)
        if (!PAGES[method](answer.page) || (onWork !== undefined && !isWork(answer.work))) throw this.#misshapen(worker, method)
        yield answer.page
        if (!isOpen) return
        this.#post({ more: number })
        // Pages that are here already would be taken one after the other, with no turn for anybody else.
        await setImmediate()
      }
    } finally {
      call[Symbol.dispose]()
      this.#remove(number)
      if (isOpen && this.#worker === worker) this.#post({ cancel: number })
    }
  }

  /** The page of a call that has one. */
  async one<M extends Method>(method: M, args: Calls[M]['args'], options: CallOptions = {}): Promise<Calls[M]['page']> {
    for await (const page of this.pages(method, args, options)) return page
    throw new RangeError(`no page answers ${method}`)
  }

  /** Ends the worker; calls in flight fail. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const worker = this.#worker
    this.#failAll(setClosed())
    if (worker === undefined) return
    await this.one('close', undefined, { signal: AbortSignal.timeout(CLOSING_MS) }).catch(() => undefined)
    if (worker === this.#worker) await this.#end(worker)
  }

  async #start(): Promise<void> {
    try {
      await this.#startNow()
      this.#failed = undefined
    } catch (error) {
      const starts = (this.#failed?.starts ?? 0) + 1
      const pause = Math.min(LONGEST_RESTART_MS, RESTART_MS * 2 ** (starts - 1))
      this.#failed = { starts, until: performance.now() + pause, error }
      throw error
    }
  }

  async #startNow(): Promise<void> {
    const { entry, start, onStart } = this.#options
    const worker = started(entry(), start)
    worker.unref()
    this.#worker = worker
    this.incarnation++
    worker.on('message', (message: unknown) => this.#receive(worker, message))
    worker.on('messageerror', (error) => this.#lose(worker, messageOf(error)))
    worker.on('error', (error) => this.#lose(worker, messageOf(error)))
    worker.on('exit', (code) => this.#lose(worker, `it ended with ${code}`))
    try {
      await onStart()
    } catch (error) {
      if (this.#worker === worker) await this.#end(worker)
      throw error
    }
  }

  #receive(worker: Worker, message: unknown): void {
    if (worker !== this.#worker) return
    if (!isAnswer(message)) this.#lose(worker, 'it answered in the wrong shape')
    else this.#calls.get(message.call)?.give(message)
  }

  /** An answer was found out to be wrong after its pages had been taken one by one. */
  distrust(method: Method): StorageError {
    return this.#worker === undefined ? lost(`it answered ${method} in the wrong shape`) : this.#misshapen(this.#worker, method)
  }

  #misshapen(worker: Worker, method: Method): StorageError {
    this.#lose(worker, `it answered ${method} in the wrong shape`)
    return lost(`it answered ${method} in the wrong shape`)
  }

  #thrown(worker: Worker, method: Method, error: unknown): Error {
    return isWireError(error) ? fromWire(error) : this.#misshapen(worker, method)
  }

  #lose(worker: Worker, why: string): void {
    if (worker !== this.#worker) return
    void this.#end(worker)
    this.#failAll(lost(why))
  }

  /** No answer of it counts any more. It may hang where nothing ends it, so nobody waits for that for long. */
  async #end(worker: Worker): Promise<void> {
    this.#worker = undefined
    this.#starting = undefined
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise((resolve) => {
      timer = setTimeout(resolve, CLOSING_MS)
      timer.unref()
    })
    await Promise.race([worker.terminate().catch(() => undefined), enough])
    clearTimeout(timer)
  }

  #failAll(error: StorageError): void {
    for (const call of this.#calls.values()) call.fail(error)
  }

  /** An idle worker keeps no process alive, one that is asked does. */
  #add(number: number, call: PendingCall): void {
    if (this.#calls.size === 0) this.#worker?.ref()
    this.#calls.set(number, call)
  }

  #remove(number: number): void {
    this.#calls.delete(number)
    if (this.#calls.size === 0) this.#worker?.unref()
  }

  #post(message: Message): void {
    this.#worker?.postMessage(message)
  }

  #refuseClosed(): void {
    if (this.#closed) throw setClosed()
  }
}

/** Flags of the process that its threads follow. With others, as `--input-type`, a worker does not start; hooks for loading are not needed. */
const OF_THREADS = /^--(no-warnings|disable-warning=.*|trace-.*|experimental-sqlite)$/

/** @throws StorageError WORKER_LOST */
function started(entry: URL, start: WorkerStart): Worker {
  try {
    return new Worker(entry, { workerData: start, name: 'spanleaf stores', execArgv: process.execArgv.filter((flag) => OF_THREADS.test(flag)) })
  } catch (error) {
    throw lost(messageOf(error))
  }
}

function lost(why: string): StorageError {
  return new StorageError('WORKER_LOST', { reason: `the worker thread was lost: ${why}` })
}

interface Waiting {
  resolve(answer: Answer): void
  reject(reason: unknown): void
}

/** The answers of one call that were not taken yet, or the one who waits for the next. */
class PendingCall implements Disposable {
  readonly #answers: Answer[] = []
  readonly #timeoutMs: number
  readonly #onTimeout: () => void
  readonly #listening: Disposable | undefined
  #failure: { readonly reason: unknown } | undefined
  #waiting: Waiting | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(timeoutMs: number, onTimeout: () => void, signal: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
    this.#listening = signal && whenAborted(signal, () => this.fail(signal.reason))
  }

  next(): Promise<Answer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.reason)
    const answer = this.#answers.shift()
    if (answer !== undefined) return Promise.resolve(answer)
    this.#timer = setTimeout(() => this.#expire(), this.#timeoutMs)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  give(answer: Answer): void {
    if (this.#waiting === undefined) this.#answers.push(answer)
    else this.#settle(({ resolve }) => resolve(answer))
  }

  fail(reason: unknown): void {
    this.#failure ??= { reason }
    this.#settle(({ reject }) => reject(reason))
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#listening?.[Symbol.dispose]()
  }

  #settle(how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    clearTimeout(this.#timer)
    if (waiting !== undefined) how(waiting)
  }

  /** It was perhaps this thread that stood still, and the answer is here already. */
  #expire(): void {
    const waiting = this.#waiting
    void setImmediate().then(() => {
      if (waiting !== undefined && this.#waiting === waiting) this.#onTimeout()
    })
  }
}
