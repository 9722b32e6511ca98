/** What is found out about a set of sessions, told to everyone who waits for it, whoever found it. */
import { StorageError } from '../../core/errors.js'
import type { StoreSource } from '../../storage/store-source.js'
import type { RefreshOptions, SessionChanges, Sessions } from '../sessions/sessions.js'

export interface SessionsListener {
  /** A refresh, whoever asked for it, found these. */
  changed?(changes: SessionChanges): void
  /** Something may have been written to one of the stores. */
  woken?(): void
}

const LISTENERS = new WeakMap<Sessions, Set<SessionsListener>>()

export function listenTo(sessions: Sessions, listener: SessionsListener): Disposable {
  const listeners = LISTENERS.get(sessions) ?? new Set()
  LISTENERS.set(sessions, listeners.add(listener))
  return { [Symbol.dispose]: () => void listeners.delete(listener) }
}

/** Called by the set of sessions itself, at the end of each refresh that counts. */
export function tellChanges(sessions: Sessions, changes: SessionChanges): void {
  for (const listener of LISTENERS.get(sessions) ?? []) listener.changed?.(changes)
}

export function tellWoken(sessions: Sessions): void {
  for (const listener of LISTENERS.get(sessions) ?? []) listener.woken?.()
}

const CLOSING = new WeakMap<Sessions, AbortSignal>()

/** @param signal Aborted when the set is closed; its reason is what is thrown of it from then on. */
export function tellClosing(sessions: Sessions, signal: AbortSignal): void {
  CLOSING.set(sessions, signal)
}

export function closingOf(sessions: Sessions): AbortSignal | undefined {
  return CLOSING.get(sessions)
}

type Looking = (options?: RefreshOptions) => Promise<SessionChanges>

const LOOKS = new WeakMap<Sessions, Looking>()

/** @param look A refresh of which the caller of the next `refresh` hears, too. */
export function tellLook(sessions: Sessions, look: Looking): void {
  LOOKS.set(sessions, look)
}

/** As `refresh`, for the library's own use: what it finds is left for the caller's next refresh to tell. */
export function lookAgain(sessions: Sessions, options?: RefreshOptions): Promise<SessionChanges> {
  const look = LOOKS.get(sessions)
  return look === undefined ? sessions.refresh(options) : look(options)
}

const FOUND = new WeakMap<Sessions, NonNullable<StoreSource['found']>>()

/** @param source Of the set's stores. */
export function tellFound(sessions: Sessions, source: StoreSource): void {
  if (source.found !== undefined) FOUND.set(sessions, source.found.bind(source))
}

/** Names the stores that can be found now, where the set looks for any. */
export function foundBy(sessions: Sessions): StoreSource['found'] {
  return FOUND.get(sessions)
}

/** A refresh failed, and another one may not. */
export function isPassing(error: unknown): error is StorageError {
  return error instanceof StorageError && error.retryable
}
