/** verify --deep: the verdicts of a plain verify, and the JSON that stands beside the records. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StoreLedger } from '../../src/tree/ledger.js'
import { verifyStores } from '../../src/tree/verify.js'
import { conversation, corpusSession, sampleCorpus } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { filesBelow, onDisk, recordsIn } from '../support/ledger-balance.js'
import { eraAFixture, jsonFixture, type StoreFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))

async function ledgers(fixture: StoreFixture): Promise<{ readonly plain: StoreLedger; readonly deep: StoreLedger }> {
  await using sessions = await setOf(await fixture.open())
  const [plain] = (await verifyStores(sessions)).stores
  const [deep] = (await verifyStores(sessions, { deep: true })).stores
  if (plain === undefined || deep === undefined) throw new Error('there is no ledger')
  return { plain, deep }
}

const reasonCount = ({ ignored }: StoreLedger, name: string): number => ignored.find(({ reason }) => reason === name)?.count ?? 0

describe('verify --deep', () => {
  it.each(['', ' ', '{', '[', '\0\0', '7', '"x"', 'null', '{}', '[]', '\uFEFF []', '{"a":1e999}', '["\\ud83d"]', '{}x'])(
    'says of records with the content %j what a plain verify says',
    async (content) => {
      using fixture = jsonFixture([SESSION])
      const files = ['session/p/ses_x', `message/${SESSION.id}/msg_x`, 'part/msg_x/prt_x', 'session_diff/ses_x', 'todo/ses_x', 'project/x']
      for (const name of files) writeFileAt(join(fixture.path, `${name}.json`), content, START)
      const { plain, deep } = await ledgers(fixture)
      expect(deep).toEqual(plain)
      expect(recordsIn(deep)).toBe(filesBelow(fixture.path))
    },
  )

  it.each([
    ['era A', eraAFixture(), sampleCorpus()],
    ['era B', jsonFixture, sampleCorpus()],
    ['1.2', sqliteFixture('1.2.1'), sampleCorpus()],
    ['1.18', sqliteFixture('1.18'), sampleCorpus()],
    ['2', v2Fixture, V2_SUBJECT.corpus],
  ] as const)('finds nothing more in an intact store of %s', async (_, make, corpus) => {
    using fixture = make(corpus)
    const { plain, deep } = await ledgers(fixture)
    expect(deep).toEqual(plain)
    expect(deep.damaged).toEqual([])
  })

  it('checks saved approvals of a tree, and never its secrets', async () => {
    using fixture = jsonFixture([SESSION])
    const files = { 'permission/p.json': '[{]', 'permission/q.json': '[]', 'session_share/s.json': '{', 'quarantine/1/x.json': '{' }
    for (const [name, content] of Object.entries(files)) writeFileAt(join(fixture.path, name), content, START)
    const { plain, deep } = await ledgers(fixture)
    expect([plain.damaged, reasonCount(plain, 'permission')]).toEqual([[], 2])
    expect(deep.damaged).toEqual([
      {
        kind: 'document',
        path: join(fixture.path, 'permission', 'p.json'),
        key: 'p',
        code: 'CORRUPT_RECORD',
        damage: 'not JSON',
        reason: 'not JSON',
        offset: 2,
      },
    ])
    expect([reasonCount(deep, 'permission'), recordsIn(deep)]).toEqual([1, filesBelow(fixture.path)])
  })

  it('checks the state of a project of era A', async () => {
    using fixture = eraAFixture()([SESSION])
    const state = join(fixture.path, 'damaged-project', 'app.json')
    writeFileAt(state, '{"git":', START)
    const { plain, deep } = await ledgers(fixture)
    expect(plain.damaged).toEqual([])
    expect(deep.damaged).toMatchObject([{ kind: 'document', path: state, damage: 'truncated', offset: 7 }])
    expect(recordsIn(deep)).toBe(filesBelow(fixture.path))
  })

  it('checks the JSON columns of sessions and projects, each row still counted once', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => {
      database.exec(`UPDATE session SET metadata = '{"a":', model = '{"id":"m","providerID":"p"}'`)
      database.exec("INSERT INTO project (id, worktree, time_created, time_updated, sandboxes) VALUES ('p2', '/', 1, 1, '[')")
    })
    const { plain, deep } = await ledgers(fixture)
    expect([plain.damaged, plain.sessions]).toEqual([[], 1])
    expect(deep.sessions).toBe(0)
    expect(deep.damaged).toMatchObject([
      { kind: 'session', table: 'session', column: 'metadata', key: SESSION.id, damage: 'truncated', offset: 5 },
      { kind: 'project', table: 'project', column: 'sandboxes', key: 'p2', damage: 'truncated', offset: 1 },
    ])
    expect(recordsIn(deep)).toBe(onDisk(join(fixture.path, '..')))
  })

  it('checks rows of other tables that hold JSON, and never events, settings and secrets', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => {
      for (const [table, column] of Object.entries({
        permission: 'data',
        session_message: 'data',
        session_pending: 'data',
        session_inbox: 'payload',
      })) {
        database.exec(
          `DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (id text, ${column} text); INSERT INTO ${table} VALUES ('a', '{'), (NULL, '{}')`,
        )
      }
      for (const [table, column] of Object.entries({ event: 'data', kv: 'value', session_share: 'secret', account: 'token', credential: 'value' })) {
        database.exec(`DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (id text, ${column} text); INSERT INTO ${table} VALUES ('a', '{')`)
      }
    })
    const { plain, deep } = await ledgers(fixture)
    expect(plain.damaged).toEqual([])
    expect(deep.damaged.map(({ kind, table, key, damage }) => [kind, table, key, damage])).toEqual([
      ['document', 'permission', 'row 1', 'truncated'],
      ['document', 'session_message', 'row 1', 'truncated'],
      ['document', 'session_inbox', 'row 1', 'truncated'],
      ['document', 'session_pending', 'row 1', 'truncated'],
    ])
    for (const ledger of [plain, deep]) expect(recordsIn(ledger)).toBe(onDisk(join(fixture.path, '..')))
  })

  it('refuses options that do not exist', async () => {
    await using sessions = await setOf()
    await expect(verifyStores(sessions, { depp: true } as object)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})
