import { describe, expect, it } from 'vitest'
import { openSqlite } from '../../src/storage/sqlite/driver.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import { type PackedRows, packRows } from '../../src/storage/sqlite/pack.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusMessage, conversation, corpusSession, userMessage } from '../support/corpus.js'
import { databaseWith, tamper } from '../support/databases.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { sqliteFixture } from '../support/store-fixtures.js'
import { firstOf, issuesIn, keyOf, plain, resultOf, setOf, treeOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3), { todos: [{ content: 'a', status: 'pending', priority: 'low' }] })
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)
const make = sqliteFixture('1.18')

describe('data columns', () => {
  /** `data text NOT NULL` keeps a BLOB a BLOB; other databases have no NOT NULL. */
  const rows: Readonly<Record<string, readonly [value: unknown, reason: string | undefined]>> = {
    'invalid JSON': ['{"type":', 'truncated'],
    'a lone surrogate, escaped': ['{"type":"text","text":"\\ud83d"}', undefined],
    'a BLOB of JSON': [Buffer.from('{"type":"text","text":"blob"}'), undefined],
    'a BLOB of invalid UTF-8': [Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'invalid UTF-8'],
    'NUL characters': ['\0\0\0\0', 'NUL-filled'],
    'a NUL inside': ['{"type":"text","text":"a\0b"}', 'not JSON'],
    'a number': [17, undefined],
    'many bytes': [JSON.stringify({ type: 'text', text: 'ü'.repeat(3_000_000) }), undefined],
  }

  it.each(Object.entries(rows))('may hold %s', async (name, [value, reason]) => {
    using fixture = make([SESSION])
    const part = FIRST.parts[0]?.id
    tamper(fixture.path, (database) => database.prepare('UPDATE part SET data = ? WHERE id = ?').run(value, part))
    await using sessions = await setOf(await fixture.open())
    const expected = name === 'a number' ? ['the document is no object'] : reason === undefined ? [] : [reason]
    for (const result of [await runSessionTreeFlow(sessions, { session: KEY }), await firstOf(runSessionFlow(sessions, { session: KEY }))]) {
      expect(issuesIn(result).map((issue) => issue.reason)).toEqual(expected)
      const tree = resultOf(result)
      expect(tree.messages.map(({ parts, damagedParts }) => parts.length + damagedParts)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
      expect(plain(tree).messages.slice(1)).toEqual(plain(await treeOf(sessions, { session: KEY })).messages.slice(1))
    }
    expect((await verifyStores(sessions)).total).toMatchObject({ damaged: expected.length, messages: SESSION.messages.length })
  })

  it('may be NULL, and without a time', async () => {
    using world = databaseWith((database) => {
      database.exec(
        openCodeTables('1.18').replaceAll('data text NOT NULL', 'data text').replaceAll('time_updated integer NOT NULL', 'time_updated integer'),
      )
      database
        .prepare("INSERT INTO session (id, project_id, slug, directory, title, version, time_created) VALUES ('s', 'p', '', '', '', '', 5)")
        .run()
      database.prepare("INSERT INTO message VALUES ('m1', 's', 1, NULL, NULL), ('m2', 's', 2, 2, ?)").run(JSON.stringify(SECOND.data))
      database.prepare("INSERT INTO part VALUES ('p1', 'm2', 's', 1, NULL, NULL), ('p2', 'm2', 's', 1, 1, ?)").run('{"type":"text","text":"here"}')
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    const result = await runSessionTreeFlow(sessions, { session: keyOf('s') })
    expect(issuesIn(result).map(({ code, reason }) => [code, reason])).toEqual([
      ['UNEXPECTED_SHAPE', 'an odd session: its times are no numbers'],
      ['CORRUPT_RECORD', 'empty'],
      ['CORRUPT_RECORD', 'empty'],
    ])
    expect(resultOf(result).messages.map(({ key, parts }) => [key.message, parts.map(({ id }) => id)])).toEqual([
      ['m1', []],
      ['m2', ['p2']],
    ])
    expect(resultOf(await firstOf(runSessionFlow(sessions, { session: keyOf('s') }))).messages.length).toBe(2)
  })

  it('of session columns that are no JSON do not hide the session', async () => {
    using fixture = make([{ ...SESSION, info: { ...SESSION.info, agent: 'plan' } }])
    tamper(fixture.path, (database) =>
      database.prepare("UPDATE session SET model = '{cut', permission = 'x', metadata = '', revert = '{\"messageID\":\"m\"}'").run(),
    )
    await using sessions = await setOf(await fixture.open())
    const { session } = await treeOf(sessions, { session: KEY })
    expect(session).toMatchObject({ agent: 'plan', revert: { messageID: 'm' }, odd: { model: '{cut', permission: 'x', metadata: '' } })
    expect(sessions.index.session(KEY)?.damaged).toBe(false)
  })
})

describe('rows with ids that are none', () => {
  it.each([['a\u0001b'], ['../../etc/passwd'], [''], [Buffer.from('blob')], [Buffer.from([0xff])]])(
    'names %j, and reads everything else',
    async (id) => {
      using fixture = make([SESSION])
      tamper(fixture.path, (database) => {
        database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)').run(id, SESSION.id, START, START, JSON.stringify(FIRST.data))
        database.prepare('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)').run(id, FIRST.id, SESSION.id, START, START, '{"type":"text","text":"x"}')
        database
          .prepare(
            "INSERT INTO session (id, project_id, slug, directory, title, version, time_created, time_updated) VALUES (?, '', '', '', '', '', 1, 1)",
          )
          .run(id)
      })
      await using sessions = await setOf(await fixture.open())
      expect(sessions.issues.map(({ code }) => code)).toEqual(['INVALID_ID'])
      for (const result of [await runSessionTreeFlow(sessions, { session: KEY }), await firstOf(runSessionFlow(sessions, { session: KEY }))]) {
        expect(issuesIn(result).map(({ code }) => code)).toEqual(['INVALID_ID', 'INVALID_ID'])
        expect(resultOf(result).messages.map(({ parts }) => parts.length)).toEqual(SESSION.messages.map(({ parts }) => parts.length))
      }
      const { total } = await verifyStores(sessions)
      expect([total.sessions, total.messages, total.ignored, total.damaged]).toEqual([1, SESSION.messages.length, 3, 0])
    },
  )

  it('reads ids of other alphabets, with quotes and line separators', async () => {
    const strange = ['мир', '消息', 'a"b', "a'b", 'a b', '%_', '\u2028', '\u{1F600}']
    const messages = strange.map((id, at) => ({
      ...userMessage(START + at),
      id: `m${id}`,
      parts: [{ id: `p${id}`, data: { type: 'text', text: id }, time: START + at }],
    }))
    using fixture = make([{ ...SESSION, id: 'сессия "1"', messages }])
    await using sessions = await setOf(await fixture.open())
    const tree = await treeOf(sessions, { session: keyOf('сессия "1"') })
    expect(tree.messages.map(({ key, parts }) => [key.message, parts[0]?.type === 'text' ? parts[0].text : undefined])).toEqual(
      strange.map((id) => [`m${id}`, id]),
    )
  })
})

function rowsOf({ at, ids, lengths, updated }: PackedRows): unknown[] {
  return at.map((owner, row) => [owner, ids[row], lengths[row], updated?.[row]])
}

describe('packed rows', () => {
  it('are halved when they are too big to be joined, and read one by one when a single list is', async () => {
    using fixture = make([SESSION])
    using database = await openSqlite(fixture.path, { readOnly: true })
    const ids = SESSION.messages.map(({ id }) => id)
    const run = (sql: string, parameters: readonly string[]) => database.prepare(sql).all(...parameters)
    const whole = packRows((sql, ...parameters) => run(sql, parameters), 'parts-of-messages', ids)
    for (const most of [4, 2, 1, 0]) {
      let refused = 0
      const limited = packRows(
        (sql, ...parameters) => {
          const asked = (JSON.parse(parameters[0] ?? '[]') as unknown[]).length
          if (!sql.includes('group_concat') || asked <= most) return run(sql, parameters)
          refused++
          throw Object.assign(new Error('string or blob too big'), { code: 'SQLITE_TOOBIG' })
        },
        'parts-of-messages',
        ids,
      )
      expect(refused).toBeGreaterThan(0)
      expect(limited.flatMap(rowsOf)).toEqual(whole.flatMap(rowsOf))
      expect(Buffer.concat(limited.map(({ bytes }) => bytes))).toEqual(Buffer.concat(whole.map(({ bytes }) => bytes)))
    }
  })

  it('pass every other error on', () => {
    const refuse = (): never => {
      throw Object.assign(new Error('database disk image is malformed'), { code: 'SQLITE_CORRUPT' })
    }
    expect(() => packRows(refuse, 'parts', ['a', 'b'])).toThrow('malformed')
  })
})

describe('a census of a database', () => {
  it('names orphans, rows of deleted sessions, and what is left alone', async () => {
    using fixture = make([SESSION])
    tamper(fixture.path, (database) => {
      database.exec('CREATE TABLE session_share (session_id text, secret text); CREATE TABLE event (id text); CREATE TABLE permission (id text)')
      database.exec("INSERT INTO session_share VALUES ('s', 'secret'); INSERT INTO event VALUES ('e1'), ('e2')")
      database.prepare("INSERT INTO todo VALUES ('ses_gone', 'x', 'pending', 'low', 0, 1, 1)").run()
      database.prepare("INSERT INTO message VALUES ('msg_lost', 'ses_gone', 1, 1, ?)").run(JSON.stringify(FIRST.data))
      database
        .prepare(
          `INSERT INTO part VALUES ('prt_1', 'msg_lost', 'ses_gone', 1, 1, '{"type":"text","text":""}'), ('prt_2', 'msg_none', '${SESSION.id}', 1, 1, '{"type":"text","text":""}')`,
        )
        .run()
    })
    await using sessions = await setOf(await fixture.open())
    const { stores, total } = await verifyStores(sessions)
    const parts = SESSION.messages.flatMap((message) => message.parts).length
    expect([total.sessions, total.messages, total.parts, total.todos, total.superseded]).toEqual([1, SESSION.messages.length, parts, 1, 0])
    expect(total.orphans).toEqual({ messages: 1, parts: 2, todos: 1, diffs: 0 })
    expect(stores[0]?.ignored).toEqual([
      { reason: 'share secret', count: 1 },
      { reason: 'event log', count: 2 },
    ])
  })

  it('names tables that lack the columns a record needs, instead of calling them empty', async () => {
    using world = databaseWith((database) => {
      database.exec('CREATE TABLE message (id text PRIMARY KEY, data text)')
      database.prepare("INSERT INTO message VALUES ('m', '{}')").run()
    })
    await using sessions = await setOf(...(await openSqliteStores(world.path)))
    const [ledger] = (await verifyStores(sessions)).stores
    expect(ledger?.ignored).toEqual([{ reason: 'row without the columns of a record', count: 1 }])
  })
})
