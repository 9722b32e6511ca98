/** Copies of sessions in stores of every kind, in memory, and what a merged set says of them. */
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { StoreKind } from '../../src/storage/store.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { type CorpusMessage, type CorpusSession, sessionDocument } from './corpus.js'

export function memoryCopy(kind: StoreKind, path: string, sessions: readonly CorpusSession[]): MemoryStore {
  const store = new MemoryStore(path, kind)
  for (const session of sessions) {
    store.put({ session: session.id }, sessionDocument(session), session.updated)
    for (const message of session.messages) putMessage(store, session.id, message)
  }
  return store
}

export function putMessage(store: MemoryStore, session: string, { id, data, time, parts }: CorpusMessage): void {
  store.put({ session, message: id }, data, time)
  for (const part of parts) store.put({ session, message: id, part: part.id }, part.data, part.time)
}

/** Where each session is read from, and what that hides, the last updated first: `path < path, path`. */
export function sourcesOf(sessions: Sessions): readonly string[] {
  return sessions.index
    .sessionsByTime()
    .map(({ source, hides }) => [source.path, hides.map(({ path }) => path).join(', ')].filter(Boolean).join(' < '))
}
