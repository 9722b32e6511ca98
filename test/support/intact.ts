/** What is whole and what is damaged in a store, found by JSON.parse alone; and what the library gives of it. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import type { EntityKey } from '../../src/core/keys.js'
import type { Part } from '../../src/core/parts.js'
import type { Message } from '../../src/core/records.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { loadMessages } from '../../src/tree/loader.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { plainV2Message, type V2Row } from './independent-v2.js'
import { issuesIn, resultOf } from './trees.js'

type Json = Record<string, unknown>

/** Records by the ids of their path, joined by '/': of sessions the title, of messages and parts the document. */
export type Records = ReadonlyMap<string, unknown>

export interface Ground {
  readonly intact: Records
  /** Paths of files, or the joined ids of rows. */
  readonly damaged: readonly string[]
  readonly orphans: number
}

/** An era B tree: session/<project>/<session>, message/<session>/<message>, part/<message>/<part>. */
export function groundOfTree(storage: string): Ground {
  const intact = new Map<string, unknown>()
  const damaged: string[] = []
  const take = (path: string, name: string, record: (document: Json) => unknown): void => {
    const document = parsed(readFileSync(path, 'utf8'))
    if (document === undefined) damaged.push(path)
    else intact.set(name, record(document))
  }
  for (const path of recordFiles(join(storage, 'session'))) take(path, basename(path, '.json'), ({ title }) => title)
  const owners = new Map<string, string>()
  for (const path of recordFiles(join(storage, 'message'))) {
    const [session, id] = [basename(dirname(path)), basename(path, '.json')]
    owners.set(id, session)
    take(path, `${session}/${id}`, (document) => ({ ...document, id, sessionID: session }))
  }
  let orphans = 0
  for (const path of recordFiles(join(storage, 'part'))) {
    const [messageID, id] = [basename(dirname(path)), basename(path, '.json')]
    const sessionID = owners.get(messageID)
    if (sessionID === undefined) orphans++
    else take(path, `${sessionID}/${messageID}/${id}`, (document) => ({ ...document, id, messageID, sessionID }))
  }
  return { intact, damaged, orphans }
}

function recordFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => (name.endsWith('.json') ? [join(folder, name)] : []))
}

/** Every record of V1's tables, or of V2's. */
export function groundOfDatabase(path: string, generation: 'v1' | 'v2'): Ground {
  const database = new Database(path, { readonly: true })
  const rows = (sql: string): Json[] => database.prepare<[], Json>(sql).all()
  const intact = new Map<string, unknown>()
  const damaged: string[] = []
  const take = (name: string, data: unknown, records: (document: Json) => void): void => {
    const document = parsed(data)
    if (document === undefined) damaged.push(name)
    else records(document)
  }
  for (const { id, title } of rows(`SELECT id, title FROM ${generation === 'v1' ? 'session' : 'session_v2'}`)) intact.set(String(id), title)
  if (generation === 'v1') {
    for (const { id, session_id: sessionID, data } of rows('SELECT * FROM message')) {
      take(`${sessionID}/${id}`, data, (document) => intact.set(`${sessionID}/${id}`, { ...document, id, sessionID }))
    }
    for (const { id, message_id: messageID, session_id: sessionID, data } of rows('SELECT * FROM part')) {
      const name = `${sessionID}/${messageID}/${id}`
      take(name, data, (document) => intact.set(name, { ...document, id, messageID, sessionID }))
    }
  } else {
    for (const row of rows('SELECT * FROM session_message')) {
      const name = `${row.session_id}/${row.id}`
      take(name, row.data, () => {
        const { message, parts } = plainV2Message(row as unknown as V2Row)
        intact.set(name, message)
        for (const part of parts) intact.set(`${name}/${part.id}`, part)
      })
    }
  }
  database.close()
  return { intact, damaged, orphans: 0 }
}

function parsed(text: unknown): Json | undefined {
  try {
    const document: unknown = JSON.parse(String(text))
    return typeof document === 'object' && document !== null && !Array.isArray(document) ? (document as Json) : undefined
  } catch {
    return undefined
  }
}

export interface Given {
  readonly records: Records
  /** Paths, and joined ids, that issues name. */
  readonly named: ReadonlySet<string>
}

/** Every record that the straight flow gives; of a session only what its own record says, so that one put together from the rest counts for none. */
export async function streamed(sessions: Sessions): Promise<Given> {
  const records = new Map<string, unknown>()
  const issues = [...sessions.issues]
  for await (const result of runSessionFlow(sessions, { all: true })) {
    issues.push(...issuesIn(result))
    const { key, session, messages } = resultOf(result)
    if (session !== undefined && sessions.index.session(key)?.damaged === false) records.set(key.session, session.title)
    for (const { key, message, parts } of messages) addMessage(records, `${key.session}/${key.message}`, message, parts)
  }
  return { records, named: new Set(issues.flatMap(({ path, key }) => [path ?? '', typeof key === 'object' ? joined(key) : ''])) }
}

/** Every message and part that `loadMessages` gives, session by session. */
export async function loaded(sessions: Sessions): Promise<Records> {
  const records = new Map<string, unknown>()
  for (const { key } of sessions.index.sessionsByTime()) {
    for (const { key: own, message, parts } of await loadMessages(sessions, key)) addMessage(records, `${own.session}/${own.message}`, message, parts)
  }
  return records
}

function addMessage(records: Map<string, unknown>, name: string, message: Message | undefined, parts: readonly Part[]): void {
  if (message !== undefined) records.set(name, message.role === 'unknown' ? message.raw : message)
  for (const part of parts) records.set(`${name}/${part.id}`, part.type === 'unknown' ? part.raw : part)
}

function joined(key: EntityKey): string {
  if (key.kind === 'session') return key.session
  return key.kind === 'message' ? `${key.session}/${key.message}` : `${key.session}/${key.message}/${key.part}`
}

export function withoutSessions(records: Records): Records {
  return new Map([...records].filter(([name]) => name.includes('/')))
}
