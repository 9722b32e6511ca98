/** A state that lies elsewhere: its answers come later, and everything works on it as on one of this machine. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createIndexer } from '../../src/indexer/indexer.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import type { IndexStore } from '../../src/indexer/state/state.js'
import { describeState } from '../contracts/state.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, fakeClock, fakeOwners, flakySink, keyOf, World } from '../support/index-world.js'
import { lateState } from '../support/late-state.js'

describeState('late', () => {
  const place = memoryStatePlace()
  return { open: async (settings) => lateState(memoryState({ place, ...settings })), [Symbol.dispose]: () => undefined }
})

describe('an indexer on a state that lies elsewhere', () => {
  it('indexes, edits, removes, sends again, verifies, puts aside, forgets and builds anew', async () => {
    const clock = fakeClock()
    const world = new World(clock)
    const place = memoryStatePlace()
    const embedder = countingEmbedder()
    const sink = flakySink()
    const open = (pid: number, options: Partial<Parameters<typeof createIndexer>[0]> = {}) => {
      const state = lateState(memoryState({ place, clock, owners: fakeOwners(pid), leaseMs: 10_000 }))
      return createIndexer({ sessions: world.source(), state, embedder, sink, clock, random: () => 0.5, ...options })
    }
    const indexer = open(1)
    const run = async (): Promise<void> => {
      await indexer.observe()
      await indexer.drain()
    }
    const session = world.add('ses_a', ['one', 'two'])
    world.add('ses_b', ['three'])
    await run()
    expect(contentOf(sink)).toEqual(world.expected())

    world.edit(session, ({ messages }) => {
      Object.assign(messages[0] ?? {}, { text: 'one, edited', version: 2 })
      messages.pop()
    })
    world.sessions.delete('ses_b')
    await run()
    expect(contentOf(sink)).toEqual(world.expected())

    sink.before = () => Promise.reject(new Error('down'))
    world.add('ses_c', ['four', 'poison'])
    await run()
    expect((await indexer.walStatus()).records).toBe(1)
    sink.before = () => undefined
    expect(await indexer.walRecover()).toEqual({ records: 1, documents: 2 })
    await indexer.drain()

    await sink.delete([[...sink.rows.keys()][0] ?? ''])
    expect((await indexer.verify()).differences).toMatchObject([{ kind: 'missing' }])
    expect(await indexer.verify({ repair: true })).toMatchObject({ differences: [], repaired: 1 })

    const { embed } = embedder
    embedder.embed = async (texts, options) => {
      if (texts.includes('poison too')) throw new Error('no')
      return embed.call(embedder, texts, options)
    }
    world.add('ses_d', ['five', 'poison too'])
    await run()
    expect(await indexer.deadLetters()).toMatchObject([{ code: 'TEXT_REFUSED', key: keyOf('ses_d') }])
    embedder.embed = embed
    expect(await indexer.retry()).toBe(1)
    await indexer.drain()
    expect(contentOf(sink)).toEqual(world.expected())

    expect(await indexer.resetSession(keyOf('ses_a'))).toBe(true)
    world.sessions.delete('ses_d')
    expect(await indexer.forget([keyOf('ses_d')])).toMatchObject({ sessions: 1, documents: 2 })
    await run()
    expect(contentOf(sink)).toEqual(world.expected())
    await indexer.start()
    await indexer.stop()
    expect(await indexer.status()).toMatchObject({
      started: false,
      queue: { ready: 0, leased: 0, backoff: 0 },
      counters: { failures: 1, replays: 1 },
    })
    await indexer[Symbol.asyncDispose]()

    const fresh = flakySink()
    const second = open(2, {
      embedder: { ...countingEmbedder('other'), space: 'other' },
      sink: fresh,
      former: [{ ...sink, space: 'fake-1' }],
      rebuild: true,
    })
    await second.observe()
    await second.drain()
    expect(contentOf(fresh)).toEqual(world.expected())
    expect(sink.rows.size).toBe(0)
    expect((await second.status()).spaces).toMatchObject([{ space: 'other', state: 'live' }])
    await second[Symbol.asyncDispose]()
  })

  it('goes on with what a session left to do that ended while the next was asked for', async () => {
    await using it = await rig({}, { memory: true })
    it.world.add('ses_a', ['one', 'two', 'three'])
    let claims = 0
    let releases = 0
    const state: IndexStore = {
      ...it.state,
      async claim(request) {
        const claim = await it.state.claim(request)
        if (claim !== undefined) claims++
        else while (releases < claims) await nextTurn()
        return claim
      },
      async release(claim, outcome) {
        await it.state.release(claim, outcome)
        releases++
      },
    }
    const { indexer } = await it.join(2, { state, quantum: 1 })
    await indexer.observe()
    await indexer.drain()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(claims).toBeGreaterThan(2)
  })
})
