import { describe, expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, flakySink, keyOf, metaOf, START, tempFolder } from '../support/index-world.js'

describe('forget', () => {
  it.each<[string, (meta: ReturnType<typeof metaOf>) => unknown]>([
    ['the meta of a session', (meta) => meta],
    ['a plain id', (meta) => meta.id],
    ['nothing', () => undefined],
    ['an empty object', () => ({})],
    ['a key of a message', (meta) => ({ ...meta.key, kind: 'message', message: 'msg_1' })],
    ['a key of an unknown agent', (meta) => ({ ...meta.key, agent: 'nobody' })],
    ['a key with an unsafe id', (meta) => ({ ...meta.key, session: '../ses_a' })],
  ])('of %s is refused before anything happens', async (_name, wrong) => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'])
    it.world.add('ses_b', ['two'])
    await it.run()
    const keys = [keyOf('ses_b'), wrong(metaOf(session))] as never
    await expect(it.indexer.forget(keys)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(it.sink.rows.size).toBe(2)
    expect(it.state.sessions()).toHaveLength(2)
  })

  it('of a key in place of a list is refused', async () => {
    await using it = await rig()
    await expect(it.indexer.forget(keyOf('ses_a') as never)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe('forget of a session', () => {
  it('takes a session out of sink, WAL, ledger, queue and cache', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using it = await rig({ cache, batchSize: 1, recordSize: 1, concurrency: 1 })
    it.world.add('ses_a', ['one', 'two', 'three'])
    it.world.add('ses_b', ['other'])
    it.sink.before = ({ kind }) => {
      if (kind === 'upsert' && it.embedder.texts.includes('two')) throw new Error('down')
    }
    await it.run()
    expect(it.state.status().wal.records).toBe(2)
    expect(await it.indexer.forget([keyOf('ses_a'), keyOf('ses_nobody')])).toEqual({ sessions: 1, documents: 1 })
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.ledger(keyOf('ses_a')).size).toBe(0)
    expect(it.state.sessions().map(({ key }) => key.session)).toEqual(['ses_b'])
    expect(it.state.status().wal.records).toBe(1)
    it.world.sessions.delete('ses_b')
    it.sink.before = () => undefined
    it.embedder.texts.length = 0
    await it.run()
    expect(it.embedder.texts).toEqual(['one', 'two', 'three'])
  })

  it('waits for the run of another process to end', async () => {
    await using it = await rig({ forgetWaitMs: 1 })
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    const second = await it.join(2)
    const claim = await second.state.claim()
    const forgetting = it.indexer.forget([keyOf('ses_a')])
    const failed = expect(forgetting).rejects.toMatchObject({ code: 'LEASE_LOST' })
    await new Promise((resolve) => setImmediate(resolve))
    it.clock.advance(60)
    await failed
    if (claim !== undefined) await second.state.release(claim, { kind: 'done' })
    expect(await it.indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 1, documents: 0 })
  })

  it('with the sink down leaves the deletion pending, and the next drain ends it', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.run()
    it.sink.before = () => Promise.reject(new Error('down'))
    await expect(it.indexer.forget([keyOf('ses_a')])).rejects.toMatchObject({ code: 'SINK_FAILED' })
    it.sink.before = () => undefined
    it.clock.advance(120_000)
    await it.indexer.drain()
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.status().ledger.sessions).toBe(0)
  })
})

it('a forgetting that lost its session to another process says so, and what it deleted late is written again', async () => {
  await using it = await rig()
  it.world.add('ses_a', ['one', 'two'])
  await it.run()
  const second = await it.join(2)
  let lost = false
  it.sink.before = async ({ kind }) => {
    if (kind !== 'delete' || lost) return
    lost = true
    it.clock.advance(11_000)
    expect(await second.state.sweep()).toBe(1)
    expect(second.state.status().suspects).toBe(1)
  }
  await expect(it.indexer.forget([keyOf('ses_a')])).rejects.toThrow()
  expect(second.state.status().suspects).toBe(0)
  await second.indexer.observe()
  await second.indexer.drain()
  expect(contentOf(it.sink)).toEqual(it.world.expected())
})

describe('forget while another space is built', () => {
  it('needs no process of that space', async () => {
    const sink = Object.assign(flakySink(), { space: 'fake-1' })
    const next = Object.assign(flakySink(), { space: 'fake-2' })
    await using it = await rig({ sink, former: [next], forgetWaitMs: 0 })
    it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['three'])
    await it.run()
    const builder = await it.join(2, { embedder: countingEmbedder('fake-2', 4), sink: next, former: [sink], rebuild: true })
    await builder.indexer.observe()
    await builder.indexer.tick({ maxSessions: 1 })
    expect([sink.rows.size, next.rows.size]).toEqual([3, 2])
    expect(await it.indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 1, documents: 4 })
    expect([sink.rows.size, next.rows.size]).toEqual([1, 0])
    expect(it.state.sessions().map(({ key }) => key.session)).toEqual(['ses_b'])
    await builder.indexer.drain()
    expect(next.rows.size).toBe(1)
    expect(it.state.spaces()).toMatchObject([{ space: 'fake-2', state: 'live' }])
  })

  it('takes what only a record of that space holds, out of the cache, too', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    const sink = Object.assign(flakySink(), { space: 'fake-1' })
    const next = Object.assign(flakySink(), { space: 'fake-2' })
    await using it = await rig({ sink, former: [next], cache, forgetWaitMs: 0 })
    it.world.add('ses_a', ['one', 'two'])
    await it.run()
    const embedder = countingEmbedder('fake-2', 4)
    const builder = await it.join(2, { embedder, sink: next, former: [sink], rebuild: true })
    next.before = () => Promise.reject(new Error('down'))
    await builder.indexer.observe()
    await builder.indexer.drain()
    expect(it.state.status().wal.records).toBe(1)
    expect(embedder.texts).toHaveLength(2)
    next.before = () => undefined
    expect(await it.indexer.forget([keyOf('ses_a')])).toEqual({ sessions: 1, documents: 2 })
    expect(it.state.status().wal.records).toBe(0)
    await builder.indexer.observe()
    await builder.indexer.drain()
    expect(embedder.texts).toHaveLength(4)
  })

  it('whose sink is down leaves what was half sent to it pending, and asks no other sink to delete it', async () => {
    const sink = Object.assign(flakySink(), { space: 'fake-1' })
    const next = Object.assign(flakySink(), { space: 'fake-2' })
    await using it = await rig({ sink, former: [next], sinkBatchSize: 1 })
    const session = it.world.add('ses_a', ['one', 'two'])
    await it.run()
    it.world.edit(session, ({ messages }) =>
      messages.push({ id: 'msg_ses_a_0002', role: 'user', text: 'three', changed: START - 60_000, version: 1 }),
    )
    const builder = await it.join(2, { embedder: countingEmbedder('fake-2', 4), sink: next, former: [sink], rebuild: true })
    next.before = () => {
      if (next.rows.size > 0) throw new Error('down')
    }
    await builder.indexer.observe()
    await builder.indexer.drain()
    expect([it.state.status().wal.records, next.rows.size]).toEqual([1, 1])
    const deleted: string[] = []
    sink.before = ({ kind, ids }) => {
      if (kind === 'delete') deleted.push(...ids)
    }
    const held = [...sink.rows.keys()]
    await expect(it.indexer.forget([keyOf('ses_a')])).rejects.toMatchObject({ code: 'SINK_FAILED' })
    next.before = () => undefined
    it.clock.advance(120_000)
    await builder.indexer.drain()
    expect([it.state.sessions(), sink.rows.size, next.rows.size]).toEqual([[], 0, 0])
    expect(deleted).toEqual(held)
  })
})
