/** How far the index is behind the stores. */
import { encodeKey } from '../core/keys.js'
import type { Sessions } from '../tree/sessions.js'
import { type Exclusion, isExcluded, observedRevision } from './engine.js'
import { projectNameOf } from './projector.js'
import type { IndexStore } from './state.js'

/** Sessions looked at, the last updated first: a question beside a search must not cost a scan. */
const LOOKED_AT = 100

/** How many of the last updated sessions are not in the index as they are now. Opens no message. `redactor`: the name of the one that is in use. */
export async function countStale(state: IndexStore, sessions: Sessions, exclude: Exclusion = {}, redactor = ''): Promise<number> {
  const indexed = new Map(state.sessions().map(({ key, revision }) => [encodeKey(key), revision]))
  let stale = 0
  for (const meta of sessions.index.sessionsByTime().slice(0, LOOKED_AT)) {
    if (isExcluded(exclude, meta)) continue
    const revision = observedRevision(await sessions.index.revision(meta.key), meta, projectNameOf(redactor))
    if (indexed.get(encodeKey(meta.key)) !== revision) stale++
  }
  return stale
}
