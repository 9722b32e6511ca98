/** The originals beside the records: nothing that the store holds is lost. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import type { Store } from '../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { planSessionTree } from '../../src/tree/plan.js'
import type { SessionHydratedTree } from '../../src/tree/types.js'
import { assistantMessage, type CorpusMessage, conversation, corpusSession, sessionDocument } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { eraAFixture, foldedMessage, jsonFixture, memoryFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { firstOf, issuesIn, keyOf, plain, resultOf, setOf, treeOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'
import { workOf } from '../support/work.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const TOOL = {
  type: 'tool',
  callID: 'call_1',
  tool: 'bash',
  state: { status: 'completed', input: { command: 'ls' }, output: 'a', title: 'ls', metadata: {}, time: { start: 1, end: 2 } },
}
const SESSION = corpusSession(START, [...conversation(START + 1000, 2), assistantMessage(START + 300_000, { parts: [TOOL] })])
const [FIRST] = SESSION.messages as [CorpusMessage]
const KEY = keyOf(SESSION.id)

/** Every row of a table, with `data` parsed, as any SQLite client would give it. */
function rowsOf(path: string, table: string): Document[] {
  let rows: Document[] = []
  tamper(path, (database) => {
    rows = database.prepare(`SELECT * FROM ${table}`).all() as Document[]
  })
  return rows.map((row) => (typeof row.data === 'string' ? { ...row, data: JSON.parse(row.data) } : row))
}

function byId(rows: readonly Document[]): Map<unknown, Document> {
  return new Map(rows.map((row) => [row.id, row]))
}

/** Both ways to read: planned with prices, and straight through. */
async function bothWays(store: Store): Promise<readonly SessionHydratedTree[]> {
  const set = await setOf(store)
  const planned = await treeOf(set, { session: KEY, native: true })
  const straight = resultOf(await firstOf(runSessionFlow(set, { session: KEY }, { native: true })))
  expect(plain(straight)).toEqual(plain(await treeOf(set, { session: KEY })))
  expect(plain(planned)).toEqual(plain(straight))
  return [planned, straight]
}

describe('native', () => {
  it('of files is their documents, as they stand there', async () => {
    using fixture = jsonFixture([SESSION])
    const read = (...names: readonly string[]): unknown => JSON.parse(readFileSync(`${join(fixture.path, ...names)}.json`, 'utf8'))
    for (const tree of await bothWays(await fixture.open())) {
      expect(tree.native).toEqual(read('session', SESSION.project, SESSION.id))
      expect(tree.messages.length).toBe(SESSION.messages.length)
      for (const { key, native, parts } of tree.messages) {
        expect(native?.message).toEqual(read('message', SESSION.id, key.message))
        expect(native?.parts).toEqual(parts.map(({ id }) => ({ id, document: read('part', key.message, id) })))
      }
    }
  })

  it('of files that 0.1 wrote is the message with its parts inside, untouched', async () => {
    using fixture = eraAFixture()([{ ...SESSION, messages: [] }])
    const folder = join(fixture.path, SESSION.project, 'storage', 'session', 'message', SESSION.id)
    for (const message of SESSION.messages)
      writeFileAt(join(folder, `${message.id}.json`), JSON.stringify(foldedMessage(SESSION.id, message)), message.time)
    for (const tree of await bothWays(await fixture.open())) {
      expect(tree.messages.map(({ native }) => native)).toEqual(
        SESSION.messages.map((message) => ({ message: JSON.parse(JSON.stringify(foldedMessage(SESSION.id, message))), parts: [] })),
      )
      expect(tree.messages.every(({ parts }) => parts.length > 0)).toBe(true)
      expect(tree.native).not.toHaveProperty('directory')
    }
  })

  it.each(['1.2.1', '1.18'] as const)('of rows is every column, those of forks too (%s)', async (schema) => {
    using fixture = sqliteFixture(schema)([SESSION])
    tamper(fixture.path, (database) => {
      database.exec(`ALTER TABLE session ADD COLUMN "worktree ""x""" text; ALTER TABLE session ADD COLUMN budget integer; ALTER TABLE session ADD COLUMN data text;
        ALTER TABLE session ADD COLUMN share_secret text; ALTER TABLE session ADD COLUMN loud text AS (upper(title)); ALTER TABLE message ADD COLUMN pinned integer; ALTER TABLE part ADD COLUMN blob;
        UPDATE session SET "worktree ""x""" = 'w', budget = 5, data = '{"a":1}', share_secret = 'hush', share_url = 'https://x';
        UPDATE message SET pinned = 1; UPDATE part SET blob = x'00ff'`)
    })
    const [session] = rowsOf(fixture.path, 'session')
    const { share_secret: secret, ...rest } = session ?? {}
    const [messages, parts] = [byId(rowsOf(fixture.path, 'message')), byId(rowsOf(fixture.path, 'part'))]
    for (const tree of await bothWays(await fixture.open())) {
      expect(secret).toBe('hush')
      expect(tree.native).toEqual({ ...rest, data: '{"a":1}' })
      expect(tree.native).toMatchObject({ 'worktree "x"': 'w', budget: 5, share_url: 'https://x', parent_id: null })
      for (const { key, native } of tree.messages) {
        expect(native?.message).toEqual(messages.get(key.message))
        expect(native?.message).toMatchObject({ pinned: 1, session_id: SESSION.id })
        for (const { id, document } of native?.parts ?? []) expect(document).toEqual({ ...parts.get(id), blob: { base64: 'AP8=' } })
      }
      expect(tree.messages.flatMap(({ native }) => native?.parts ?? []).length).toBe(parts.size)
      expect(JSON.stringify(tree)).not.toContain('hush')
    }
  })

  it('of rows keeps whole numbers that no double holds', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    tamper(fixture.path, (database) => database.exec('ALTER TABLE session ADD COLUMN big integer; UPDATE session SET big = 9223372036854775807'))
    await using set = await setOf(await fixture.open())
    expect((await treeOf(set, { session: KEY, native: true })).native).toMatchObject({ big: '9223372036854775807', time_created: START })
  })

  it('of OpenCode 2 is the row with its type and seq, and the document with its content', async () => {
    const [session] = V2_SUBJECT.corpus
    using fixture = v2Fixture([session])
    const rows = byId(rowsOf(fixture.path, 'session_message'))
    const [stored] = rowsOf(fixture.path, 'session_v2')
    await using set = await setOf(await fixture.open())
    const tree = await treeOf(set, { session: keyOf(session.id), native: true })
    expect(tree.native).toEqual(stored)
    expect(tree.native).toMatchObject({ time_idle: null, resume_attempts: 0 })
    expect(tree.messages.length).toBe(session.messages.length)
    for (const { key, native } of tree.messages) expect(native).toEqual({ message: rows.get(key.message), parts: [] })
    expect(tree.messages[0]?.native?.message).toMatchObject({ type: 'user', seq: expect.any(Number), data: { text: expect.any(String) } })
  })

  it('of damaged records is undefined, and names the damaged parts', async () => {
    for (const make of [memoryFixture, jsonFixture, sqliteFixture('1.18')]) {
      using fixture = make([SESSION])
      fixture.write({ session: SESSION.id, message: FIRST.id }, '{', START)
      fixture.write({ session: SESSION.id, message: FIRST.id, part: FIRST.parts[0]?.id ?? '' }, '{', START)
      await using set = await setOf(await fixture.open())
      const result = await runSessionTreeFlow(set, { session: KEY, native: true })
      expect(issuesIn(result).length).toBe(2)
      const [first] = resultOf(result).messages
      expect([first?.native?.message, first?.native?.parts.map(({ id, document }) => [id, document === undefined])]).toEqual([
        undefined,
        FIRST.parts.map(({ id }, at) => [id, at === 0]),
      ])
    }
  })

  it('holds the parts of the kinds that were asked for', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    await using set = await setOf(await fixture.open())
    const { messages } = await treeOf(set, { session: KEY, native: true, parts: { kinds: ['tool'] } })
    expect(messages.map(({ native }) => native?.parts.map(({ document }) => (document as { data: Document }).data.type))).toEqual([
      ...SESSION.messages.slice(1).map(() => []),
      ['tool'],
    ])
  })

  it('costs nothing where it is not asked for', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    const store = await fixture.open()
    await using set = await setOf(store)
    await treeOf(set, { session: KEY }) // lists the messages
    const bare = await workOf(store, () => treeOf(set, { session: KEY }))
    const original = await workOf(store, () => treeOf(set, { session: KEY, native: true }))
    const declined = await workOf(store, () => treeOf(set, { session: KEY, native: false }))
    expect(declined.work).toEqual(bare.work)
    expect(original.work.rows).toBeGreaterThan(bare.work.rows)
    expect([original.work.bytes, original.work.files]).toEqual([bare.work.bytes, bare.work.files])
    for (const tree of [bare.value, declined.value]) {
      expect(tree).not.toHaveProperty('native')
      expect(tree.messages.some((node) => 'native' in node)).toBe(false)
    }
    const plan = await planSessionTree(set, { session: KEY })
    expect(plan.status === 'ok' && 'native' in plan.value).toBe(false)
  })
})

describe('a session', () => {
  it('keeps its record as it is beside the original', async () => {
    using fixture = jsonFixture([SESSION])
    await using set = await setOf(await fixture.open())
    expect((await treeOf(set, { session: KEY, native: true })).session).toEqual(sessionDocument(SESSION))
  })
})
