/** The port to the sessions: what changed, and the messages behind it. */
import type { MessageId } from '../core/ids.js'
import type { MessageKey, SessionKey } from '../core/keys.js'
import type { MessageNode, SessionMeta } from '../tree/types.js'

export interface SourceSession {
  readonly meta: SessionMeta
  /** Opaque; another revision means that something changed. Compared by inequality, never by order. */
  readonly revision: string
}

export interface SessionListing {
  readonly sessions: readonly SourceSession[]
  /** False when anything could not be read: then absence proves nothing. */
  readonly complete: boolean
}

export interface SessionTail {
  readonly meta: SessionMeta
  /** Hydrated, in order: the messages whose signature differs from the known one. */
  readonly messages: readonly MessageNode[]
  /** Every message id of the session now, in order. */
  readonly present: readonly MessageId[]
  /** False when anything could not be read: then absence proves nothing. */
  readonly complete: boolean
}

export interface SessionSource {
  list(signal?: AbortSignal): Promise<SessionListing>
  /** `undefined`: the session is certainly gone. Throws when it cannot be told. */
  revision(key: SessionKey): Promise<string | undefined>
  tail(key: SessionKey, known: (key: MessageKey) => string | undefined, signal?: AbortSignal): Promise<SessionTail>
}
