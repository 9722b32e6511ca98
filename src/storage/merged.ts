/** Many stores, one view: each session once, from the copy that is worth most (`precedence.ts`). */
import { encodeKey } from '../core/keys.js'
import type { SessionRecord } from '../core/records.js'
import type { StageIssue } from '../core/stage.js'
import { byPrecedence, chooseCopies, type SessionCopy } from './precedence.js'
import type { Listing, SessionEntry, Store } from './store.js'
import { inTurns, type Turns } from './turns.js'

export type { SessionCopy } from './precedence.js'

export interface StoreListing {
  readonly store: Store
  readonly listing: Listing<SessionEntry>
}

/** A session and the copy it is read from. */
export interface MergedSession extends SessionCopy {
  /** The entry's own record; where that is damaged, a lower copy's, or one rebuilt from the messages. */
  readonly record: SessionRecord | undefined
  /** Other copies, which this one hides, in order of precedence. */
  readonly hidden: readonly SessionCopy[]
}

/** By encoded key. */
export type MergedSessions = ReadonlyMap<string, MergedSession>

export interface Merge {
  readonly sessions: MergedSessions
  /** Stores that could not be asked which copy is newer. */
  readonly issues: readonly StageIssue[]
}

/**
 * Asks nothing of sessions that stand in one store alone, and opens messages of those alone whose lower copy seems newer. `previous` is the
 * merge before this one: of a session whose copies are the same objects its choice stays, and the same object is given back.
 */
export async function mergeSessions(listings: readonly StoreListing[], turns: Turns, previous: Merge = NOTHING): Promise<Merge> {
  const copies = await copiesByName(listings, turns)
  // A store that could not be asked is asked again.
  const isSettled = previous.issues.length === 0
  const settled = new Map<string, MergedSession>()
  const contests: (readonly SessionCopy[])[] = []
  await inTurns(copies, turns, ([name, list]) => {
    const before = previous.sessions.get(name)
    if (before !== undefined && isSame(before, list) && (list.length === 1 || (isSettled && areVersioned(list)))) settled.set(name, before)
    else if (list.length > 1) contests.push(list)
  })
  const { chosen, issues } = await chooseCopies(contests, ({ entry: { key } }) => previous.sessions.get(encodeKey(key))?.store, turns)
  const sessions = new Map<string, MergedSession>()
  await inTurns(copies, turns, ([name, list]) => {
    const kept = settled.get(name)
    const shown = kept ?? chosen.get(list) ?? list[0]
    if (shown === undefined) return
    const hidden = list.length === 1 ? NONE : list.filter((copy) => copy !== shown)
    sessions.set(name, kept ?? { store: shown.store, entry: shown.entry, record: shown.entry.record, hidden })
  })
  return { sessions, issues }
}

function isSame({ store, entry, hidden }: MergedSession, list: readonly SessionCopy[]): boolean {
  const copies = [{ store, entry }, ...hidden]
  return copies.length === list.length && list.every((copy) => copies.some((one) => one.store === copy.store && one.entry === copy.entry))
}

/** Then the entry would be another one if its messages were. */
function areVersioned(list: readonly SessionCopy[]): boolean {
  return list.every(({ entry }) => entry.version !== undefined)
}

const NOTHING: Merge = { sessions: new Map(), issues: [] }

const NONE: readonly SessionCopy[] = []

/** The copies of each session, in order of precedence. */
async function copiesByName(listings: readonly StoreListing[], turns: Turns): Promise<ReadonlyMap<string, readonly SessionCopy[]>> {
  const copies = new Map<string, SessionCopy[]>()
  for (const { store, listing } of [...listings].sort((a, b) => byPrecedence(a.store, b.store))) {
    await inTurns(listing.entries, turns, (entry) => {
      const name = encodeKey(entry.key)
      const others = copies.get(name)
      if (others === undefined) copies.set(name, [{ store, entry }])
      else others.push({ store, entry })
    })
  }
  return copies
}
