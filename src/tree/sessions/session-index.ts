/**
 * The index over the merged stores: session metadata in memory, messages listed when first needed.
 * Building it opens nothing: it takes the sessions as they were listed and merged.
 */
import { groupBy } from '../../core/collections.js'
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { encodeKey, type MessageKey, messageKey, type PartKey, partKey, type SessionKey } from '../../core/keys.js'
import { fingerprint } from '../../storage/fingerprint.js'
import type { MergedSession, MergedSessions } from '../../storage/merged.js'
import { isSameStore } from '../../storage/precedence.js'
import type { MessageEntry, SessionEntry, Store } from '../../storage/store.js'
import { inTurns, type Turns } from '../../storage/turns.js'
import type { EarlySessions } from '../catalog/early.js'
import type { IndexStats, MessageMeta, PartRef, SessionIndex, SessionMeta, Usage } from '../types.js'
import { addUpUsage } from '../usage.js'
import { metaOf } from './session-meta.js'
import { type NextOrder, SessionOrder } from './session-order.js'
import { notFound, type Sessions } from './sessions.js'

/** Message lists are kept up to this many messages in all, least recently used out first. */
const HELD_MESSAGES = 200_000

/** An index to come. */
export interface NextIndex {
  readonly merged: MergedSessions
  /** Of sessions that are new, or others than before. */
  readonly fresh: Map<string, SessionMeta>
  readonly removed: readonly string[]
  /** To another store, or away. */
  readonly moved: readonly string[]
  readonly order: NextOrder | undefined
}

/** How many messages each of these sessions has, of the store that it is read from. */
export type CountsOf = (store: Store, sessions: readonly SessionEntry[]) => Promise<readonly (number | undefined)[]>

export class MergedIndex implements SessionIndex {
  readonly #sessions: Sessions
  readonly #countsOf: CountsOf
  #merged: MergedSessions = new Map()
  #metas = new Map<string, SessionMeta>()
  readonly #order = new SessionOrder()
  readonly #lists = new Map<string, readonly MessageEntry[]>()
  #listed = 0
  /** Until the first listing is taken: what is shown, and the sessions that were looked at meanwhile. */
  #early: EarlySessions | undefined
  readonly #looked = new Map<string, { readonly session: MergedSession; readonly meta: SessionMeta }>()

  constructor(sessions: Sessions, counts: CountsOf = (store, entries) => store.messageCounts(entries.map(({ key }) => key))) {
    this.#sessions = sessions
    this.#countsOf = counts
  }

  /** Shows these until the first listing is taken. */
  showEarly(early: EarlySessions): void {
    this.#early = early
  }

  metasOf(sessions: MergedSessions | undefined): readonly SessionMeta[] | undefined {
    return sessions && [...sessions.values()].flatMap(({ entry }) => this.session(entry.key) ?? [])
  }

  /** The sessions of this id, as they were listed before. */
  keysEarly(id: SessionId): readonly SessionKey[] {
    return this.#early?.withId(id).map(({ key }) => key) ?? []
  }

  get isEarly(): boolean {
    return this.#early !== undefined
  }

  /** A session that was looked at alone, before the first listing is taken. */
  showLooked(session: MergedSession): void {
    this.#looked.set(encodeKey(session.entry.key), { session, meta: metaOf(session, this.#sessions.clock.now()) })
  }

  /** What a new listing of all stores makes of the index. Of sessions that are the same objects nothing is made. Nothing shows of it before `take`. */
  async next(merged: MergedSessions, turns: Turns): Promise<NextIndex> {
    const now = this.#sessions.clock.now()
    const gone = new Set<SessionMeta>()
    const [removed, moved]: [string[], string[]] = [[], []]
    await inTurns(this.#merged, turns, ([name, session]) => {
      const then = merged.get(name)
      if (then === session) return
      const meta = this.#metas.get(name)
      if (meta !== undefined) gone.add(meta)
      if (then === undefined) removed.push(name)
      if (then?.store !== session.store) moved.push(name)
    })
    const fresh = new Map<string, SessionMeta>()
    await inTurns(merged, turns, ([name, session]) => {
      if (this.#merged.get(name) !== session) fresh.set(name, metaOf(session, now))
    })
    const order = gone.size + fresh.size > 0 ? await this.#order.next(gone, [...fresh.values()], turns) : undefined
    return { merged, fresh, removed, moved, order }
  }

  /** In one go. `next` must be of the index as it is. True when a session moved to another store: what was read of it is of no use then. */
  take({ merged, fresh, removed, moved, order }: NextIndex): boolean {
    const looked = [...this.#looked].flatMap(([name, { session }]) => (merged.get(name)?.store === session.store ? [] : [name]))
    this.#looked.clear()
    this.#early = undefined
    for (const name of removed) this.#metas.delete(name)
    if (this.#metas.size === 0) this.#metas = fresh
    else for (const [name, meta] of fresh) this.#metas.set(name, meta)
    this.#merged = merged
    if (order !== undefined) this.#order.take(order)
    for (const name of [...looked, ...moved]) this.#drop(name)
    return looked.length + moved.length > 0
  }

  get all(): MergedSessions {
    return this.#merged
  }

  merged(key: SessionKey): MergedSession | undefined {
    const name = encodeKey(key)
    return this.#merged.get(name) ?? this.#looked.get(name)?.session
  }

  /** @throws StorageError AMBIGUOUS_ID */
  findMerged(id: SessionId): MergedSession | undefined {
    const meta = this.findById(id)
    return meta && this.merged(meta.key)
  }

  /** What the store listed last, the copies that others hide included. */
  entriesOf(store: Store): readonly SessionEntry[] {
    const copies = [...this.#merged.values()].flatMap((session) => [session, ...session.hidden])
    return copies.filter((copy) => isSameStore(copy.store, store)).map(({ entry }) => entry)
  }

  held(name: string): readonly MessageEntry[] | undefined {
    return this.#lists.get(name)
  }

  hold(name: string, entries: readonly MessageEntry[]): void {
    this.#drop(name)
    this.#lists.set(name, entries)
    this.#listed += entries.length
    for (const oldest of this.#lists.keys()) {
      if (this.#listed <= HELD_MESSAGES || oldest === name) break
      this.#drop(oldest)
    }
  }

  session(key: SessionKey): SessionMeta | undefined {
    const name = encodeKey(key)
    return this.#metas.get(name) ?? this.#looked.get(name)?.meta ?? this.#early?.session(key)
  }

  findById(id: SessionId): SessionMeta | undefined {
    const [meta, ...others] = this.#early?.withId(id) ?? this.#order.withId(id)
    if (others.length === 0) return meta
    const agents = [meta, ...others].map((other) => other?.key.agent).join(', ')
    throw new StorageError('AMBIGUOUS_ID', { reason: `the session ${id} exists for ${agents}`, key: id })
  }

  children(key: SessionKey): readonly SessionMeta[] {
    return this.#early?.childrenOf(key) ?? this.#order.childrenOf(key.session).filter((child) => child.key.agent === key.agent)
  }

  sessionsByTime(): readonly SessionMeta[] {
    return this.#early?.all() ?? this.#order.byTime
  }

  sessionsForProject(project: string): readonly SessionMeta[] {
    return this.sessionsByTime().filter((meta) => meta.project === project)
  }

  sessionsUpdatedSince(time: number): readonly SessionMeta[] {
    return this.sessionsByTime().filter((meta) => meta.updated >= time)
  }

  async messages(key: SessionKey): Promise<readonly MessageMeta[]> {
    const { entries } = await this.#sessions.listMessages(await this.#sessions.locate(key))
    return entries.map(({ id, created }) => ({ key: messageKey(key, id), id, created }))
  }

  async message(key: MessageKey): Promise<MessageMeta | undefined> {
    return (await this.messages({ kind: 'session', agent: key.agent, session: key.session })).find(({ id }) => id === key.message)
  }

  async parts(key: MessageKey): Promise<readonly PartRef[]> {
    const { store, entry } = await this.#sessions.locate({ kind: 'session', agent: key.agent, session: key.session })
    const { entries } = await store.parts(entry.key, [key.message], { price: true })
    return (entries[0] ?? []).map(({ id, price }) => ({ key: partKey(key, id), bytes: price?.bytes ?? 0 }))
  }

  async part(key: PartKey): Promise<PartRef | undefined> {
    return (await this.parts({ kind: 'message', agent: key.agent, session: key.session, message: key.message })).find(
      (ref) => ref.key.part === key.part,
    )
  }

  async messageCount(key: SessionKey): Promise<number> {
    const [count] = await this.messageCounts([key])
    return count ?? 0
  }

  async messageCounts(keys: readonly SessionKey[]): Promise<readonly number[]> {
    const counts = new Map<string, number>()
    for (const [store, group] of groupBy(keys, (key) => this.#storeOf(key))) {
      const entries = group.flatMap((key) => this.merged(key)?.entry ?? [])
      // Of sessions that were not listed yet nobody knows whether they changed.
      const numbers = entries.length === group.length ? await this.#countsOf(store, entries) : await store.messageCounts(group)
      for (const [at, key] of group.entries()) counts.set(encodeKey(key), numbers[at] ?? 0)
    }
    return keys.map((key) => counts.get(encodeKey(key)) ?? 0)
  }

  async usage(key: SessionKey): Promise<Usage> {
    const { entry } = await this.#sessions.locate(key)
    return this.session(entry.key)?.usage ?? (await addUpUsage(this.#sessions, entry.key))
  }

  /**
   * Of hidden copies the version of their session record: an older client that goes on with one rewrites that, too.
   * It costs nothing, where asking for all their messages would double the work of every look at the stores.
   */
  async revision(key: SessionKey): Promise<string> {
    const { store, hidden } = await this.#sessions.locate(key)
    const revision = await store.revision(key)
    if (hidden.length === 0) return revision
    const copies = hidden.map(({ store, entry }) => [store.kind, store.path, entry.generation])
    return fingerprint(JSON.stringify([revision, store.kind, store.path, copies]))
  }

  stats(): IndexStats {
    const { size: spans, bytes, budget } = this.#sessions.cache
    return { sessions: this.#early?.count() ?? this.#metas.size, messages: this.#listed, cache: { spans, bytes, budget } }
  }

  #storeOf(key: SessionKey): Store {
    const source = this.merged(key)?.store ?? this.#early?.session(key)?.source
    const store = source && this.#sessions.stores.find((one) => isSameStore(one, source))
    if (store === undefined) throw notFound(key)
    return store
  }

  #drop(name: string): void {
    this.#listed -= this.#lists.get(name)?.length ?? 0
    this.#lists.delete(name)
  }
}
