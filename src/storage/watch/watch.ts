/**
 * Events of file systems: the port behind which a watcher of folders stands.
 *
 * Events are hints. They come late, they are lost without a word (a file that is made at once in a new folder, a queue that runs over),
 * and they never say what is in a file. Whoever listens looks at the store itself, and looks now and then without being told to.
 */

/** What `@parcel/watcher` names its backends. */
export const WATCH_BACKENDS = ['inotify', 'fs-events', 'windows', 'watchman', 'brute-force'] as const

export type WatchBackend = (typeof WATCH_BACKENDS)[number]

/** Backends that tell by themselves. Brute force tells nothing: it is polling. */
export type EventBackend = Exclude<WatchBackend, 'brute-force'>

export interface FolderEvent {
  /** Absolute. */
  readonly path: string
  readonly type: 'create' | 'update' | 'delete'
}

/** An error means that events were lost; what was subscribed may be dead from then on. */
export type TellEvents = (error: Error | null, events: readonly FolderEvent[]) => void

export interface FolderSubscription {
  unsubscribe(): Promise<unknown>
}

export interface FolderWatcher {
  /** Events of a folder, which is no link, and of all below it. @throws Error when the system refuses, for want of watches for instance */
  subscribe(
    folder: string,
    tell: TellEvents,
    options: { readonly backend: EventBackend; readonly ignore: readonly string[] },
  ): Promise<FolderSubscription>
}

/** A watcher with the backend it is to use, or why there is none. */
export type LoadedWatcher =
  | { readonly watcher: FolderWatcher; readonly backend: EventBackend; readonly why?: undefined }
  | { readonly watcher?: undefined; readonly why: string }

export type LoadWatcher = (wanted: 'auto' | EventBackend) => Promise<LoadedWatcher>
