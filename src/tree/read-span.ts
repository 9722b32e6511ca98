/**
 * Single records as spans: for viewers that jump to one message or part. Reads through the span cache.
 * They are raw: a damaged record is given as it stands, whatever other copies of the session hold (`mend.ts`).
 */
import { StorageError } from '../core/errors.js'
import { type EntityKey, encodeKey, type MessageKey, messageKey, type PartKey, type SessionKey, sessionOf } from '../core/keys.js'
import { Slab } from '../storage/slab.js'
import { OwnedSpan, type Span } from '../storage/span.js'
import type { LeafKind, Read, Store } from '../storage/store.js'
import type { Sessions } from './sessions/sessions.js'

/**
 * The record of a key. The span is a copy of its own and stays valid until it is disposed.
 * @throws StorageError NOT_FOUND, AMBIGUOUS_ID, STALE_SPAN, UNREADABLE_RECORD, and what the store throws
 */
export async function readSpan(sessions: Sessions, key: EntityKey): Promise<Span> {
  return readLeaf(sessions, key.kind, key)
}

/**
 * The record of a session: a JSON document, of a row put together from its columns; of a log what its lines tell of the session.
 * @throws StorageError as `readSpan`
 */
export async function readSessionSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readLeaf(sessions, 'session', key)
}

/**
 * The record of a message: a JSON document, which may hold its parts (OpenCode 2); of a log its own line.
 * @throws StorageError as `readSpan`
 */
export async function readMessageSpan(sessions: Sessions, key: MessageKey): Promise<Span> {
  return readLeaf(sessions, 'message', key)
}

/**
 * @throws StorageError NOT_FOUND also for a part that stands inside its message's document (its id is `<message>_<n>`):
 * it has no bytes of its own; `readMessageSpan` gives those of the document
 */
export async function readPartSpan(sessions: Sessions, key: PartKey): Promise<Span> {
  return readLeaf(sessions, 'part', key)
}

/**
 * The file diffs of a session, where its version wrote them as a file; of the copy that is shown, else of the first hidden one that has them.
 * @throws StorageError NOT_FOUND when there are none
 */
export async function readDiffSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readBeside(sessions, 'diff', key)
}

/**
 * The todo list of a session; of the copy that is shown, else of the first hidden one that has it: OpenCode 2 keeps none, 1.x did.
 * @throws StorageError NOT_FOUND when there is none
 */
export async function readTodoSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readBeside(sessions, 'todo', key)
}

async function readBeside(sessions: Sessions, kind: 'todo' | 'diff', key: SessionKey): Promise<Span> {
  const session = await sessions.locate(key)
  for (const { store } of [session, ...session.hidden]) {
    const span = await openLeaf(sessions, store, { kind, key })
    if (span !== undefined) return span
  }
  throw notThere(session.store, kind, key)
}

async function readLeaf(sessions: Sessions, kind: EntityKey['kind'], key: EntityKey): Promise<Span> {
  const { store } = await sessions.locate(sessionOf(key))
  const span = await openLeaf(sessions, store, { kind, key })
  if (span !== undefined) return span
  if (key.kind === 'part' && (await standsInside(store, key))) {
    throw notThere(store, kind, key, 'this part stands inside the document of its message, which readMessageSpan gives')
  }
  throw notThere(store, kind, key)
}

/** Undefined when there is no such record. */
async function openLeaf(sessions: Sessions, store: Store, { kind, key }: Pick<Read, 'kind' | 'key'>): Promise<Span | undefined> {
  // Todo lists and diffs share their session's key, so only the records proper go through the cache.
  const cached = kind === key.kind ? sessions.cache : undefined
  for (let attempt = 0; ; attempt++) {
    const [price] = await store.price([{ kind, key }])
    if (price === undefined) return undefined
    const held = cached?.get(key, price.generation)
    if (held !== undefined) return held
    const read: Read = { kind, key, price }
    const readAt = sessions.dirty.clock.now
    using slab = new Slab(sessions.slabs)
    const [leaf] = await store.open([read], slab)
    if (leaf?.span !== undefined) {
      cached?.put(leaf.span, readAt)
      return OwnedSpan.copyOf(leaf.span)
    }
    const { code = 'STALE_SPAN', reason = 'it was not read', path = store.path } = leaf?.issue ?? {}
    if (code !== 'STALE_SPAN' || attempt > 0) throw new StorageError(code, { reason, path, key: encodeKey(key) })
  }
}

/** True for the id of a place in a message that exists. */
async function standsInside(store: Store, key: PartKey): Promise<boolean> {
  const place = key.part.startsWith(`${key.message}_`) ? key.part.slice(key.message.length + 1) : ''
  if (!/^\d+$/.test(place)) return false
  const [message] = await store.price([{ kind: 'message', key: messageKey(sessionOf(key), key.message) }])
  return message !== undefined
}

function notThere(store: Store, kind: LeafKind, key: EntityKey, reason = `there is no such ${kind}`): StorageError {
  return new StorageError('NOT_FOUND', { reason, path: store.path, key: encodeKey(key) })
}
