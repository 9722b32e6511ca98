/** A folder of messages that cannot be listed for a while: what is indexed of the session stays, and the view says so. */
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openSessions } from '../../src/open.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { type Rig, rig } from '../support/index-rig.js'
import { eraAFixture, jsonFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const TALK = conversation(START + 1000, 12)
const SHORT = corpusSession(START, TALK.slice(0, 6))
const LONG = corpusSession(START, TALK)

/** A link in a circle: not even root can list it. */
function darken(folder: string): Disposable {
  renameSync(folder, `${folder}.was`)
  symlinkSync(folder, folder)
  return {
    [Symbol.dispose]: () => {
      rmSync(folder)
      renameSync(`${folder}.was`, folder)
    },
  }
}

const messagesIn = (tree: StoreFixture): string => join(tree.path, 'message', LONG.id)
const textsIn = ({ sink }: Rig): readonly string[] => [...sink.rows.values()].map(({ text }) => text).sort()

describe('the folder of a session’s messages', () => {
  it.each<[string, () => [StoreFixture, StoreFixture], string]>([
    ['the copy that is read', () => [jsonFixture([LONG]), eraAFixture()([SHORT])], 'opencode-era-a'],
    ['the lower copy, which is ahead', () => [jsonFixture([LONG]), sqliteFixture('1.18')([SHORT])], 'opencode-sqlite'],
  ])('that cannot be listed is an issue, and the other copy is read: %s', async (_name, make, other) => {
    const [tree, copy] = make()
    using _tree = tree
    using _copy = copy
    await using set = await openSessions({ data: [tree.path, copy.path] })
    const shown = (): unknown => set.index.sessionsByTime().map(({ source }) => source.kind)
    expect([shown(), set.issues]).toEqual([['opencode-json'], []])
    {
      using _dark = darken(messagesIn(tree))
      await set.refresh()
      expect(shown()).toEqual([other])
      expect(set.issues).toMatchObject([{ code: 'UNREADABLE_RECORD', key: { session: LONG.id }, path: messagesIn(tree) }])
    }
    await set.refresh()
    expect([shown(), set.issues]).toEqual([['opencode-json'], []])
  })

  it.each([
    ['while the set is open', false],
    ['by a process that begins then', true],
  ])('costs the index nothing: %s', async (_name, anew) => {
    using tree = jsonFixture([LONG])
    using copy = sqliteFixture('1.18')([SHORT])
    await using set = await openSessions({ data: [tree.path, copy.path] })
    await using it = await rig({ sessions: sessionSource(set) })
    it.clock.advance(START + 86_400_000 - it.clock.wall)
    await it.run()
    const before = textsIn(it)
    expect(before.length).toBe(TALK.length)
    {
      using _dark = darken(messagesIn(tree))
      await using late = await openSessions({ data: [tree.path, copy.path] })
      const { indexer } = anew ? await it.join(2, { sessions: sessionSource(late) }) : it
      for (let time = 0; time < 2; time++) {
        it.clock.advance(3_600_000)
        expect(await indexer.observe()).toMatchObject({ removed: 0, elsewhere: 1, behind: 0 })
        await indexer.drain()
        expect(textsIn(it)).toEqual(before)
      }
    }
    await it.run()
    expect(textsIn(it)).toEqual(before)
  })

  it('costs a session nothing that was rebuilt from what is in it', async () => {
    using trees = eraAFixture()([SHORT])
    await using set = await setOf(await trees.open())
    const folders = (): unknown => set.index.sessionsByTime().map(({ directory }) => directory)
    const before = folders()
    expect(before).toEqual([expect.stringMatching(/^\//)])
    const storage = join(trees.path, SHORT.project, 'storage', 'session')
    using _dark = darken(join(storage, 'message', SHORT.id))
    trees.write(
      { session: SHORT.id, message: `../../info/${SHORT.id}` },
      JSON.stringify({ id: SHORT.id, title: 'new', version: '0.5', time: { created: START, updated: START + 5 } }),
      START + 5,
    )
    await set.refresh()
    expect([set.index.sessionsByTime().map(({ title }) => title), folders()]).toEqual([['new'], before])
  })
})
