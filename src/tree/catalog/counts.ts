/**
 * How many messages sessions have, as far as somebody has counted. A count belongs to the entry that was listed before the messages were
 * counted: where that is another one by now, nobody knows.
 */
import type { SessionId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'
import type { Generation } from '../../storage/generation.js'
import type { SessionEntry } from '../../storage/store.js'
import type { Prepare } from './pages.js'
import type { CatalogStore } from './port.js'

/** A session as it was listed. Without a version its store cannot tell whether it changed, and nothing is known of it. */
export type ListedSession = Pick<SessionEntry, 'generation' | 'version'> & { readonly key: Pick<SessionKey, 'session'> }

export interface CatalogCounts {
  /** In their order; undefined where nobody has counted since they were listed so. */
  of(store: CatalogStore, sessions: readonly ListedSession[]): readonly (number | undefined)[]
  /** Sessions that nobody has counted, by id, at most `limit` behind `after`. Of logs none: their lines are counted as they are listed. */
  missing(store: CatalogStore, after: string, limit: number): readonly ListedSession[]
  /** What was counted of sessions that were listed so; of those that are others by now nothing is kept, nor of those that could not be counted. */
  keep(store: CatalogStore, sessions: readonly ListedSession[], counts: readonly (number | undefined)[]): Promise<void>
}

export interface CountedRows {
  /** What a store is in the rows, and what asks for them; around each read. */
  read<T>(store: CatalogStore, ask: (prepare: Prepare, number: number) => T): T
  /** The same in a transaction. */
  write(store: CatalogStore, act: (prepare: Prepare, number: number) => void): Promise<void>
}

export function catalogCounts({ read, write }: CountedRows): CatalogCounts {
  return {
    of: (store, sessions) => read(store, (prepare, number) => countsOf(prepare, number, sessions)),
    missing: (store, after, limit) => read(store, (prepare, number) => uncounted(prepare, number, after, limit)),
    keep: (store, sessions, counts) => write(store, (prepare, number) => keepCounts(prepare, number, sessions, counts)),
  }
}

const COLUMNS = 'id, generation, version, messages'
const ROWS = 'sessions JOIN entries USING (row)'
/** So many are looked up one by one; of more all of the store are read. */
const FEW = 100

function countsOf(prepare: Prepare, store: number, sessions: readonly ListedSession[]): readonly (number | undefined)[] {
  const sql = `SELECT ${COLUMNS} FROM ${ROWS} WHERE store = ?`
  const rows = sessions.length > FEW ? prepare(sql).all(store) : sessions.flatMap(({ key }) => prepare(`${sql} AND id = ?`).all(store, key.session))
  const known = new Map(rows.map((row) => [row[0], row]))
  return sessions.map(({ key, generation, version }) => {
    const [, listed, listedVersion, messages] = known.get(key.session) ?? []
    const isSame = version !== undefined && generation === listed && version === listedVersion
    return isSame && typeof messages === 'number' ? messages : undefined
  })
}

function uncounted(prepare: Prepare, store: number, after: string, limit: number): readonly ListedSession[] {
  const isUncounted = 'messages IS NULL AND entry_count IS NULL AND version IS NOT NULL'
  const rows = prepare(`SELECT ${COLUMNS} FROM ${ROWS} WHERE store = ? AND id > ? AND ${isUncounted} ORDER BY id LIMIT ?`).all(store, after, limit)
  return rows.map(([id, generation, version]) => ({
    key: { session: id as SessionId },
    generation: generation as Generation,
    version: String(version),
  }))
}

function keepCounts(prepare: Prepare, store: number, sessions: readonly ListedSession[], counts: readonly (number | undefined)[]): void {
  const entry = 'EXISTS (SELECT 1 FROM entries WHERE row = sessions.row AND generation = ? AND version = ?)'
  const update = prepare(`UPDATE sessions SET messages = ? WHERE store = ? AND id = ? AND ${entry}`)
  for (const [at, { key, generation, version }] of sessions.entries()) {
    const count = counts[at]
    if (count !== undefined && version !== undefined) update.run(count, store, key.session, generation, version)
  }
}
