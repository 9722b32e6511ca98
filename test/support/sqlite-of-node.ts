/** What tests use of better-sqlite3, over node:sqlite: stands in where that package is not built for this Node (see vitest.config.ts). */
import { createRequire } from 'node:module'

type Value = null | number | bigint | string | Uint8Array

interface NodeStatement {
  all(...parameters: unknown[]): Record<string, Value>[]
  run(...parameters: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  iterate(...parameters: unknown[]): Iterable<Record<string, Value>>
}

interface NodeDatabase {
  exec(sql: string): void
  prepare(sql: string): NodeStatement
  close(): void
}

interface Options {
  readonly readonly?: boolean
  readonly timeout?: number
}

// biome-ignore lint/style/noDefaultExport: the package that this stands in for has one
export default class Database {
  readonly #database: NodeDatabase

  constructor(path: string, { readonly: readOnly = false, timeout = 5000 }: Options = {}) {
    // Asked for here and not by import: Node 20 has no such module, and bundlers know it too little.
    const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as { DatabaseSync: new (path: string, options: object) => NodeDatabase }
    this.#database = new DatabaseSync(path, { readOnly, timeout, enableForeignKeyConstraints: true, defensive: false })
    this.#database.exec(`PRAGMA busy_timeout = ${timeout}`) // Node 22 knows no such option
  }

  exec(sql: string): this {
    this.#database.exec(sql)
    return this
  }

  prepare(sql: string): Statement {
    return new Statement(this.#database.prepare(sql))
  }

  pragma(text: string, { simple = false }: { readonly simple?: boolean } = {}): unknown {
    const rows = this.prepare(`PRAGMA ${text}`).all()
    return simple ? Object.values(rows[0] ?? {})[0] : rows
  }

  transaction<A extends unknown[], T>(act: (...values: A) => T): (...values: A) => T {
    return (...values) => {
      this.exec('BEGIN')
      try {
        const result = act(...values)
        this.exec('COMMIT')
        return result
      } catch (error) {
        this.exec('ROLLBACK')
        throw error
      }
    }
  }

  unsafeMode(): this {
    return this
  }

  close(): this {
    this.#database.close()
    return this
  }
}

class Statement {
  readonly #statement: NodeStatement
  #shape: (row: Record<string, Value>) => object | Value | undefined = (row) => row

  constructor(statement: NodeStatement) {
    this.#statement = statement
  }

  pluck(): this {
    this.#shape = (row) => Object.values(row)[0]
    return this
  }

  raw(): this {
    this.#shape = (row) => Object.values(row)
    return this
  }

  run(...parameters: unknown[]): object {
    return this.#statement.run(...bound(parameters))
  }

  get(...parameters: unknown[]): unknown {
    return this.all(...parameters)[0]
  }

  all(...parameters: unknown[]): object[] {
    return [...this.iterate(...parameters)] as object[]
  }

  *iterate(...parameters: unknown[]): Generator<unknown> {
    for (const row of this.#statement.all(...bound(parameters))) yield this.#shape(withBuffers(row))
  }
}

function bound(parameters: readonly unknown[]): unknown[] {
  return parameters.flat().map((value) => (value === undefined ? null : value))
}

function withBuffers(row: Record<string, Value>): Record<string, Value> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value) : value]))
}
