/**
 * A plain lister: node naive-list.mjs list|ls json|db|dual STORE
 * `list` reads the session files or rows and sorts them by their last update; `ls` counts messages too, by one readdir per
 * session or one GROUP BY. `dual` takes a data folder with both: all rows, then every session file, kept if the rows lack it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { join } from 'node:path'

const [mode, layout, store] = process.argv.slice(2)
const started = performance.now()
const database = layout === 'json' ? undefined : await openDatabase(layout === 'db' ? store : join(store, 'opencode.db'))
const tree = layout === 'dual' ? join(store, 'storage') : store
const sessions = new Map()
if (database) for (const row of database.prepare('SELECT * FROM session').all()) sessions.set(row.id, { id: row.id, updated: row.time_updated })
const inRows = sessions.size
if (layout !== 'db') for (const session of files()) if (!sessions.has(session.id)) sessions.set(session.id, session)
const sorted = [...sessions.values()].sort((a, b) => b.updated - a.updated)
const messages = mode === 'ls' ? count() : 0
console.log(JSON.stringify({ mode, sessions: sorted.length, messages, ms: performance.now() - started }))

async function openDatabase(path) {
  if (!isBuiltin('node:sqlite')) return new (createRequire(import.meta.url)('better-sqlite3'))(path, { readonly: true })
  const { DatabaseSync } = await import('node:sqlite')
  return new DatabaseSync(path, { readOnly: true })
}

function* files() {
  const folder = join(tree, 'session')
  for (const project of readdirSync(folder)) {
    for (const name of readdirSync(join(folder, project))) {
      const { id, time } = JSON.parse(readFileSync(join(folder, project, name), 'utf8'))
      yield { id, updated: time.updated }
    }
  }
}

function count() {
  const counts = new Map()
  if (inRows > 0)
    for (const row of database.prepare('SELECT session_id, count(*) n FROM message GROUP BY session_id').all()) counts.set(row.session_id, row.n)
  for (const session of sorted) session.messages = counts.get(session.id) ?? (tree === undefined ? 0 : inFolder(session.id))
  return sorted.reduce((sum, session) => sum + session.messages, 0)
}

function inFolder(id) {
  return layout === 'db' ? 0 : readdirSync(join(tree, 'message', id)).length
}
