/**
 * Writes sessions the way OpenCode does: into a tree of files, each truncated and rewritten in place, or into a database.
 * Times never repeat: two writes within one millisecond cannot be told apart in a database.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'

const PROJECT = 'b0c1309ee409b71c257bdf8e5d96cf91a77ff40b'

const TABLES = `
  CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL, vcs text, name text, icon_url text, icon_color text,
    time_created integer NOT NULL, time_updated integer NOT NULL, time_initialized integer, sandboxes text NOT NULL);
  CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text NOT NULL, directory text NOT NULL, title text NOT NULL,
    version text NOT NULL, share_url text, summary_additions integer, summary_deletions integer, summary_files integer, summary_diffs text,
    revert text, permission text, time_created integer NOT NULL, time_updated integer NOT NULL, time_compacting integer, time_archived integer);
  CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
  CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
  CREATE TABLE todo (session_id text NOT NULL, content text NOT NULL, status text NOT NULL, priority text NOT NULL, position integer NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, PRIMARY KEY (session_id, position));
  CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
  CREATE INDEX part_message_id_id_idx ON part (message_id, id);
  CREATE INDEX part_session_idx ON part (session_id);`

/** The data folder is `data`, as `openSessions` takes it. */
export function openWriter(kind, data) {
  return kind === 'json' ? treeWriter(join(data, 'storage')) : databaseWriter(join(data, 'opencode.db'))
}

function infoOf({ id, title, created, updated, revert }) {
  const info = { id, projectID: PROJECT, slug: 'swift-engine', directory: '/srv/sky', title, version: '1.1.65', time: { created, updated } }
  return revert === undefined ? info : { ...info, revert: { messageID: revert } }
}

function messageData({ role, created, completed }) {
  if (role === 'user') return { role, time: { created }, agent: 'build', model: { providerID: 'stub', modelID: 'stub-1' } }
  const tokens = { input: 60, output: 20, reasoning: 3, cache: { read: 40, write: 7 } }
  const time = completed === undefined ? { created } : { created, completed }
  return { role, time, modelID: 'stub-1', providerID: 'stub', mode: 'build', path: { cwd: '/srv/sky', root: '/srv/sky' }, cost: 0, tokens }
}

function treeWriter(tree) {
  const file = (...names) => `${join(tree, ...names)}.json`
  const write = (path, document) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, JSON.stringify(document, null, 2))
  }
  write(file('project', PROJECT), { id: PROJECT, worktree: '/srv/sky', vcs: 'git', sandboxes: [], time: { created: 1, updated: 1 } })
  const removeMessage = (session, message) => {
    rmSync(join(tree, 'part', message.id), { recursive: true, force: true })
    rmSync(file('message', session.id, message.id), { force: true })
  }
  return {
    session: (session) => write(file('session', PROJECT, session.id), infoOf(session)),
    message: (session, message) => write(file('message', session.id, message.id), { id: message.id, sessionID: session.id, ...messageData(message) }),
    part: (session, message, { id, data }) => write(file('part', message.id, id), { id, sessionID: session.id, messageID: message.id, ...data }),
    removeMessage,
    removeSession(session) {
      for (const message of session.messages) removeMessage(session, message)
      rmSync(join(tree, 'message', session.id), { recursive: true, force: true })
      rmSync(file('session', PROJECT, session.id))
    },
    close() {},
  }
}

function databaseWriter(path) {
  mkdirSync(dirname(path), { recursive: true })
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.pragma('busy_timeout = 10000')
  database.exec(TABLES)
  database.prepare("INSERT INTO project (id, worktree, time_created, time_updated, sandboxes) VALUES (?, '/srv/sky', 1, 1, '[]')").run(PROJECT)
  const put = (table, columns) =>
    database.prepare(`INSERT OR REPLACE INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
  const session = put('session', ['id', 'project_id', 'slug', 'directory', 'title', 'version', 'revert', 'time_created', 'time_updated'])
  const message = put('message', ['id', 'session_id', 'time_created', 'time_updated', 'data'])
  const part = put('part', ['id', 'message_id', 'session_id', 'time_created', 'time_updated', 'data'])
  const drop = (table, column, id) => database.prepare(`DELETE FROM ${table} WHERE ${column} = ?`).run(id)
  return {
    session: ({ id, title, revert, created, updated }) =>
      session.run(
        id,
        PROJECT,
        'swift-engine',
        '/srv/sky',
        title,
        '1.2.1',
        revert === undefined ? null : JSON.stringify({ messageID: revert }),
        created,
        updated,
      ),
    message: ({ id: sid }, { id, created, updated, ...rest }) =>
      message.run(id, sid, created, updated, JSON.stringify(messageData({ created, ...rest }))),
    part: ({ id: sid }, { id: mid }, { id, created, updated, data }) => part.run(id, mid, sid, created, updated, JSON.stringify(data)),
    removeMessage(_, { id }) {
      drop('part', 'message_id', id)
      drop('message', 'id', id)
    },
    removeSession: database.transaction(({ id }) => {
      for (const table of ['part', 'message']) drop(table, 'session_id', id)
      drop('session', 'id', id)
    }),
    close: () => database.close(),
  }
}
