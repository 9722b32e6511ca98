/** Opens a database of OpenCode. It may hold the tables of 1.x (V1), of 2.x (V2), or both; each generation is a store of its own. */
import { StorageError } from '../core/errors.js'
import { SqliteStore } from './opencode-sqlite.js'
import { SqliteConnection } from './sqlite-connection.js'
import { foreignDatabase, layoutsIn } from './sqlite-layouts.js'
import { openForeignDatabase } from './sqlite-open.js'
import type { Store } from './store.js'

/**
 * The stores of one file, the newer generation first, each with a connection of its own. Opened read-only.
 * @throws StorageError as `openForeignDatabase` does, and STORE_UNSUPPORTED, which names what the database is
 */
export async function openSqliteStores(path: string): Promise<readonly Store[]> {
  const first = await connect(path)
  const stores: SqliteStore[] = []
  try {
    const { tables } = first.schema
    const [upper, ...lower] = layoutsIn(tables)
    if (upper === undefined) throw new StorageError('STORE_UNSUPPORTED', { reason: `this is ${foreignDatabase(tables)}`, path })
    stores.push(new SqliteStore(first, upper))
    for (const layout of lower) stores.push(new SqliteStore(await connect(path), layout))
    return stores
  } catch (error) {
    first[Symbol.dispose]()
    throw error
  }
}

async function connect(path: string): Promise<SqliteConnection> {
  return new SqliteConnection(path, await openForeignDatabase(path))
}
