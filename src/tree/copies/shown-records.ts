/**
 * The record that stands for each session in the index: its own; where that is damaged, the first intact one of its copies,
 * else one rebuilt from its messages; where its own tells no folder, the same with what its messages tell.
 */
import type { Clock } from '../../core/clock.js'
import { groupBy } from '../../core/collections.js'
import { StorageError } from '../../core/errors.js'
import type { SessionRecord } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import type { MergedSession, MergedSessions } from '../../storage/merged.js'
import { inTurns, type Turns } from '../../storage/turns.js'
import { fromCopy, rebuiltInstead } from './mend.js'
import { rebuildRecord } from './rebuild.js'

interface Found {
  /** Of the session's own record. */
  readonly version: string
  /** The newest message. */
  readonly end: string | undefined
  readonly record: SessionRecord | undefined
}

interface Rebuilt extends Found {
  /** What was asked for it, and what was given. */
  readonly of: MergedSession
  readonly shown: MergedSession
}

/** Keeps what it rebuilt: messages of a session that did not change are not opened again. */
export class ShownRecords {
  readonly #clock: Clock
  readonly #others = new WeakMap<MergedSession, MergedSession>()
  #rebuilt: ReadonlyMap<string, Rebuilt> = new Map()
  /** False while something is missing that may be read at the next try, although nothing is written to the sessions. */
  isSettled = true

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The sessions with the records that stand for them, and the damage of every session record that was listed. */
  async complete(sessions: MergedSessions, turns: Turns): Promise<{ readonly sessions: MergedSessions; readonly issues: readonly StageIssue[] }> {
    const shown = new Map<string, MergedSession>()
    const issues: StageIssue[] = []
    const poor: Named[] = []
    this.isSettled = true
    await inTurns(sessions, turns, ([name, session]) => {
      const { entry, hidden } = session
      for (const copy of hidden) if (copy.entry.damage !== undefined) issues.push(copy.entry.damage)
      const other = entry.record === undefined ? hidden.find((copy) => copy.entry.record !== undefined) : undefined
      shown.set(name, other === undefined ? session : this.#fromOther(session, other.entry.record))
      if (other === undefined && (entry.record === undefined || entry.record.directory === '')) poor.push({ name, session })
      if (other !== undefined && entry.damage !== undefined) issues.push(fromCopy(entry.damage, other.store))
    })
    if (poor.length > 0 || this.#rebuilt.size > 0) await this.#rebuild(poor, shown, issues)
    return { sessions: shown, issues }
  }

  /** The same object for the same session. */
  #fromOther(session: MergedSession, record: SessionRecord | undefined): MergedSession {
    const held = this.#others.get(session)
    if (held?.record === record && held !== undefined) return held
    const given = { ...session, record }
    this.#others.set(session, given)
    return given
  }

  async #rebuild(poor: readonly Named[], shown: Map<string, MergedSession>, issues: StageIssue[]): Promise<void> {
    const rebuilt = new Map<string, Rebuilt>()
    const ends = await endsOf(poor.filter(({ name, session }) => !isFinal(session, this.#rebuilt.get(name))))
    for (const { name, session } of poor) {
      const held = this.#rebuilt.get(name)
      const end = ends.get(name) ?? held?.end
      const isCurrent = isFinal(session, held) || (held?.version === versionOf(session) && held.end === end)
      const found = isCurrent ? held : ((await this.#attempt(session, end)) ?? held)
      const { damage } = session.entry
      if (damage !== undefined) issues.push(found?.record === undefined ? damage : rebuiltInstead(damage))
      const given = held !== undefined && held === found && isSame(held.of, session) ? held.shown : shownAs(session, found?.record)
      // What could not be read is tried again.
      const isTold = isCurrent || found !== held
      if (!isTold || found === undefined || session.entry.version === undefined) this.isSettled = false
      if (found !== undefined) rebuilt.set(name, { ...found, of: isTold || held === undefined ? session : held.of, shown: given })
      shown.set(name, given)
    }
    this.#rebuilt = rebuilt
  }

  /** Undefined when the messages cannot be read at the moment. */
  async #attempt(session: MergedSession, end: string | undefined): Promise<Found | undefined> {
    try {
      return { version: versionOf(session), end, record: await rebuildRecord(session, this.#clock) }
    } catch (error) {
      if (error instanceof StorageError) return undefined
      throw error
    }
  }
}

interface Named {
  readonly name: string
  readonly session: MergedSession
}

function versionOf({ store, entry }: MergedSession): string {
  return `${store.kind} ${store.path} ${entry.generation}`
}

/** What was found out earlier may be of a record that has changed since: of that only the folder is taken. */
function shownAs(session: MergedSession, found: SessionRecord | undefined): MergedSession {
  const { record } = session.entry
  return { ...session, record: record === undefined ? found : { ...record, directory: found?.directory ?? '' } }
}

/** No later message tells more of this version of the session: its record is intact, and the folder is known; or nothing was written to it. */
function isFinal(session: MergedSession, held: Rebuilt | undefined): boolean {
  if (held?.version !== versionOf(session)) return false
  if (session.entry.version !== undefined && held.of.entry === session.entry) return true
  return session.entry.record !== undefined && (held.record?.directory ?? '') !== ''
}

function isSame(a: MergedSession, b: MergedSession): boolean {
  if (a === b) return true
  if (a.store !== b.store || a.entry !== b.entry || a.hidden.length !== b.hidden.length) return false
  return a.hidden.every((copy, at) => copy.store === b.hidden[at]?.store && copy.entry === b.hidden[at]?.entry)
}

/** The newest messages: they move what a damaged record is rebuilt to, and may name the folder that none named so far. */
async function endsOf(sessions: readonly Named[]): Promise<ReadonlyMap<string, string>> {
  const ends = new Map<string, string>()
  for (const [store, group] of groupBy(sessions, ({ session }) => session.store)) {
    try {
      const newest = await store.newest(group.map(({ session }) => session.entry.key))
      for (const [at, { name }] of group.entries()) ends.set(name, newest.entries[at]?.id ?? '')
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }
  return ends
}
