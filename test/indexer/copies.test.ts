/** Sessions that stand in several stores: their documents are those of one view. */
import { describe, expect, it } from 'vitest'
import { sessionSource } from '../../src/indexer/session-source.js'
import { memoryCopy } from '../support/copies.js'
import { type CorpusMessage, conversation, corpusSession } from '../support/corpus.js'
import { type Rig, rig } from '../support/index-rig.js'
import { jsonFixture, type StoreFixture, sqliteFixture } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const TALK = conversation(START + 1000, 12)
const SESSION = corpusSession(START, TALK)
const [FIRST] = TALK as [CorpusMessage]
const LOWER = corpusSession(
  START,
  TALK.map((message) => ({ ...message, parts: message.parts.map((part) => ({ ...part, data: { ...part.data, text: `older ${part.data.text}` } })) })),
)

const textsOf = ({ sink }: Rig): string[] => [...sink.rows.values()].map(({ text }) => text)

describe('an index over copies', () => {
  it('holds what a lower copy gives for a damaged record, and does not read it for ever', async () => {
    const [upper, lower] = [memoryCopy('opencode-sqlite', '/upper', [SESSION]), memoryCopy('opencode-json', '/lower', [LOWER])]
    upper.put({ session: SESSION.id, message: FIRST.id, part: FIRST.parts[0]?.id ?? '' }, '{', START)
    await using it = await rig({ sessions: sessionSource(await setOf(upper, lower)) })
    it.clock.advance(START + 86_400_000 - it.clock.wall)
    await it.run()
    expect(textsOf(it).filter((text) => text.includes('older')).length).toBe(1)
    expect(it.state.sessions()).toMatchObject([{ incomplete: false, store: '/upper' }])
    const work = { ...lower.work }
    for (let time = 0; time < 3; time++) {
      it.clock.advance(3_600_000)
      expect(await it.indexer.observe()).toMatchObject({ changed: 0 })
      await it.indexer.drain()
    }
    // Listing a store reads its session records, here one.
    expect(lower.work.rows - work.rows).toBeLessThanOrEqual(6)
  })

  it('follows a session to the copy that goes on, and back', async () => {
    using upper = sqliteFixture('1.18')([SESSION])
    using lower = jsonFixture([LOWER])
    await using set = await setOf(await upper.open(), await lower.open())
    await using it = await rig({ sessions: sessionSource(set) })
    it.clock.advance(START + 86_400_000 - it.clock.wall)
    await it.run()
    expect(textsOf(it).some((text) => text.includes('older'))).toBe(false)
    const [question, answer, again] = conversation(START + 3_600_000, 2) as [CorpusMessage, CorpusMessage, CorpusMessage]
    for (const message of [question, answer]) write(lower, message)
    await it.run()
    expect(it.state.sessions()).toMatchObject([{ store: lower.path }])
    expect(textsOf(it).filter((text) => text.includes('older')).length).toBe(TALK.length)
    expect(it.sink.rows.size).toBe(TALK.length + 2)
    write(upper, again)
    await it.run()
    expect(it.state.sessions()).toMatchObject([{ store: upper.path }])
    expect([textsOf(it).some((text) => text.includes('older')), it.sink.rows.size]).toEqual([false, TALK.length + 1])
  })
})

function write(store: StoreFixture, { id: message, data, time, parts }: CorpusMessage): void {
  store.write({ session: SESSION.id, message }, JSON.stringify(data), time)
  for (const part of parts) store.write({ session: SESSION.id, message, part: part.id }, JSON.stringify(part.data), time)
}
