/** What is shown of sessions before this process has listed them. */
import type { SessionId } from '../../core/ids.js'
import type { Agent, SessionKey } from '../../core/keys.js'
import type { ReadQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
import type { LookOptions } from './look-alone.js'
import type { CatalogPage } from './port.js'

export interface EarlySessions {
  /** Undefined when the catalog cannot be read. */
  page(query: ReadQuery): CatalogPage | undefined
  count(): number
  /** The one updated last first; read once. */
  all(): readonly SessionMeta[]
  session(key: SessionKey): SessionMeta | undefined
  withId(id: SessionId): readonly SessionMeta[]
  childrenOf(key: SessionKey): readonly SessionMeta[]
}

/** What else is shown of the set meanwhile: not the list of all, which would be held as long as the set. */
export interface EarlyLooks extends Pick<EarlySessions, 'page'> {
  /** As they are now, of an agent, as far as they are there. Undefined where a listing must tell. */
  look(agent: Agent, ids: readonly SessionId[], options?: LookOptions): Promise<readonly SessionMeta[] | undefined>
}

const EARLY = new WeakMap<Sessions, EarlyLooks>()

/** While these sessions are stale. */
export function earlySessionsOf(sessions: Sessions): EarlyLooks | undefined {
  return sessions.stale ? EARLY.get(sessions) : undefined
}

export function rememberEarly(sessions: Sessions, looks: EarlyLooks): void {
  EARLY.set(sessions, looks)
}
