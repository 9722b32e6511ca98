/** What a look at a store need not do again. */
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { eraBLayout } from '../../src/storage/files/layout.js'
import { lookAtLeaves } from '../../src/storage/files/looks.js'
import { readInto } from '../../src/storage/read-file.js'
import { Slab } from '../../src/storage/slab.js'
import { DatabaseListings } from '../../src/storage/sqlite/changes.js'
import { SqliteConnection } from '../../src/storage/sqlite/connection.js'
import { openSqlite } from '../../src/storage/sqlite/driver.js'
import { layoutsIn } from '../../src/storage/sqlite/layouts.js'
import { openForeignDatabase } from '../../src/storage/sqlite/open.js'
import { probeSchema } from '../../src/storage/sqlite/rows.js'
import { type CorpusSession, corpusSession, userMessage } from '../support/corpus.js'
import { pastGrain } from '../support/past-grain.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'

const START = Date.parse('2026-09-01T10:00:00Z')
const SESSION: CorpusSession = corpusSession(START, [userMessage(START + 10, ['hello', 'there']), userMessage(START + 20, ['again'])])
/** An hour ahead: no time is too near to the look. */
const LATER: Clock = { ...systemClock, now: () => Date.now() + 3_600_000 }

it('folders of a hot session are read again when something came or went, and only then', async () => {
  using fixture = jsonFixture([SESSION])
  await using store = await fixture.open(systemClock)
  const [entry] = (await store.sessions()).entries
  if (entry === undefined) throw new Error('no session was listed')
  const look = { layout: eraBLayout(fixture.path), work: store.work, clock: systemClock }
  await pastGrain()
  const first = lookAtLeaves(entry, 8, look)
  const again = lookAtLeaves(entry, 8, { ...look, held: first })
  expect(first.folders.size).toBe(1 + SESSION.messages.length)
  expect([...again.folders.values()]).toEqual([...first.folders.values()])
  for (const [path, folder] of first.folders) expect(again.folders.get(path)).toBe(folder)
  expect(again.fingerprint).toBe(first.fingerprint)
  const [message] = SESSION.messages
  const place = { session: SESSION.id, message: message?.id ?? '' }
  fixture.write({ ...place, part: 'prt_new' }, '{"type":"text","text":"new"}', START)
  await pastGrain()
  const added = lookAtLeaves(entry, 8, { ...look, held: again })
  expect(added.fingerprint).not.toBe(again.fingerprint)
  expect(added.fingerprint).toBe(lookAtLeaves(entry, 8, look).fingerprint)
  fixture.remove({ ...place, part: 'prt_new' })
  await pastGrain()
  expect(lookAtLeaves(entry, 8, { ...look, held: added }).fingerprint).toBe(first.fingerprint)
})

it('a folder that was written to at the moment of the look is read again, whatever its time says', async () => {
  using fixture = jsonFixture([SESSION])
  await using store = await fixture.open(LATER)
  const [entry] = (await store.sessions()).entries
  if (entry === undefined) throw new Error('no session was listed')
  const look = { layout: eraBLayout(fixture.path), work: store.work, clock: { ...systemClock, now: () => stamped } }
  const path = join(fixture.path, 'part', SESSION.messages[0]?.id ?? '')
  const stamped = Date.now()
  utimesSync(path, stamped / 1000, stamped / 1000)
  const first = lookAtLeaves(entry, 8, look)
  expect(first.folders.get(path)?.state).toMatch(/\?$/)
  expect(lookAtLeaves(entry, 8, { ...look, held: first }).folders.get(path)).not.toBe(first.folders.get(path))
})

it('a database without event_sequence is not probed anew by each look', async () => {
  using fixture = sqliteFixture('1.2.1')([SESSION])
  const { database, frozen } = await openForeignDatabase(fixture.path)
  using connection = new SqliteConnection(fixture.path, database, frozen)
  const { schema } = connection
  const [layout] = layoutsIn(schema.tables)
  if (layout === undefined) throw new Error('no database of sessions')
  const listings = new DatabaseListings(connection, layout, LATER)
  const before = listings.list({})
  const fresh = userMessage(START + 60_000, ['new'])
  fixture.write({ session: SESSION.id, message: fresh.id }, JSON.stringify(fresh.data), fresh.time)
  const now = listings.list({ before })
  expect(now.entries[0]?.version).not.toBe(before.entries[0]?.version)
  expect(connection.schema).toBe(schema)
})

it('what event_sequence tells is seen from the look on that finds the table', async () => {
  const other = corpusSession(START + 1000, [userMessage(START + 1010, ['hello'])])
  using fixture = sqliteFixture('1.2.1')([SESSION, other])
  const { database, frozen } = await openForeignDatabase(fixture.path)
  using connection = new SqliteConnection(fixture.path, database, frozen)
  const [layout] = layoutsIn(connection.schema.tables)
  if (layout === undefined) throw new Error('no database of sessions')
  const listings = new DatabaseListings(connection, layout, LATER)
  const before = listings.list({})
  using writer = await openSqlite(fixture.path, { readOnly: false })
  writer.exec('CREATE TABLE event_sequence (aggregate_id TEXT PRIMARY KEY, seq INTEGER NOT NULL)')
  writer.prepare('INSERT INTO event_sequence VALUES (?, 7)').run(SESSION.id)
  const now = listings.list({ before })
  const held = new Set(before.entries)
  expect(now.entries.filter((entry) => !held.has(entry)).map(({ key }) => key.session)).toEqual([SESSION.id])
  expect(listings.list({ before: now }).entries).toBe(now.entries)
})

it('the stat that is taken before a file is read is not that of what is written meanwhile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-read-'))
  try {
    const path = join(folder, 'a.json')
    writeFileSync(path, '{}')
    using slab = new Slab()
    let size = 0
    const length = readInto(
      slab,
      path,
      (stat) => {
        size = stat.size
        appendFileSync(path, ' ')
      },
      'before',
    )
    expect([size, length]).toEqual([2, 3])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('a session row without JSON gives the same document as one with, but for that', async () => {
  using database = await openSqlite(':memory:', { readOnly: false })
  database.exec(
    'CREATE TABLE session (id, slug, title, directory, parent_id, summary_additions, cost, time_created, time_updated, share_url, revert)',
  )
  const values = [null, '', 'a "b"\n\u0001\u2028 ü 😀', 0, -1, 1.5, 1e300, 9007199254740993n, '{}', Buffer.from('x'), Buffer.alloc(0)]
  const insert = database.prepare(`INSERT INTO session VALUES (${'?, '.repeat(10)}?)`)
  const { columns, text } = probeSchema(database).session.session.whole
  const textOf = (): string => text(database.prepare(`SELECT ${columns} FROM session`).all()[0] ?? [])
  for (let turn = 0; turn < values.length; turn++) {
    const row = Array.from({ length: 10 }, (_, at) => values[(at * 3 + turn) % values.length] ?? null)
    const [plain, withJson] = [null, '1'].map((revert) => {
      database.exec('DELETE FROM session')
      insert.run(...row, revert)
      return textOf()
    })
    expect(JSON.parse(plain ?? '')).toBeTypeOf('object')
    expect(withJson?.replace(/(,?)"revert":1(,?)/, (_, before, after) => (before !== '' && after !== '' ? ',' : ''))).toBe(plain)
  }
})
