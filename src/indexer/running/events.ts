/** Events: whoever listens, a listener that throws cannot break the engine. */
import { checkFunction, checkWord } from '../../core/options.js'
import type { IndexProgress } from '../engine.js'
import type { IndexEvent, Indexer } from '../indexer-types.js'

export interface Events {
  readonly emit: (event: IndexProgress) => void
  readonly on: Indexer['on']
}

const KINDS: Readonly<Record<IndexEvent, true>> = {
  claimed: true,
  released: true,
  removed: true,
  lost: true,
  committed: true,
  failed: true,
  quarantined: true,
  deferred: true,
  repaired: true,
  breaker: true,
  observed: true,
  space: true,
  error: true,
  'left-out': true,
}

export function createEvents(first: ((event: IndexProgress) => void) | undefined): Events {
  const listeners = new Map<IndexEvent, Set<(event: never) => void>>()
  const call = (listener: (event: never) => void, event: IndexProgress): void => {
    try {
      listener(event as never)
    } catch {
      // Its own affair.
    }
  }
  return {
    emit(event) {
      if (first !== undefined) call(first, event)
      for (const listener of [...(listeners.get(event.kind) ?? [])]) call(listener, event)
    },
    on(kind, listener) {
      checkListener(kind, listener)
      const own = listeners.get(kind) ?? new Set()
      listeners.set(kind, own.add(listener))
      return () => void own.delete(listener)
    },
  }
}

/** For callers without types: a listener of a kind that never comes would wait for ever. @throws StorageError INVALID_OPTION */
function checkListener(kind: unknown, listener: unknown): void {
  checkWord('the kind of event', kind ?? '', Object.keys(KINDS))
  checkFunction('the listener', listener ?? null)
}
