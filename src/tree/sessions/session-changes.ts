/** What one look at the stores shows that the look before did not, and what it cost. */
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { Merge, MergedSession, MergedSessions, SessionCopy } from '../../storage/merged.js'
import type { SessionEntry, Store, StoreWork } from '../../storage/store.js'
import { inTurns, type Turns } from '../../storage/turns.js'
import type { ShownRecords } from '../copies/shown-records.js'
import type { RefreshReport, SessionChanges } from './sessions.js'

type Changes = Omit<SessionChanges, 'report'>

export const NO_CHANGES: Changes = { added: [], changed: [], removed: [] }

/** A look that is about to be taken. */
export interface Taking {
  /** Which look it is, and the tick of the dirty paths when it began. */
  readonly turn: number
  readonly tick: number
  readonly report: () => RefreshReport
  /** Somebody asked for what changed. */
  readonly isTold: boolean
  readonly signal: AbortSignal
}

/** What a look ended with. */
export interface Taken {
  readonly merge: Merge
  readonly shown: Awaited<ReturnType<ShownRecords['complete']>>
  /** Nothing is left to be asked again. */
  readonly isSettled: boolean
}

/** What a look found, and what the next one is held against once this one is taken. */
export interface Told {
  readonly changes: Changes
  readonly shown: MergedSessions
  readonly away: MergedSessions
}

export interface LookOptions {
  /** Nobody knows what the store holds now. */
  readonly isUnsure: (store: Store) => boolean
  readonly turns: Turns
}

const NONE: MergedSessions = new Map()

/** Holds each look against what was told of those before it, so that every change is told once. */
export class ChangeTeller {
  #shown: MergedSessions = NONE
  /** Sessions that were told of and are not listed, of stores that are unsure: nobody knows that they are gone. */
  #away: MergedSessions = NONE

  /** Sessions that are the same object did not change. */
  async changes(now: MergedSessions, { isUnsure, turns }: LookOptions): Promise<Told> {
    const added: SessionKey[] = []
    const changed: SessionKey[] = []
    const removed: SessionKey[] = []
    let kept = 0
    if (now !== this.#shown) {
      await inTurns(now, turns, ([name, session]) => {
        const shown = this.#shown.get(name)
        if (shown !== undefined) kept++
        const held = shown ?? this.#away.get(name)
        if (held === undefined) added.push(session.entry.key)
        else if (held !== session && differs(held, session)) changed.push(session.entry.key)
      })
    }
    const away = new Map<string, MergedSession>()
    const miss = ([name, session]: readonly [string, MergedSession]): void => {
      if (now.has(name)) return
      if ([session, ...session.hidden].some(({ store }) => isUnsure(store))) away.set(name, session)
      else removed.push(session.entry.key)
    }
    if (now !== this.#shown && kept < this.#shown.size) await inTurns(this.#shown, turns, miss)
    await inTurns(this.#away, turns, miss)
    return { changes: { added, changed, removed }, shown: now, away }
  }

  /** Of the first look: against what an earlier process listed, by the store that listed it. */
  async changesSince(before: ReadonlyMap<Store, readonly SessionEntry[]>, now: MergedSessions, { isUnsure, turns }: LookOptions): Promise<Told> {
    const held = new Map<string, SessionCopy[]>()
    for (const [store, entries] of before) {
      await inTurns(entries, turns, (entry) => {
        const name = encodeKey(entry.key)
        const copies = held.get(name)
        if (copies === undefined) held.set(name, [{ store, entry }])
        else copies.push({ store, entry })
      })
    }
    const added: SessionKey[] = []
    const changed: SessionKey[] = []
    const removed: SessionKey[] = []
    await inTurns(now, turns, ([name, session]) => {
      const copies = held.get(name)
      if (copies === undefined) added.push(session.entry.key)
      else if (!isSameCopies(copies, [session, ...session.hidden])) changed.push(session.entry.key)
    })
    const away = new Map<string, MergedSession>()
    await inTurns(held, turns, ([name, copies]) => {
      const [copy, ...hidden] = copies
      if (copy === undefined || now.has(name)) return
      if (copies.some(({ store }) => isUnsure(store))) away.set(name, { ...copy, record: copy.entry.record, hidden })
      else removed.push(copy.entry.key)
    })
    return { changes: { added, changed, removed }, shown: now, away }
  }

  keep({ shown, away }: Told): void {
    this.#shown = shown
    this.#away = away
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

type Change = keyof Changes

/** What a change is together with the one that follows it; nothing where they leave all as it was. */
const TOGETHER: Readonly<Record<Change, Readonly<Record<Change, Change | undefined>>>> = {
  added: { added: 'added', changed: 'added', removed: undefined },
  changed: { added: 'changed', changed: 'changed', removed: 'removed' },
  removed: { added: 'changed', changed: 'changed', removed: 'removed' },
}

/** Changes that no refresh has told anybody. */
export class Untold {
  readonly #changes = new Map<string, { readonly key: SessionKey; readonly change: Change }>()

  keep(changes: SessionChanges): SessionChanges {
    for (const change of ['added', 'changed', 'removed'] as const) {
      for (const key of changes[change]) {
        const name = encodeKey(key)
        const before = this.#changes.get(name)
        const both = before === undefined ? change : TOGETHER[before.change][change]
        if (both === undefined) this.#changes.delete(name)
        else this.#changes.set(name, { key, change: both })
      }
    }
    return changes
  }

  /** They are told with these. */
  with(changes: SessionChanges): SessionChanges {
    if (this.#changes.size === 0) return changes
    this.keep(changes)
    const all = [...this.#changes.values()]
    this.#changes.clear()
    const keys = (wanted: Change): readonly SessionKey[] => all.flatMap(({ key, change }) => (change === wanted ? [key] : []))
    return { added: keys('added'), changed: keys('changed'), removed: keys('removed'), report: changes.report }
  }
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
