/** The calls of one store: which one that is in the worker of the moment, and what it did in all of them. */
import { StorageError } from '../../core/errors.js'
import type { StoreWork } from '../store.js'
import type { CallOptions, WorkerLink } from './link.js'
import type { Calls, Method, WorkNumbers } from './protocol.js'

export class StoreCalls {
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly #link: WorkerLink
  readonly #path: string
  #remote: { readonly id: number; readonly incarnation: number } | undefined
  /** Of the work of this worker what is in `work` already. */
  #counted: WorkNumbers = [0, 0, 0, 0]
  /** The worker that listed the sessions last: another one knows of none until it did. */
  #listedIn: number | undefined
  #priming: { readonly incarnation: number; readonly done: Promise<unknown> } | undefined

  constructor(link: WorkerLink, path: string) {
    this.#link = link
    this.#path = path
  }

  get incarnation(): number {
    return this.#link.incarnation
  }

  /** The store in the worker that runs now. */
  get id(): number | undefined {
    return this.#remote?.incarnation === this.#link.incarnation ? this.#remote.id : undefined
  }

  bind(id: number): void {
    this.#remote = { id, incarnation: this.#link.incarnation }
    this.#counted = [0, 0, 0, 0]
  }

  ready(): Promise<boolean> {
    return this.#link.ready()
  }

  async *pages<M extends Method>(method: M, args: Calls[M]['args'], options: CallOptions = {}): AsyncGenerator<Calls[M]['page']> {
    options.signal?.throwIfAborted()
    await this.#link.ready()
    if (method !== 'sessions' && method !== 'hold') await this.#prime()
    yield* this.#link.pages(method, args, { ...options, ...this.#target() })
    if (method === 'sessions') this.#listedIn = this.incarnation
  }

  async one<M extends Method>(method: M, args: Calls[M]['args'], options: CallOptions = {}): Promise<Calls[M]['page']> {
    for await (const page of this.pages(method, args, options)) return page
    throw new RangeError(`no page answers ${method}`)
  }

  /** An answer was found out to be wrong: the worker is let go. */
  distrust(method: Method): StorageError {
    return this.#link.distrust(method)
  }

  #target(): Required<Pick<CallOptions, 'store' | 'onWork'>> {
    const { id: store, incarnation } = this
    if (store === undefined)
      throw new StorageError('STORE_NOT_READY', { reason: 'the store was let go: it was replaced or is gone', path: this.#path })
    const onWork = (work: WorkNumbers): void => {
      if (this.incarnation === incarnation) this.#count(work)
    }
    return { store, onWork }
  }

  async #prime(): Promise<void> {
    const { incarnation } = this
    if (this.#listedIn === undefined || this.#listedIn === incarnation) return
    if (this.#priming?.incarnation !== incarnation) this.#priming = { incarnation, done: this.#link.one('prime', undefined, this.#target()) }
    try {
      await this.#priming.done
      this.#listedIn = incarnation
    } finally {
      this.#priming = undefined
    }
  }

  #count(now: WorkNumbers): void {
    const [files, rows, bytes, stats] = now.map((count, at) => count - (this.#counted[at] ?? 0))
    this.work.files += files ?? 0
    this.work.rows += rows ?? 0
    this.work.bytes += bytes ?? 0
    this.work.stats += stats ?? 0
    this.#counted = now
  }
}
