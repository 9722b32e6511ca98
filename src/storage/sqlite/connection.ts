/**
 * A connection to OpenCode's database: short complete queries, prepared once, over a schema that may change underneath.
 *
 * A table that never was there is empty. One that was there and is not, or that lacks a column that a query names, is no
 * emptiness: the schema is probed again and the query asked again, once, and then it is STORE_NOT_READY.
 */
import { realpathSync, statSync } from 'node:fs'
import { messageOf, StorageError, setClosed } from '../../core/errors.js'
import type { StoreWork } from '../store.js'
import { type SqliteDatabase, type SqliteStatement, type SqlRow, sqliteFailure } from './driver.js'
import { storeError } from './open.js'
import { type PackedRows, type PackSource, packRows } from './pack.js'
import { probeSchema, type Schema } from './rows.js'

/** Others may go for good: OpenCode 2 drops `todo`. */
const RECORD_TABLES = ['session', 'message', 'part', 'session_v2', 'session_message'] as const

type Parameters = readonly (string | number)[]

export class SqliteConnection implements Disposable {
  readonly path: string
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly #database: SqliteDatabase
  readonly #isSetClosed: () => boolean
  /** SQLite keeps it beside the file that a link leads to. */
  readonly #wal: string
  readonly #statements = new Map<string, SqliteStatement>()
  /** Every table that was there at any time. */
  readonly #met = new Set<string>()
  #schema: Schema | undefined
  #schemaVersion = ''
  #closed = false

  /** It shows the files as they were when it was opened, whatever is written to them. */
  readonly frozen: boolean

  /** Takes the database over, also when it throws. @throws StorageError as `all` does */
  constructor(path: string, database: SqliteDatabase, frozen = false, isSetClosed = () => false) {
    this.path = path
    this.#isSetClosed = isSetClosed
    this.frozen = frozen
    this.#database = database
    this.#wal = `${realPath(path)}-wal`
    try {
      this.#probe()
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** As it is now: OpenCode makes its tables a moment after the file, and an upgrade adds columns. @throws StorageError as `all` does */
  get schema(): Schema {
    return this.#schema === undefined || this.#readSchemaVersion() !== this.#schemaVersion ? this.#probe() : this.#schema
  }

  /** Every row of a query. @throws StorageError STORE_BUSY, STORE_DAMAGED, STORE_UNREADABLE, STORE_NOT_READY */
  all(sql: string, ...parameters: (string | number)[]): readonly SqlRow[] {
    const rows = this.#run(sql, parameters)
    this.work.rows += rows.length
    return rows
  }

  /** Likewise, and none where the database has no such column: for those who count what they could not read. */
  allOrNone(sql: string, ...parameters: (string | number)[]): readonly SqlRow[] {
    try {
      return this.all(sql, ...parameters)
    } catch (error) {
      if (error instanceof StorageError && sqliteFailure(error.cause) === 'no-column') return []
      throw error
    }
  }

  /** `all`, but a row is let go before the next one is fetched. `take` must not query. */
  each(sql: string, take: (row: SqlRow) => void): void {
    this.#ask(
      sql,
      (statement) => {
        for (const row of statement.iterate()) {
          this.work.rows++
          take(row)
        }
      },
      undefined,
    )
  }

  /** The names of a table's columns; none when there is no such table. */
  columnsOf(table: string): ReadonlySet<string> {
    return new Set(this.#run('SELECT name FROM pragma_table_info(?)', [table]).map(([name]) => String(name)))
  }

  /** Messages or parts with their data, packed. */
  pack(source: PackSource, ids: readonly string[]): readonly PackedRows[] {
    const packs = packRows((sql, ...parameters) => this.#run(sql, parameters), source, ids)
    for (const { at, bytes } of packs) {
      this.work.rows += at.length
      this.work.bytes += bytes.length
    }
    return packs
  }

  /** Moves with every write. A database in the place of this one has another inode; what was written shows in its files, or in its version. */
  stamp(files = this.files()): string {
    return [files.state, this.#run('PRAGMA data_version', [])[0]?.[0]].join(' ')
  }

  /** What the metadata of the database and its -wal say, and when they were last written to, epoch milliseconds. */
  files(): { readonly state: string; readonly changed: number } {
    this.work.stats += 2
    const files = [this.path, this.#wal].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }))
    const state = files.map((stat) => (stat === undefined ? '-' : [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':'))).join(' ')
    return { state, changed: Math.max(...files.map((stat) => Number((stat?.mtimeNs ?? 0n) / 1000n) / 1000)) }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#statements.clear()
    this.#database[Symbol.dispose]()
  }

  #run(sql: string, parameters: Parameters): readonly SqlRow[] {
    return this.#ask(sql, (statement) => statement.all(...parameters), [])
  }

  /** `none` where there is no such table. SQLite tells that before it gives the first row. */
  #ask<T>(sql: string, use: (statement: SqliteStatement) => T, none: T): T {
    try {
      return use(this.#statement(sql))
    } catch (error) {
      switch (this.#failure(error)) {
        case 'no-table':
        case 'no-column':
          return this.#askAgain(sql, use, none)
        case 'too-big':
          throw error
        default:
          throw storeError(error, this.path)
      }
    }
  }

  /** For a statement that the schema of a moment ago did not fit. */
  #askAgain<T>(sql: string, use: (statement: SqliteStatement) => T, none: T): T {
    this.#probe()
    try {
      return use(this.#statement(sql))
    } catch (error) {
      const failure = this.#failure(error)
      if (failure === 'too-big') throw error
      if (failure === 'no-table' && !this.#lost(messageOf(error))) return none
      throw storeError(error, this.path)
    }
  }

  #statement(sql: string): SqliteStatement {
    const held = this.#statements.get(sql)
    if (held !== undefined) return held
    this.#refuseClosed()
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  /** True when the table of records that SQLite does not find was there before. */
  #lost(message: string): boolean {
    return RECORD_TABLES.some((table) => this.#met.has(table) && new RegExp(`\\b${table}$`).test(message))
  }

  #failure(error: unknown): ReturnType<typeof sqliteFailure> {
    if (error instanceof StorageError) throw error
    return sqliteFailure(error)
  }

  #refuseClosed(): void {
    if (!this.#closed) return
    if (this.#isSetClosed()) throw setClosed(this.path)
    const reason = 'the database was closed: it was replaced, or it is gone'
    throw new StorageError('STORE_NOT_READY', { reason, path: this.path })
  }

  #probe(): Schema {
    const version = this.#readSchemaVersion()
    try {
      this.#statements.clear()
      this.#schema = probeSchema(this.#database)
    } catch (error) {
      throw storeError(error, this.path)
    }
    this.#schemaVersion = version
    for (const table of this.#schema.tables) this.#met.add(table)
    return this.#schema
  }

  #readSchemaVersion(): string {
    try {
      return String(this.#statement('PRAGMA schema_version').all()[0]?.[0])
    } catch (error) {
      throw error instanceof StorageError ? error : storeError(error, this.path)
    }
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
