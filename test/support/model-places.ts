/** Where the state of a model machine is kept, with a view of its rows that no caller of the port has. */
import { join } from 'node:path'
import { openLmdb, type Table } from '../../src/indexer/state/lmdb/env.js'
import { toSessionRow } from '../../src/indexer/state/lmdb/rows.js'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import { type StateTables, scan, TABLES } from '../../src/indexer/state/lmdb/tables.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import { tempFolder } from './index-world.js'
import type { ModelPlace, RowsView } from './model-place.js'

export function memoryPlace(): ModelPlace {
  const place = memoryStatePlace()
  return {
    name: 'memory',
    open: async (settings) => memoryState({ place, ...settings }),
    rows(): RowsView {
      const { sessions, wal } = place.rows
      return {
        sessions: [...sessions.values()].map(({ key, q, lease, wal }) => ({
          session: key.session,
          queued: q !== null,
          leased: lease !== null,
          wal: wal?.seq,
        })),
        records: [...wal.keys()],
        torn: [],
      }
    },
    async damageRecords() {
      for (const [seq, { head, matrix }] of place.rows.wal)
        place.rows.wal.set(seq, { ...(head && { head: damaged(head) }), ...(matrix && { matrix }) })
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Looks at the tables themselves: what is derived from the rows must agree with them. */
export async function lmdbPlace(): Promise<ModelPlace> {
  const folder = tempFolder()
  const directory = join(folder.path, 'index')
  let view: Awaited<ReturnType<typeof openTables>> | undefined
  return {
    name: 'lmdb',
    async open(settings) {
      const state = await openLmdbState({ directory, ...settings })
      view ??= await openTables(join(directory, 'state.mdb'))
      return state
    },
    async damageRecords() {
      await view?.transact(({ walH }) => {
        for (const seq of [...walH.getKeys({})]) {
          const head = walH.getBinary(seq)
          if (head !== undefined) walH.putSync(seq, damaged(head))
        }
      })
    },
    rows: () => (view === undefined ? { sessions: [], records: [], torn: [] } : rowsOf(view.tables)),
    async [Symbol.asyncDispose]() {
      await view?.[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

const openTables = (path: string) => openLmdb({ path, tables: TABLES })

function rowsOf(t: StateTables): RowsView {
  const torn: string[] = []
  const sessions = [...scan(t.sess)].map(({ key, value }) => {
    const row = toSessionRow(value)
    const path = Array.isArray(key) ? key : []
    const expected = entriesOf(row, path)
    for (const [table, entry] of Object.entries(expected)) {
      const found = [...t[table as keyof typeof expected].getKeys({})].filter((one) => Array.isArray(one) && one.slice(-2).join() === path.join())
      if (JSON.stringify(found) !== JSON.stringify(entry === undefined ? [] : [entry]))
        torn.push(`${table} has ${JSON.stringify(found)} of ${path.join()}`)
    }
    return { session: String(path[1]), queued: row.q !== null, leased: row.lease !== null, wal: row.wal?.seq }
  })
  const numbers = (table: Table): string => [...table.getKeys({})].join()
  if (numbers(t.walH) !== numbers(t.walM) || numbers(t.walH) !== numbers(t.walIx)) torn.push('the tables of the WAL name different records')
  for (const table of ['ready', 'leaseExp', 'idle', 'checked', 'suspect', 'since'] as const) {
    for (const one of t[table].getKeys({})) {
      const path = Array.isArray(one) ? one.slice(-2).join() : ''
      if (!sessions.some(({ session }) => path === `opencode,${session}`)) torn.push(`${table} names ${path}, which is no session`)
    }
  }
  return { sessions, records: [...t.walH.getKeys({})].map(Number), torn }
}

function entriesOf({ q, lease, gone, checkedAt, suspects }: ReturnType<typeof toSessionRow>, path: readonly unknown[]) {
  return {
    ready: q === null ? undefined : [q.lane, q.runAt, q.seq, ...path],
    since: q === null ? undefined : [q.lane, q.since, ...path],
    leaseExp: lease === null ? undefined : [lease.until, ...path],
    idle: gone || q !== null || lease !== null ? undefined : [checkedAt, ...path],
    checked: gone || checkedAt === 0 ? undefined : [checkedAt, ...path],
    suspect: suspects.length === 0 ? undefined : [...path],
  }
}

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const last = copy.length - 1
  copy.writeUInt8(copy.readUInt8(last) ^ 0xff, last)
  return copy
}
