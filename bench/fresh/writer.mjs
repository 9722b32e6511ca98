/**
 * Writes into a corpus as its agent would, and takes it all back: writerOf('json' | 'db' | 'claude', STORE).
 * `append(session, round)` adds a message, `rewrite(session)` changes the last one in place.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '../../dist/storage/sqlite/driver.js'

const MARK = 'BenchNew'

export async function writerOf(layout, store) {
  if (layout === 'json') return treeWriter(store)
  return layout === 'db' ? databaseWriter(store) : logWriter(store)
}

let made = 0

/** An id as OpenCode makes it: 36 bits of milliseconds, 12 bits of a counter, 14 characters. */
function idOf(prefix) {
  made++
  const stamp = (BigInt(Date.now()) * 4096n + BigInt(made % 4096)) & (2n ** 48n - 1n)
  return `${prefix}_${stamp.toString(16).padStart(12, '0')}${MARK}${String(made).padStart(6, '0').slice(-6)}`
}

const text = (round) => `The message of round ${round}, and what else was to be said about it.`
const messageOf = (created) => ({ role: 'user', time: { created }, agent: 'build', model: { providerID: 'example', modelID: 'example-1' } })

function treeWriter(tree) {
  const file = (...names) => `${join(tree, ...names)}.json`
  const write = (path, record) => {
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, JSON.stringify(record, null, 2))
  }
  const clear = () => {
    const marked = (name) => name.includes(MARK)
    for (const name of readdirSync(join(tree, 'part')).filter(marked)) rmSync(join(tree, 'part', name), { recursive: true })
    for (const session of readdirSync(join(tree, 'message'))) {
      for (const name of readdirSync(join(tree, 'message', session)).filter(marked)) rmSync(join(tree, 'message', session, name))
    }
  }
  clear()
  let last
  return {
    append(session, round) {
      const [message, part] = [idOf('msg'), idOf('prt')]
      last = file('message', session, message)
      write(file('part', message, part), { id: part, sessionID: session, messageID: message, type: 'text', text: text(round) })
      write(file('message', session, message), { id: message, sessionID: session, ...messageOf(Date.now()) })
    },
    /** The record that was written last, the same bytes again: as much of a rewrite as a reader can see of one. */
    rewrite: () => writeFileSync(last, readFileSync(last)),
    clear,
    close: () => {},
  }
}

async function databaseWriter(path) {
  const database = await openSqlite(path, { readOnly: false })
  const clear = () => {
    for (const table of ['part', 'message']) database.exec(`DELETE FROM ${table} WHERE id LIKE '%${MARK}%'`)
  }
  clear()
  const message = database.prepare('INSERT INTO message (id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?)')
  const part = database.prepare('INSERT INTO part (id, message_id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?, ?)')
  const touch = database.prepare(
    'UPDATE part SET time_updated = ? WHERE id = (SELECT id FROM part WHERE session_id = ? ORDER BY time_created DESC, id DESC LIMIT 1)',
  )
  return {
    append(session, round) {
      const [messageId, partId, now] = [idOf('msg'), idOf('prt'), Date.now()]
      message.run(messageId, session, now, now, JSON.stringify(messageOf(now)))
      part.run(partId, messageId, session, now, now, JSON.stringify({ type: 'text', text: text(round) }))
    },
    rewrite: (session) => void touch.run(Date.now(), session),
    clear,
    close: () => database[Symbol.dispose](),
  }
}

function logWriter(folder) {
  const note = join(folder, '..', 'bench-lengths.json')
  const paths = new Map(
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith('.jsonl'))
      .map((name) => [name.split('/').at(-1).slice(0, -'.jsonl'.length), join(folder, name)]),
  )
  const lengths = existsSync(note) ? JSON.parse(readFileSync(note, 'utf8')) : {}
  /** Cut back to what they were, with the times that they had. */
  const clear = () => {
    for (const [path, { size, mtimeMs }] of Object.entries(lengths)) {
      truncateSync(path, size)
      utimesSync(path, mtimeMs / 1000, mtimeMs / 1000)
      delete lengths[path]
    }
    rmSync(note, { force: true })
  }
  clear()
  const append = (session, round) => {
    const path = paths.get(session)
    if (lengths[path] === undefined) {
      const { size, mtimeMs } = statSync(path)
      lengths[path] = { size, mtimeMs }
      writeFileSync(note, JSON.stringify(lengths))
    }
    const line = { parentUuid: null, isSidechain: false, uuid: `${MARK}-${round}`, timestamp: new Date().toISOString(), type: 'user' }
    appendFileSync(path, `${JSON.stringify({ ...line, sessionId: session, message: { role: 'user', content: text(round) } })}\n`)
  }
  return { append, rewrite: (session) => append(session, Date.now()), clear, close: () => {} }
}
