/**
 * The one importer of a SQLite library: node:sqlite where the running Node has it, else the optional peer better-sqlite3.
 * Rows are arrays in column order. Everything is synchronous, so no statement ever spans an await.
 */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'

export type SqlValue = null | number | bigint | string | Uint8Array
export type SqlRow = readonly SqlValue[]

export interface SqliteStatement {
  all(...parameters: SqlValue[]): SqlRow[]
  get(...parameters: SqlValue[]): SqlRow | undefined
  iterate(...parameters: SqlValue[]): Iterable<SqlRow>
  /** Runs a statement that returns no rows; the number of rows it changed. */
  run(...parameters: SqlValue[]): number
}

export interface SqliteDatabase extends Disposable {
  prepare(sql: string): SqliteStatement
  exec(sql: string): void
}

export interface SqliteOptions {
  readonly readOnly: boolean
  /** How long a statement waits for a writer, in milliseconds. @default 5000 */
  readonly busyTimeoutMs?: number
  /** Promise SQLite that nobody writes the file: no -shm is made beside it. Never on a live database. */
  readonly immutable?: boolean
  readonly driver?: SqliteDriverName
}

/** What a SQLite error means to a reader. */
export type SqliteFailure = 'busy' | 'cannot-open' | 'damaged' | 'no-table' | 'no-column' | 'too-big' | 'other'

/** @default node:sqlite where the running Node has it, else better-sqlite3 */
export type SqliteDriverName = 'node:sqlite' | 'better-sqlite3'

interface Driver {
  readonly name: SqliteDriverName
  readonly open: (path: string, options: SqliteOptions) => SqliteDatabase
}

let driver: Driver | undefined

/** True when databases can be opened with `immutable`, which better-sqlite3 has no way to ask for. */
export function supportsImmutable(): boolean {
  return loadDriver().name === 'node:sqlite'
}

/**
 * @throws StorageError SQLITE_DRIVER_MISSING when this Node has no node:sqlite and better-sqlite3 is not installed
 * @throws the driver's own error when the database does not open; `sqliteFailure` classifies it
 */
export async function openSqlite(path: string, options: SqliteOptions): Promise<SqliteDatabase> {
  const { open } = options.driver === undefined ? loadDriver() : named(options.driver)
  const database = open(path, options)
  try {
    database.exec(`PRAGMA busy_timeout = ${options.busyTimeoutMs ?? 5000}`)
    if (options.readOnly) database.exec('PRAGMA query_only = ON')
    return database
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }
}

export function sqliteFailure(error: unknown): SqliteFailure {
  const text = messageOf(error)
  if (/no such table/i.test(text)) return 'no-table'
  if (/no such column/i.test(text)) return 'no-column'
  switch (resultCode(error)) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
    case 15: // SQLITE_PROTOCOL: another process is recovering the -wal
      return 'busy'
    case 17: // SQLITE_SCHEMA: it changed at every try
      return 'no-column'
    case 8: // SQLITE_READONLY: the -shm cannot be made
    case 14: // SQLITE_CANTOPEN
      return 'cannot-open'
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return 'damaged'
    case 18: // SQLITE_TOOBIG
      return 'too-big'
    default:
      return 'other'
  }
}

const RESULT_CODES: Readonly<Record<string, number>> = {
  SQLITE_BUSY: 5,
  SQLITE_LOCKED: 6,
  SQLITE_READONLY: 8,
  SQLITE_CORRUPT: 11,
  SQLITE_CANTOPEN: 14,
  SQLITE_PROTOCOL: 15,
  SQLITE_SCHEMA: 17,
  SQLITE_TOOBIG: 18,
  SQLITE_NOTADB: 26,
}

/** The primary result code, from node:sqlite's number or better-sqlite3's (extended) name. */
function resultCode(error: unknown): number | undefined {
  if (typeof error === 'object' && error !== null && 'errcode' in error && typeof error.errcode === 'number') return error.errcode & 0xff
  const name = systemCode(error)?.split('_').slice(0, 2).join('_')
  return name === undefined ? undefined : RESULT_CODES[name]
}

function loadDriver(): Driver {
  driver ??= builtinDriver() ?? peerDriver()
  return driver
}

function named(name: SqliteDriverName): Driver {
  const found = name === 'node:sqlite' ? builtinDriver() : peerDriver()
  if (found !== undefined) return found
  throw new StorageError('SQLITE_DRIVER_MISSING', { reason: `this Node (${process.version}) has no ${name}` })
}

function builtinDriver(): Driver | undefined {
  const builtin = process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined
  return builtin && { name: 'node:sqlite', open: (path, options) => openNode(builtin, path, options) }
}

/** @throws StorageError SQLITE_DRIVER_MISSING */
function peerDriver(): Driver {
  let Better: new (path: string, options: { readonly readonly: boolean }) => BetterDatabase
  try {
    Better = createRequire(import.meta.url)('better-sqlite3')
  } catch (cause) {
    const reason = `this Node (${process.version}) has no node:sqlite, and better-sqlite3 does not load`
    throw new StorageError('SQLITE_DRIVER_MISSING', { reason }, { cause })
  }
  return { name: 'better-sqlite3', open: (path, options) => openBetter(new Better(path, { readonly: options.readOnly })) }
}

/** The part of node:sqlite that is used here; the types of the oldest supported Node do not know it. */
interface NodeSqlite {
  readonly DatabaseSync: new (path: string | URL, options: { readonly readOnly: boolean }) => NodeDatabase
}

interface NodeDatabase {
  prepare(sql: string): NodeStatement
  exec(sql: string): void
  close(): void
}

interface NodeStatement {
  /** Since 22.16; before it, rows are objects whose own keys stand in column order. */
  setReturnArrays?(enabled: boolean): void
  /** Without it a whole number that no double holds throws. */
  setReadBigInts(enabled: boolean): void
  all(...parameters: SqlValue[]): unknown[]
  get(...parameters: SqlValue[]): unknown
  iterate(...parameters: SqlValue[]): Iterable<unknown>
  run(...parameters: SqlValue[]): { readonly changes: number | bigint }
}

function openNode({ DatabaseSync }: NodeSqlite, path: string, options: SqliteOptions): SqliteDatabase {
  const place = options.immutable ? new URL(`${pathToFileURL(path).href}?immutable=1`) : path
  const database = new DatabaseSync(place, { readOnly: options.readOnly })
  return {
    prepare: (sql) => wrapNode(database.prepare(sql)),
    exec: (sql) => database.exec(sql),
    [Symbol.dispose]: () => database.close(),
  }
}

function wrapNode(statement: NodeStatement): SqliteStatement {
  statement.setReturnArrays?.(true)
  const arrays = statement.setReturnArrays !== undefined
  const toRow = (row: unknown): SqlRow => (arrays ? row : Object.values(row as object)) as SqlRow
  return {
    all: (...parameters) =>
      orRounded(
        statement,
        () => (arrays ? (statement.all(...parameters) as SqlRow[]) : statement.all(...parameters).map(toRow)),
        (rows) => rows.map(rounded),
      ),
    get: (...parameters) => {
      const get = (): SqlRow | undefined => {
        const row = statement.get(...parameters)
        return row === undefined ? undefined : toRow(row)
      }
      return orRounded(statement, get, (row) => row && rounded(row))
    },
    iterate: function* (...parameters) {
      // What was given already cannot be asked again, so whole numbers are read without loss from the start.
      statement.setReadBigInts(true)
      try {
        for (const row of statement.iterate(...parameters)) yield rounded(toRow(row))
      } finally {
        statement.setReadBigInts(false)
      }
    },
    run: (...parameters) => Number(statement.run(...parameters).changes),
  }
}

/** One row with a whole number that no double holds would fail all rows; like better-sqlite3, such a number is rounded. */
function orRounded<T>(statement: NodeStatement, ask: () => T, round: (answer: T) => T): T {
  try {
    return ask()
  } catch (error) {
    if (systemCode(error) !== 'ERR_OUT_OF_RANGE') throw error
  }
  statement.setReadBigInts(true)
  try {
    return round(ask())
  } finally {
    statement.setReadBigInts(false)
  }
}

function rounded(row: SqlRow): SqlRow {
  return row.map((value) => (typeof value === 'bigint' ? Number(value) : value))
}

/** The part of better-sqlite3 that is used here. */
interface BetterDatabase {
  prepare(sql: string): BetterStatement
  exec(sql: string): unknown
  close(): unknown
}

interface BetterStatement {
  readonly reader: boolean
  raw(enabled: boolean): BetterStatement
  all(...parameters: SqlValue[]): unknown[]
  get(...parameters: SqlValue[]): unknown
  iterate(...parameters: SqlValue[]): Iterable<unknown>
  run(...parameters: SqlValue[]): { readonly changes: number }
}

function openBetter(database: BetterDatabase): SqliteDatabase {
  return {
    prepare: (sql) => {
      const statement = database.prepare(sql)
      if (statement.reader) statement.raw(true)
      return {
        all: (...parameters) => statement.all(...parameters) as SqlRow[],
        get: (...parameters) => statement.get(...parameters) as SqlRow | undefined,
        iterate: (...parameters) => statement.iterate(...parameters) as Iterable<SqlRow>,
        run: (...parameters) => statement.run(...parameters).changes,
      }
    },
    exec: (sql) => void database.exec(sql),
    [Symbol.dispose]: () => void database.close(),
  }
}
