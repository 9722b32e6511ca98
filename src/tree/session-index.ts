/**
 * The index over the merged stores: session metadata in memory, messages listed when first needed.
 * Building it opens nothing: it takes the sessions as they were listed and merged.
 */
import { groupBy } from '../core/collections.js'
import { StorageError } from '../core/errors.js'
import { idTime, type SessionId } from '../core/ids.js'
import { encodeKey, type MessageKey, messageKey, type PartKey, partKey, type SessionKey } from '../core/keys.js'
import type { SessionRecord } from '../core/records.js'
import { fingerprint } from '../storage/fingerprint.js'
import type { MergedSession, MergedSessions } from '../storage/merged.js'
import { isSameStore } from '../storage/precedence.js'
import type { MessageEntry, SessionEntry, Store } from '../storage/store.js'
import { notFound, type Sessions } from './sessions.js'
import type { IndexStats, MessageMeta, PartRef, SessionIndex, SessionMeta, SessionOrigin, Usage } from './types.js'
import { addUpUsage, usageIn } from './usage.js'

/** Message lists are kept up to this many messages in all, least recently used out first. */
const HELD_MESSAGES = 200_000

export class MergedIndex implements SessionIndex {
  readonly #sessions: Sessions
  #merged: MergedSessions = new Map()
  #metas = new Map<string, SessionMeta>()
  #byTime: readonly SessionMeta[] = []
  #byId = new Map<SessionId, SessionMeta[]>()
  #children = new Map<SessionId | undefined, SessionMeta[]>()
  readonly #lists = new Map<string, readonly MessageEntry[]>()
  #listed = 0

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  /** Takes a new listing of all stores. True when a session moved to another store: what was read of it is of no use then. */
  replace(merged: MergedSessions): boolean {
    const moved = [...this.#merged].filter(([name, { store }]) => merged.get(name)?.store !== store)
    for (const [name] of moved) this.#drop(name)
    this.#merged = merged
    this.#metas = new Map([...merged].map(([name, session]) => [name, metaOf(session, this.#sessions.clock.now())]))
    this.#byTime = [...this.#metas.values()].sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1))
    this.#byId = groupBy(this.#byTime, (meta) => meta.id)
    const byAge = [...this.#byTime].sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1))
    this.#children = groupBy(
      byAge.filter((meta) => meta.parent !== undefined),
      (meta) => meta.parent,
    )
    return moved.length > 0
  }

  get all(): MergedSessions {
    return this.#merged
  }

  merged(key: SessionKey): MergedSession | undefined {
    return this.#merged.get(encodeKey(key))
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
    return this.#metas.get(encodeKey(key))
  }

  findById(id: SessionId): SessionMeta | undefined {
    const [meta, ...others] = this.#byId.get(id) ?? []
    if (others.length === 0) return meta
    const agents = [meta, ...others].map((other) => other?.key.agent).join(', ')
    throw new StorageError('AMBIGUOUS_ID', { reason: `the session ${id} exists for ${agents}`, key: id })
  }

  children(key: SessionKey): readonly SessionMeta[] {
    return (this.#children.get(key.session) ?? []).filter((child) => child.key.agent === key.agent)
  }

  sessionsByTime(): readonly SessionMeta[] {
    return this.#byTime
  }

  sessionsForProject(project: string): readonly SessionMeta[] {
    return this.#byTime.filter((meta) => meta.project === project)
  }

  sessionsUpdatedSince(time: number): readonly SessionMeta[] {
    return this.#byTime.filter((meta) => meta.updated >= time)
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
    return { sessions: this.#metas.size, messages: this.#listed, cache: { spans, bytes, budget } }
  }

  #storeOf(key: SessionKey): Store {
    const session = this.merged(key)
    if (session === undefined) throw notFound(key)
    return session.store
  }

  #drop(name: string): void {
    this.#listed -= this.#lists.get(name)?.length ?? 0
    this.#lists.delete(name)
  }
}

function metaOf({ entry, store, record, hidden }: MergedSession, now: number): SessionMeta {
  const { key } = entry
  const made = record?.time.created || (idTime(key.session, now) ?? 0)
  return {
    key,
    id: key.session,
    title: record?.title ?? '',
    directory: record?.directory ?? '',
    project: record?.projectID ?? entry.project,
    parent: record?.parentID ?? undefined,
    created: made,
    updated: record?.time.updated || made,
    archived: record?.time.archived,
    revert: record?.revert?.messageID,
    version: record?.version ?? '',
    model: record?.model,
    usage: record && recordedUsage(record),
    damaged: entry.record === undefined,
    ...(record?.entries !== undefined && { entries: record.entries }),
    ...(record?.label !== undefined && { label: record.label }),
    source: originOf(store),
    hides: hidden.map((copy) => originOf(copy.store)),
  }
}

function originOf({ kind, path }: Store): SessionOrigin {
  return { kind, path }
}

/** The running sums of the record; zeros mean that nobody added up. */
function recordedUsage(record: SessionRecord): Usage | undefined {
  const usage = usageIn(record)
  const { input, output, reasoning, cache } = usage.tokens
  return usage.cost + input + output + reasoning + cache.read + cache.write > 0 ? usage : undefined
}
