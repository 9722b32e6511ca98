/** Which tables of a database hold sessions, by generation; told by the tables that are there, never by a version. */
import type { FormatName } from '../../core/formats.js'
import type { StoreKind } from '../store.js'
import type { PackSource } from './pack.js'
import type { SessionTable } from './rows.js'

/** The tables of one generation, and how they are asked. */
export interface Layout {
  readonly kind: Extract<StoreKind, 'opencode-sqlite' | 'opencode-v2'>
  readonly format: FormatName
  readonly session: SessionTable
  readonly message: 'message' | 'session_message'
  /** Undefined where parts stand inside their messages. */
  readonly part: 'part' | undefined
  readonly todo: 'todo' | undefined
  /** How messages are packed by id. */
  readonly pack: PackSource
  /** What messages are listed by, besides their id. */
  readonly order: 'time_created' | 'seq'
  /** Queries for one session whose rows move with its messages and parts. */
  readonly revision: readonly string[]
}

/** OpenCode 1.2 to 1.18. */
const V1: Layout = {
  kind: 'opencode-sqlite',
  format: 'v1',
  session: 'session',
  message: 'message',
  part: 'part',
  todo: 'todo',
  pack: 'messages',
  order: 'time_created',
  revision: [
    'SELECT count(*), max(time_updated), max(id) FROM message WHERE session_id = ?',
    'SELECT count(*), max(time_updated) FROM part WHERE session_id = ?',
  ],
}

/** OpenCode 2. `seq` is the counter of a session's events: it has gaps, and an answer that is still written keeps its own. */
const V2: Layout = {
  kind: 'opencode-v2',
  format: 'v2',
  session: 'session_v2',
  message: 'session_message',
  part: undefined,
  todo: undefined,
  pack: 'session-messages',
  order: 'seq',
  revision: ['SELECT max(seq), max(time_updated), count(*) FROM session_message WHERE session_id = ?'],
}

/** `opencode-next.db` of the versions before 2.0: the rows of V2, its sessions in a table of the old name. */
const NEXT: Layout = { ...V2, session: 'session' }

/** Where OpenCode and SQLite note what has been done to a database; the first tables that a new one gets. */
const BOOKKEEPING = ['__drizzle_migrations', 'migration', 'data_migration', 'sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4']

/** True while OpenCode has not made its tables: a database is so for a moment after its first start. */
export function isNewDatabase(tables: ReadonlySet<string>): boolean {
  return [...tables].every((name) => BOOKKEEPING.includes(name))
}

/**
 * The generations that a database holds, the newer first; none when it is another program's. A new one is V1, and empty.
 * From 1.14 to 1.18 `session_message` exists without being V2, so V2 needs `session_v2` too, or that nothing of V1 is there.
 */
export function layoutsIn(tables: ReadonlySet<string>): readonly Layout[] {
  if (isNewDatabase(tables)) return [V1]
  const rows = ['message', 'part'].some((name) => tables.has(name))
  const isNext = tables.has('session') && tables.has('session_message') && !tables.has('session_v2') && !rows
  if (isNext) return [NEXT]
  const isV1 = rows || tables.has('session')
  const isV2 = isV1 ? tables.has('session_v2') && tables.has('session_message') : tables.has('session_v2')
  return [...(isV2 ? [V2] : []), ...(isV1 ? [V1] : [])]
}

/**
 * Columns that these tables have had from the first version on. Without those of its sessions a database is another program's;
 * one whose sessions are not there is told by its messages or its parts.
 */
export function isOfOpenCode({ session, message, part }: Layout, columnsOf: (table: string) => ReadonlySet<string>): boolean {
  const own = columnsOf(session)
  if (own.size > 0) return own.has('id') && own.has('directory')
  return [message, part ?? message].some((table) => columnsOf(table).has('data'))
}

/**
 * The tables of records that these generations should have and do not. `wasV2` says that OpenCode 2 had its tables here before:
 * those of 1.x may be dropped by an upgrade, those of 2.x go, both or one, only while the database is restored or taken apart.
 */
export function missingTables(layouts: readonly Layout[], tables: ReadonlySet<string>, wasV2: boolean): readonly string[] {
  const isHalved = layouts.every(({ kind }) => kind !== V2.kind) && (wasV2 || tables.has(V2.session))
  const wanted = (isHalved ? [V2, ...layouts] : layouts).flatMap(({ session, message, part = message }) => [session, message, part])
  return [...new Set(wanted)].filter((name) => !tables.has(name))
}

/** True for a database that is OpenCode's and has none of its sessions' tables: it is being made or upgraded. */
export function isUnfinished(tables: ReadonlySet<string>): boolean {
  const isOurs = tables.has('__drizzle_migrations') || tables.has('migration')
  return isOurs && ['project', 'session_message'].some((name) => tables.has(name)) && layoutsIn(tables).length === 0
}

/** What a database is that holds none of them. Names of tables are told, at most these many. */
const NAMED_TABLES = 5

export function foreignDatabase(tables: ReadonlySet<string>): string {
  if (tables.has('goose_db_version') && tables.has('sessions') && tables.has('messages')) {
    return 'a database of the OpenCode that is written in Go (tables sessions, messages, goose_db_version), which is another program'
  }
  const names = [...tables].sort()
  const more = names.length > NAMED_TABLES ? ` and ${names.length - NAMED_TABLES} more` : ''
  return `a database of another program (tables ${names.slice(0, NAMED_TABLES).join(', ')}${more})`
}
