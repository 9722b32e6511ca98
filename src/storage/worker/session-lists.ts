/** Listings of sessions through a worker: both threads hold the last one, and only what changed crosses. */
import { StorageError } from '../../core/errors.js'
import type { Listing, ListOptions, SessionEntry } from '../store.js'
import { applyDelta, type Delta, deltaOf, fits } from './delta-list.js'
import { PAGE, type SessionsArgs, type SessionsPage, sessionIds } from './protocol.js'
import type { StoreCalls } from './store-calls.js'

interface HeldList {
  readonly entries: readonly SessionEntry[]
  /** The number of the list in the worker, and which worker that is. */
  readonly list: number
  readonly incarnation: number
}

export class SessionLists {
  readonly #calls: StoreCalls
  #held: HeldList | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(calls: StoreCalls) {
    this.#calls = calls
  }

  /** One after the other: each goes on from the list that the one before left in the worker. */
  list(options: ListOptions): Promise<Listing<SessionEntry>> {
    const turn = this.#turn.then(async () => {
      // Only a worker that was replaced in between has not the list that it was just told of.
      for (let attempt = 0; attempt < 2; attempt++) {
        const base = options.before && (await this.#bring(options.before.entries, options.signal))
        const listing = await this.#ask(options, base)
        if (listing !== undefined) return listing
        this.#held = undefined
      }
      throw new StorageError('WORKER_LOST', { reason: 'the worker thread was lost: it was replaced while sessions were listed' })
    })
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Undefined when the worker has not the list that the call goes on from. */
  async #ask({ before: given, only, hot, dirty, deep, signal }: ListOptions, base: number | undefined): Promise<Listing<SessionEntry> | undefined> {
    const before = base === undefined ? [] : (given?.entries ?? [])
    const args: SessionsArgs = {
      before: base === undefined ? undefined : { list: base, mark: given?.mark },
      only: only && sessionIds(only),
      hot: hot && before.flatMap(({ key }) => (hot(key) ? [key.session] : [])),
      dirty,
      deep,
    }
    const delta: { from: Int32Array | undefined; fresh: SessionEntry[] } = { from: undefined, fresh: [] }
    let end: SessionsPage['end']
    for await (const page of this.#calls.pages('sessions', args, { signal })) {
      if (page.lost === true) return undefined
      delta.from ??= page.from
      delta.fresh.push(...page.fresh)
      end = page.end
    }
    if (end === undefined || !fits(delta, before)) throw this.#calls.distrust('sessions')
    const { issues, complete, mark, list } = end
    const entries = applyDelta(delta, before)
    this.#held = { entries, list, incarnation: this.#calls.incarnation }
    return { entries, issues, complete, ...(mark !== undefined && { mark }) }
  }

  /** Makes sure that the worker holds these entries, and gives the number of the list there. */
  async #bring(entries: readonly SessionEntry[], signal: AbortSignal | undefined): Promise<number | undefined> {
    await this.#calls.ready()
    const held = this.#held?.incarnation === this.#calls.incarnation ? this.#held : undefined
    if (held?.entries === entries) return held.list
    const delta: Delta<SessionEntry> = deltaOf(entries, held?.entries ?? [])
    if (held !== undefined && delta.from === undefined) return held.list
    let list: number | undefined
    for (let from = 0; ; from += PAGE.sessions) {
      const last = from + PAGE.sessions >= delta.fresh.length
      const piece = { last, fresh: delta.fresh.slice(from, from + PAGE.sessions), ...(from === 0 && { base: held?.list ?? 0, from: delta.from }) }
      list = await this.#calls.one('hold', piece, { signal })
      if (last) return list
    }
  }
}
