/**
 * Rows of OpenCode's tables as documents in the V1 shape. Messages and parts carry theirs in `data`;
 * sessions and todos are columns, whose document is put together here as JSON text: nothing is parsed.
 * Every version has other columns (1.2.1 has 18 in `session`, 1.18 has 29, `session_v2` has 36, upgraded ones in another order),
 * so all are named and probed.
 */
import type { SqliteDatabase, SqlRow, SqlValue } from './driver.js'

/** A column and the path of its field in the document. A JSON column is put in as it is. */
interface ColumnField {
  readonly column: string
  readonly field: readonly string[]
  readonly json?: boolean
  /** Left out of listings: its size has no bound. */
  readonly heavy?: boolean
}

const SESSION_FIELDS: readonly ColumnField[] = [
  { column: 'id', field: ['id'] },
  { column: 'slug', field: ['slug'] },
  { column: 'project_id', field: ['projectID'] },
  { column: 'workspace_id', field: ['workspaceID'] },
  { column: 'directory', field: ['directory'] },
  { column: 'path', field: ['path'] },
  { column: 'parent_id', field: ['parentID'] },
  { column: 'fork_session_id', field: ['forkSessionID'] },
  { column: 'fork_boundary', field: ['forkBoundary'] },
  { column: 'fork_message_id', field: ['forkMessageID'] },
  { column: 'title', field: ['title'] },
  { column: 'agent', field: ['agent'] },
  { column: 'model', field: ['model'], json: true },
  { column: 'version', field: ['version'] },
  { column: 'summary_additions', field: ['summary', 'additions'] },
  { column: 'summary_deletions', field: ['summary', 'deletions'] },
  { column: 'summary_files', field: ['summary', 'files'] },
  { column: 'summary_diffs', field: ['summary', 'diffs'], json: true, heavy: true },
  { column: 'cost', field: ['cost'] },
  { column: 'tokens_input', field: ['tokens', 'input'] },
  { column: 'tokens_output', field: ['tokens', 'output'] },
  { column: 'tokens_reasoning', field: ['tokens', 'reasoning'] },
  { column: 'tokens_cache_read', field: ['tokens', 'cache', 'read'] },
  { column: 'tokens_cache_write', field: ['tokens', 'cache', 'write'] },
  { column: 'share_url', field: ['share', 'url'] },
  { column: 'metadata', field: ['metadata'], json: true, heavy: true },
  { column: 'revert', field: ['revert'], json: true },
  { column: 'permission', field: ['permission'], json: true, heavy: true },
  { column: 'time_created', field: ['time', 'created'] },
  { column: 'time_updated', field: ['time', 'updated'] },
  { column: 'time_compacting', field: ['time', 'compacting'] },
  { column: 'time_archived', field: ['time', 'archived'] },
  { column: 'time_idle', field: ['time', 'idle'] },
  { column: 'time_viewed', field: ['time', 'viewed'] },
  { column: 'time_suspended', field: ['time', 'suspended'] },
  { column: 'idle_outcome', field: ['idleOutcome'] },
  { column: 'resume_attempts', field: ['resumeAttempts'] },
]

const TODO_FIELDS: readonly ColumnField[] = ['content', 'status', 'priority'].map((column) => ({ column, field: [column] }))

const PROJECT_FIELDS: readonly ColumnField[] = [
  { column: 'id', field: ['id'] },
  { column: 'worktree', field: ['worktree'] },
  { column: 'vcs', field: ['vcs'] },
  { column: 'name', field: ['name'] },
  { column: 'icon_url', field: ['icon', 'url'] },
  { column: 'icon_url_override', field: ['icon', 'override'] },
  { column: 'icon_color', field: ['icon', 'color'] },
  { column: 'commands', field: ['commands'], json: true },
  { column: 'sandboxes', field: ['sandboxes'], json: true },
  { column: 'time_created', field: ['time', 'created'] },
  { column: 'time_updated', field: ['time', 'updated'] },
  { column: 'time_initialized', field: ['time', 'initialized'] },
  { column: 'time_active', field: ['time', 'active'] },
]

/** The tables that may hold sessions: `session_v2` is that of OpenCode 2. */
export type SessionTable = 'session' | 'session_v2'

/** Which tables a database has, and how to turn its rows into documents. */
export interface Schema {
  readonly tables: ReadonlySet<string>
  /** SQL lists of the columns that the database has, in the order that the texts below expect. */
  readonly session: Readonly<Record<SessionTable, { readonly light: RowText; readonly whole: RowText }>>
  readonly todo: RowText
  readonly project: RowText
}

/** A list of columns for SELECT, and the document of a row of them. */
export interface RowText {
  readonly columns: string
  /** The names of the columns that it is put together from. */
  readonly names: readonly string[]
  text(row: SqlRow): string
}

export function probeSchema(database: SqliteDatabase): Schema {
  const tables = new Set(
    database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .all()
      .map(([name]) => String(name)),
  )
  const columnsOf = (table: string): ReadonlySet<string> =>
    new Set(
      database
        .prepare(`SELECT name FROM pragma_table_info('${table}')`)
        .all()
        .map(([name]) => String(name)),
    )
  const presentIn = (table: string, fields: readonly ColumnField[]): readonly ColumnField[] => {
    const columns = columnsOf(table)
    return fields.filter(({ column }) => columns.has(column))
  }
  const session = (table: SessionTable): Schema['session'][SessionTable] => {
    const fields = presentIn(table, SESSION_FIELDS)
    return { light: rowText(fields.filter(({ heavy }) => heavy !== true)), whole: rowText(fields) }
  }
  return {
    tables,
    session: { session: session('session'), session_v2: session('session_v2') },
    todo: rowText(presentIn('todo', TODO_FIELDS)),
    project: rowText(presentIn('project', PROJECT_FIELDS)),
  }
}

function rowText(fields: readonly ColumnField[]): RowText {
  // A JSON column that is no JSON would damage the whole document, so it goes in as a string; of a BLOB json_quote would fail the whole query.
  const jsonOf = (column: string): string =>
    `CASE WHEN ${column} IS NULL THEN NULL WHEN typeof(${column}) <> 'blob' AND json_valid(${column}) THEN ${column} ELSE json_quote(CAST(${column} AS TEXT)) END`
  const select = ({ column, json }: ColumnField): string => (json === true ? jsonOf(`"${column}"`) : `"${column}"`)
  const members = membersOf(fields, 0, 0)
  const json = fields.flatMap((field, at) => (field.json === true ? [at] : []))
  const text = (row: SqlRow): string => {
    const isPlain = json.every((at) => row[at] === null || row[at] === undefined)
    return isPlain ? JSON.stringify(objectOf(members, row) ?? {}) : objectText(members, row)
  }
  return { columns: fields.map(select).join(', ') || 'NULL', names: fields.map(({ column }) => column), text }
}

/** A member of a document: the value of the column at a place, or an object of members. */
type Member = { readonly name: string } & (
  | { readonly at: number; readonly json: boolean; readonly members?: undefined }
  | { readonly members: readonly Member[] }
)

/** The members of one object; nested ones are grouped as they stand together. `first` is the place of the first column. */
function membersOf(fields: readonly ColumnField[], depth: number, first: number): readonly Member[] {
  const members: Member[] = []
  for (let at = 0; at < fields.length; ) {
    const field = fields[at]?.field ?? []
    const name = field[depth] ?? ''
    let end = at + 1
    while (fields[end]?.field[depth] === name) end++
    const nested = field.length !== depth + 1
    members.push(
      nested ? { name, members: membersOf(fields.slice(at, end), depth + 1, first + at) } : { name, at: first + at, json: fields[at]?.json === true },
    )
    at = end
  }
  return members
}

/** What `objectText` is the text of, for a row without JSON: to write that at once is several times faster. */
function objectOf(members: readonly Member[], row: SqlRow): Readonly<Record<string, unknown>> | undefined {
  let object: Record<string, unknown> | undefined
  for (const member of members) {
    const value = member.members === undefined ? plainValue(row[member.at]) : objectOf(member.members, row)
    if (value === undefined) continue
    object ??= {}
    object[member.name] = value
  }
  return object
}

function plainValue(value: SqlValue | undefined): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object') return value
  return value === null || JSON.stringify(value) === '{}' ? undefined : value
}

/** NULL leaves its member out, as OpenCode does. */
function objectText(members: readonly Member[], row: SqlRow): string {
  let text = ''
  for (const member of members) {
    const value = member.members === undefined ? valueText(row[member.at], member.json) : objectText(member.members, row)
    if (value !== undefined && value !== '{}') text += `${text === '' ? '' : ','}"${member.name}":${value}`
  }
  return `{${text}}`
}

function valueText(value: SqlValue | undefined, json: boolean): string | undefined {
  if (value === null || value === undefined) return undefined
  return json ? String(value) : JSON.stringify(typeof value === 'bigint' ? Number(value) : value)
}
