/** What an indexer tells while it works: every kind of event, to whoever listens. */
import { describe, expect, it } from 'vitest'
import type { IndexProgress } from '../../src/indexer/engine.js'
import type { IndexEvent } from '../../src/indexer/indexer-types.js'
import { rig } from '../support/index-rig.js'

const down = (): Error => Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })

/** Fails to compile when a kind is added and not asked for here. */
const KINDS: Readonly<Record<IndexEvent, true>> = {
  ...{ observed: true, claimed: true, committed: true, released: true, removed: true, lost: true, failed: true, deferred: true },
  ...{ quarantined: true, repaired: true, breaker: true, space: true, error: true, 'left-out': true },
}

describe('events', () => {
  it('of every kind are told', async () => {
    const told = new Set<IndexEvent>()
    const onProgress = (event: IndexProgress): void => void told.add(event.kind)
    await using it = await rig({ onProgress, concurrency: 1 })
    const session = it.world.add('ses_a', ['one', 'two'])
    it.world.add(`ses_${'x'.repeat(900)}`, ['too long a name'])
    await it.run()
    // The sink lost a document.
    await it.sink.delete([[...it.sink.rows.keys()][0] ?? ''])
    await it.state.verify()
    await it.indexer.drain()
    // The session cannot be read, then its embedder is down, then refuses the text.
    it.world.edit(session, (s) => Object.assign(s.messages[0] ?? {}, { text: 'three', version: 2 }))
    it.world.failing.add('ses_a')
    await it.run()
    it.world.failing.clear()
    const { embed } = it.embedder
    for (const failure of [down(), new Error('poison')]) {
      it.clock.advance(120_000)
      it.embedder.embed = async (texts, options) => {
        if (texts.includes('three')) throw failure
        return embed.call(it.embedder, texts, options)
      }
      await it.indexer.drain()
    }
    // Another process takes the session over while its record is on the way.
    it.embedder.embed = embed
    const { indexer: other } = await it.join(2)
    it.world.edit(session, (s) => Object.assign(s.messages[1] ?? {}, { text: 'four', version: 2 }))
    it.sink.before = async () => {
      it.sink.before = () => undefined
      it.clock.mono += 20_000
      await other.drain()
    }
    await it.run()
    it.world.sessions.delete('ses_a')
    await it.run()
    const listing = { ...it.world.source(), list: () => Promise.reject(new Error('EIO')) }
    await (await it.join(3, { sessions: listing })).indexer.tick()
    const anew = { name: 'other', space: 'other', dimensions: 8, embed: embed.bind(it.embedder) }
    await (await it.join(4, { embedder: anew, rebuild: true })).indexer.observe()
    expect([...told].sort()).toEqual(Object.keys(KINDS).sort())
  })

  it('of an observation have its report, also where the loop made it', async () => {
    await using it = await rig({}, { memory: true })
    it.world.add('ses_a', ['one'])
    const reports: unknown[] = []
    const end = it.indexer.on('observed', ({ report }) => reports.push(report))
    const report = await it.indexer.observe()
    expect(reports).toEqual([report])
    await it.indexer.start()
    await it.indexer.stop()
    expect(reports).toMatchObject([{ changed: 1 }, { sessions: 1, changed: 0 }])
    end()
    await it.indexer.observe()
    expect(reports).toHaveLength(2)
  })

  it('reach every listener, whatever another one throws', async () => {
    await using it = await rig({}, { memory: true })
    it.world.add('ses_a', ['one'])
    let heard = 0
    it.indexer.on('committed', () => {
      throw new Error('its own affair')
    })
    it.indexer.on('committed', () => heard++)
    await it.run()
    expect(heard).toBe(1)
    expect(it.state.status().counters.failures).toBe(0)
  })
})
