/** Without write-ahead records: a failure or a death may repeat embeddings, and nothing else. */
import { describe, expect, it } from 'vitest'
import { createIndexer } from '../../src/indexer/indexer.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, fakeClock, fakeOwners, flakySink, World } from '../support/index-world.js'

describe('an indexer without write-ahead records', () => {
  it('indexes, edits, deletes and removes', async () => {
    await using it = await rig({ walEnabled: false })
    const session = it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['three'])
    await it.run()
    it.world.edit(session, (s) => {
      s.messages.shift()
      Object.assign(s.messages[0] ?? {}, { text: 'edited', version: 2 })
    })
    it.world.sessions.delete('ses_b')
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(await it.indexer.verify()).toMatchObject({ differences: [], unknown: 0 })
    expect(it.state.status().wal.records).toBe(0)
  })

  it('keeps nothing of what the sink did not take, and finds what it took without a word', async () => {
    await using it = await rig({ walEnabled: false, sinkBatchSize: 1 })
    const session = it.world.add('ses_a', ['one', 'two'])
    let calls = 0
    it.sink.before = () => {
      if (++calls === 2) throw new Error('after the first document')
    }
    await it.run()
    expect(it.sink.rows.size).toBe(1)
    expect(it.state.status().wal.records).toBe(0)
    // The message whose document got through is gone by the time of the next try.
    it.world.edit(session, (s) => s.messages.shift())
    it.clock.advance(120_000)
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status().queue).toEqual({ ready: 0, leased: 0, backoff: 0 })
  })

  it('whose owner died between the sink and the commit has the sink compared with the ledger', async () => {
    const clock = fakeClock()
    const world = new World(clock)
    const sink = flakySink()
    const place = memoryStatePlace()
    const dead = new Set<number>()
    const open = (pid: number) => {
      const state = memoryState({ clock, place, owners: fakeOwners(pid, dead), leaseMs: 10_000 })
      const indexer = createIndexer({
        sessions: world.source(),
        state,
        embedder: countingEmbedder(),
        sink,
        clock,
        random: () => 0.5,
        walEnabled: false,
      })
      return { state, indexer }
    }
    const session = world.add('ses_a', ['one', 'two'])
    const first = open(1)
    const commit = (): Promise<never> => {
      dead.add(1)
      return new Promise(() => undefined)
    }
    const dying = createIndexer({
      sessions: world.source(),
      state: { ...first.state, commit },
      embedder: countingEmbedder(),
      sink,
      clock,
      walEnabled: false,
    })
    await dying.observe()
    void dying.drain()
    while (!dead.has(1)) await new Promise((resolve) => setImmediate(resolve))
    expect(sink.rows.size).toBe(2)
    world.edit(session, (s) => s.messages.shift())
    const second = open(2)
    await second.indexer.observe()
    await second.indexer.drain()
    expect(contentOf(sink)).toEqual(world.expected())
  })
})
