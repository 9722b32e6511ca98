/** What stands in the `storage` folder beside a database: the diff files that some versions write there, and what 1.x left behind. */
import { dirname, join } from 'node:path'
import type { SessionId } from '../../core/ids.js'
import { sessionKey } from '../../core/keys.js'
import { knownFolders } from '../files/census.js'
import { CensusTree } from '../files/census-tree.js'
import { openDiffFile } from '../files/diff-files.js'
import { isJsonTree } from '../paths.js'
import type { Slab } from '../slab.js'
import type { CensusEntry } from '../store.js'
import type { SqliteConnection } from './connection.js'
import type { Layout } from './layouts.js'

const DIFFS = 'session_diff'

/** Nothing where the folder is a JSON tree, which counts what it holds. */
export function* besideDatabase(connection: SqliteConnection, layout: Layout, slab: () => Slab): Generator<CensusEntry> {
  const storage = join(dirname(connection.path), 'storage')
  if (isOther(storage)) return
  const tree = new CensusTree(storage)
  if (knownFolders(tree, new Set([DIFFS])).has(DIFFS)) {
    const sessions = new Set(connection.allOrNone(`SELECT id FROM ${layout.session}`).map(([id]) => id))
    for (const { name, path } of tree.flat(DIFFS)) {
      const key = sessionKey('opencode', name as SessionId)
      const leaf = openDiffFile(path, key, undefined, slab(), { files: 0, rows: 0, bytes: 0, stats: 0 })
      yield { what: 'record', kind: 'diff', key, path, orphan: !sessions.has(name), leaf }
    }
  }
  yield* tree.leftovers()
}

function isOther(storage: string): boolean {
  try {
    return isJsonTree(storage)
  } catch {
    return false // it cannot be looked into: the walk says why
  }
}
