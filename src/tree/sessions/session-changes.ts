/** What one look at the stores shows that the look before did not, and what it cost. */
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { MergedSession, MergedSessions, SessionCopy } from '../../storage/merged.js'
import { isSameStore } from '../../storage/precedence.js'
import type { SessionEntry, Store, StoreWork } from '../../storage/store.js'
import type { RefreshReport, SessionChanges } from './sessions.js'

/** Holds each look against what was told of those before it, so that every change is told once. */
export class ChangeTeller {
  #shown: MergedSessions = new Map()
  /** Sessions that were told of and are not listed, of stores that could not be listed whole since: nobody knows that they are gone. */
  readonly #away = new Map<string, MergedSession>()

  /** `whole`: the stores of which this look has everything. Sessions that are the same object did not change. */
  changes(now: MergedSessions, whole: readonly Store[]): Omit<SessionChanges, 'report'> {
    const added: SessionKey[] = []
    const changed: SessionKey[] = []
    const removed: SessionKey[] = []
    let back = 0
    for (const [name, session] of now) {
      const held = this.#shown.get(name) ?? this.#away.get(name)
      if (this.#away.delete(name)) back++
      if (held === undefined) added.push(session.entry.key)
      else if (held !== session && differs(held, session)) changed.push(session.entry.key)
    }
    if (now.size !== this.#shown.size + added.length + back) {
      for (const [name, session] of this.#shown) if (!now.has(name)) this.#away.set(name, session)
    }
    for (const [name, session] of this.#away) {
      if (![session, ...session.hidden].every((copy) => whole.some((store) => isSameStore(store, copy.store)))) continue
      this.#away.delete(name)
      removed.push(session.entry.key)
    }
    this.#shown = now
    return { added, changed, removed }
  }

  /** Of the first look: against what an earlier process listed, by the store that listed it. */
  changesSince(before: ReadonlyMap<Store, readonly SessionEntry[]>, now: MergedSessions, whole: readonly Store[]): Omit<SessionChanges, 'report'> {
    const held = new Map<string, SessionCopy[]>()
    for (const [store, entries] of before) {
      for (const entry of entries) {
        const name = encodeKey(entry.key)
        const copies = held.get(name)
        if (copies === undefined) held.set(name, [{ store, entry }])
        else copies.push({ store, entry })
      }
    }
    const added: SessionKey[] = []
    const changed: SessionKey[] = []
    const removed: SessionKey[] = []
    for (const [name, session] of now) {
      const copies = held.get(name)
      if (copies === undefined) added.push(session.entry.key)
      else if (!isSameCopies(copies, [session, ...session.hidden])) changed.push(session.entry.key)
    }
    for (const [name, copies] of held) {
      const [copy] = copies
      if (copy !== undefined && !now.has(name) && copies.every(({ store }) => whole.includes(store))) removed.push(copy.entry.key)
    }
    this.#shown = now
    return { added, changed, removed }
  }
}

function isSameCopies(before: readonly SessionCopy[], now: readonly SessionCopy[]): boolean {
  if (before.length !== now.length) return false
  return now.every((copy) => before.some((held) => held.store === copy.store && !isOther(held, copy)))
}

function differs(a: MergedSession, b: MergedSession): boolean {
  if (isOther(a, b) || a.hidden.length !== b.hidden.length) return true
  if (a.hidden.some((copy, at) => isOther(copy, b.hidden[at] as SessionCopy))) return true
  return a.record !== b.record && JSON.stringify(a.record) !== JSON.stringify(b.record)
}

/** A store that was opened anew is another one: what stands at its path was replaced. */
function isOther(a: SessionCopy, b: SessionCopy): boolean {
  const [one, other] = [a.entry, b.entry]
  return a.store !== b.store || (one !== other && (one.generation !== other.generation || one.version !== other.version || one.path !== other.path))
}

const KINDS = ['files', 'rows', 'bytes', 'stats'] as const

/** What stores have done so far; those that are opened later start at nothing. */
export function workSoFar(stores: readonly Store[]): ReadonlyMap<Store, StoreWork> {
  return new Map(stores.map((store) => [store, { ...store.work }]))
}

export function reportOf(
  stores: readonly Store[],
  before: ReadonlyMap<Store, StoreWork>,
  { durationMs, sessions }: Pick<RefreshReport, 'durationMs' | 'sessions'>,
): RefreshReport {
  const work = { files: 0, rows: 0, bytes: 0, stats: 0 }
  for (const store of stores) for (const kind of KINDS) work[kind] += store.work[kind] - (before.get(store)?.[kind] ?? 0)
  return { durationMs, stores: stores.length, sessions, ...work }
}
