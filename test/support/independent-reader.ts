/** A second reader of OpenCode's stores, written from the format alone: shares nothing with the library but the comparison at its end. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { issuesIn, resultOf } from './trees.js'

type Json = Record<string, unknown>

export interface PlainSession {
  readonly session: Json | undefined
  /** By (time created, id); parts by id. Records that do not parse are left out. */
  readonly messages: readonly { readonly message: Json; readonly parts: readonly Json[] }[]
}

/** Sessions by id, of a `storage` folder. */
export function readTree(storage: string): Map<string, PlainSession> {
  const sessions = new Map<string, PlainSession>()
  for (const project of entries(join(storage, 'session'))) {
    for (const file of entries(join(storage, 'session', project)).filter((name) => name.endsWith('.json'))) {
      const id = basename(file, '.json')
      const session = parse(join(storage, 'session', project, file))
      sessions.set(id, {
        session: session && { projectID: project, directory: '', title: '', version: '', ...present(session), id, time: timeOf(session) },
        messages: treeMessages(storage, id),
      })
    }
  }
  return sessions
}

/** What a record without its times is given. */
function timeOf({ time }: Json): unknown {
  const given = (time ?? {}) as Json
  const created = given.created ?? 0
  return { ...given, created, updated: given.updated ?? created }
}

function treeMessages(storage: string, sessionID: string): PlainSession['messages'] {
  const messages = records(join(storage, 'message', sessionID)).map((record) => ({ ...record, sessionID }) as Json)
  return messages.sort(byTimeAndId).map((message) => {
    const parts = records(join(storage, 'part', String(message.id))).map((part) => ({ ...part, sessionID, messageID: message.id }))
    return { message, parts: parts.sort((a: Json, b: Json) => (String(a.id) < String(b.id) ? -1 : 1)) }
  })
}

function records(folder: string): Json[] {
  return entries(folder)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const record = parse(join(folder, name))
      return record === undefined ? [] : [{ ...record, id: basename(name, '.json') }]
    })
}

function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function parse(path: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null ? (value as Json) : undefined
  } catch {
    return undefined
  }
}

function byTimeAndId(a: Json, b: Json): number {
  const time = (message: Json): number => Number((message.time as Json | undefined)?.created ?? 0)
  return time(a) - time(b) || (String(a.id) < String(b.id) ? -1 : 1)
}

/** Sessions by id, of a V1 database; columns become fields as `opencode export` writes them. */
export function readDatabase(path: string): Map<string, PlainSession> {
  const db = new Database(path, { readonly: true })
  try {
    const messages = db.prepare<[string], Json>('SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id')
    const parts = db.prepare<[string], Json>('SELECT id, data FROM part WHERE message_id = ? ORDER BY id')
    const rows = db.prepare<[], Json>('SELECT * FROM session').all()
    return new Map(
      rows.map((row) => {
        const sessionID = String(row.id)
        const read = messages.all(sessionID).map(({ id, data }) => ({
          message: { ...JSON.parse(String(data)), id, sessionID },
          parts: parts.all(String(id)).map((part) => ({ ...JSON.parse(String(part.data)), id: part.id, sessionID, messageID: id })),
        }))
        return [sessionID, { session: sessionOf(row), messages: read }]
      }),
    )
  } finally {
    db.close()
  }
}

function sessionOf(row: Json): Json {
  const json = (column: string): unknown => (row[column] == null ? undefined : JSON.parse(String(row[column])))
  const summary = { additions: row.summary_additions, deletions: row.summary_deletions, files: row.summary_files, diffs: json('summary_diffs') }
  const tokens = {
    input: row.tokens_input,
    output: row.tokens_output,
    reasoning: row.tokens_reasoning,
    cache: { read: row.tokens_cache_read, write: row.tokens_cache_write },
  }
  return present({
    id: row.id,
    slug: row.slug,
    projectID: row.project_id,
    workspaceID: row.workspace_id,
    directory: row.directory,
    path: row.path,
    parentID: row.parent_id,
    title: row.title,
    version: row.version,
    summary: row.summary_additions == null ? undefined : present(summary),
    share: row.share_url == null ? undefined : { url: row.share_url },
    cost: row.cost,
    tokens: row.tokens_input == null ? undefined : tokens,
    agent: row.agent,
    model: json('model'),
    metadata: json('metadata'),
    permission: json('permission'),
    revert: json('revert'),
    time: present({ created: row.time_created, updated: row.time_updated, compacting: row.time_compacting, archived: row.time_archived }),
  })
}

/** A null is as if the field were absent. */
function present(record: Json): Json {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null && value !== undefined))
}

/** Todo lists by session id. */
export function treeTodos(storage: string): Map<string, unknown> {
  return new Map(
    entries(join(storage, 'todo')).map((file) => [basename(file, '.json'), JSON.parse(readFileSync(join(storage, 'todo', file), 'utf8'))]),
  )
}

export function databaseTodos(path: string): Map<string, unknown> {
  const db = new Database(path, { readonly: true })
  const lists = new Map<string, Json[]>()
  for (const { session_id, content, status, priority } of db.prepare<[], Json>('SELECT * FROM todo ORDER BY session_id, position').iterate()) {
    lists.set(String(session_id), [...(lists.get(String(session_id)) ?? []), { content, status, priority }])
  }
  db.close()
  return lists
}

/** Fails unless the library reads the session as this reader did; gives the number of issues. */
export async function holdAgainst(set: Sessions, id: string, expected: PlainSession): Promise<number> {
  const meta = set.index.sessionsByTime().find((other) => other.id === id)
  if (meta === undefined) throw new Error(`the library has no session ${id}`)
  const result = await runSessionTreeFlow(set, { session: meta.key })
  const { session, messages } = resultOf(result)
  const read = messages
    .filter(({ message }) => message !== undefined)
    .map(({ message, parts }) => ({
      message: message?.role === 'unknown' ? message.raw : message,
      parts: parts.map((part) => (part.type === 'unknown' ? part.raw : part)),
    }))
  expect({ session, messages: read }).toEqual(expected)
  return issuesIn(result).length
}
