/** The indexer's view of an open set of sessions. */
import { existsSync, statSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StorageError } from '../core/errors.js'
import { encodeKey, type MessageKey, type SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import { planSessionTree } from '../tree/plan.js'
import { readPlanned } from '../tree/read-planned.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import type { PlannedMessage } from '../tree/types.js'
import type { ListedStore, SessionListing, SessionSource, SessionTail, SourceSession, TailOptions } from './source.js'
import { type PlacedStore, placesOf, whereIs } from './whereabouts.js'

/** Reads `sessions`, which stays the caller's. Every message of a changed session is checked, the cold ones too. @throws StorageError INVALID_OPTION for a set narrowed with `store` */
export function sessionSource(sessions: Sessions): SessionSource {
  if (sessions.narrowed) {
    const reason = 'the sessions were opened with `store`: a hidden copy would be taken for the session, and what only the others hold for deleted'
    throw new StorageError('INVALID_OPTION', { reason })
  }
  const refresh = sharedListing(() => sessions.refresh())
  return {
    list: async (signal): Promise<SessionListing> => {
      await sessions.refresh(signal && { signal })
      const stores = listedStores(sessions)
      const { issues } = sessions
      const { listed, failing } = await revisions(sessions, signal)
      const placed = stores.map((store) => ({ ...store, complete: store.complete && !failing.has(store.path) }))
      const known = placed.map(({ path, complete }) => ({ path, complete }))
      return {
        sessions: listed,
        stores: known,
        isUnknown: (store, session) => isUnknown(known, issues, store, session),
        around: placesOf(placed),
      }
    },
    stamp: () => stampOf(sessions),
    revision: async (key, store): Promise<string | undefined> => {
      await refresh()
      if (sessions.index.session(key) !== undefined) return sessions.index.revision(key)
      if (canTell(sessions, store, key)) return undefined
      const [issue] = sessions.issues
      throw new StorageError('STORE_UNREADABLE', { reason: 'not every store could be listed', path: store ?? issue?.path, key: encodeKey(key) })
    },
    messages: (key) => sessions.index.messages(key),
    tail: (key, known, options = {}): Promise<SessionTail> => readTail(sessions, key, known, options),
  }
}

/** Each call is answered by a listing that begins after it. One runs at a time; all that ask while it runs share the next one. */
function sharedListing(list: () => Promise<unknown>): () => Promise<unknown> {
  let running: Promise<unknown> = Promise.resolve()
  let next: Promise<unknown> | undefined
  return () => {
    next ??= running.then(() => {
      next = undefined
      const listing = list()
      running = listing.catch(() => undefined)
      return listing
    })
    return next
  }
}

/** Sessions between which other work may run: a revision of a database is there without waiting. */
const BETWEEN_TURNS = 64

/** Sessions with their revisions, without those of stores that fail to tell them: one failure says enough, a busy store makes each wait. */
async function revisions(
  sessions: Sessions,
  signal: AbortSignal | undefined,
): Promise<{ readonly listed: readonly SourceSession[]; readonly failing: ReadonlySet<string> }> {
  const listed: SourceSession[] = []
  const failing = new Set<string>()
  for (const [at, meta] of sessions.index.sessionsByTime().entries()) {
    signal?.throwIfAborted()
    if (at % BETWEEN_TURNS === 0) await nextTurn()
    if (failing.has(meta.source.path)) continue
    try {
      listed.push({ meta, revision: await sessions.index.revision(meta.key) })
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      failing.add(meta.source.path)
    }
  }
  return { listed: listed.filter(({ meta }) => !failing.has(meta.source.path)), failing }
}

/** With the folders that the stores lie in, where others may appear. */
async function stampOf({ stores, issues }: Sessions): Promise<string | undefined> {
  if (issues.length > 0) return undefined
  const stamps: string[] = []
  for (const store of stores) {
    const stamp = await store.stamp?.()
    const folder = statSync(dirname(store.path), { bigint: true, throwIfNoEntry: false })
    if (stamp === undefined || folder === undefined) return undefined
    stamps.push(`${store.path} ${folder.mtimeNs} ${stamp}`)
  }
  return stamps.length === 0 ? undefined : stamps.join('\n')
}

export function listedStores(sessions: Sessions): readonly PlacedStore[] {
  const hiding = sessions.issues.filter(hidesSessions)
  return sessions.stores.map((store) => {
    const complete = isThere(store) && !hiding.some((issue) => concerns(issue, store.path))
    return { agent: store.agent, path: store.path, complete }
  })
}

/** Whether a session that is in no listing is certainly gone. */
function canTell(sessions: Sessions, store: string | undefined, { agent }: SessionKey): boolean {
  const listed = listedStores(sessions)
  if (store !== undefined) {
    const own = listed.filter(({ path }) => path === store)
    return own.length > 0 ? own.every(({ complete }) => complete) : placesOf(listed)(store, agent)?.complete === true
  }
  // A store that could not be opened is not in the list, but its issue is.
  return listed.length > 0 && listed.every(({ complete }) => complete) && !sessions.issues.some(hidesSessions)
}

/**
 * True of a store that was not listed as a whole, or that an issue says is missing, failing, or in a folder that cannot be looked into,
 * and of one that cannot list the messages of the session.
 */
function isUnknown(listed: readonly ListedStore[], issues: readonly StageIssue[], store: string, session: SessionKey | undefined): boolean {
  if (store === '') return false // a row of the state that names none
  const name = session && encodeKey(session)
  if (issues.some((issue) => isUnlisted(issue, name) && concerns(issue, store))) return true
  const own = listed.filter(({ path }) => path === store)
  if (own.length > 0) return own.some(({ complete }) => !complete)
  return issues.some((issue) => hidesSessions(issue) && (concerns(issue, store) || (issue.path !== undefined && store.startsWith(issue.path + sep))))
}

/** Damaged records are listed all the same, and unsafe ids and other agents' logs never are; any other issue hides an unknown number of sessions. */
function hidesSessions({ key, code }: StageIssue): boolean {
  return key === undefined && code !== 'INVALID_ID' && code !== 'FOREIGN_LOG'
}

/** True when the messages of the session cannot be listed; one whose own record cannot be read has its messages. */
function isUnlisted({ code, key, path }: StageIssue, name: string | undefined): boolean {
  return code === 'UNREADABLE_RECORD' && key !== undefined && encodeKey(key) === name && path?.endsWith('.json') === false
}

/** An issue of a store names it, something inside it, or a file beside it that is part of it (`-wal`); one without a path may be anybody's. */
function concerns({ path }: StageIssue, store: string): boolean {
  return path === undefined || path === store || path.startsWith(store + sep) || path.startsWith(`${store}-`)
}

/**
 * A tree that was moved away or unmounted while it was open lists like an empty one, and a database that was lists what it held.
 * A database without a byte is being made, or copied back.
 */
function isThere({ kind, path }: Sessions['stores'][number]): boolean {
  if (kind === 'memory') return true
  if (kind.startsWith('opencode') === false) return existsSync(path)
  if (kind === 'opencode-json') return existsSync(join(path, 'session'))
  return existsSync(path) && (kind === 'opencode-era-a' || [path, `${path}-wal`].some(hasBytes))
}

function hasBytes(path: string): boolean {
  try {
    return statSync(path).size > 0
  } catch {
    return false
  }
}

async function readTail(
  sessions: Sessions,
  key: SessionKey,
  known: (key: MessageKey) => string | undefined,
  { signal, store, bytes, after, deep = false }: TailOptions,
): Promise<SessionTail> {
  const session = await sessions.locate(key)
  if (store !== undefined && store !== session.store.path && !isHere(sessions, { key, store }, session.store.path)) {
    const reason = 'the store that the session was listed in cannot be read; another copy, which may be older, does not stand in for it'
    throw new StorageError('STORE_NOT_READY', { reason, path: store, key: encodeKey(key) })
  }
  const { entries, issues } = await sessions.listMessages(session)
  // Of a message that was deleted meanwhile nobody knows the place: then everything is looked at again.
  const window = after !== undefined && entries.some(({ id }) => id === after) ? { messages: { after } } : {}
  // A log that metadata say nothing happened to, or that lines were appended to, is read from its start when that is asked for, and once.
  const anew = session.store.supports.lines !== true || (deep && after === undefined)
  const planned = await planSessionTree(sessions, { session: key, known, deep: anew, ...window, ...(signal && { signal }) })
  if (planned.status === 'failed') throw planned.error
  const taken = withinBudget(planned.value.messages, bytes)
  const last = taken.length < planned.value.messages.length ? taken.at(-1)?.key.message : undefined
  const result = await readPlanned(sessions, { ...planned, value: { ...planned.value, messages: taken } }, signal)
  if (result.status === 'failed') throw result.error
  const meta = sessions.index.session(key)
  if (meta === undefined) throw new StorageError('NOT_FOUND', { reason: 'the session was removed while it was read', key: encodeKey(key) })
  const unread = result.status === 'partial' ? result.issues.filter(isUnread) : []
  const withheld = new Set(unread.flatMap((issue) => (issue.key === undefined || issue.key.kind === 'session' ? [] : [issue.key.message])))
  return {
    meta,
    messages: result.value.messages.filter((node) => !withheld.has(node.key.message)),
    present: entries.map((entry) => entry.id),
    complete: unread.length === 0 && issues.every(({ code }) => code === 'INVALID_ID') && !isFailing(sessions, session.store.path),
    more: last && { after: last },
  }
}

/** What an observation lets another copy stand in for, it names as the session's store. */
function isHere(sessions: Sessions, held: { readonly key: SessionKey; readonly store: string }, source: string): boolean {
  return whereIs(listedPlaces(sessions), held, source) === 'here'
}

/** What a listing says of stores. */
export function listedPlaces(sessions: Sessions): Pick<SessionListing, 'stores' | 'around' | 'isUnknown'> {
  const stores = listedStores(sessions)
  return { stores, around: placesOf(stores), isUnknown: (store, session) => isUnknown(stores, sessions.issues, store, session) }
}

/** The first messages that together have no more than so many bytes, at least one. */
function withinBudget(messages: readonly PlannedMessage[], bytes = Number.POSITIVE_INFINITY): readonly PlannedMessage[] {
  let sum = 0
  const end = messages.findIndex(({ read, parts = [] }, at) => {
    for (const { price } of [read, ...parts]) sum += price?.bytes ?? 0
    return at > 0 && sum > bytes
  })
  return end === -1 ? messages : messages.slice(0, end)
}

/** A store that as a whole is not what it should be may lack a table, and then gives no message and no issue of the session. */
function isFailing({ issues }: Sessions, store: string): boolean {
  return issues.some((issue) => hidesSessions(issue) && issue.path === store)
}

/** What is there and may be readable later. Damage is not: it was read, and what is left of the message is all that there is. */
function isUnread({ code, transient }: StageIssue): boolean {
  return code === 'UNREADABLE_RECORD' || transient === true
}

/** For work on the index alone, when no store is at hand. @throws StorageError STORE_MISSING from every call */
export const noSessions: SessionSource = {
  list: () => refuse(),
  revision: () => refuse(),
  tail: () => refuse(),
}

async function refuse(): Promise<never> {
  throw new StorageError('STORE_MISSING', { reason: 'the index was opened without stores' })
}
