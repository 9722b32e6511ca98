/** A connection to OpenCode's database: short complete queries, prepared once, over a schema that may change underneath. */
import { type SqliteDatabase, type SqliteStatement, type SqlRow, sqliteFailure } from './sqlite-driver.js'
import { storeError } from './sqlite-open.js'
import { type PackedRows, type PackSource, packRows } from './sqlite-pack.js'
import { probeSchema, type Schema } from './sqlite-rows.js'
import type { StoreWork } from './store.js'

export class SqliteConnection implements Disposable {
  readonly path: string
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly #database: SqliteDatabase
  readonly #statements = new Map<string, SqliteStatement>()
  #schema: Schema
  #schemaVersion: string

  constructor(path: string, database: SqliteDatabase) {
    this.path = path
    this.#database = database
    this.#schemaVersion = this.#readSchemaVersion()
    this.#schema = probeSchema(database)
  }

  /** As it is now: OpenCode makes its tables a moment after the file, and an upgrade adds columns. */
  get schema(): Schema {
    const version = this.#readSchemaVersion()
    if (version !== this.#schemaVersion) {
      this.#schema = probeSchema(this.#database)
      this.#schemaVersion = version
    }
    return this.#schema
  }

  /** Every row of a query. A table that is not there yet is empty. @throws StorageError STORE_BUSY, STORE_DAMAGED, STORE_UNREADABLE */
  all(sql: string, ...parameters: (string | number)[]): readonly SqlRow[] {
    const rows = this.#run(sql, parameters)
    this.work.rows += rows.length
    return rows
  }

  /** `all`, but a row is let go before the next one is fetched. `take` must not query. */
  each(sql: string, take: (row: SqlRow) => void): void {
    this.#guard(() => {
      for (const row of this.#statement(sql).iterate()) {
        this.work.rows++
        take(row)
      }
    })
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

  [Symbol.dispose](): void {
    this.#statements.clear()
    this.#database[Symbol.dispose]()
  }

  #run(sql: string, parameters: readonly (string | number)[]): readonly SqlRow[] {
    return this.#guard(() => this.#statement(sql).all(...parameters)) ?? []
  }

  /** Undefined where a table is not there. */
  #guard<T>(query: () => T): T | undefined {
    try {
      return query()
    } catch (error) {
      const failure = sqliteFailure(error)
      if (failure === 'too-big') throw error
      if (failure !== 'no-table') throw storeError(error, this.path)
      return undefined
    }
  }

  #statement(sql: string): SqliteStatement {
    const held = this.#statements.get(sql)
    if (held !== undefined) return held
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #readSchemaVersion(): string {
    return String(this.#run('PRAGMA schema_version', [])[0]?.[0])
  }
}
