/** What hidden copies hold besides the one that is shown. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { openSessions } from '../../src/open.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import type { Store } from '../../src/storage/store.js'
import { type CopyComparison, compareCopies } from '../../src/tree/copies/copies.js'
import { memoryCopy } from '../support/copies.js'
import {
  assistantMessage,
  type CorpusMessage,
  type CorpusSession,
  conversation,
  corpusSession,
  sampleCorpus,
  userMessage,
} from '../support/corpus.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { SETS_ARE_HERE, unpackSets } from '../support/real-sets.js'
import { eraAFixture, foldedMessage, jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { keyOf, setOf } from '../support/trees.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const TALK = conversation(START + 1000, 3)
const SESSION = corpusSession(START, TALK)
const KEY = keyOf(SESSION.id)
const [FIRST, SECOND] = TALK as [CorpusMessage, CorpusMessage]
const SAME = { onlyIn: { messages: [], parts: [] }, conflicts: [] }

async function compared(upper: CorpusSession, lower: CorpusSession): Promise<CopyComparison | undefined> {
  const set = await setOf(memoryCopy('opencode-sqlite', '/upper', [upper]), memoryCopy('opencode-json', '/lower', [lower]))
  expect(set.index.session(KEY)?.source.path).toBe('/upper')
  const [comparison, ...others] = await compareCopies(set, KEY)
  expect(others).toEqual([])
  return comparison
}

const withMessages = (...messages: readonly CorpusMessage[]): CorpusSession => ({ ...SESSION, messages })
const idsIn = (comparison: CopyComparison | undefined): unknown =>
  comparison?.conflicts.map((key) => ('part' in key ? key.part : 'message' in key ? key.message : key.session))

describe('two copies of 1.x', () => {
  it('hold the same, whatever the order of the fields and the ids inside', async () => {
    const shuffled = (data: Document): Document => ({
      id: 'x',
      messageID: 'y',
      sessionID: 'z',
      ...Object.fromEntries(Object.entries(data).reverse()),
    })
    const messages = TALK.map((message) => ({
      ...message,
      data: shuffled(message.data),
      parts: message.parts.map((part) => ({ ...part, data: shuffled(part.data) })),
    }))
    const parts = TALK.reduce((sum, message) => sum + message.parts.length, 0)
    expect(await compared(SESSION, withMessages(...messages))).toEqual({
      source: { kind: 'opencode-json', path: '/lower' },
      messages: TALK.length,
      parts,
      ...SAME,
    })
  })

  it('differ in messages and parts that only the hidden one has', async () => {
    const { parts, ...bare } = SECOND
    const upper = withMessages({ ...bare, parts: [] }, ...TALK.slice(2))
    const comparison = await compared(upper, withMessages(...TALK))
    expect(comparison?.onlyIn.messages).toEqual([FIRST.id])
    expect(comparison?.onlyIn.parts.map(({ message, part }) => [message, part])).toEqual(parts.map(({ id }) => [SECOND.id, id]))
    expect(comparison?.conflicts).toEqual([])
    // What only the shown one has is nobody's loss.
    expect(await compared(withMessages(...TALK), upper)).toMatchObject({ ...SAME, messages: TALK.length - 1 })
  })

  it('disagree where a field differs', async () => {
    const [part] = FIRST.parts
    const edited = { ...FIRST, parts: FIRST.parts.map((one) => (one === part ? { ...one, data: { ...one.data, text: 'other' } } : one)) }
    const retold = { ...SECOND, data: { ...SECOND.data, cost: 7 } }
    expect(idsIn(await compared(SESSION, withMessages(edited, retold, ...TALK.slice(2))))).toEqual([part?.id, SECOND.id])
  })

  it('disagree about the session by title, folder, parent and archiving alone', async () => {
    const info = (more: Document): CorpusSession => ({ ...SESSION, info: { ...SESSION.info, ...more } })
    for (const more of [{ title: 'other' }, { directory: '/elsewhere' }, { parentID: 'ses_other' }]) {
      expect(idsIn(await compared(SESSION, info(more)))).toEqual([SESSION.id])
    }
    for (const more of [{ slug: 'other' }, { cost: 3 }, { directory: '' }]) expect(idsIn(await compared(SESSION, info(more)))).toEqual([])
    expect(idsIn(await compared(info({ directory: 'C:/sky' }), info({ directory: 'C:\\sky' })))).toEqual([])
  })

  it('cannot be compared where one is damaged', async () => {
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/a', [SESSION]), memoryCopy('opencode-json', '/b', [SESSION])]
    upper.put({ session: SESSION.id, message: FIRST.id }, '{', START)
    lower.put({ session: SESSION.id, message: SECOND.id, part: SECOND.parts[0]?.id ?? '' }, '{', START)
    lower.put({ session: SESSION.id }, '{', START)
    expect(await compareCopies(await setOf(upper, lower), KEY)).toMatchObject([{ ...SAME, messages: TALK.length }])
  })

  it('of a session in one store there is nothing to tell', async () => {
    expect(await compareCopies(await setOf(memoryCopy('opencode-json', '/b', [SESSION])), KEY)).toEqual([])
  })
})

describe('copies that OpenCode converted', () => {
  const all = (...makers: readonly { open(): Promise<Store> }[]): Promise<Store[]> => Promise.all(makers.map((maker) => maker.open()))

  it('1.x and its tree, and the trees of 0.x, in their own stores: every session of the corpus', async () => {
    using database = sqliteFixture('1.18')(sampleCorpus())
    using tree = jsonFixture(sampleCorpus())
    using older = eraAFixture()(sampleCorpus())
    await using set = await setOf(...(await all(older, tree, database)))
    for (const meta of set.index.sessionsByTime()) {
      expect(await compareCopies(set, meta.key)).toMatchObject([
        { ...SAME, source: { kind: 'opencode-json' } },
        { ...SAME, source: { kind: 'opencode-era-a' } },
      ])
    }
  })

  it('messages of 0.1, which hold their parts, are compared by what they say', async () => {
    using upper = jsonFixture([SESSION])
    using lower = eraAFixture()([withMessages()])
    for (const message of TALK) {
      const said = message === SECOND ? { ...message, parts: [{ ...message.parts[0], data: { type: 'text', text: 'Mie.' } }] } : message
      lower.write({ session: SESSION.id, message: message.id }, JSON.stringify(foldedMessage(SESSION.id, said as CorpusMessage)), message.time)
    }
    await using set = await setOf(...(await all(lower, upper)))
    expect((await compareCopies(set, KEY)).map(idsIn)).toEqual([[SECOND.id]])
  })

  it('OpenCode 2 and 1.x are compared by role and visible text', async () => {
    using upper = v2Fixture(V2_SUBJECT.corpus)
    using lower = sqliteFixture('1.18')(sampleCorpus())
    await using set = await setOf(...(await all(lower, upper)))
    const [parent, ...others] = set.index.sessionsByTime()
    for (const meta of [parent, ...others]) {
      if (meta === undefined) continue
      expect(meta.source.kind).toBe('opencode-v2')
      expect(await compareCopies(set, meta.key)).toMatchObject([{ ...SAME, messages: await set.index.messageCount(meta.key) }])
    }
  })

  it('a message of OpenCode 2 that says something else is a conflict; synthetic and ignored text is not said', async () => {
    const hidden = { ...FIRST, parts: [...FIRST.parts, ...quiet(FIRST)] }
    const other = { ...SECOND, parts: assistantMessage(SECOND.time, { parts: [{ type: 'text', text: 'Mie.' }] }).parts }
    using upper = v2Fixture([{ ...SESSION, messages: [V2_SUBJECT.newMessage(FIRST.time)] }])
    const said = userMessage(FIRST.time)
    using same = sqliteFixture('1.18')([withMessages({ ...hidden, id: said.id, parts: [...said.parts, ...quiet(FIRST)] })])
    using different = jsonFixture([withMessages({ ...other, id: said.id })])
    await using set = await setOf(...(await all(upper, same, different)))
    expect((await compareCopies(set, KEY)).map((copy) => [copy.source.kind, idsIn(copy)])).toEqual([
      ['opencode-sqlite', []],
      ['opencode-json', [said.id]],
    ])
  })
})

function quiet({ id, time }: CorpusMessage): CorpusMessage['parts'] {
  return [
    { id: `prt_${id}_1`, data: { type: 'text', text: 'a reminder', synthetic: true }, time },
    { id: `prt_${id}_2`, data: { type: 'text', text: 'a note', ignored: true }, time },
  ]
}

describe.skipIf(!SETS_ARE_HERE)('sets that real OpenCode wrote', () => {
  const folder = tempFolder()
  if (SETS_ARE_HERE) unpackSets(folder.path)
  afterAll(() => folder[Symbol.dispose]())

  it('2.0.26 over what it imported: nothing is only in 1.x, nothing differs', async () => {
    await using set = await openSessions({ data: join(folder.path, 'opencode-2.0.26-dual', 'opencode') })
    const comparisons = await Promise.all(set.index.sessionsByTime().map(({ key }) => compareCopies(set, key)))
    expect(comparisons.flat()).toMatchObject([{ ...SAME, source: { kind: 'opencode-sqlite' }, messages: 4, parts: 10 }])
  })

  it('1.1.65, and a database that it is imported into', async () => {
    const data = join(folder.path, 'imported', 'opencode')
    execFileSync('cp', ['-r', join(folder.path, 'opencode-json-1.1.65'), join(folder.path, 'imported')])
    importTree(join(data, 'storage'), join(data, 'opencode.db'))
    await using set = await openSessions({ data })
    const metas = set.index.sessionsByTime()
    expect(new Set(metas.map(({ source, hides }) => [source.kind, ...hides.map(({ kind }) => kind)].join()))).toEqual(
      new Set(['opencode-sqlite,opencode-json']),
    )
    const [store] = await openSqliteStores(join(data, 'opencode.db'))
    const totals = await store?.totals()
    await store?.[Symbol.asyncDispose]()
    const comparisons = (await Promise.all(metas.map(({ key }) => compareCopies(set, key)))).flat()
    const sum = (pick: (one: CopyComparison) => number): number => comparisons.reduce((total, one) => total + pick(one), 0)
    expect([metas.length, sum(({ messages }) => messages), sum(({ parts }) => parts)]).toEqual([totals?.sessions, totals?.messages, totals?.parts])
    for (const comparison of comparisons) expect(comparison).toMatchObject(SAME)
  })
})

/** As OpenCode 1.2 does it: rows are the documents without their ids, parts carry the time of the import. */
function importTree(tree: string, path: string): void {
  const database = new Database(path)
  database.exec(openCodeTables('1.2.1'))
  const files = (folder: string): string[] =>
    readdirSync(join(tree, folder), { recursive: true, encoding: 'utf8' }).flatMap((name) =>
      name.endsWith('.json') ? [join(tree, folder, name)] : [],
    )
  const parsed = (file: string): Document & { time: { created: number; updated: number; archived?: number } } =>
    JSON.parse(readFileSync(file, 'utf8'))
  const session = database.prepare(
    'INSERT INTO session (id, project_id, slug, directory, title, version, parent_id, time_created, time_updated, time_archived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const message = database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)')
  const part = database.prepare('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)')
  database.transaction(() => {
    for (const { id, projectID, slug, directory, title, version, parentID, time } of files('session').map(parsed))
      session.run(id, projectID, slug, directory, title, version, parentID, time.created, time.updated, time.archived)
    for (const { id, sessionID, ...data } of files('message').map(parsed)) message.run(id, sessionID, data.time.created, START, JSON.stringify(data))
    for (const file of files('part')) {
      const { id, sessionID, messageID, ...data } = parsed(file)
      part.run(basename(file, '.json'), messageID, sessionID, START, START, JSON.stringify(data))
    }
    database.prepare('DELETE FROM part WHERE message_id NOT IN (SELECT id FROM message)').run()
  })()
  database.close()
}
