/** Events of the folders that one session is written in, by the system's own means: for a single folder no more is needed. */
import { type FSWatcher, watch } from 'node:fs'
import type { SessionEntry, Store } from '../store.js'
import { foldersOfSession } from './places.js'

export interface SessionEvents extends Disposable {
  /** Watches the folders of the session, in the place of those before. Where that cannot be had nothing is told. */
  follow(store: Pick<Store, 'kind' | 'path'>, entry: Pick<SessionEntry, 'key' | 'path'>): void
}

/** Events that come within so many milliseconds are told as one. */
const GATHER_MS = 30

/**
 * Events are hints: some come late, some for nothing, some never. They are told by a timer: Node takes events for as long as there are any,
 * and whoever reads a log at each, while its agent writes faster than that, would never let the loop go on.
 */
export function watchSession(tell: () => void): SessionEvents {
  let watched: readonly string[] = []
  let watchers: readonly FSWatcher[] = []
  let timer: NodeJS.Timeout | undefined
  const gather = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      tell()
    }, GATHER_MS).unref()
  }
  const stop = (): void => {
    clearTimeout(timer)
    timer = undefined
    for (const watcher of watchers) watcher.close()
    watchers = []
  }
  return {
    follow(store, { key, path }) {
      const folders = foldersOfSession(store, key.session, path)
      if (folders.join('\0') === watched.join('\0')) return
      stop()
      watched = folders
      watchers = folders.flatMap((folder) => watcherOf(folder, gather) ?? [])
    },
    [Symbol.dispose]: stop,
  }
}

function watcherOf(folder: string, tell: () => void): FSWatcher | undefined {
  try {
    return watch(folder, { persistent: false }, tell).on('error', () => undefined)
  } catch {
    return undefined
  }
}
