/** The ledger: every file and every row in exactly one column, whatever stands there (law 4). */
import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, symlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { openSessions } from '../../src/open.js'
import type { StoreLedger } from '../../src/tree/ledger.js'
import { type VerifyOptions, verifyStores } from '../../src/tree/verify.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { filesBelow, onDisk, recordsIn, sum } from '../support/ledger-balance.js'
import { SHARED } from '../support/real-sets.js'
import { eraAFixture, jsonFixture, pretty, type StoreFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { setOf } from '../support/trees.js'
import { v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))
const OTHER = corpusSession(START + 5000, conversation(START + 6000, 1))
const USER = pretty({ role: 'user', time: { created: START } })
const TEXT = pretty({ type: 'text', text: 'x' })
const [FIRST, SECOND] = SESSION.messages.map(({ id }) => id) as [string, string]

async function ledgerOf(fixture: StoreFixture, options?: VerifyOptions): Promise<StoreLedger> {
  await using sessions = await setOf(await fixture.open())
  const [ledger] = (await verifyStores(sessions, options)).stores
  if (ledger === undefined) throw new Error('there is no ledger')
  return ledger
}

async function ledgersIn(data: string, options?: VerifyOptions): Promise<readonly StoreLedger[]> {
  await using sessions = await openSessions({ data })
  return (await verifyStores(sessions, options)).stores
}

function write(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) writeFileAt(join(root, name), content, START)
}

const reasons = ({ ignored }: StoreLedger): Record<string, number> => Object.fromEntries(ignored.map(({ reason, count }) => [reason, count]))
const named = ({ damaged }: StoreLedger): unknown[] => damaged.map(({ kind, key, damage, offset }) => [kind, key, damage, offset])

const FOREIGN = {
  migration: '2',
  '.DS_Store': 'x',
  'notes.json': '{}',
  'half.json.1.tmp': '{',
  'backup/session/a.json': '{',
  'backup/b.txt': '',
  'permission/p.json': '[]',
  'permission/p.json.2.tmp': '[',
  'session_share/s.json': '{"secret":"never"}',
  'share/deep/er/s.json': '{}',
  'quarantine/1700/session/x.json': '{',
}

describe('the ledger of a tree of era B', () => {
  it('has a column for every file there can be', async () => {
    using fixture = jsonFixture([SESSION])
    write(fixture.path, {
      ...FOREIGN,
      [`session/moved/${SESSION.id}.json`]: pretty({ id: SESSION.id, time: { created: 1, updated: 1 } }),
      'session/stray.json': '{}',
      'session/moved/..json': '{}',
      'message/ses_gone/msg_lost.json': USER,
      'part/msg_lost/prt_lost.json': TEXT,
      'part/msg_never/prt_lost.json': TEXT,
      'part/msg_never/prt_bad.json': '{"type"',
      'part/stray': '',
      [`part/${FIRST}/inner/prt.json`]: TEXT,
      'todo/ses_gone.json': '[]',
      [`todo/${SESSION.id}.json`]: '{}',
      'session_diff/ses_gone.json': '[]',
      [`session_diff/${SESSION.id}.json`]: '[',
      'project/p.json': '{}',
      'project/q.json': 'null',
    })
    symlinkSync('/', join(fixture.path, 'backup', 'everything'))
    const ledger = await ledgerOf(fixture)
    expect(recordsIn(ledger)).toBe(filesBelow(fixture.path))
    expect(ledger).toMatchObject({ sessions: 1, messages: 4, parts: 6, todos: 0, diffs: 0, superseded: 0 })
    expect(ledger.orphans).toEqual({ messages: 1, parts: 2, todos: 1, diffs: 1 })
    expect(reasons(ledger)).toEqual({
      'migration marker': 1,
      'foreign file': 4,
      'temporary file': 1,
      'foreign folder': 2,
      'file in a foreign folder': 4,
      'unsafe name': 1,
      'copy of a session in another project folder': 1,
      permission: 2,
      'share secret': 2,
      'quarantined by OpenCode': 1,
    })
    expect(named(ledger)).toEqual([
      ['part', 'unknown/msg_never/prt_bad', 'truncated', 7],
      ['diff', SESSION.id, 'truncated', 1],
      ['todo', SESSION.id, 'wrong shape', undefined],
      ['project', 'q', 'wrong shape', undefined],
    ])
  })

  it('takes the copy that is read for the session, and names the other when it is damaged', async () => {
    using fixture = jsonFixture([SESSION])
    for (const project of ['a-project', 'z-project']) write(fixture.path, { [`session/${project}/${SESSION.id}.json`]: '{"id":' })
    const ledger = await ledgerOf(fixture)
    expect(ledger.sessions).toBe(1)
    expect(ledger.damaged.map(({ path, damage }) => [path.slice(fixture.path.length), damage])).toEqual([
      [`/session/a-project/${SESSION.id}.json`, 'truncated'],
      [`/session/z-project/${SESSION.id}.json`, 'truncated'],
    ])
  })

  it('names a record by its damage, and where it begins', async () => {
    using fixture = jsonFixture([SESSION])
    const damages: Record<string, [string | Uint8Array, string, number | undefined]> = {
      msg_a: ['', 'empty', 0],
      msg_b: ['{"role":"user"', 'truncated', 14],
      msg_c: ['{"é":"\0\0\0\0\0', 'NUL-filled', 7],
      msg_d: [Buffer.from([0x7b, 0x22, 0xff, 0x22]), 'invalid UTF-8', 2],
      msg_e: ['{"é":1,}', 'not JSON', 8],
      msg_f: ['{"time":{}}', 'wrong shape', undefined],
    }
    for (const [id, [content]] of Object.entries(damages)) write(fixture.path, { [`message/${SESSION.id}/${id}.json`]: content })
    symlinkSync('msg_g.json', join(fixture.path, 'message', SESSION.id, 'msg_g.json'))
    const ledger = await ledgerOf(fixture)
    const found = ledger.damaged.map(({ key, damage, offset }) => [key.split('/')[1], damage, offset])
    expect(found.sort()).toEqual([
      ...Object.entries(damages).map(([id, [, damage, offset]]) => [id, damage, offset]),
      ['msg_g', 'unreadable', undefined],
    ])
    expect(ledger.damaged.find(({ damage }) => damage === 'wrong shape')).toMatchObject({ code: 'CORRUPT_RECORD', reason: 'the message has no role' })
    expect(ledger.damaged.find(({ damage }) => damage === 'unreadable')).toMatchObject({
      code: 'UNREADABLE_RECORD',
      reason: expect.stringContaining('ELOOP'),
    })
    expect(recordsIn(ledger)).toBe(filesBelow(fixture.path))
  })

  it('takes a file where a known folder should be for a foreign one', async () => {
    using fixture = jsonFixture([SESSION])
    write(fixture.path, { permission: 'a file', quarantine: 'a file', share: 'a file' })
    const ledger = await ledgerOf(fixture)
    expect([reasons(ledger), ledger.damaged]).toEqual([{ 'foreign file': 3 }, []])
  })

  it('names orphans when it is asked to, and only then', async () => {
    using fixture = jsonFixture([SESSION])
    write(fixture.path, { 'message/ses_gone/msg_lost.json': USER, 'part/msg_lost/prt_lost.json': TEXT, 'todo/ses_gone.json': '[]' })
    expect((await ledgerOf(fixture)).orphanRecords).toBeUndefined()
    const { orphanRecords } = await ledgerOf(fixture, { orphans: true })
    expect(orphanRecords?.map(({ kind, path, key, damage }) => [kind, path.slice(fixture.path.length), key, damage])).toEqual([
      ['message', '/message/ses_gone/msg_lost.json', 'ses_gone/msg_lost', 'missing parent'],
      ['part', '/part/msg_lost/prt_lost.json', 'unknown/msg_lost/prt_lost', 'missing parent'],
      ['todo', '/todo/ses_gone.json', 'ses_gone', 'missing parent'],
    ])
  })
})

describe('the ledger of era A', () => {
  it('has a column for every file, and checks the copies in other projects', async () => {
    using fixture = eraAFixture()([SESSION])
    const tree = 'other/storage/session'
    write(fixture.path, {
      [`${tree}/info/${SESSION.id}.json`]: pretty({ id: SESSION.id, time: { created: 1, updated: 1 } }),
      [`${tree}/message/${SESSION.id}/${FIRST}.json`]: '{"role":"us',
      [`${tree}/message/${SESSION.id}/${SECOND}.json`]: USER,
      [`${tree}/share/${SESSION.id}.json`]: '{}',
      [`${tree}/strange/a/b.json`]: '{}',
      [`${tree}/part/msg_gone/prt_1.json`]: '',
      'other/storage/migration': '3',
      'other/broken/session/x.json': '{',
      'other/snapshots/objects/aa/bb': '',
      'other/notes/a.txt': '',
      'stray.tmp': '',
    })
    await using sessions = await setOf(await fixture.open())
    const [ledger] = (await verifyStores(sessions)).stores as [StoreLedger]
    expect(recordsIn(ledger)).toBe(filesBelow(fixture.path))
    expect(named(ledger)).toEqual([
      ['message', `${SESSION.id}/${FIRST}`, 'truncated', 11],
      ['part', 'unknown/msg_gone/prt_1', 'empty', 0],
    ])
    expect(reasons(ledger)).toMatchObject({
      'session of the copy of a session in another project folder': 1,
      'message of the copy of a session in another project folder': 1,
      'share secret': 1,
      'file in a foreign folder': 2,
      'set aside by OpenCode': 1,
      'git snapshots': 1,
      'temporary file': 1,
    })
  })
})

describe('the ledger of a database', () => {
  it.each(['1.2.1', '1.18'] as const)('has a column for every row of every table of %s, and names foreign tables', async (schema) => {
    using fixture = sqliteFixture(schema)([SESSION])
    tamper(fixture.path, (database) => {
      const insert = (table: 'message' | 'part', ...values: unknown[]): void => {
        database.prepare(`INSERT INTO ${table} VALUES (${values.map(() => '?').join()})`).run(...values)
      }
      insert('message', 'msg_lost', 'ses_gone', 1, 1, '{"role":"user","time":{"created":1}}')
      insert('message', '../msg', SESSION.id, 1, 1, '{}')
      insert('message', 'msg_half', SESSION.id, 1, 1, '{"role":')
      insert('message', 'msg_blob', SESSION.id, 1, 1, Buffer.from([0x7b, 0xff, 0x7d]))
      insert('part', 'prt_lost', 'msg_none', SESSION.id, 1, 1, '{"type":"text"}')
      insert('part', 'prt_seven', FIRST, SESSION.id, 1, 1, '7')
      database.exec(`
        UPDATE part SET rowid = -5 WHERE id = 'prt_lost'; UPDATE part SET rowid = 9223372036854775807 WHERE id = 'prt_seven';
        INSERT INTO todo VALUES ('ses_gone', 'x', 'pending', 'low', 0, 1, 1);
        CREATE TABLE "fo""reign; --" (x); INSERT INTO "fo""reign; --" VALUES (1), (2);
        CREATE TABLE event_sequence2 (id text PRIMARY KEY) WITHOUT ROWID; INSERT INTO event_sequence2 VALUES ('a');
        CREATE TABLE __drizzle_migrations (id); INSERT INTO __drizzle_migrations VALUES (NULL);
        CREATE TABLE IF NOT EXISTS account (id text, token text); INSERT INTO account (id) VALUES ('secret');
        CREATE TABLE empty_one (x); CREATE TABLE counted (id integer PRIMARY KEY AUTOINCREMENT); INSERT INTO counted DEFAULT VALUES;`)
    })
    const ledger = await ledgerOf(fixture)
    expect(recordsIn(ledger)).toBe(onDisk(join(fixture.path, '..')))
    expect(ledger).toMatchObject({ sessions: 1, messages: 4, parts: 6, orphans: { messages: 1, parts: 1, todos: 1, diffs: 0 } })
    expect(reasons(ledger)).toEqual({
      'unsafe id': 1,
      'mark of a migration': 1,
      secret: 1,
      'foreign table fo"reign; --': 2,
      'foreign table event_sequence2': 1,
      'foreign table counted': 1,
    })
    expect(ledger.damaged.map(({ table, key, damage, offset }) => [table, key, damage, offset])).toEqual([
      ['message', `${SESSION.id}/msg_half`, 'truncated', 8],
      ['message', `${SESSION.id}/msg_blob`, 'invalid UTF-8', 1],
      ['part', `${SESSION.id}/${FIRST}/prt_seven`, 'wrong shape', undefined],
    ])
  })

  it('counts what stands beside it in `storage`, once for two databases, and finds the session of a diff in either', async () => {
    using first = sqliteFixture('1.2.1')([SESSION])
    using second = sqliteFixture('1.2.1')([OTHER])
    const data = join(first.path, '..')
    tamper(second.path, (database) => database.exec(`VACUUM INTO '${join(data, 'opencode-dev.db')}'`))
    write(join(data, 'storage'), {
      migration: '2',
      [`session_diff/${SESSION.id}.json`]: '[]',
      [`session_diff/${OTHER.id}.json`]: '[]',
      'session_diff/ses_gone.json': '[]',
      'session_diff/ses_bad.json': '{}',
      'session_diff/x.tmp': '',
      'project/p.json': '{}',
    })
    const ledgers = await ledgersIn(data)
    expect(ledgers.map(({ sessions, diffs, orphans }) => [sessions, diffs, orphans.diffs])).toEqual([
      [1, 2, 1],
      [1, 0, 0],
    ])
    expect(ledgers.flatMap(({ damaged }) => damaged.map(({ key, damage }) => [key, damage]))).toEqual([['ses_bad', 'wrong shape']])
    expect(sum(ledgers.map(recordsIn))).toBe(onDisk(data))
  })

  it('counts parts inside messages, and no row twice, where OpenCode 1 and 2 share the file', async () => {
    using fixture = v2Fixture([])
    const v1 = sqliteFixture('1.18')
    using other = v1([SESSION])
    tamper(fixture.path, (database) => {
      database.exec(`ATTACH '${other.path}' AS v1`)
      for (const table of ['session', 'message', 'part', 'todo']) database.exec(`CREATE TABLE ${table} AS SELECT * FROM v1.${table}`)
      database.exec(`INSERT INTO session_v2 (id, project_id, slug, directory, title, version, time_created, time_updated)
        VALUES ('ses_2', 'p', '', '/', 'two', '2', 1, 1)`)
      database.exec(`INSERT INTO session_message (id, session_id, type, seq, time_created, time_updated, data)
        VALUES ('msg_2', 'ses_2', 'user', 1, 1, 1, '{"text":"x","time":{"created":1}}'), ('msg_3', 'ses_gone', 'user', 1, 1, 1, '{"text":"x","time":{"created":1}}')`)
    })
    const ledgers = await ledgersIn(join(fixture.path, '..'))
    expect(
      ledgers.map(({ kind, sessions, messages, parts, inside, orphans }) => [kind, sessions, messages, parts, inside, orphans.messages]),
    ).toEqual([
      ['opencode-v2', 1, 1, 1, 1, 1],
      ['opencode-sqlite', 1, 4, 6, 0, 0],
    ])
    expect(sum(ledgers.map(recordsIn))).toBe(onDisk(join(fixture.path, '..')))
  })

  it('names a table that SQLite cannot read, and reads the others', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => {
      database.exec('CREATE VIRTUAL TABLE words USING fts5(x)')
      database.unsafeMode(true).pragma('writable_schema = ON')
      database.exec("UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE words USING absent(x)' WHERE name = 'words'")
    })
    const ledger = await ledgerOf(fixture)
    expect(ledger).toMatchObject({ sessions: 1, messages: 4, parts: 6 })
    expect(ledger.damaged).toMatchObject([{ kind: 'store', table: 'words', key: '', code: 'UNREADABLE_RECORD', damage: 'unreadable' }])
    expect(ledger.damaged[0]?.reason).toMatch(/no such module/)
  })

  it('names a table whose pages are damaged, and reads the others', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    let page = 0
    tamper(fixture.path, (database) => {
      page = database.prepare<[], { rootpage: number }>("SELECT rootpage FROM sqlite_master WHERE name = 'part'").get()?.rootpage ?? 0
      database.pragma('wal_checkpoint(TRUNCATE)')
    })
    const file = openSync(fixture.path, 'r+')
    writeSync(file, Buffer.alloc(4096, 0xff), 0, 4096, (page - 1) * 4096)
    closeSync(file)
    const ledger = await ledgerOf(fixture)
    expect(ledger).toMatchObject({ sessions: 1, messages: 4, parts: 0 })
    expect(ledger.damaged).toMatchObject([{ kind: 'store', path: fixture.path, table: 'part', damage: 'unreadable' }])
    expect(ledger.damaged[0]?.reason).toMatch(/malformed/)
  })

  it('of one store that cannot be read says so, and hides no other', async () => {
    using fixture = jsonFixture([SESSION])
    using broken = sqliteFixture('1.18')([OTHER])
    const store = await broken.open()
    store.census = () => {
      throw new StorageError('STORE_BUSY', { reason: 'a writer holds it', path: broken.path })
    }
    await using sessions = await setOf(store, await fixture.open())
    const { stores } = await verifyStores(sessions)
    expect(stores.map(({ sessions }) => sessions)).toEqual([0, 1])
    expect(stores[0]?.damaged).toEqual([
      { kind: 'store', path: broken.path, key: '', code: 'STORE_BUSY', damage: 'unreadable', reason: 'a writer holds it', transient: true },
    ])
  })
})

const generator = join(SHARED, 'tools', 'gen-corpus.mjs')

describe('the ledger of a corpus', () => {
  it.skipIf(!existsSync(generator))('names all that ../shared/tools/gen-corpus.mjs damaged, and counts its orphans', async () => {
    using folder = tempFolder()
    const size = ['--sessions', '8', '--messages', '6', '--parts', '3', '--seed', '7']
    const options = [...size, '--corrupt', '9', '--corrupt-in', 'part,message,session', '--orphans', '5']
    execFileSync(process.execPath, [generator, '--home', folder.path, '--layout', 'legacy', ...options], { stdio: 'pipe' })
    const data = join(folder.path, '.local', 'share', 'opencode')
    const [ledger] = (await ledgersIn(data)) as [StoreLedger]
    expect(recordsIn(ledger)).toBe(onDisk(data))
    expect(ledger.damaged.length).toBe(9)
    expect(new Set(ledger.damaged.map(({ damage }) => damage))).toEqual(new Set(['empty', 'truncated', 'NUL-filled']))
    expect(ledger.orphans.parts).toBeGreaterThanOrEqual(5)
  })
})
