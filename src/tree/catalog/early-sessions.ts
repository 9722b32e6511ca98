/**
 * The sessions as an earlier process left them in the catalog: what is shown until the first listing is through. Nothing is read of them
 * before it is asked for. A catalog that cannot be read any more shows nothing, which lasts as long as that listing does.
 */
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import type { Store } from '../../storage/store.js'
import { readQuery } from '../sessions/session-page.js'
import type { SessionMeta } from '../types.js'
import type { EarlySessions } from './early.js'
import type { Catalog } from './port.js'

export function earlySessions(catalog: Catalog, stores: () => readonly Store[]): EarlySessions {
  const everything = readQuery({ children: true, archived: true, limit: Number.POSITIVE_INFINITY })
  const withId = (id: SessionId): readonly SessionMeta[] => attempt(() => catalog.byId(id, stores())) ?? []
  return {
    page: (query) => attempt(() => catalog.page(query, stores())),
    count: () => attempt(() => catalog.count(everything, stores())) ?? 0,
    all: readOnce(() => attempt(() => catalog.page(everything, stores()).sessions)),
    session: (key) => withId(key.session).find((meta) => meta.key.agent === key.agent),
    withId,
    childrenOf: (key) => attempt(() => catalog.children(key, stores())) ?? [],
  }
}

/** What was read is held by the function that is given alone, not by its neighbours. */
function readOnce(read: () => readonly SessionMeta[] | undefined): () => readonly SessionMeta[] {
  let held: readonly SessionMeta[] | undefined
  return () => {
    held ??= Object.freeze(read())
    return held ?? []
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}
