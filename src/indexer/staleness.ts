/** How far the index is behind the stores. */
import { encodeKey } from '../core/keys.js'
import type { Sessions } from '../tree/sessions/sessions.js'
import { type Exclusion, isExcluded, observedRevision } from './engine.js'
import type { IndexStore } from './state/state.js'
import { projectNameOf } from './text/projector.js'
import { secretlintRedactor } from './text/redact-secretlint.js'

/** Sessions looked at, the last updated first: a question beside a search must not cost a scan. */
const LOOKED_AT = 100

/**
 * How many of the last updated sessions are not in the index as they are now. Opens no message.
 * `redactor`: the name of the one that is in use; by default what was written without one counts, and with the one of this library.
 */
export async function countStale(state: IndexStore, sessions: Sessions, exclude: Exclusion = {}, redactor?: string): Promise<number> {
  const names = (redactor === undefined ? ['', secretlintRedactor().name] : [redactor]).map(projectNameOf)
  const indexed = new Map((await state.sessions()).map(({ key, revision }) => [encodeKey(key), revision]))
  let stale = 0
  for (const meta of sessions.index.sessionsByTime().slice(0, LOOKED_AT)) {
    if (isExcluded(exclude, meta)) continue
    const revision = await sessions.index.revision(meta.key)
    const held = indexed.get(encodeKey(meta.key))
    if (names.every((name) => held !== observedRevision(revision, meta, name))) stale++
  }
  return stale
}
