/** A second reader of OpenCode 2's tables, written from the format alone; for the spellings of 2.0 and the betas before it. */
import Database from 'better-sqlite3'
import type { PlainSession } from './independent-reader.js'

type Json = Record<string, unknown>

export interface V2Row {
  readonly id: string
  readonly session_id: string
  readonly type: string
  readonly data: string
}

/** Sessions by id: the record's fields as they are named in the one shape, messages by `seq`. */
export function readV2Database(path: string): Map<string, PlainSession> {
  const db = new Database(path, { readonly: true })
  try {
    const rows = db.prepare<[], Json>('SELECT * FROM session_v2').all()
    const messages = db.prepare<[string], V2Row>('SELECT * FROM session_message WHERE session_id = ? ORDER BY seq')
    return new Map(
      rows.map((row) => {
        const id = String(row.id)
        const read = messages.all(id).map(plainV2Message)
        return [id, { session: sessionOf(row), messages: read.map(({ message, parts }) => ({ message: rawOf(message), parts: parts.map(rawOf) })) }]
      }),
    )
  } finally {
    db.close()
  }
}

function rawOf(record: Json): Json {
  return (record.raw as Json | undefined) ?? record
}

function sessionOf(row: Json): Json {
  const json = (value: unknown): unknown => (value === null ? null : JSON.parse(String(value)))
  const time = {
    created: row.time_created,
    updated: row.time_updated,
    compacting: row.time_compacting,
    archived: row.time_archived,
    idle: row.time_idle,
    viewed: row.time_viewed,
    suspended: row.time_suspended,
  }
  const tokens = {
    input: row.tokens_input,
    output: row.tokens_output,
    reasoning: row.tokens_reasoning,
    cache: { read: row.tokens_cache_read, write: row.tokens_cache_write },
  }
  const summary =
    row.summary_additions === null ? null : given({ additions: row.summary_additions, deletions: row.summary_deletions, files: row.summary_files })
  return given({
    id: row.id,
    slug: row.slug,
    projectID: row.project_id,
    workspaceID: row.workspace_id,
    parentID: row.parent_id,
    forkSessionID: row.fork_session_id,
    forkBoundary: row.fork_boundary,
    directory: row.directory,
    path: row.path,
    title: row.title ?? '',
    version: row.version,
    summary,
    cost: row.cost,
    tokens,
    agent: row.agent,
    model: json(row.model),
    metadata: json(row.metadata),
    permission: json(row.permission),
    revert: json(row.revert),
    idleOutcome: row.idle_outcome,
    resumeAttempts: row.resume_attempts,
    time: given(time),
  })
}

function given(record: Json): Json {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null && value !== undefined))
}

export function plainV2Message({ id, session_id, type, data }: V2Row): { readonly message: Json; readonly parts: readonly Json[] } {
  const ids = { id, sessionID: session_id }
  const document = JSON.parse(data) as Json
  const { text, files, content, model, ...rest } = document
  const partIds = (at: number): Json => ({ id: `${id}_${at}`, sessionID: session_id, messageID: id })
  if (type === 'user' || type === 'synthetic' || type === 'system') {
    if (Array.isArray(files) && files.length > 0) throw new Error('this reader knows no files')
    const part = { type: 'text', text, ...(type !== 'user' && { synthetic: true }), ...partIds(0) }
    return { message: { ...rest, role: 'user', type, ...ids }, parts: [part] }
  }
  if (type !== 'assistant') return { message: { role: 'unknown', ...ids, raw: { ...document, type, ...ids } }, parts: [] }
  const { id: modelID, providerID, variant } = model as Json
  const message = given({ ...rest, role: 'assistant', type, modelID, providerID, variant, ...ids })
  return { message, parts: (content as Json[]).map((item, at) => plainItem(item, partIds(at))) }
}

function plainItem(item: Json, ids: Json): Json {
  switch (item.type) {
    case 'text':
      return item.text === undefined ? { type: 'unknown', ...ids, raw: { ...item, ...ids } } : { ...item, ...ids }
    case 'reasoning': {
      const { created, completed } = item.time as Json
      return { type: 'reasoning', text: item.text, metadata: item.native ?? item.state, time: given({ start: created, end: completed }), ...ids }
    }
    case 'tool': {
      const { id: callID, name: tool, state, ...rest } = item
      return { ...rest, tool, callID, state: plainState(state as Json, item.time as Json), ...ids }
    }
    case 'step-start':
    case 'step-finish':
      return { ...item, ...ids }
    default:
      return { type: 'unknown', ...ids, raw: { ...item, ...ids } }
  }
}

function plainState({ content, error, ...state }: Json, { created, ran, completed }: Json): Json {
  const lines = ((content ?? []) as Json[]).map(({ text }) => String(text))
  const time = { start: ran ?? created, end: completed }
  if (state.status === 'completed')
    return { ...state, output: lines.map((line, at) => (at < lines.length - 1 && !line.endsWith('\n') ? `${line}\n` : line)).join(''), time }
  if (state.status === 'error') return { ...state, error: (error as Json).message, cause: error, time }
  throw new Error(`this reader knows no tool in the state ${String(state.status)}`)
}
