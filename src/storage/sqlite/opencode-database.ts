/** Opens a database of OpenCode. It may hold the tables of 1.x (V1), of 2.x (V2), or both; each generation is a store of its own. */
import { existsSync, realpathSync } from 'node:fs'
import { StorageError } from '../../core/errors.js'
import { identityOf, versionOf } from '../paths.js'
import type { Store, StoreKind } from '../store.js'
import { SqliteConnection } from './connection.js'
import { foreignDatabase, isNewDatabase, isOfOpenCode, isUnfinished, type Layout, layoutsIn, missingTables } from './layouts.js'
import { type OpenOptions, openForeignDatabase } from './open.js'
import { SqliteStore } from './opencode-sqlite.js'
import type { Schema } from './rows.js'

export interface DatabaseOptions extends OpenOptions {
  /** Which generations are read; the others' tables are not. @default all */
  readonly wants?: (kind: StoreKind) => boolean
  /** Tells why a database that was closed was. @default it was let go, alone */
  readonly isSetClosed?: () => boolean
}

/**
 * The stores of one file, the newer generation first, each with a connection of its own. Opened read-only.
 * @throws StorageError as `openForeignDatabase` does; STORE_UNSUPPORTED, which names what the database is; STORE_NOT_READY
 */
export async function openSqliteStores(path: string): Promise<readonly Store[]> {
  return (await openDatabase(path)).stores
}

/** @throws StorageError as `openSqliteStores` does */
export async function openDatabase(path: string, options: DatabaseOptions = {}): Promise<OpenDatabase> {
  const { connection, isReplaced } = await connect(path, options)
  const database = new OpenDatabase(path, connection, isReplaced, options)
  try {
    await database.follow()
    return database
  } catch (error) {
    await database[Symbol.asyncDispose]()
    throw error
  }
}

interface Held {
  readonly layout: Layout
  readonly connection: SqliteConnection
  readonly store: Store
}

/** One file, as long as it is that file: its generations come and go with its tables. */
export class OpenDatabase implements AsyncDisposable {
  readonly path: string
  /** True when other files stand at the path; or, for a connection that shows them as they were, when they were written. */
  readonly isReplaced: () => boolean
  readonly #options: DatabaseOptions
  #held: readonly Held[] = []
  /** Looks at the tables while no store does. */
  #spare: SqliteConnection | undefined
  /** The schema that the stores were opened for; the connection gives the same one until it changes. */
  #followed: Schema | undefined
  #isNew = true
  /** OpenCode 2 had its tables here at some time. */
  #wasV2 = false
  #missing: readonly string[] = []

  constructor(path: string, connection: SqliteConnection, isReplaced: () => boolean, options: DatabaseOptions) {
    this.path = path
    this.isReplaced = isReplaced
    this.#spare = connection
    this.#options = options
  }

  get stores(): readonly Store[] {
    return this.#held.map(({ store }) => store)
  }

  /** OpenCode has not made its tables yet, so it is empty. */
  get isNew(): boolean {
    return this.#isNew
  }

  /** The tables of records that its stores should have and do not. */
  get missing(): readonly string[] {
    return this.#missing
  }

  /**
   * Looks at the tables again; gives the stores that it let go, which the caller closes.
   * While the tables cannot be looked at, the stores stay: their listings say why.
   * @throws StorageError STORE_UNSUPPORTED, STORE_NOT_READY, and as `openForeignDatabase` does; the stores are then as before
   */
  async follow(): Promise<readonly Store[]> {
    const schema = this.#schema()
    if (schema === undefined || schema === this.#followed) return []
    const { tables } = schema
    const layouts = this.#layouts(tables)
    if (layouts.length === 0) {
      if (!isUnfinished(tables)) throw new StorageError('STORE_UNSUPPORTED', { reason: `this is ${foreignDatabase(tables)}`, path: this.path })
      if (this.#held.length > 0) return []
      throw new StorageError('STORE_NOT_READY', { reason: 'its tables for sessions are not made yet', path: this.path })
    }
    const before = this.#held
    this.#held = await this.#hold(layouts.filter(({ kind }) => this.#options.wants?.(kind) ?? true))
    this.#isNew = isNewDatabase(tables)
    this.#missing = this.#isNew ? [] : missingTables(layouts, tables, this.#wasV2)
    this.#wasV2 ||= layouts.some(({ kind }) => kind === 'opencode-v2')
    this.#followed = schema
    return before.filter((held) => !this.#held.includes(held)).map(({ store }) => store)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#spare?.[Symbol.dispose]()
    for (const { connection } of this.#held) connection[Symbol.dispose]()
  }

  get #probe(): SqliteConnection | undefined {
    return this.#held[0]?.connection ?? this.#spare
  }

  /** Undefined while a store is open and the tables cannot be looked at. */
  #schema(): Schema | undefined {
    try {
      return this.#probe?.schema
    } catch (error) {
      if (error instanceof StorageError && this.#held.length > 0) return undefined
      throw error
    }
  }

  #layouts(tables: ReadonlySet<string>): readonly Layout[] {
    const layouts = layoutsIn(tables)
    if (isNewDatabase(tables)) return layouts
    return layouts.filter((layout) => isOfOpenCode(layout, (table) => this.#probe?.columnsOf(table) ?? new Set()))
  }

  /** One store per layout; those that are open stay. */
  async #hold(layouts: readonly Layout[]): Promise<readonly Held[]> {
    const held: Held[] = []
    const opened: SqliteConnection[] = []
    try {
      for (const layout of layouts) {
        const kept = this.#held.find((one) => one.layout === layout)
        const connection = kept?.connection ?? (opened.length === 0 ? this.#spare : undefined) ?? (await connect(this.path, this.#options)).connection
        if (kept === undefined) opened.push(connection)
        held.push(kept ?? { layout, connection, store: new SqliteStore(connection, layout) })
      }
      if (held.length === 0) this.#spare ??= (await connect(this.path, this.#options)).connection
      else if (opened.some((connection) => connection === this.#spare)) this.#spare = undefined
      return held
    } catch (error) {
      for (const connection of opened) if (connection !== this.#spare) connection[Symbol.dispose]()
      throw error
    }
  }
}

async function connect(
  path: string,
  options: DatabaseOptions,
): Promise<{ readonly connection: SqliteConnection; readonly isReplaced: () => boolean }> {
  const wal = `${existsSync(path) ? realpathSync(path) : path}-wal`
  const version = (): string => [versionOf(path), versionOf(wal)].join()
  // Taken before the file is opened: what is replaced meanwhile is opened once more, never overlooked.
  const [file, seen] = [identityOf(path), version()]
  const { database, frozen } = await openForeignDatabase(path, options)
  const connection = new SqliteConnection(path, database, frozen, options.isSetClosed)
  if (frozen) return { connection, isReplaced: () => version() !== seen }
  // SQLite removes no -wal that somebody reads: another one, or none, was put there around it.
  const log = identityOf(wal)
  return { connection, isReplaced: () => identityOf(path) !== file || (log !== undefined && identityOf(wal) !== log) }
}
