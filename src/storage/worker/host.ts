/**
 * The side of the worker thread: takes calls, runs them on the real stores, and answers page by page.
 *
 * A short call runs when it arrives. A long one waits for its turn before each page, and one page of one long call is made per
 * turn of the loop; so a call that arrives waits for one page at most.
 */
import type { MessagePort } from 'node:worker_threads'
import { StorageError } from '../../core/errors.js'
import { SlabPool } from '../slab.js'
import type { Store } from '../store.js'
import type { StoreSource } from '../store-source.js'
import { Hosted } from './hosted.js'
import { Lane } from './lane.js'
import { METHODS, type Reply } from './methods.js'
import { type Answer, type Message, type SourceState, WINDOW, type WorkNumbers } from './protocol.js'
import { toWire } from './wire-error.js'

/** Answers the messages of a port until it is closed. */
export function serveStores(port: MessagePort, source: StoreSource): void {
  const host = new Host(port, source)
  port.on('message', (message: Message) => host.take(message))
}

interface Running {
  readonly controller: AbortController
  /** Pages that may be sent. */
  room: number
  /** Called when there is room again. */
  wake: (() => void) | undefined
}

type Call = Extract<Message, { readonly call: number }>

class Host {
  readonly #port: MessagePort
  readonly #source: StoreSource
  readonly #lane = new Lane()
  readonly #running = new Map<number, Running>()
  readonly #pool = new SlabPool()
  /** Those of the last refresh, and those that it let go: they may still be read from. */
  #hosted: readonly Hosted[] = []
  #current: readonly Hosted[] = []
  #ids = 0

  constructor(port: MessagePort, source: StoreSource) {
    this.#port = port
    this.#source = source
  }

  take(message: Message): void {
    if ('more' in message) this.#giveRoom(message.more)
    else if ('cancel' in message) this.#cancel(message.cancel)
    else void this.#run(message)
  }

  #giveRoom(call: number): void {
    const running = this.#running.get(call)
    if (running === undefined) return
    running.room++
    running.wake?.()
  }

  #cancel(call: number): void {
    const running = this.#running.get(call)
    running?.controller.abort()
    running?.wake?.()
  }

  async #run({ call, method, store, args, long }: Call): Promise<void> {
    const running: Running = { controller: new AbortController(), room: WINDOW, wake: undefined }
    this.#running.set(call, running)
    const { signal } = running.controller
    const hosted = this.#hosted.find(({ id }) => id === store)
    try {
      const pages = this.#pages({ method, store, args }, hosted, signal)
      for (;;) {
        if (long) await this.#lane.turn()
        if (signal.aborted) return void (await pages.return(NO_REPLY))
        const { value, done = false } = await pages.next()
        this.#answer({ call, last: done, page: value.page, work: hosted && workOf(hosted.store) }, value.transfer)
        if (done) return
        running.room--
        if (running.room === 0 && !signal.aborted) await this.#room(running)
      }
    } catch (error) {
      this.#answer({ call, last: true, error: toWire(error), work: hosted && workOf(hosted.store) })
    } finally {
      this.#running.delete(call)
    }
  }

  #room(running: Running): Promise<void> {
    return new Promise((resolve) => {
      running.wake = resolve
    })
  }

  #pages({ method, store, args }: Pick<Call, 'method' | 'store' | 'args'>, hosted: Hosted | undefined, signal: AbortSignal): Pages {
    if (method === 'refresh') return single(() => this.#refresh(signal))
    if (method === 'found') return single(async () => (await this.#source.found?.()) ?? '')
    if (method === 'close') return single(async () => this.#source[Symbol.asyncDispose]())
    if (hosted !== undefined) return METHODS[method](hosted, args as never, { signal, pool: this.#pool })
    throw new StorageError('STORE_NOT_READY', { reason: `the worker has no store ${store} any more` })
  }

  async #refresh(signal: AbortSignal): Promise<SourceState> {
    await this.#source.refresh({ signal })
    const before = this.#current
    this.#current = this.#source.stores.map((store) => before.find((held) => held.store === store) ?? new Hosted(store, ++this.#ids))
    this.#hosted = [...new Set([...this.#current, ...before])]
    return { stores: this.#current.map(({ state }) => state), issues: this.#source.issues }
  }

  #answer(answer: Answer, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(answer, transfer)
  }
}

type Pages = AsyncGenerator<Reply<unknown>, Reply<unknown>>

const NO_REPLY: Reply<unknown> = { page: undefined }

// biome-ignore lint/correctness/useYield: a generator that ends with its only page
async function* single(page: () => Promise<unknown>): Pages {
  return { page: await page() }
}

function workOf({ work: { files, rows, bytes, stats } }: Store): WorkNumbers {
  return [files, rows, bytes, stats]
}
