/** The views of an agent's logs that are held in memory, least recently used out first; one look at a log at a time. */
import type { Clock } from '../../core/clock.js'
import type { Agent, EntityKey, SessionKey } from '../../core/keys.js'
import { sessionOf } from '../../core/keys.js'
import type { Slab, SlabPool } from '../slab.js'
import type { MessageEntry, StoreWork } from '../store.js'
import type { LogAdapter } from './log-adapter.js'
import type { ListedLog } from './log-pass.js'
import type { LogSessions } from './log-sessions.js'
import { entryOf, isUnchanged, type LogView, refreshView, type Viewing, viewLog } from './log-view.js'

/** Lines whose place is kept in memory, of all sessions together. */
const HELD_LINES = 400_000

/** A view with what is made of it. */
export class HeldView {
  readonly view: LogView
  readonly lines: number
  #entries: readonly MessageEntry[] | undefined

  constructor(view: LogView) {
    this.view = view
    this.lines = view.log.messages.reduce((sum, { lines }) => sum + lines.length, 0)
  }

  entries(): readonly MessageEntry[] {
    this.#entries ??= this.view.log.messages.map(entryOf)
    return this.#entries
  }
}

export interface LookOptions {
  readonly signal?: AbortSignal | undefined
  /** Read the log from its start. */
  readonly deep?: boolean | undefined
  /** Whether it is looked at on the way through all sessions; undefined: this look says nothing of that. */
  readonly passing?: boolean | undefined
  /** Lines are only listed, or opened as they are: a view without checksums will do (`LogView.texts`). */
  readonly unsummed?: boolean | undefined
  /** As `unsummed`, and the log is about to be opened as a whole: where it must be read, its bytes are kept. */
  readonly straight?: boolean | undefined
  /** What its lines are about to be opened into: it shares the bytes that were kept. */
  readonly slab?: Slab | undefined
}

/** How many messages a log had when its files were as they were. */
interface Counted extends Pick<LogView, 'files' | 'issues'> {
  readonly count: number
}

export class LogViews {
  readonly #adapter: LogAdapter
  readonly #agent: Agent
  readonly #sessions: LogSessions
  readonly #clock: Clock
  readonly #work: StoreWork
  readonly #pool: SlabPool
  readonly #views = new Map<string, HeldView>()
  readonly #counts = new Map<string, Counted>()
  /**
   * The session that is read straight through just now: its view is held until another one is begun in this way, whatever is asked meanwhile.
   * No other view keeps bytes.
   */
  #passing: string | undefined
  #held = 0
  /** The look that is under way, by session: two at once would take in what was appended twice. */
  readonly #looks = new Map<string, Promise<unknown>>()

  constructor(adapter: LogAdapter, sessions: LogSessions, clock: Clock, work: StoreWork, pool: SlabPool) {
    this.#adapter = adapter
    this.#agent = adapter.agent
    this.#sessions = sessions
    this.#clock = clock
    this.#work = work
    this.#pool = pool
  }

  viewing(signal: AbortSignal | undefined): Viewing {
    return { adapter: this.#adapter, clock: this.#clock, work: this.#work, pool: this.#pool, signal }
  }

  /** Views of one call: every read of a session is of the same one. */
  once(options?: LookOptions): (key: EntityKey) => Promise<HeldView | undefined> | HeldView | undefined {
    const seen = new Map<string, HeldView | undefined>()
    const look = async (key: SessionKey): Promise<HeldView | undefined> => {
      const view = await this.view(key, options)
      seen.set(key.session, view)
      return view
    }
    return (key) => (seen.has(key.session) ? seen.get(key.session) : look(sessionOf(key)))
  }

  /** The log as it is now; undefined for a session that was not listed. */
  view(key: SessionKey, options: LookOptions = {}): Promise<HeldView | undefined> {
    const look = (this.#looks.get(key.session) ?? Promise.resolve()).then(() => this.#look(key, options))
    const over = look
      .catch(() => undefined)
      .then(() => {
        if (this.#looks.get(key.session) === over) this.#looks.delete(key.session)
      })
    this.#looks.set(key.session, over)
    return look
  }

  /** How many messages a session has. Its view need not be held for that: that nothing happened to the log is enough. */
  async count(key: SessionKey, signal?: AbortSignal): Promise<number> {
    const counted = this.#views.has(key.session) ? undefined : this.#counts.get(key.session)
    const listed = key.agent === this.#agent ? this.#sessions.find(key.session) : undefined
    if (counted !== undefined && listed !== undefined && isUnchanged(counted, listed.session, this.viewing(signal))) return counted.count
    const held = await this.view(key, { signal, passing: true, unsummed: true })
    if (held === undefined) {
      this.#counts.delete(key.session)
      return 0
    }
    const { log, files, issues } = held.view
    this.#counts.set(key.session, { count: log.count, files, issues })
    return log.count
  }

  /** A line of it is not what was indexed, which the metadata of its file did not tell: the next look reads the log anew. */
  distrust(view: LogView): void {
    const [session, held] = [...this.#views].find(([, other]) => other.view === view) ?? []
    if (session === undefined || held === undefined) return
    this.#drop(session, held)
    letGo(view)
  }

  clear(): void {
    for (const { view } of this.#views.values()) letGo(view)
    this.#views.clear()
    this.#counts.clear()
    this.#passing = undefined
    this.#held = 0
  }

  async #look(key: SessionKey, options: LookOptions): Promise<HeldView | undefined> {
    const listed = key.agent === this.#agent ? this.#sessions.find(key.session) : undefined
    const held = this.#views.get(key.session)
    // What ends in the middle leaves nothing behind: an index that took in half of what was appended is of no use.
    if (held !== undefined) this.#drop(key.session, held)
    if (options.passing === true && held === undefined) this.#dropPassed()
    if (listed === undefined) return undefined
    const view = await this.#viewNow(held?.view, listed, options)
    const kept = held?.view === view ? held : new HeldView(view)
    if (held !== undefined && held !== kept) letGo(held.view)
    for (const text of view.texts ?? []) if (text !== undefined) options.slab?.share(text)
    this.#views.set(key.session, kept)
    this.#held += kept.lines
    if (view.texts !== undefined || (options.passing === true && held === undefined)) this.#pass(key.session)
    else if (options.passing === false && this.#passing === key.session) this.#passing = undefined
    this.#dropOldest(key.session)
    return kept
  }

  async #viewNow(held: LogView | undefined, { session, key }: ListedLog, options: LookOptions): Promise<LogView> {
    const { signal, deep, straight, unsummed = straight } = options
    const viewing = { ...this.viewing(signal), straight }
    // A new pass does not go by kept bytes: a write that the file's metadata do not tell would stay unseen.
    if (held === undefined || (held.texts !== undefined && (straight === true || unsummed !== true))) return viewLog(session, key, viewing)
    return refreshView(held, session, key, viewing, deep)
  }

  /** Looks at other sessions may have ended meanwhile: of all that keep bytes one view is held. */
  #pass(session: string): void {
    if (this.#passing !== session) this.#dropPassed()
    this.#passing = session
  }

  #dropPassed(): void {
    const name = this.#passing
    const passed = name === undefined ? undefined : this.#views.get(name)
    this.#passing = undefined
    if (name === undefined || passed === undefined) return
    this.#drop(name, passed)
    letGo(passed.view)
  }

  #dropOldest(newest: string): void {
    for (const [name, other] of this.#views) {
      if (this.#held <= HELD_LINES || name === newest) break
      this.#drop(name, other)
      letGo(other.view)
    }
  }

  #drop(session: string, { lines }: HeldView): void {
    this.#views.delete(session)
    this.#held -= lines
  }
}

/** Slabs that share the bytes go on holding them. */
function letGo({ texts }: LogView): void {
  for (const text of texts ?? []) text?.letGo()
}
