/** Rows that OpenCode does not write: what is wrong with one of them costs no other row. */
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { openSessions } from '../../src/open.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { sqliteFixture } from '../support/store-fixtures.js'
import { treeOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))
const OTHER = corpusSession(START + 1, conversation(START + 500_000, 2))
const make = sqliteFixture('1.18')
const [{ id: MESSAGE, parts }] = SESSION.messages as [(typeof SESSION.messages)[number]]
const HUGE = '9223372036854775807'

describe('one odd row', () => {
  it.each([
    ['a session whose time no double holds', `UPDATE session SET time_updated = ${HUGE} WHERE id = '${SESSION.id}'`],
    ['a session whose model is a BLOB', `UPDATE session SET model = x'00ff' WHERE id = '${SESSION.id}'`],
    ['a session whose revert is a BLOB that reads like JSON', `UPDATE session SET revert = x'7b7d' WHERE id = '${SESSION.id}'`],
    ['a message created in no time that a double holds', `UPDATE message SET time_created = ${HUGE} WHERE id = '${MESSAGE}'`],
    ['a message updated in no time that a double holds', `UPDATE message SET time_updated = ${HUGE} WHERE id = '${MESSAGE}'`],
    ['a part updated in no time that a double holds', `UPDATE part SET time_updated = ${HUGE} WHERE id = '${parts[0]?.id}'`],
  ])('hides nothing: %s', async (_name, sql) => {
    using fixture = make([SESSION, OTHER])
    tamper(fixture.path, (database) => database.exec(sql))
    await using set = await openSessions({ data: fixture.path })
    expect(set.issues).toEqual([])
    for (const { id, info, messages } of [SESSION, OTHER]) {
      const tree = await treeOf(set, { session: parseSessionId(id) })
      expect(tree.session?.title).toBe(info.title)
      expect(new Set(tree.messages.map(({ message }) => message?.id))).toEqual(new Set(messages.map((message) => message.id)))
      expect(tree.messages.map(({ parts }) => parts.length).reduce((a, b) => a + b)).toBe(messages.flatMap((message) => message.parts).length)
      expect(await set.index.revision(tree.key)).toEqual(expect.any(String))
    }
  })

  it.each([
    ['a BLOB', 'zeroblob(1000000)'],
    ['a long text', 'char(10) || hex(zeroblob(500000))'],
  ])('is named in a few words when its id is %s', async (_name, id) => {
    using fixture = make([SESSION, OTHER])
    tamper(fixture.path, (database) => {
      database.pragma('foreign_keys = OFF')
      database.exec(`UPDATE session SET id = ${id} WHERE id = '${SESSION.id}'`)
    })
    await using set = await openSessions({ data: fixture.path })
    expect(set.issues).toMatchObject([{ code: 'INVALID_ID', path: fixture.path }])
    expect(set.issues[0]?.reason.length).toBeLessThan(200)
    expect(set.index.sessionsByTime().map((meta) => meta.id)).toEqual([OTHER.id])
  })
})
