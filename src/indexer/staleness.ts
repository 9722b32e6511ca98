/** How far the index is behind the stores. */
import { encodeKey, type SessionKey } from '../core/keys.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import { observedRevision } from './engine.js'
import { type Exclusion, excluder, parentsOf } from './exclusion.js'
import { listedPlaces } from './session-source.js'
import type { IndexStore, KnownSession } from './state/state.js'
import { projectNameOf } from './text/projector.js'
import { secretlintRedactor } from './text/redact-secretlint.js'
import { lookedAt, whereIs } from './whereabouts.js'

/** Sessions looked at, the last updated first: a question beside a search must not cost a scan. */
const LOOKED_AT = 100

/**
 * How many of the last updated sessions are not in the index as they are now. Opens no message, so a copy is not counted while
 * the session's own store is not looked at: it may be an older one, which no run of the indexer takes.
 * `redactor`: the name of the one that is in use; by default what was written without one counts, and with the one of this library.
 */
export async function countStale(state: IndexStore, sessions: Sessions, exclude: Exclusion = {}, redactor?: string): Promise<number> {
  const names = (redactor === undefined ? ['', secretlintRedactor().name] : [redactor]).map(projectNameOf)
  const indexed = new Map((await state.sessions()).map((session) => [encodeKey(session.key), session]))
  const listed = sessions.index.sessionsByTime()
  const isOut = excluder(exclude, parentsOf(listed))
  let places: ReturnType<typeof listedPlaces> | undefined
  let stale = 0
  for (const meta of listed.slice(0, LOOKED_AT)) {
    if (isOut(meta)) continue
    const held = indexed.get(encodeKey(meta.key))
    if (held !== undefined && !held.gone && held.store !== meta.source.path) {
      places ??= listedPlaces(sessions)
      if (whereIs(places, held, meta.source.path) !== 'here') continue
    }
    const revision = await sessions.index.revision(meta.key)
    if (names.every((name) => held?.revision !== observedRevision(revision, meta, name))) stale++
  }
  return stale
}

/** How many sessions of the index are in none of these stores any more, although the store that they were indexed from was looked at. */
export async function countDeleted(state: IndexStore, sessions: Sessions, { sessions: excluded }: Exclusion = {}): Promise<number> {
  const out = new Set(excluded)
  const listing = listedPlaces(sessions)
  const isDeleted = (session: KnownSession): boolean =>
    !session.gone && sessions.index.session(session.key) === undefined && lookedAt(listing, session)?.complete === true
  return (await state.sessions()).filter((session) => isDeleted(session) && !out.has(session.key.session)).length
}

/** The sessions of the index that lie in these stores: those that are listed, and those that were when they were indexed. */
export async function indexedIn(state: IndexStore, sessions: Sessions): Promise<readonly SessionKey[]> {
  const listing = listedPlaces(sessions)
  const isIn = (session: KnownSession): boolean => sessions.index.session(session.key) !== undefined || lookedAt(listing, session) !== undefined
  return (await state.sessions()).flatMap((session) => (!session.gone && isIn(session) ? [session.key] : []))
}
