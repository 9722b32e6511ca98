/** Everything in a V1 database, row by row in pages: records, orphans, and the tables that are left alone and why. */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isSafeId, type MessageId, type PartId, type SessionId } from '../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../core/keys.js'
import { openDiffFile } from './diff-files.js'
import { isJsonTree } from './paths.js'
import type { Slab } from './slab.js'
import { SlabSpan } from './span.js'
import type { SqlRow, SqlValue } from './sqlite-driver.js'
import type { RowText, Schema } from './sqlite-rows.js'
import type { CensusEntry, ReadOptions } from './store.js'

type Query = (sql: string, ...parameters: (string | number)[]) => Iterable<SqlRow>
type RecordKind = Extract<CensusEntry, { what: 'record' }>['kind']

/** Rows per page: a page is one short query, and what it returns is in memory at once. */
const PAGE = 200

/** Tables whose rows are counted and never read. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  permission: 'permission',
  session_share: 'share secret',
  event: 'event log',
  session_message: 'message event of a newer kind',
  session_input: 'queued input',
  workspace: 'workspace',
}

export async function* databaseCensus(
  path: string,
  schema: Schema,
  query: Query,
  slab: () => Slab,
  options: ReadOptions,
): AsyncGenerator<CensusEntry> {
  const record = (kind: RecordKind, key: EntityKey, data: SqlValue | undefined, orphan: boolean): CensusEntry => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data instanceof Uint8Array ? data : new Uint8Array()
    const into = slab()
    const span = new SlabSpan(key, { path, table: kind }, undefined, into, into.append(bytes), bytes.length)
    return { what: 'record', kind, key, path, orphan, leaf: { span } }
  }
  let unsafe = 0
  for (const { kind, sql, read } of tables(schema)) {
    let met = 0
    for (const page of pages(query, sql)) {
      options.signal?.throwIfAborted()
      met += page.length
      for (const row of page) {
        const entry = read(row)
        if (entry === undefined) unsafe++
        else yield record(kind, entry.key, entry.data, entry.orphan)
      }
    }
    const [[count] = []] = met === 0 ? query(`SELECT count(*) FROM ${kind}`) : []
    if (Number(count ?? 0) > 0) yield { what: 'ignored', reason: 'row without the columns of a record', count: Number(count) }
  }
  if (unsafe > 0) yield { what: 'ignored', reason: 'unsafe id', count: unsafe }
  for (const [table, reason] of Object.entries(LEFT_ALONE)) {
    if (!schema.tables.has(table)) continue
    const [[count] = []] = query(`SELECT count(*) FROM ${table}`)
    if (Number(count) > 0) yield { what: 'ignored', reason, count: Number(count) }
  }
  yield* diffFiles(path, query, slab)
}

interface TableReading {
  readonly kind: RecordKind
  /** Selects rowid first, then what `read` takes; ends before the bounds of the page. */
  readonly sql: string
  readonly read: (row: SqlRow) => { readonly key: EntityKey; readonly data: SqlValue | undefined; readonly orphan: boolean } | undefined
}

function tables(schema: Schema): readonly TableReading[] {
  const columns = (kind: RecordKind, text: RowText, idColumn: string, owned = '1'): TableReading => ({
    kind,
    sql: `SELECT rowid, ${idColumn}, ${owned}, ${text.columns} FROM ${kind} WHERE rowid > ?`,
    read: ([, id, owner, ...row]) =>
      isSafeId(id) ? { key: sessionKey('opencode', id as SessionId), data: text.text(row), orphan: owner === 0 } : undefined,
  })
  const hasSession = (id: string): string => (schema.tables.has('session') ? `EXISTS (SELECT 1 FROM session s WHERE s.id = ${id})` : '0')
  const all: readonly TableReading[] = [
    columns('session', schema.session, 'id'),
    {
      kind: 'message',
      sql: `SELECT r.rowid, r.session_id, r.id, CAST(r.data AS BLOB), ${hasSession('r.session_id')} FROM message r WHERE r.rowid > ?`,
      read: ([, session, id, data, owned]) =>
        isSafeId(session) && isSafeId(id)
          ? { key: messageKey(sessionKey('opencode', session as SessionId), id as MessageId), data, orphan: owned === 0 }
          : undefined,
    },
    {
      kind: 'part',
      sql: schema.tables.has('message')
        ? `SELECT r.rowid, m.session_id, r.session_id, r.message_id, r.id, CAST(r.data AS BLOB), ${hasSession('m.session_id')}
          FROM part r LEFT JOIN message m ON m.id = r.message_id WHERE r.rowid > ?`
        : 'SELECT r.rowid, NULL, r.session_id, r.message_id, r.id, CAST(r.data AS BLOB), 0 FROM part r WHERE r.rowid > ?',
      read: ([, owner, session, message, id, data, owned]) => {
        const parent = owner ?? session
        if (!isSafeId(parent) || !isSafeId(message) || !isSafeId(id)) return undefined
        const key = partKey(messageKey(sessionKey('opencode', parent as SessionId), message as MessageId), id as PartId)
        return { key, data, orphan: owner === null || owned === 0 }
      },
    },
    columns('todo', schema.todo, 'session_id', hasSession('todo.session_id')),
    columns('project', schema.project, 'id'),
  ]
  return all.filter(({ kind }) => schema.tables.has(kind))
}

function* pages(query: Query, sql: string): Generator<readonly SqlRow[]> {
  let last = 0
  for (;;) {
    const page = [...query(`${sql} ORDER BY ${sql.includes('r.rowid') ? 'r.rowid' : 'rowid'} LIMIT ${PAGE}`, last)]
    if (page.length === 0) return
    yield page
    last = Number(page.at(-1)?.[0])
  }
}

/** Diff files beside a database are its own, unless a JSON tree stands there that counts them. */
function* diffFiles(path: string, query: Query, slab: () => Slab): Generator<CensusEntry> {
  const storage = join(dirname(path), 'storage')
  const folder = join(storage, 'session_diff')
  if (isJsonTree(storage) || !existsSync(folder)) return
  const sessions = new Set([...query('SELECT id FROM session')].map(([id]) => id))
  let files: string[]
  try {
    files = readdirSync(folder)
  } catch (error) {
    yield { what: 'unreadable', path: folder, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` }
    return
  }
  for (const file of files) {
    const session = file.replace(/\.json$/, '')
    if (session === file || !isSafeId(session)) {
      yield { what: 'ignored', reason: 'foreign file', count: 1 }
      continue
    }
    const key = sessionKey('opencode', session as SessionId)
    const work = { files: 0, rows: 0, bytes: 0, stats: 0 }
    const leaf = openDiffFile(join(folder, file), key, undefined, slab(), work)
    yield { what: 'record', kind: 'diff', key, path: join(folder, file), orphan: !sessions.has(session), leaf }
  }
}
