/** The sample corpus as OpenCode 2 keeps it, a database written from it, and what it must be read as. */
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import type { Document } from '../../src/core/documents.js'
import { type CorpusMessage, type CorpusSession, sampleCorpus, sessionDocument, userMessage } from './corpus.js'
import { plainV2Message } from './independent-v2.js'
import { type FixtureMaker, onlyStore, pretty, type RecordPlace, type StoreFixture, writeFileAt } from './store-fixtures.js'
import type { ContractSubject } from './store-world.js'
import { tempFolder } from './temp.js'
import { openCode2Tables } from './v2-ddl.js'

/** Messages as V2 documents, their `type` in the document until they are written; no parts beside them, no todos. */
export const V2_SUBJECT: ContractSubject = {
  corpus: sampleCorpus().map(asV2) as unknown as ContractSubject['corpus'],
  partLeaves: false,
  documents: true,
  newMessage: (time) => v2Message(userMessage(time)),
  expectedTree: (session, record) => ({
    session: record,
    messages: session.messages.map(({ id, data }) => {
      const { message, parts } = plainV2Message({ id, session_id: session.id, type: String(data.type), data: JSON.stringify(data) })
      return { id, message, parts, damagedParts: 0 }
    }),
  }),
}

function asV2({ todos: _, ...session }: CorpusSession): CorpusSession {
  return { ...session, messages: session.messages.map(v2Message) }
}

function v2Message({ id, data, time, parts }: CorpusMessage): CorpusMessage {
  const texts = parts.flatMap(({ data }) => (data.type === 'text' && typeof data.text === 'string' ? [data.text] : []))
  const { tokens, cost, finish } = data
  const step = {
    agent: 'build',
    model: { id: 'stub-1', providerID: 'stub' },
    content: parts.map(({ data }) => contentItem(data)),
    cost,
    finish,
    tokens,
    time: data.time,
  }
  const document =
    data.role === 'user' ? { type: 'user', text: texts.join('\n\n'), files: [], time: { created: time } } : { type: 'assistant', ...step }
  return { id, data: JSON.parse(JSON.stringify(document)) as Document, time, parts: [] }
}

function contentItem({ type, ...part }: Document): Document {
  if (type === 'reasoning') return { type, text: part.text, native: { signature: 's' }, time: { created: 1 } }
  if (type !== 'tool') return { type, ...part, time: undefined }
  const state = { status: 'completed', input: { command: 'ls' }, content: [{ type: 'text', text: 'a\nb' }], metadata: { exit: 0 } }
  return { type, id: part.callID, name: 'shell', executed: false, state, time: { created: 1, ran: 2, completed: 3 } }
}

/** `seq` is the time of the message: with gaps, as in life, and in the order that the corpus has. */
export const v2Fixture: FixtureMaker = (corpus) => {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode', 'opencode.db')
  mkdirSync(dirname(path))
  const writer = new Database(path)
  writer.pragma('journal_mode = WAL')
  writer.exec(openCode2Tables())
  const fixture: StoreFixture = {
    path,
    open: () => onlyStore(path),
    write: (place, text, time) => writeV2Row(writer, place, text, time, time),
    remove: ({ message }) => writer.prepare('DELETE FROM session_message WHERE id = ?').run(message),
    sessionRecord: (session) => ({ ...sessionDocument(session), ...USAGE, resumeAttempts: 0 }),
    [Symbol.dispose]: () => {
      writer.close()
      folder[Symbol.dispose]()
    },
  }
  writer.transaction(() => {
    for (const session of corpus) {
      insertV2Session(writer, session)
      for (const { id, data, time } of session.messages) fixture.write({ session: session.id, message: id }, JSON.stringify(data), time)
      if (session.diffs !== undefined)
        writeFileAt(join(dirname(path), 'storage', 'session_diff', `${session.id}.json`), pretty(session.diffs), session.updated)
    }
  })()
  return fixture
}

const USAGE = { cost: 0, tokens: { input: 0, output: 0, reasoning: 0, cache: { read: 0, write: 0 } } }

export function insertV2Session(writer: Database.Database, { id, project, info, created, updated }: CorpusSession, table = 'session_v2'): void {
  writer
    .prepare("INSERT OR IGNORE INTO project (id, worktree, time_created, time_updated, sandboxes) VALUES (?, '/srv/sky', 1, 1, '[]')")
    .run(project)
  writer
    .prepare(
      `INSERT INTO ${table} (id, project_id, parent_id, slug, directory, title, version, time_created, time_updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(id, project, info.parentID ?? null, info.slug, info.directory, info.title, info.version, created, updated)
}

/** A document's `type` goes into its column; what is no document keeps the type of the row that it overwrites. */
export function writeV2Row(writer: Database.Database, { session, message }: RecordPlace, text: string, time: number, seq: number): void {
  const { type, data } = splitType(text)
  writer
    .prepare(
      `INSERT INTO session_message (id, session_id, type, seq, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET data = excluded.data, time_updated = excluded.time_updated`,
    )
    .run(message, session, type, seq, time, time, data)
}

function splitType(text: string): { readonly type: string; readonly data: string } {
  try {
    const { type, ...rest } = JSON.parse(text) as Document
    if (typeof type === 'string') return { type, data: JSON.stringify(rest) }
  } catch {}
  return { type: 'user', data: text }
}
