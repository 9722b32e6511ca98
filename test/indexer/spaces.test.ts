/** Another embedder: its space is built beside the live one, takes over in one step, and the old one is emptied. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { IndexProgress } from '../../src/indexer/engine.js'
import type { Indexer, IndexerOptions } from '../../src/indexer/indexer-types.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { type Rig, rig } from '../support/index-rig.js'
import { type CountingEmbedder, contentOf, countingEmbedder, type FlakySink, flakySink, keyOf } from '../support/index-world.js'

interface Other {
  readonly state: LocalIndexStore
  readonly indexer: Indexer
  readonly sink: FlakySink
  readonly embedder: CountingEmbedder
  readonly events: IndexProgress[]
  dropped(): boolean
}

/** An index of the space fake-1, and another process that works in fake-2. */
async function two(options: Partial<IndexerOptions> = {}): Promise<{ it: Rig; other: Other }> {
  const old = Object.assign(flakySink(), { space: 'fake-1' })
  let dropped = false
  const drop = async (): Promise<void> => {
    dropped = true
  }
  Object.assign(old, { drop })
  const it = await rig({ sink: old })
  it.world.add('ses_a', ['one', 'two', 'three'])
  it.world.add('ses_b', ['four'])
  await it.run()
  const sink = Object.assign(flakySink(), { space: 'fake-2' })
  const embedder = countingEmbedder('fake-2', 4)
  const events: IndexProgress[] = []
  const joined = await it.join(2, { embedder, sink, former: [old], rebuild: true, onProgress: (event) => events.push(event), ...options })
  return { it: { ...it, sink: old }, other: { ...joined, sink, embedder, events, dropped: () => dropped } }
}

const spacesOf = ({ spaces }: LocalIndexStore): string[] => spaces().map(({ space, state }) => `${space} ${state}`)

describe('another embedder', () => {
  it('without rebuild is refused, and nothing changes', async () => {
    const { it } = await two()
    await using _ = it
    const { indexer } = await it.join(3, { embedder: countingEmbedder('fake-3'), sink: flakySink() })
    await expect(indexer.observe()).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    expect(spacesOf(it.state)).toEqual(['fake-1 live'])
  })

  it('[B17] is built beside the live space, takes over when no session lacks it, and the old one is emptied and dropped', async () => {
    const { it, other } = await two({ concurrency: 1 })
    await using _ = it
    await other.indexer.observe()
    expect(spacesOf(it.state)).toEqual(['fake-1 live', 'fake-2 building'])
    expect(it.state.status().toRebuild).toBe(2)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    await other.indexer.drain()
    expect(contentOf(other.sink)).toEqual(it.world.expected())
    expect(spacesOf(it.state)).toEqual(['fake-2 live'])
    expect(it.sink.rows.size).toBe(0)
    expect(other.dropped()).toBe(true)
    expect(other.events.filter(({ kind }) => kind === 'space')).toMatchObject([
      { space: { state: 'building' } },
      { space: { state: 'live', space: 'fake-2' } },
    ])
    for (const { metadata } of other.sink.rows.values()) expect(metadata).toMatchObject({ space: spaceIdOf('fake-2') })
    expect(it.embedder.texts).toHaveLength(4)
  })

  it('while it is built has fresh changes go there, and deletions everywhere', async () => {
    const { it, other } = await two()
    await using _ = it
    it.world.failing.add('ses_b')
    await other.indexer.observe()
    await other.indexer.drain()
    const session = it.world.sessions.get('ses_a')
    if (session === undefined) throw new Error('no session')
    it.world.edit(session, (s) => {
      s.messages.splice(0, 1)
      s.messages.push({ id: 'msg_ses_a_0007', role: 'user', text: 'new', changed: s.updated, version: 1 })
    })
    // ses_b waits for its next try, so the space is not ready.
    await other.indexer.observe()
    await other.indexer.drain()
    expect(spacesOf(it.state)).toEqual(['fake-1 live', 'fake-2 building'])
    const texts = (sink: FlakySink): string[] => [...sink.rows.values()].map(({ text }) => text).sort()
    expect(texts(other.sink)).toEqual(['new', 'three', 'two'])
    expect(texts(it.sink)).toEqual(['four', 'three', 'two'])
    expect(await other.indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 1, documents: 5 })
    expect(texts(other.sink)).toEqual([])
    expect(texts(it.sink)).toEqual(['four'])
    const { indexer } = await it.join(2, { embedder: other.embedder, sink: other.sink, former: [it.sink], exclude: { sessions: ['ses_a', 'ses_b'] } })
    await indexer.observe()
    await indexer.drain()
    expect(texts(it.sink)).toEqual([])
  })

  it('leaves the process of the old one without work, so that nothing is written where it would be lost', async () => {
    const { it, other } = await two()
    await using _ = it
    await other.indexer.observe()
    it.world.add('ses_c', ['five'])
    await it.run()
    expect(contentOf(it.sink).size).toBe(4)
    await other.indexer.observe()
    await other.indexer.drain()
    expect(contentOf(other.sink)).toEqual(it.world.expected())
  })

  it('goes on emptying where a failure or a death left off', async () => {
    const { it, other } = await two()
    await using _ = it
    for (let i = 0; i < 300; i++) it.world.add(`ses_more_${i}`, [`more ${i}`])
    await it.run()
    let deletions = 0
    it.sink.before = ({ kind }) => {
      if (kind === 'delete' && ++deletions === 2) throw new Error('down')
    }
    await other.indexer.observe()
    await other.indexer.drain()
    expect(spacesOf(it.state)).toEqual(['fake-2 live', 'fake-1 retiring'])
    expect(other.events.filter(({ kind }) => kind === 'error')).toMatchObject([{ during: 'retiring', failure: { code: 'SINK_FAILED' } }])
    expect(it.sink.rows.size).toBe(304 - 256)
    // Dead between the deletion and the word of it: the same page again.
    const retire = (): Promise<void> => Promise.reject(new StorageError('STATE_UNAVAILABLE', { reason: 'the process ended here' }))
    const { indexer } = await it.join(3, { embedder: other.embedder, sink: other.sink, former: [it.sink], state: { ...other.state, retire } })
    await indexer.drain()
    expect(it.sink.rows.size).toBe(0)
    expect(spacesOf(it.state)).toEqual(['fake-2 live', 'fake-1 retiring'])
    await other.indexer.drain()
    expect(spacesOf(it.state)).toEqual(['fake-2 live'])
    expect(other.dropped()).toBe(true)
  })

  it('whose old sink is not at hand is built and searched all the same; a session that is gone waits for the sink', async () => {
    const { it, other } = await two({ former: [] })
    await using _ = it
    await other.indexer.observe()
    await other.indexer.drain()
    expect(spacesOf(it.state)).toEqual(['fake-2 live', 'fake-1 retiring'])
    it.world.sessions.delete('ses_b')
    await other.indexer.observe()
    expect(await other.indexer.drain()).toMatchObject({ failed: 1 })
    expect(it.sink.rows.size).toBe(4)
    it.clock.advance(120_000)
    const { indexer } = await it.join(4, { embedder: other.embedder, sink: other.sink, former: [it.sink] })
    await indexer.drain()
    expect(it.sink.rows.size).toBe(0)
    expect(contentOf(other.sink)).toEqual(it.world.expected())
  })

  it('keeps what others hold in the collection', async () => {
    const { it, other } = await two()
    await using _ = it
    const [row] = it.sink.rows.values()
    const mine = row as never as { id: string }
    await it.sink.upsert([{ ...(row as never as object), id: mine.id.replace('local~', 'theirs~') } as never])
    await other.indexer.observe()
    await other.indexer.drain()
    expect([...it.sink.rows.keys()]).toEqual([mine.id.replace('local~', 'theirs~')])
    expect(other.dropped()).toBe(false)
    expect(spacesOf(it.state)).toEqual(['fake-2 live'])
  })
})
