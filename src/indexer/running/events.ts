/** Events: whoever listens, a listener that throws cannot break the engine. */
import type { IndexProgress } from '../engine.js'
import type { IndexEvent, Indexer } from '../indexer-types.js'

export interface Events {
  readonly emit: (event: IndexProgress) => void
  readonly on: Indexer['on']
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
      const own = listeners.get(kind) ?? new Set()
      listeners.set(kind, own.add(listener))
      return () => void own.delete(listener)
    },
  }
}
