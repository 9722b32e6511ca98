/**
 * Single records as spans: for viewers that jump to one message or part. Reads through the span cache.
 * They are raw: a damaged record is given as it stands, whatever other copies of the session hold (`mend.ts`).
 */
import { StorageError } from '../core/errors.js'
import { type EntityKey, encodeKey, type MessageKey, type PartKey, type SessionKey, sessionOf } from '../core/keys.js'
import { Slab } from '../storage/slab.js'
import { OwnedSpan, type Span } from '../storage/span.js'
import type { LeafKind, Read, Store } from '../storage/store.js'
import type { Sessions } from './sessions.js'

/**
 * The record of a key. The span is a copy of its own and stays valid until it is disposed.
 * @throws StorageError NOT_FOUND, AMBIGUOUS_ID, STALE_SPAN, UNREADABLE_RECORD, and what the store throws
 */
export async function readSpan(sessions: Sessions, key: EntityKey): Promise<Span> {
  return readLeaf(sessions, key.kind, key)
}

export async function readSessionSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readLeaf(sessions, 'session', key)
}

export async function readMessageSpan(sessions: Sessions, key: MessageKey): Promise<Span> {
  return readLeaf(sessions, 'message', key)
}

export async function readPartSpan(sessions: Sessions, key: PartKey): Promise<Span> {
  return readLeaf(sessions, 'part', key)
}

/** The file diffs of a session, where its version wrote them as a file; those of another copy where the shown one has none. @throws StorageError NOT_FOUND when there are none */
export async function readDiffSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readList(sessions, 'diff', key)
}

/** The todo list of a session; that of another copy where the shown one has none, as in OpenCode 2. @throws StorageError NOT_FOUND when there is none */
export async function readTodoSpan(sessions: Sessions, key: SessionKey): Promise<Span> {
  return readList(sessions, 'todo', key)
}

async function readLeaf(sessions: Sessions, kind: LeafKind, key: EntityKey): Promise<Span> {
  const { store } = await sessions.locate(sessionOf(key))
  return readFrom(sessions, store, kind, key)
}

/** An import into 1.x drops lists that it does not understand, and 2.x has none. */
async function readList(sessions: Sessions, kind: 'todo' | 'diff', key: SessionKey): Promise<Span> {
  const { store, hidden } = await sessions.locate(key)
  let holder = store
  for (const copy of hidden) {
    const [price] = await holder.price([{ kind, key }])
    if (price !== undefined) break
    holder = copy.store
  }
  return readFrom(sessions, holder, kind, key)
}

async function readFrom(sessions: Sessions, store: Store, kind: LeafKind, key: EntityKey): Promise<Span> {
  // Todo lists and diffs share their session's key, so only the records proper go through the cache.
  const cached = kind === key.kind ? sessions.cache : undefined
  for (let attempt = 0; ; attempt++) {
    const [price] = await store.price([{ kind, key }])
    if (price === undefined) throw new StorageError('NOT_FOUND', { reason: `there is no such ${kind}`, path: store.path, key: encodeKey(key) })
    const held = cached?.get(key, price.generation)
    if (held !== undefined) return held
    const read: Read = { kind, key, price }
    using slab = new Slab(sessions.slabs)
    const [leaf] = await store.open([read], slab)
    if (leaf?.span !== undefined) {
      cached?.put(leaf.span)
      return OwnedSpan.copyOf(leaf.span)
    }
    const { code = 'STALE_SPAN', reason = 'it was not read', path = store.path } = leaf?.issue ?? {}
    if (code !== 'STALE_SPAN' || attempt > 0) throw new StorageError(code, { reason, path, key: encodeKey(key) })
  }
}
