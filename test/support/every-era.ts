/** One data folder with the stores of every era, each holding copies of what the later ones took over, and a stranger among them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type CorpusSession, conversation, corpusSession, DAY, generatedId, WRAP } from './corpus.js'
import { openCodeTables } from './opencode-ddl.js'
import { pretty, writeEraASessions, writeFileAt, writeTreeSessions } from './store-fixtures.js'
import { tempFolder } from './temp.js'
import { openCode2Tables } from './v2-ddl.js'
import { insertV2Session, V2_SUBJECT, writeV2Row } from './v2-fixture.js'

/** In order of precedence: session n of the list below stands in the store of kind n and in all that follow. */
export const KINDS = ['opencode-v2', 'opencode-sqlite', 'opencode-json', 'opencode-era-a'] as const

export interface EveryEra extends Disposable {
  readonly data: string
  /** The first is shown by V2, the second by V1, the third by era B, the last by era A. */
  readonly sessions: readonly [CorpusSession, CorpusSession, CorpusSession, CorpusSession]
  /** The database of another program. */
  readonly stranger: string
}

const FOLDERS = ['C:/work/sky', 'C:\\work\\sky\\deep', 'C:\\work\\sea', '']

export function everyEra(): EveryEra {
  const folder = tempFolder()
  const data = join(folder.path, 'opencode')
  mkdirSync(data)
  const sessions = KINDS.map((kind, at) => sessionOf(kind, at)) as unknown as EveryEra['sessions']
  writeDatabase(join(data, 'opencode.db'), sessions)
  writeTreeSessions(join(data, 'storage'), sessions.slice(0, 3))
  writeEraASessions(join(data, 'project'), sessions)
  for (const session of sessions) writeFiles(data, session, session !== sessions[3])
  const stranger = join(data, 'opencode-go.db')
  const other = new Database(stranger)
  other.exec('CREATE TABLE goose_db_version (id); CREATE TABLE sessions (id); CREATE TABLE messages (id); CREATE TABLE files (id)')
  other.close()
  return { data, sessions, stranger, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

function sessionOf(kind: string, at: number): CorpusSession {
  const start = WRAP - (at + 1) * DAY
  const texts = conversation(start, 2).map((message) => ({
    ...message,
    parts: message.parts.map((part) => ({ ...part, data: { ...part.data, text: `telescope notes of ${kind}` } })),
  }))
  const project = at === 3 ? 'global' : 'b0c1309ee409b71c257bdf8e5d96cf91a77ff40b'
  const info = { slug: 'swift-engine', directory: FOLDERS[at], title: at === 1 ? '' : `The sky of ${kind}`, version: '1.1.65' }
  return corpusSession(start, texts, { id: generatedId('ses', start), project, info })
}

/** V2 has the first session, V1 the first two. */
function writeDatabase(path: string, [first, second]: EveryEra['sessions']): void {
  const writer = new Database(path)
  writer.pragma('journal_mode = WAL')
  writer.exec(openCode2Tables())
  writer.exec(openCodeTables('1.18').replaceAll(/CREATE (TABLE|INDEX|UNIQUE INDEX) /g, 'CREATE $1 IF NOT EXISTS '))
  insertV2Session(writer, first)
  const asV2 = V2_SUBJECT.corpus.find(({ messages }) => messages.length > 0)?.messages ?? []
  for (const [at, { data, time, id }] of first.messages.entries()) {
    const document = asV2[at % 2]?.data ?? data
    const text = 'telescope notes of opencode-v2'
    const said = document.type === 'user' ? { ...document, text } : { ...document, content: [{ type: 'text', text }] }
    writeV2Row(writer, { session: first.id, message: id }, JSON.stringify({ ...said, time: data.time }), time, at)
  }
  for (const session of [first, second]) {
    insertV2Session(writer, session, 'session')
    for (const { id, data, time, parts } of session.messages) {
      writer.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)').run(id, session.id, time, time, JSON.stringify(data))
      for (const part of parts) {
        writer.prepare('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)').run(part.id, id, session.id, part.time, part.time, JSON.stringify(part.data))
      }
    }
  }
  writer.close()
}

/** The messages in the trees of both eras of files; era A alone has the last session. */
function writeFiles(data: string, { id: session, project, messages }: CorpusSession, inTree: boolean): void {
  const older = join(data, 'project', project, 'storage', 'session')
  const tree = join(data, 'storage')
  for (const { id, data: message, time, parts } of messages) {
    const file = pretty({ id, sessionID: session, ...message })
    if (inTree) writeFileAt(join(tree, 'message', session, `${id}.json`), file, time)
    writeFileAt(join(older, 'message', session, `${id}.json`), file, time)
    for (const part of parts) {
      const text = pretty({ id: part.id, sessionID: session, messageID: id, ...part.data })
      if (inTree) writeFileAt(join(tree, 'part', id, `${part.id}.json`), text, part.time)
      writeFileAt(join(older, 'part', session, id, `${part.id}.json`), text, part.time)
    }
  }
}
