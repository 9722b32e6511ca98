/** Writes a corpus as a memory store, trees of era A, a tree of era B or a V1 database, and edits it as OpenCode would. */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { type Clock, systemClock } from '../../src/core/clock.js'
import type { Document } from '../../src/core/documents.js'
import { openEraAStore, openFileStore } from '../../src/storage/files/opencode-files.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import type { Store } from '../../src/storage/store.js'
import { type Corpus, type CorpusMessage, type CorpusSession, sessionDocument } from './corpus.js'
import { openCodeTables, type SchemaName } from './opencode-ddl.js'
import { tempFolder } from './temp.js'

/** A message, or a part of one. */
export interface RecordPlace {
  readonly session: string
  readonly message: string
  readonly part?: string
}

export interface StoreFixture extends Disposable {
  readonly path: string
  open(clock?: Clock): Promise<Store>
  /** Writes a message or a part: a new one, or in the place of the old. `text` is a document without ids, or damage. */
  write(place: RecordPlace, text: string, time: number): void
  remove(place: RecordPlace): void
  /** What such a store can hold of the session's record. */
  sessionRecord(session: CorpusSession): Document
}

export type FixtureMaker = (corpus: Corpus) => StoreFixture

export function memoryFixture(corpus: Corpus): StoreFixture {
  const store = new MemoryStore()
  for (const session of corpus) {
    store.put({ session: session.id }, sessionDocument(session), session.created)
    if (session.todos !== undefined) store.put({ session: session.id, kind: 'todo' }, session.todos, session.updated)
    if (session.diffs !== undefined) store.put({ session: session.id, kind: 'diff' }, session.diffs, session.updated)
  }
  const fixture: StoreFixture = {
    path: store.path,
    open: async () => store,
    write: (place, text, time) => store.put(place, text, time),
    remove: (place) => store.remove(place),
    sessionRecord: sessionDocument,
    [Symbol.dispose]: () => undefined,
  }
  writeMessages(fixture, corpus)
  return fixture
}

export function jsonFixture(corpus: Corpus): StoreFixture {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode', 'storage')
  mkdirSync(path, { recursive: true })
  writeTreeSessions(path, corpus)
  const fileOf = ({ session, message, part }: RecordPlace): string =>
    part === undefined ? join(path, 'message', session, `${message}.json`) : join(path, 'part', message, `${part}.json`)
  const fixture: StoreFixture = {
    path,
    open: async (clock = systemClock) => openFileStore(path, clock),
    write: (place, text, time) => writeFileAt(fileOf(place), withIds(text, place), time),
    remove: (place) => rmSync(fileOf(place)),
    sessionRecord: sessionDocument,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
  writeMessages(fixture, corpus)
  return fixture
}

export function writeTreeSessions(tree: string, corpus: Corpus): void {
  for (const session of corpus) {
    const project = { id: session.project, worktree: '/srv/sky', vcs: 'git', sandboxes: [], time: { created: 1, updated: 1 } }
    writeFileAt(join(tree, 'project', `${session.project}.json`), pretty(project), session.created)
    writeFileAt(join(tree, 'session', session.project, `${session.id}.json`), pretty(sessionDocument(session)), session.updated)
    if (session.todos !== undefined) writeFileAt(join(tree, 'todo', `${session.id}.json`), pretty(session.todos), session.updated)
    if (session.diffs !== undefined) writeFileAt(join(tree, 'session_diff', `${session.id}.json`), pretty(session.diffs), session.updated)
  }
}

/** Era A as 0.5 leaves it; parts split off a message whose conversion had failed stand below the message alone. */
export function eraAFixture({ parts = 'usual' }: { readonly parts?: 'usual' | 'below their message' } = {}): FixtureMaker {
  return (corpus) => {
    const folder = tempFolder()
    const path = join(folder.path, 'opencode', 'project')
    mkdirSync(path, { recursive: true })
    writeEraASessions(path, corpus)
    const fileOf = ({ session, message, part }: RecordPlace): string => {
      const tree = join(path, (corpus.find(({ id }) => id === session) ?? corpus[0])?.project ?? 'global', 'storage', 'session')
      if (part === undefined) return join(tree, 'message', session, `${message}.json`)
      return join(tree, 'part', ...(parts === 'usual' ? [session] : []), message, `${part}.json`)
    }
    const fixture: StoreFixture = {
      path,
      open: async (clock = systemClock) => openEraAStore(path, clock),
      write: (place, text, time) => writeFileAt(fileOf(place), withIds(text, place), time),
      remove: (place) => rmSync(fileOf(place)),
      sessionRecord: (session) => ({ ...eraASession(session), projectID: session.project, directory: '' }),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    }
    writeMessages(fixture, corpus)
    return fixture
  }
}

/** `projects` is the folder of all trees; a session's project serves as the slug of its tree. */
export function writeEraASessions(projects: string, corpus: Corpus): void {
  for (const session of corpus) {
    writeFileAt(join(projects, session.project, 'app.json'), '{}', session.created)
    const storage = join(projects, session.project, 'storage')
    writeFileAt(join(storage, 'migration'), '3', session.created)
    writeFileAt(join(storage, 'session', 'info', `${session.id}.json`), pretty(eraASession(session)), session.updated)
  }
}

function eraASession({ id, info, created, updated }: CorpusSession): Document {
  const { title, version, parentID } = info
  return { id, version, ...(parentID !== undefined && { parentID }), title, time: { created, updated } }
}

/** The message as 0.1 wrote it: its parts inside, its own fields in `metadata`. */
export function foldedMessage(session: string, { id, data, parts }: CorpusMessage): Document {
  const { role, time, modelID, providerID, path, cost, tokens, ...rest } = data
  const tool: Document = {}
  const inside = parts.map(({ data: part }) => {
    if (part.type !== 'tool') return part
    const { input, output, title, metadata, time: span } = part.state as Document
    tool[String(part.callID)] = { title, time: span, ...(metadata as Document) }
    return { type: 'tool-invocation', toolInvocation: { state: 'result', toolCallId: part.callID, toolName: part.tool, args: input, result: output } }
  })
  const assistant = role === 'assistant' && { assistant: { modelID, providerID, path, cost, tokens } }
  return { id, role, ...rest, parts: inside, metadata: { time, sessionID: session, tool, ...assistant } }
}

export function sqliteFixture(schema: SchemaName): FixtureMaker {
  return (corpus) => {
    const folder = tempFolder()
    const path = join(folder.path, 'opencode', 'opencode.db')
    mkdirSync(dirname(path))
    const writer = new Database(path)
    writer.pragma('journal_mode = WAL')
    writer.exec(openCodeTables(schema))
    const columns = writer.prepare("SELECT name FROM pragma_table_info('session')").pluck().all() as string[]
    for (const session of corpus) insertSession(writer, columns, session)
    for (const session of corpus.filter(({ diffs }) => diffs !== undefined)) {
      writeFileAt(join(dirname(path), 'storage', 'session_diff', `${session.id}.json`), pretty(session.diffs), session.updated)
    }
    const fixture: StoreFixture = {
      path,
      open: () => onlyStore(path),
      write: (place, text, time) => writeRow(writer, place, text, time),
      remove: ({ message, part }) => {
        if (part !== undefined) writer.prepare('DELETE FROM part WHERE id = ?').run(part)
        else for (const sql of ['DELETE FROM part WHERE message_id = ?', 'DELETE FROM message WHERE id = ?']) writer.prepare(sql).run(message)
      },
      sessionRecord: (session) => recordInColumns(session, columns),
      [Symbol.dispose]: () => {
        writer.close()
        folder[Symbol.dispose]()
      },
    }
    writer.transaction(() => writeMessages(fixture, corpus))()
    return fixture
  }
}

/** Of a database of one generation. */
export async function onlyStore(path: string): Promise<Store> {
  const [store, ...others] = await openSqliteStores(path)
  if (store === undefined || others.length > 0) throw new Error(`${others.length + 1} stores in ${path}`)
  return store
}

function writeMessages(fixture: StoreFixture, corpus: Corpus): void {
  for (const { id: session, messages } of corpus) {
    for (const message of messages) {
      fixture.write({ session, message: message.id }, JSON.stringify(message.data), message.time)
      for (const part of message.parts) fixture.write({ session, message: message.id, part: part.id }, JSON.stringify(part.data), part.time)
    }
  }
}

export function pretty(document: unknown): string {
  return JSON.stringify(document, null, 2)
}

export function writeFileAt(path: string, content: string | Uint8Array, time: number): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  utimesSync(path, time / 1000, time / 1000)
}

/** OpenCode repeats the ids inside its files. Damage stays as it is. */
function withIds(text: string, { session, message, part }: RecordPlace): string {
  try {
    const document: unknown = JSON.parse(text)
    if (typeof document !== 'object' || document === null) return text
    return pretty({ id: part ?? message, sessionID: session, ...(part !== undefined && { messageID: message }), ...document })
  } catch {
    return text
  }
}

const UPSERT_TAIL = 'ON CONFLICT (id) DO UPDATE SET data = excluded.data, time_updated = excluded.time_updated'

function writeRow(writer: Database.Database, { session, message, part }: RecordPlace, text: string, time: number): void {
  if (part === undefined) {
    writer
      .prepare(`INSERT INTO message (id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?) ${UPSERT_TAIL}`)
      .run(message, session, time, time, text)
    return
  }
  const sql = `INSERT INTO part (id, message_id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?, ?) ${UPSERT_TAIL}`
  writer.prepare(sql).run(part, message, session, time, time, text)
}

function insertSession(writer: Database.Database, columns: readonly string[], session: CorpusSession): void {
  const { id, project, info, created, updated, todos = [] } = session
  writer
    .prepare('INSERT OR IGNORE INTO project (id, worktree, vcs, time_created, time_updated, sandboxes) VALUES (?, ?, ?, ?, ?, ?)')
    .run(project, '/srv/sky', 'git', 1, 1, '[]')
  const row: Record<string, unknown> = { id, project_id: project, time_created: created, time_updated: updated }
  for (const [field, column] of Object.entries(COLUMN_OF_FIELD)) {
    if (columns.includes(column) && info[field] !== undefined) row[column] = asColumn(info[field])
  }
  const names = Object.keys(row)
  writer.prepare(`INSERT INTO session (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`).run(...Object.values(row))
  for (const [position, { content, status, priority }] of todos.entries()) {
    writer.prepare('INSERT INTO todo VALUES (?, ?, ?, ?, ?, ?, ?)').run(id, content, status, priority, position, updated, updated)
  }
}

const COLUMN_OF_FIELD: Readonly<Record<string, string>> = {
  slug: 'slug',
  directory: 'directory',
  title: 'title',
  version: 'version',
  parentID: 'parent_id',
  path: 'path',
  agent: 'agent',
  model: 'model',
  cost: 'cost',
  metadata: 'metadata',
  permission: 'permission',
  revert: 'revert',
}

function asColumn(value: unknown): unknown {
  return typeof value === 'object' ? JSON.stringify(value) : value
}

/** Fields without a column are lost; usage columns have a default. */
function recordInColumns(session: CorpusSession, columns: readonly string[]): Document {
  const record = sessionDocument(session)
  for (const [field, column] of Object.entries(COLUMN_OF_FIELD)) if (!columns.includes(column)) delete record[field]
  if (!columns.includes('cost')) return record
  return { ...record, cost: record.cost ?? 0, tokens: { input: 0, output: 0, reasoning: 0, cache: { read: 0, write: 0 } } }
}
