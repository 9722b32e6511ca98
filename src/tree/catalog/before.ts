/** What a store's listing left, row by row. */
import { setImmediate as turn } from 'node:timers/promises'
import { type Prepare, storeName } from './pages.js'
import type { CatalogStore } from './port.js'
import { ENTRY_COLUMNS, ENTRY_ROWS, entryIn } from './rows.js'
import type { Written } from './write.js'

export interface EntriesBefore {
  readonly rows: readonly Written[]
  /** The sum of their sums. */
  readonly digest: number
  /** Rows that did not pass. */
  readonly dropped: number
}

const STEP = 200

export interface BeforeOptions {
  readonly prepare: Prepare
  readonly store: CatalogStore
  readonly number: number
  readonly signal: AbortSignal | undefined
}

/** `read` is around every step, between which the event loop turns. */
export async function entriesBefore(read: <T>(step: () => T) => T, { prepare, store, number, signal }: BeforeOptions): Promise<EntriesBefore> {
  const rows: Written[] = []
  let digest = 0
  let dropped = 0
  const sql = `SELECT ${ENTRY_COLUMNS}, segment, plain FROM ${ENTRY_ROWS} WHERE store = ? AND id > ? ORDER BY id LIMIT ${STEP}`
  for (let last: unknown = ''; typeof last === 'string'; await turn()) {
    signal?.throwIfAborted()
    const from = last
    const found = read(() => prepare(sql).all(number, from))
    for (const row of found) {
      const passed = entryIn(storeName(store), store.agent, row)
      if (passed === undefined) dropped++
      else {
        const { entry, crc } = passed
        rows.push({ entry, crc, segment: Number(row.at(-2)), isPlain: row.at(-1) === 1, meta: undefined })
        digest += crc
      }
    }
    const next: unknown = found.at(-1)?.[0]
    // An index that is damaged may lead round in a circle.
    last = typeof next === 'string' && next > from ? next : undefined
  }
  return { rows, digest, dropped }
}
