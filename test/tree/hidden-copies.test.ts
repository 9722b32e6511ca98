/** What verify says of copies that are hidden: counted as superseded, and what only they hold. */
import { describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import { ShownCopies } from '../../src/tree/copies/shown-copies.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { verifyStores } from '../../src/tree/verify.js'
import { type CorpusMessage, type CorpusSession, conversation, corpusSession, DAY } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { filesBelow, recordsIn, rowsOf } from '../support/ledger-balance.js'
import { eraAFixture, jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { keyOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const [FIRST, SECOND, ...REST] = SESSION.messages as [CorpusMessage, CorpusMessage, ...CorpusMessage[]]
/** Without its first message, and without the first part of its second. */
const LESS: CorpusSession = { ...SESSION, messages: [{ ...SECOND, parts: SECOND.parts.slice(1) }, ...REST] }
const records = ({ messages }: CorpusSession): number => 1 + messages.length + messages.flatMap(({ parts }) => parts).length

describe('a hidden copy', () => {
  it('is superseded, and verify says how much of it the shown copy lacks', async () => {
    using shown = sqliteFixture('1.18')([LESS])
    using hidden = jsonFixture([SESSION])
    await using sessions = await openSessions({ data: [shown.path, hidden.path] })
    expect(sessions.index.session(keyOf(SESSION.id))?.source.kind).toBe('opencode-sqlite')
    const { stores, total } = await verifyStores(sessions)
    const onlyHere = { messages: 1, parts: FIRST.parts.length + 1 }
    expect(stores.map((store) => [store.superseded, store.onlyHere])).toEqual([
      [0, { messages: 0, parts: 0 }],
      [records(SESSION), onlyHere],
    ])
    expect(total.onlyHere).toEqual(onlyHere)
    expect(stores.map(recordsIn)).toEqual([rowsOf(shown.path), filesBelow(hidden.path)])
  })

  it('has no part of its own where the shown copy keeps parts inside the message', async () => {
    const [, ...some] = SESSION.messages
    const [upper] = V2_SUBJECT.corpus
    using shown = v2Fixture([
      { ...upper, id: SESSION.id, messages: upper.messages.slice(0, some.length).map((m, at) => ({ ...m, id: some[at]?.id ?? '' })) },
    ])
    using hidden = jsonFixture([{ ...SESSION, updated: START }])
    await using sessions = await openSessions({ data: [shown.path, hidden.path] })
    const { stores } = await verifyStores(sessions)
    if (sessions.index.session(keyOf(SESSION.id))?.source.kind !== 'opencode-v2') throw new Error('the upper copy must be the one that is shown')
    expect(stores[1]?.onlyHere).toEqual({ messages: 1, parts: FIRST.parts.length })
  })

  it('of era A is held against the copy in era B, message by message', async () => {
    using shown = jsonFixture([LESS])
    using hidden = eraAFixture()([SESSION])
    await using sessions = await openSessions({ data: [shown.path, hidden.path] })
    const { stores } = await verifyStores(sessions)
    expect(stores.map(({ kind, onlyHere }) => [kind, onlyHere.messages, onlyHere.parts])).toEqual([
      ['opencode-json', 0, 0],
      ['opencode-era-a', 1, FIRST.parts.length + 1],
    ])
  })
})

describe('the lists of shown copies', () => {
  it('are made once per session, and again only when too many were held', async () => {
    const corpus = Array.from({ length: 4 }, (_, at) => corpusSession(START + at * 5000, conversation(START + at * 5000 + 1, 1)))
    using fixture = sqliteFixture('1.18')(corpus)
    const store = await fixture.open()
    let listed = 0
    const list = store.messages.bind(store)
    store.messages = (...given) => {
      listed++
      return list(...given)
    }
    await using sessions = await createSessionSet([store])
    const ask = async (copies: ShownCopies, times: number): Promise<number> => {
      listed = 0
      for (let time = 0; time < times; time++)
        for (const { id, messages } of corpus)
          for (const message of messages) {
            const key = messageKey(keyOf(id), parseMessageId(message.id))
            expect(await copies.has(key)).toBe(true)
            for (const part of message.parts) expect(await copies.has(partKey(key, parsePartId(part.id)))).toBe(true)
            expect(await copies.has(partKey(key, parsePartId('prt_none')))).toBe(false)
          }
      return listed
    }
    expect(await ask(new ShownCopies(sessions), 3)).toBe(corpus.length)
    expect(await ask(new ShownCopies(sessions, 8), 3)).toBe(3 * corpus.length)
  })
})

describe('a row of a hidden copy', () => {
  it('that is damaged is damaged, not superseded', async () => {
    using shown = sqliteFixture('1.18')([{ ...SESSION, messages: [...SESSION.messages, ...conversation(START + DAY, 1)], updated: START + DAY }])
    using hidden = sqliteFixture('1.18')([SESSION])
    tamper(hidden.path, (database) => database.prepare("UPDATE part SET data = '{' WHERE id = ?").run(FIRST.parts[0]?.id))
    await using sessions = await openSessions({ data: [shown.path, hidden.path] })
    const { stores } = await verifyStores(sessions)
    expect(stores[1]?.damaged).toMatchObject([
      { table: 'part', key: `${SESSION.id}/${FIRST.id}/${FIRST.parts[0]?.id}`, damage: 'truncated', offset: 1 },
    ])
    expect([stores[0]?.superseded, stores[1]?.superseded]).toEqual([0, records(SESSION) - 1])
  })
})
