/** The rows of a store, some at a time, and what its listing left in them. */
import { setImmediate as turn } from 'node:timers/promises'
import type { SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import { storeName } from './pages.js'
import type { CatalogStore } from './port.js'
import { ENTRY_COLUMNS, ENTRY_ROWS, entryIn } from './rows.js'
import type { Written } from './write.js'

export type Ask = (sql: string, values: readonly SqlValue[]) => readonly SqlRow[]

export interface EntriesBefore {
  readonly rows: readonly Written[]
  /** The sum of their sums. */
  readonly digest: number
  /** Rows that did not pass. */
  readonly dropped: number
}

export interface BeforeOptions {
  readonly store: CatalogStore
  readonly number: number
  readonly signal: AbortSignal | undefined
}

export async function entriesBefore(ask: Ask, { store, number, signal }: BeforeOptions): Promise<EntriesBefore> {
  const rows: Written[] = []
  let digest = 0
  let dropped = 0
  const select = `SELECT ${ENTRY_COLUMNS}, segment, plain FROM ${ENTRY_ROWS}`
  for await (const found of rowsById(ask, { select, number, atOnce: 200 })) {
    signal?.throwIfAborted()
    for (const row of found) {
      const passed = entryIn(storeName(store), store.agent, row)
      if (passed === undefined) dropped++
      else {
        const { entry, crc } = passed
        rows.push({ entry, crc, segment: Number(row.at(-2)), isPlain: row.at(-1) === 1, meta: undefined })
        digest += crc
      }
    }
  }
  return { rows, digest, dropped }
}

export interface RowsById {
  /** Gives the id first. */
  readonly select: string
  /** Of the store. */
  readonly number: number
  readonly atOnce: number
}

/** The rows of a store, some at a time; the event loop turns in between. */
async function* rowsById(ask: Ask, { select, number, atOnce }: RowsById): AsyncGenerator<readonly SqlRow[]> {
  const sql = `${select} WHERE store = ? AND id > ? ORDER BY id LIMIT ${atOnce}`
  for (let last: unknown = ''; typeof last === 'string'; await turn()) {
    const from = last
    const found = ask(sql, [number, from])
    yield found
    const next: unknown = found.length < atOnce ? undefined : found.at(-1)?.[0]
    // An index that is damaged may lead round in a circle.
    last = typeof next === 'string' && next > from ? next : undefined
  }
}

export async function allRows(ask: Ask, rows: RowsById): Promise<readonly SqlRow[]> {
  const found: SqlRow[] = []
  for await (const some of rowsById(ask, rows)) for (const row of some) found.push(row)
  return found
}
