/** Pages of a table: every row once, by any rowids, packed or plain. */
import { describe, expect, it } from 'vitest'
import { SqliteConnection } from '../../src/storage/sqlite/connection.js'
import type { SqlRow } from '../../src/storage/sqlite/driver.js'
import { openForeignDatabase } from '../../src/storage/sqlite/open.js'
import { pages, type Selection } from '../../src/storage/sqlite/pages.js'
import { databaseWith } from '../support/databases.js'

const SELECTION: Selection = { table: 'part', fields: ['r.id', 'r.data', 'NULL', 'CAST(r.message_id AS TEXT)'], data: 1 }

interface Row {
  readonly rowid: bigint
  readonly id: unknown
  readonly data: unknown
}

async function paged(
  rows: readonly Row[],
  selection: Selection,
  failing = false,
): Promise<{ readonly sizes: readonly number[]; readonly rows: SqlRow[] }> {
  using world = databaseWith((database) => {
    database.exec('CREATE TABLE part (id, message_id, data)')
    const insert = database.prepare('INSERT INTO part (rowid, id, message_id, data) VALUES (?, ?, ?, ?)')
    database.transaction(() => {
      for (const { rowid, id, data } of rows) insert.run(rowid, id, 7n, data)
    })()
  })
  using connection = new SqliteConnection(world.path, (await openForeignDatabase(world.path)).database)
  const all = failing ? failingOnPacks(connection) : connection
  const read = [...pages(all, selection)]
  return {
    sizes: read.map((page) => page.length),
    rows: read.flat().map((row) => row.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value))),
  }
}

/** SQLite cannot join more than a gigabyte. */
function failingOnPacks(connection: SqliteConnection): SqliteConnection {
  const allOrNone: SqliteConnection['allOrNone'] = (sql, ...parameters) => {
    if (sql.includes('group_concat')) throw Object.assign(new Error('string or blob too big'), { code: 'SQLITE_TOOBIG' })
    return connection.allOrNone(sql, ...parameters)
  }
  return { allOrNone } as Pick<SqliteConnection, 'allOrNone'> as SqliteConnection
}

const EXTREMES = [-(2n ** 63n), -(2n ** 53n) - 1n, -1n, 0n, 2n ** 53n + 1n, 2n ** 53n + 2n, 2n ** 63n - 1n]
const MANY: readonly Row[] = [...EXTREMES, ...Array.from({ length: 1000 }, (_, at) => BigInt(at) * 977n + 5n)].map((rowid, at) => ({
  rowid,
  id: `id ${rowid}`,
  data: at % 7 === 0 ? null : at % 7 === 1 ? Buffer.from([0, 0xff, at & 0xff]) : at % 7 === 2 ? '' : `{"at":${at},"text":"\u0000é"}`,
}))

describe('pages of a table', () => {
  it.each([
    ['packed', false],
    ['plain, where a pack is too big', true],
  ])('hold every row once, in the order of the rowid (%s)', async (_, failing) => {
    const { sizes, rows } = await paged(MANY, SELECTION, failing)
    const ordered = [...MANY].sort((a, b) => (a.rowid < b.rowid ? -1 : 1))
    expect(sizes).toEqual([200, 200, 200, 200, 200, 7])
    expect(rows).toEqual(ordered.map(({ id, data }) => [id, data === null ? null : Buffer.from(data as string).toString('latin1'), null, '7']))
  })

  it('have fewer rows where these are large', async () => {
    const large = Array.from({ length: 300 }, (_, at) => ({ rowid: BigInt(at), id: `${at}`, data: 'x'.repeat(200_000) }))
    const { sizes, rows } = await paged(large, SELECTION)
    expect([sizes[0], rows.length]).toEqual([200, 300])
    expect(Math.max(...sizes.slice(1))).toBeLessThan(50)
  })

  it('end with the last full one', async () => {
    const rows = Array.from({ length: 400 }, (_, at) => ({ rowid: BigInt(at), id: 'x', data: '1' }))
    expect((await paged(rows, SELECTION)).sizes).toEqual([200, 200])
    expect((await paged([], SELECTION)).sizes).toEqual([])
  })

  it('give ids that are no texts as none when packed, and are none where a column or the rowid is missing', async () => {
    const odd = [7, 1.5, Buffer.from('blob'), null].map((id, at) => ({ rowid: BigInt(at), id, data: '1' }))
    expect((await paged(odd, SELECTION)).rows.map(([id]) => id)).toEqual([null, null, null, null])
    expect((await paged(odd, { table: 'part', fields: ['r.absent', 'r.data'], data: 1 })).sizes).toEqual([])
    expect((await paged(odd, { table: 'absent', fields: ['r.id'] })).sizes).toEqual([])
  })
})
