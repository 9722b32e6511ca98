/** How far the index is behind the stores. */
import { encodeKey, type SessionKey } from '../core/keys.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import { observedRevision } from './engine.js'
import { type Exclusion, isExcluded, parentsOf } from './exclusion.js'
import { listedStores } from './session-source.js'
import type { SessionListing } from './source.js'
import type { IndexStore, KnownSession } from './state/state.js'
import { projectNameOf } from './text/projector.js'
import { secretlintRedactor } from './text/redact-secretlint.js'
import { lookedAt, placesOf } from './whereabouts.js'

/** Sessions looked at, the last updated first: a question beside a search must not cost a scan. */
const LOOKED_AT = 100

/**
 * How many of the last updated sessions are not in the index as they are now. Opens no message.
 * `redactor`: the name of the one that is in use; by default what was written without one counts, and with the one of this library.
 */
export async function countStale(state: IndexStore, sessions: Sessions, exclude: Exclusion = {}, redactor?: string): Promise<number> {
  const names = (redactor === undefined ? ['', secretlintRedactor().name] : [redactor]).map(projectNameOf)
  const indexed = new Map((await state.sessions()).map(({ key, revision }) => [encodeKey(key), revision]))
  const listed = sessions.index.sessionsByTime()
  const parents = parentsOf(listed)
  let stale = 0
  for (const meta of listed.slice(0, LOOKED_AT)) {
    if (isExcluded(exclude, meta, parents)) continue
    const revision = await sessions.index.revision(meta.key)
    const held = indexed.get(encodeKey(meta.key))
    if (names.every((name) => held !== observedRevision(revision, meta, name))) stale++
  }
  return stale
}

/** How many sessions of the index are in none of these stores any more, although the store that they were indexed from was looked at. */
export async function countDeleted(state: IndexStore, sessions: Sessions, { sessions: excluded = [] }: Exclusion = {}): Promise<number> {
  const listing = listingOf(sessions)
  const isDeleted = (session: KnownSession): boolean =>
    !session.gone && sessions.index.session(session.key) === undefined && lookedAt(listing, session)?.complete === true
  return (await state.sessions()).filter((session) => isDeleted(session) && !excluded.includes(session.key.session)).length
}

/** The sessions of the index that lie in these stores: those that are listed, and those that were when they were indexed. */
export async function indexedIn(state: IndexStore, sessions: Sessions): Promise<readonly SessionKey[]> {
  const listing = listingOf(sessions)
  const isIn = (session: KnownSession): boolean => sessions.index.session(session.key) !== undefined || lookedAt(listing, session) !== undefined
  return (await state.sessions()).flatMap((session) => (!session.gone && isIn(session) ? [session.key] : []))
}

function listingOf(sessions: Sessions): Pick<SessionListing, 'stores' | 'around'> {
  const stores = listedStores(sessions)
  return { stores, around: placesOf(stores) }
}
