/**
 * The database modes of naive-reader.mjs over better-sqlite3, statement for statement, for a Node without node:sqlite.
 * node naive-db.mjs db-all|db-sessions|db-one DATABASE
 */
import { createRequire } from 'node:module'

const [mode, path] = process.argv.slice(2)
const out = { mode, records: 0, bytes: 0 }
const started = performance.now()
const keep = []
const Database = createRequire(import.meta.url)('better-sqlite3')
const database = new Database(path, { readonly: true })
if (mode === 'db-sessions') query('SELECT * FROM session ORDER BY time_updated DESC')
else if (mode === 'db-one') {
  const { id } = database.prepare('SELECT id FROM session ORDER BY time_updated DESC LIMIT 1').get()
  query('SELECT * FROM message WHERE session_id=? ORDER BY time_created,id', id)
  query('SELECT * FROM part WHERE session_id=? ORDER BY message_id,id', id)
} else for (const table of ['session', 'message', 'part']) query(`SELECT * FROM ${table}`)
out.ms = performance.now() - started
console.log(JSON.stringify(out))

function query(sql, ...parameters) {
  for (const row of database.prepare(sql).iterate(...parameters)) {
    out.records++
    if (row.data) {
      out.bytes += row.data.length
      keep.push({ ...row, data: JSON.parse(row.data) })
    } else keep.push(row)
  }
}
