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
import type { EarlySessions } from '../catalog/early.js'
import type { IndexStats, MessageMeta, PartRef, SessionIndex, SessionMeta, Usage } from '../types.js'
import { addUpUsage } from '../usage.js'
import { metaOf } from './session-meta.js'
import { SessionOrder } from './session-order.js'
import { notFound, type Sessions } from './sessions.js'

/** Message lists are kept up to this many messages in all, least recently used out first. */
const HELD_MESSAGES = 200_000

export class MergedIndex implements SessionIndex {
  readonly #sessions: Sessions
  #merged: MergedSessions = new Map()
  readonly #metas = new Map<string, SessionMeta>()
  readonly #order = new SessionOrder()
  readonly #lists = new Map<string, readonly MessageEntry[]>()
  #listed = 0
  /** Until the first listing is taken: what is shown, and the sessions that were looked at meanwhile. */
  #early: EarlySessions | undefined
  readonly #looked = new Map<string, { readonly session: MergedSession; readonly meta: SessionMeta }>()

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  /** Shows these until the first listing is taken. */
  showEarly(early: EarlySessions): void {
    this.#early = early
  }

  get isEarly(): boolean {
    return this.#early !== undefined
  }

  /** A session that was looked at alone, before the first listing is taken. */
  showLooked(session: MergedSession): void {
    this.#looked.set(encodeKey(session.entry.key), { session, meta: metaOf(session, this.#sessions.clock.now()) })
  }

  /**
   * Takes a new listing of all stores. What is known of a session that is the same object stays.
   * True when a session moved to another store: what was read of it is of no use then.
   */
  replace(merged: MergedSessions): boolean {
    const now = this.#sessions.clock.now()
    const gone = new Set<SessionMeta>()
    const fresh: SessionMeta[] = []
    let isMoved = false
    const drop = (name: string, session: MergedSession): void => {
      const meta = this.#metas.get(name)
      if (meta !== undefined) gone.add(meta)
      if (merged.get(name)?.store === session.store) return
      isMoved = true
      this.#drop(name)
    }
    for (const [name, { session }] of this.#looked) drop(name, session)
    this.#looked.clear()
    this.#early = undefined
    for (const [name, session] of this.#merged) {
      if (merged.get(name) === session) continue
      drop(name, session)
      if (!merged.has(name)) this.#metas.delete(name)
    }
    for (const [name, session] of merged) {
      if (this.#merged.get(name) === session) continue
      const meta = metaOf(session, now)
      this.#metas.set(name, meta)
      fresh.push(meta)
    }
    this.#merged = merged
    if (gone.size + fresh.length > 0) this.#order.replace(gone, fresh)
    return isMoved
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
      const numbers = await store.messageCounts(group)
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
