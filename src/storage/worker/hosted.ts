/** A store in the worker, with the lists that calls go on from. */
import type { MessageEntry, SessionEntry, Store } from '../store.js'
import { applyDelta } from './delta-list.js'
import type { HoldArgs, StoreState } from './protocol.js'

/** Entries of messages that are held, of all lists together. */
const MESSAGES = 100_000

export class Hosted {
  readonly store: Store
  readonly id: number
  /** Calls go on from the last listing of sessions, or from one that was brought. */
  #sessions: { readonly list: number; readonly entries: readonly SessionEntry[] } | undefined
  #coming: { readonly base: readonly SessionEntry[]; readonly from: Int32Array | undefined; readonly fresh: SessionEntry[] } | undefined
  /** The last used stand last. */
  readonly #messages = new Map<number, readonly MessageEntry[]>()
  #held = 0
  #lists = 0

  constructor(store: Store, id: number) {
    this.store = store
    this.id = id
  }

  get state(): StoreState {
    const { agent, kind, format, path, supports, stamp, tail } = this.store
    return { id: this.id, agent, kind, format, path, supports, stamp: stamp !== undefined, tail: tail !== undefined }
  }

  sessionsOf(list: number): readonly SessionEntry[] | undefined {
    return this.#sessions?.list === list ? this.#sessions.entries : undefined
  }

  holdSessions(entries: readonly SessionEntry[]): number {
    this.#sessions = { list: ++this.#lists, entries }
    return this.#lists
  }

  /** Pieces of a list; its number after the last one. Undefined also where the list that it is told by is not held. */
  bring({ base, from, fresh, last }: HoldArgs): number | undefined {
    if (base !== undefined) {
      const entries = base === 0 ? [] : this.sessionsOf(base)
      this.#coming = entries && { base: entries, from, fresh: [] }
    }
    const coming = this.#coming
    if (coming === undefined) return undefined
    coming.fresh.push(...fresh)
    if (!last) return undefined
    this.#coming = undefined
    return this.holdSessions(applyDelta(coming, coming.base))
  }

  messagesOf(list: number | undefined): readonly MessageEntry[] | undefined {
    const entries = list === undefined ? undefined : this.#messages.get(list)
    if (list === undefined || entries === undefined) return undefined
    this.#messages.delete(list)
    this.#messages.set(list, entries)
    return entries
  }

  /** In the place of the list that it followed. */
  holdMessages(entries: readonly MessageEntry[], before: number | undefined): number {
    if (before !== undefined) this.#letGo(before)
    this.#messages.set(++this.#lists, entries)
    this.#held += entries.length
    for (const list of this.#messages.keys()) {
      if (this.#held <= MESSAGES || list === this.#lists) break
      this.#letGo(list)
    }
    return this.#lists
  }

  #letGo(list: number): void {
    this.#held -= this.#messages.get(list)?.length ?? 0
    this.#messages.delete(list)
  }
}
