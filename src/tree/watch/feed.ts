/**
 * What changed and was not told yet, one entry for each session, however much happens to it and however long the caller takes.
 * An entry is due once its session is quiet for a while, or has been waiting for the longest that it may.
 */
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { SessionChanges } from '../sessions/sessions.js'

export type ChangeKind = 'added' | 'changed' | 'removed'

export interface SessionChange {
  readonly session: SessionKey
  readonly kind: ChangeKind
  /** When it was found, in ticks of the set of sessions (`sessions.dirty.clock`): later changes have higher ones. */
  readonly generation: number
}

export interface FeedOptions {
  /** Milliseconds. */
  readonly quietMs: number
  readonly maxDelayMs: number
}

interface Pending {
  readonly change: SessionChange
  readonly first: number
  readonly last: number
}

export class ChangeFeed {
  readonly #options: FeedOptions
  /** By encoded key, the session that waits longest first. */
  readonly #pending = new Map<string, Pending>()

  constructor(options: FeedOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#pending.size
  }

  /** @param now Monotonic milliseconds. */
  add(changes: Pick<SessionChanges, ChangeKind>, generation: number, now: number): void {
    for (const kind of ['added', 'changed', 'removed'] as const) for (const session of changes[kind]) this.#put({ session, kind, generation }, now)
  }

  /** The change that waits longest of those that are due. */
  take(now: number): SessionChange | undefined {
    for (const [name, { change, first, last }] of this.#pending) {
      if (this.#dueAt(first, last) > now) continue
      this.#pending.delete(name)
      return change
    }
    return undefined
  }

  /** When the next change is due; Infinity for none. */
  dueAt(): number {
    let due = Number.POSITIVE_INFINITY
    for (const { first, last } of this.#pending.values()) due = Math.min(due, this.#dueAt(first, last))
    return due
  }

  #put(change: SessionChange, now: number): void {
    const name = encodeKey(change.session)
    const held = this.#pending.get(name)
    const kind = held === undefined ? change.kind : bothOf(held.change.kind, change.kind)
    if (kind === undefined) this.#pending.delete(name)
    else this.#pending.set(name, { change: { ...change, kind }, first: held?.first ?? now, last: now })
  }

  #dueAt(first: number, last: number): number {
    return Math.min(last + this.#options.quietMs, first + this.#options.maxDelayMs)
  }
}

/** What two changes are to somebody who was told neither; undefined: nothing. */
export function bothOf(before: ChangeKind, then: ChangeKind): ChangeKind | undefined {
  if (before === 'added') return then === 'removed' ? undefined : 'added'
  if (before === 'removed') return then === 'removed' ? 'removed' : 'changed'
  return then === 'removed' ? 'removed' : 'changed'
}
