/** The port to the sessions: what changed, and the messages behind it. */
import type { MessageId } from '../core/ids.js'
import type { Agent, MessageKey, SessionKey } from '../core/keys.js'
import type { MessageMeta, MessageNode, SessionMeta } from '../tree/types.js'

export interface SourceSession {
  readonly meta: SessionMeta
  /** Opaque; another revision means that something changed. Compared by inequality, never by order. */
  readonly revision: string
}

/** A store that was looked at for a listing. */
export interface ListedStore {
  /** As `meta.source.path` of its sessions names it. */
  readonly path: string
  /** False when anything of it could not be listed: then absence proves nothing. */
  readonly complete: boolean
}

export interface SessionListing {
  readonly sessions: readonly SourceSession[]
  /** Stores that could not be opened, or were not asked for, are not among them; nothing is known of their sessions. */
  readonly stores: readonly ListedStore[]
  /**
   * True when nothing certain is known of a store, or of the session in it: it was not listed as a whole, it is missing or failing,
   * or the session's messages there cannot be listed. What another store lists may be an older copy.
   */
  readonly isUnknown?: (store: string, session?: SessionKey) => boolean
  /** The listed store that a path of none of them leads to, by a link, or into which it leads: what is not in that one is not there either. */
  readonly around?: (store: string, agent: Agent) => ListedStore | undefined
}

export interface SessionTail {
  readonly meta: SessionMeta
  /** Hydrated, in order: the messages whose signature differs from the known one, as many as the budget of bytes takes. */
  readonly messages: readonly MessageNode[]
  /** Every message id of the session now, in order. */
  readonly present: readonly MessageId[]
  /** False when anything could not be read: then absence proves nothing. What could not be read is not among the messages. */
  readonly complete: boolean
  /**
   * Set when the budget ended before the messages did: spread it into the options of the next call, within the same claim, for those that follow.
   * A claim that began anew with the first message instead might never get past messages that stay unsettled or unreadable.
   */
  readonly more?: { readonly after: MessageId } | undefined
}

/** A page takes about eight times the bytes that it has in its store: as read, as text, as records, and those of the page before, until they are collected. */
export const HYDRATED = 8

export interface TailOptions {
  readonly signal?: AbortSignal | undefined
  /** Where the session was last listed. */
  readonly store?: string | undefined
  /** Bytes of the store that are read at a time; one message is read whatever its size. In memory they take more, see `HYDRATED`. @default no limit */
  readonly bytes?: number | undefined
  /** Nothing is trusted that only metadata tell: a log is read from its start. @default false */
  readonly deep?: boolean | undefined
  /** Only the messages that follow this one, see `SessionTail.more`. */
  readonly after?: MessageId | undefined
}

export interface SessionSource {
  list(signal?: AbortSignal): Promise<SessionListing>
  /**
   * While it gives the same, a listing would show the same, but for stores that appear in other folders; undefined when that cannot be told.
   * Costs next to nothing.
   */
  stamp?(): Promise<string | undefined>
  /**
   * `undefined`: the session is certainly gone, by a listing made after the call of the store that it came from
   * (of every store, when none is named). Throws when it cannot be told.
   */
  revision(key: SessionKey, store?: string): Promise<string | undefined>
  /**
   * The messages of a session as it is listed. By these a copy in another store is compared with what is indexed, while the store of the
   * session is not looked at. @default another copy always takes its place
   */
  messages?(key: SessionKey): Promise<readonly MessageMeta[]>
  /**
   * `known`: the signature that the caller holds of a message; undefined hands it over.
   * @throws StorageError STORE_NOT_READY while only another store than `store` has the session, and nothing certain is known of that one
   */
  tail(key: SessionKey, known: (key: MessageKey) => string | undefined, options?: TailOptions): Promise<SessionTail>
}
