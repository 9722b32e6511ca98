/** What is shown of sessions before this process has listed them. */
import type { SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { ReadQuery } from '../sessions/session-page.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionMeta } from '../types.js'
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

/** Pages alone: the list of all would be held as long as the set. */
type EarlyPages = Pick<EarlySessions, 'page'>

const EARLY = new WeakMap<Sessions, EarlyPages>()

/** What a page of these sessions is read from while they are stale. */
export function earlySessionsOf(sessions: Sessions): EarlyPages | undefined {
  return sessions.stale ? EARLY.get(sessions) : undefined
}

export function rememberEarly(sessions: Sessions, { page }: EarlyPages): void {
  EARLY.set(sessions, { page })
}
