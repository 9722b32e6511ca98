/** The comparison from outside: every kind of difference is found, told apart from a writer's movement, and mended on request. */
import { describe, expect, it } from 'vitest'
import type { SinkRow } from '../../src/indexer/ports.js'
import type { IndexDifference, VerifyReport } from '../../src/indexer/verify/verify.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf, keyOf, type WorldMessage, type WorldSession } from '../support/index-world.js'

const CLEAN = { differences: [], leftOut: 0, unknown: 0, repaired: 0 }

function rowsOf(it: Rig): SinkRow[] {
  return [...(it.sink.rows as ReadonlyMap<string, SinkRow>).values()]
}

async function alter(it: Rig, text: string, change: (row: SinkRow) => SinkRow): Promise<void> {
  const row = rowsOf(it).find((one) => one.text === text)
  if (row === undefined) throw new Error(`no document says ${text}`)
  await it.sink.upsert([change(row)])
}

function messageOf(session: WorldSession, at: number): WorldMessage {
  const message = session.messages[at]
  if (message === undefined) throw new Error('no such message')
  return message
}

const kinds = ({ differences }: VerifyReport): string[] => differences.map(({ kind, key, message }) => [kind, key?.session, message].join(' ')).sort()

async function indexed(): Promise<{ it: Rig; a: WorldSession; b: WorldSession }> {
  const it = await rig()
  const a = it.world.add('ses_a', ['one', 'two', 'three'])
  const b = it.world.add('ses_b', ['four', ''])
  await it.run()
  return { it, a, b }
}

describe('verify', () => {
  it('finds an index that is true to be true, and changes nothing', async () => {
    const { it } = await indexed()
    await using _ = it
    const before = it.state.status().counters
    expect(await it.indexer.verify()).toEqual({ sessions: 2, messages: 5, documents: 4, unsettled: 0, quarantined: 0, ...CLEAN })
    expect(it.state.status().counters).toEqual(before)
  })

  it.each<[string, (it: Rig) => Promise<void>, string[]]>([
    [
      'a document that the sink lost',
      async (it) => it.sink.delete([rowsOf(it).find(({ text }) => text === 'two')?.id ?? '']),
      ['missing ses_a msg_ses_a_0001'],
    ],
    [
      'a document of another text',
      (it) => alter(it, 'two', (row) => ({ ...row, metadata: { ...row.metadata, text_hash: 'other' } })),
      ['stale ses_a msg_ses_a_0001'],
    ],
    [
      'a document of another write',
      (it) => alter(it, 'two', (row) => ({ ...row, metadata: { ...row.metadata, rev: 0 } })),
      ['stale ses_a msg_ses_a_0001'],
    ],
    ['a document that no row names', (it) => alter(it, 'two', (row) => ({ ...row, id: row.id.replace(/.$/, '7') })), ['orphan ses_a ']],
    [
      'a document of a session that nobody knows',
      (it) => alter(it, 'two', (row) => ({ ...row, id: `local~${'a'.repeat(26)}~0`, metadata: { ...row.metadata, session_id: 'ses_gone' } })),
      ['orphan  '],
    ],
  ])('finds and mends %s', async (_name, damage, expected) => {
    const { it } = await indexed()
    await using _ = it
    await damage(it)
    const found = await it.indexer.verify()
    expect(kinds(found)).toEqual(expected)
    expect(found.repaired).toBe(0)
    expect(await it.indexer.verify({ repair: true })).toMatchObject({ differences: [], repaired: 1 })
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(await it.indexer.verify()).toMatchObject(CLEAN)
  })

  it.each<[string, (it: Rig, a: WorldSession) => void, string[]]>([
    [
      'a message that was never looked at',
      (_it, a) => a.messages.push({ id: 'msg_ses_a_0009', role: 'user', text: 'silent', changed: 0, version: 1 }),
      ['unindexed ses_a msg_ses_a_0009'],
    ],
    [
      'a session that was never observed',
      (it) => it.world.add('ses_new', ['unseen', 'unseen too']),
      ['unindexed ses_new msg_ses_new_0000', 'unindexed ses_new msg_ses_new_0001'],
    ],
    ['an edit that moved no revision', (_it, a) => Object.assign(messageOf(a, 1), { text: 'edited', version: 2 }), ['outdated ses_a msg_ses_a_0001']],
    ['an edit that moved no signature either', (_it, a) => Object.assign(messageOf(a, 1), { text: 'edited' }), ['outdated ses_a msg_ses_a_0001']],
    ['a message that is gone', (_it, a) => a.messages.splice(1, 1), ['leftover ses_a msg_ses_a_0001']],
    ['a session that is gone', (it) => it.world.sessions.delete('ses_b'), ['leftover ses_b msg_ses_b_0000', 'leftover ses_b msg_ses_b_0001']],
  ])('finds and mends %s', async (_name, change, expected) => {
    const { it, a } = await indexed()
    await using _ = it
    change(it, a)
    expect(kinds(await it.indexer.verify())).toEqual(expected)
    expect(await it.indexer.verify({ repair: true })).toMatchObject({ differences: [], repaired: expected.length })
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('counts what is still being written, and what was put aside, as no difference', async () => {
    const { it, a } = await indexed()
    await using _ = it
    it.world.edit(a, (s) => s.messages.push({ id: 'msg_ses_a_0008', role: 'assistant', text: 'and', changed: it.clock.now(), version: 1 }))
    await it.run()
    expect(await it.indexer.verify()).toMatchObject({ ...CLEAN, unsettled: 1 })
  })

  it('says nothing of a session that a writer touches meanwhile, nor of a store that was not looked at', async () => {
    const { it, a } = await indexed()
    await using _ = it
    const source = it.world.source()
    const { indexer } = await it.join(2, {
      sessions: {
        ...source,
        tail: async (key, known, options) => {
          if (key.session === 'ses_a' && a.revision < 3)
            it.world.edit(a, (s) => s.messages.push({ id: 'msg_ses_a_0009', role: 'user', text: 'meanwhile', changed: 0, version: 1 }))
          return source.tail(key, known, options)
        },
      },
    })
    expect(await indexer.verify()).toMatchObject({ differences: [], unknown: 1 })
    it.world.stores.set('/other', true)
    it.world.add('ses_c', ['five'], { store: '/other' })
    await it.run()
    it.world.stores.delete('/other')
    expect(await it.indexer.verify()).toMatchObject({ differences: [], unknown: 1 })
  })

  it('of single sessions looks at those alone', async () => {
    const { it } = await indexed()
    await using _ = it
    await it.sink.delete([...it.sink.rows.keys()])
    const { differences, sessions } = await it.indexer.verify({ sessions: [keyOf('ses_b')] })
    expect(sessions).toBe(1)
    expect(new Set(differences.map(({ key }: IndexDifference) => key?.session))).toEqual(new Set(['ses_b']))
  })

  it('finds what excluded sessions left behind', async () => {
    const { it } = await indexed()
    await using _ = it
    const { indexer } = await it.join(2, { exclude: { sessions: ['ses_b'] } })
    expect(kinds(await indexer.verify())).toEqual(['leftover ses_b msg_ses_b_0000', 'leftover ses_b msg_ses_b_0001'])
    expect(await indexer.verify({ repair: true })).toMatchObject({ differences: [], repaired: 2 })
  })

  it('in a sink that is shared leaves the documents of others alone', async () => {
    const { it } = await indexed()
    await using _ = it
    await alter(it, 'two', (row) => ({ ...row, id: `other~${'a'.repeat(26)}~0`, metadata: { ...row.metadata, session_id: 'ses_theirs' } }))
    expect(await it.indexer.verify({ repair: true })).toMatchObject({ differences: [], repaired: 0 })
  })
})
