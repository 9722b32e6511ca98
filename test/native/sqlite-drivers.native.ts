/** Every SQLite driver that loads here reads the demo database alike. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSqlite, type SqliteDriverName, sqliteFailure } from '../../src/storage/sqlite/driver.js'
import { packRows } from '../../src/storage/sqlite/pack.js'
import { DEMO } from '../support/cli.js'
import { tempFolder } from '../support/temp.js'

const DRIVERS: readonly SqliteDriverName[] = ['node:sqlite', 'better-sqlite3']
const loading = await Promise.all(
  DRIVERS.map(async (driver) => {
    try {
      ;(await openSqlite(':memory:', { readOnly: false, driver }))[Symbol.dispose]()
      return [driver, undefined] as const
    } catch (error) {
      return [driver, error instanceof Error ? error.message : String(error)] as const
    }
  }),
)
const loaded = loading.flatMap(([driver, reason]) => (reason === undefined ? [driver] : []))

describe.each(loading)('%s', (driver, reason) => {
  it.skipIf(reason !== undefined)(`reads and classifies${reason === undefined ? '' : ` (skipped: ${reason})`}`, async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    copyFileSync(join(DEMO, 'opencode.db'), path)
    using database = await openSqlite(path, { readOnly: true, driver })
    expect(database.prepare('SELECT count(*) FROM session').all()).toEqual([[13]])
    expect(database.prepare("SELECT NULL, 1, 2.5, 'é', CAST('é' AS BLOB)").get()?.slice(0, 4)).toEqual([null, 1, 2.5, 'é'])
    const huge = database.prepare('SELECT 1 UNION ALL SELECT 9223372036854775807 UNION ALL SELECT 2')
    expect([huge.all(), [...huge.iterate()]]).toEqual([
      [[1], [2 ** 63], [2]],
      [[1], [2 ** 63], [2]],
    ])
    expect(database.prepare('SELECT 9223372036854775807').get()).toEqual([2 ** 63])
    expect(() => database.exec('DELETE FROM session')).toThrow(/readonly/i)
    expect(sqliteFailure(thrown(() => database.prepare('SELECT * FROM absent').all()))).toBe('no-table')
  })
})

it(`gives the same bytes under all that load (${loaded.join(', ')})`, async () => {
  expect(loaded.length).toBeGreaterThan(0)
  using folder = tempFolder()
  const path = join(folder.path, 'opencode.db')
  copyFileSync(join(DEMO, 'opencode.db'), path)
  const packs = []
  for (const driver of loaded) {
    using database = await openSqlite(path, { readOnly: true, driver })
    const ids = database
      .prepare('SELECT id FROM message ORDER BY id')
      .all()
      .map(([id]) => String(id))
    packs.push(packRows((sql, ...parameters) => database.prepare(sql).all(...parameters), 'parts-of-messages', ids))
  }
  for (const pack of packs) expect(pack).toEqual(packs[0])
  expect(packs[0]?.[0]?.ids).toHaveLength(138)
})

function thrown(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
