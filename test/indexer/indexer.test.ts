import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import type { IndexProgress } from '../../src/indexer/engine.js'
import { createIndexer } from '../../src/indexer/indexer.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, keyOf, START, tempFolder, World } from '../support/index-world.js'

const EMPTY_QUEUE = { ready: 0, leased: 0, backoff: 0 }
const textsOf = (rows: ReadonlyMap<string, { readonly text: string }>): string[] => [...rows.values()].map(({ text }) => text).sort()

describe('an indexer', () => {
  it('brings the sink to what the sessions say, and then rests', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['', 'x'.repeat(5000)])
    expect(await it.indexer.observe()).toEqual({
      sessions: 2,
      changed: 2,
      excluded: 0,
      removed: 0,
      leftOut: 0,
      elsewhere: 0,
      behind: 0,
      complete: true,
    })
    const report = await it.indexer.drain()
    expect(report).toMatchObject({ claims: 2, sessions: 2, messages: 3, failed: 0, stopped: false })
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(await it.indexer.status()).toMatchObject({
      queue: EMPTY_QUEUE,
      wal: { records: 0, bytes: 0 },
      ledger: { sessions: 2, messages: 4, documents: it.sink.rows.size },
      oldestPendingAgeMs: null,
      lastError: null,
      counters: { embedded: it.embedder.texts.length, failures: 0 },
    })
    it.world.hydrated.length = 0
    expect(await it.indexer.observe()).toMatchObject({ changed: 0 })
    expect(await it.indexer.drain()).toMatchObject({ claims: 0, documents: 0 })
    expect(it.world.hydrated).toEqual([])
  })

  it('reads only what changed', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two', 'three'])
    await it.run()
    it.world.hydrated.length = 0
    it.world.edit(session, (s) => s.messages.push({ id: 'msg_ses_a_0003', role: 'user', text: 'four', changed: s.updated, version: 1 }))
    await it.run()
    expect(it.world.hydrated).toEqual(['msg_ses_a_0003'])
    expect(it.embedder.texts).toEqual(['one', 'two', 'three', 'four'])
  })

  it('embeds nothing when only bookkeeping moved', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two'])
    await it.run()
    it.world.edit(session, (s) => {
      for (const message of s.messages) message.version++
    })
    await it.run()
    expect(it.embedder.texts).toEqual(['one', 'two'])
    expect(it.state.ledger(keyOf('ses_a')).get('msg_ses_a_0001' as never)?.signature).toBe('v2')
  })

  it('deletes the chunks that a shorter text has no more, and all when it is emptied', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['word '.repeat(2000)])
    await it.run()
    expect(it.sink.rows.size).toBeGreaterThan(3)
    const change = (text: string): void => it.world.edit(session, (s) => Object.assign(s.messages[0] ?? {}, { text, version: s.revision + 1 }))
    change('word')
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.sink.rows.size).toBe(1)
    change('')
    await it.run()
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.status().ledger).toMatchObject({ messages: 1, documents: 0 })
  })

  it('works through a long session by quanta, and lets others in between', async () => {
    const order: string[] = []
    await using it = await rig({
      quantum: 2,
      onProgress: (event) => {
        if (event.kind === 'claimed') order.push(event.key.session)
      },
    })
    it.world.add('ses_long', ['1', '2', '3', '4', '5'])
    it.world.add('ses_short', ['6'])
    await it.run()
    expect(order).toEqual(['ses_long', 'ses_short', 'ses_long', 'ses_long'])
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('carries a new title to every document, with a cache without embedding again', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using it = await rig({ cache })
    const session = it.world.add('ses_a', ['one', 'two', 'one'])
    await it.run()
    it.world.edit(session, (s) => {
      s.title = 'A better title'
    })
    await it.run()
    expect(new Set([...it.sink.rows.values()].map(({ metadata }) => metadata.title))).toEqual(new Set(['A better title']))
    it.world.add('ses_fork', ['one', 'two', 'three'])
    await it.run()
    expect(it.embedder.texts).toEqual(['one', 'two', 'three'])
    expect(it.state.status().counters).toMatchObject({ embedded: 3, cached: 6 })
  })
})

describe('what fails', () => {
  it('in one session stops no other, and is tried again later', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    it.world.add('ses_b', ['two'])
    it.world.failing.add('ses_a')
    await it.run()
    expect(textsOf(it.sink.rows)).toEqual(['two'])
    expect(it.state.status()).toMatchObject({ queue: { ready: 0, backoff: 1 }, lastError: { code: 'UNEXPECTED' } })
    expect(JSON.stringify(it.state.status())).not.toContain('cannot be read')
    it.world.failing.clear()
    it.clock.advance(1000)
    await it.indexer.drain()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('in the sink backs off, longer each time, with jitter', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    it.sink.before = () => Promise.reject(Object.assign(new Error('one'), { code: 'EBROKEN' }))
    await it.indexer.observe()
    const delays: number[] = []
    for (let i = 0; i < 8; i++) {
      await it.indexer.drain()
      const delay = (it.state.nextRunAt() ?? 0) - it.clock.wall
      delays.push(delay)
      it.clock.advance(delay)
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    expect(it.state.status().lastError).toMatchObject({ code: 'SINK_FAILED', reason: 'the sink failed (EBROKEN)' })
    expect(it.state.status().wal.records).toBe(1)
  })

  it('in the embedder at every text, though it answers, makes all wait for it', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    it.embedder.failure = Object.assign(new Error('one'), { code: 'EBROKEN' })
    await it.indexer.observe()
    const delays: number[] = []
    for (let i = 0; i < 6; i++) {
      await it.indexer.drain()
      const delay = (it.state.nextRunAt() ?? 0) - it.clock.wall
      delays.push(delay)
      it.clock.advance(delay)
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000, 8000, 8000])
    const reason = 'the embedder failed (EBROKEN), whatever it is given'
    expect(it.state.status().lastError).toMatchObject({ code: 'EMBEDDER_UNAVAILABLE', reason })
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, counters: { failures: 0, deferrals: 6 }, dead: 0 })
  })

  it.each<[string, (texts: number) => Float32Array]>([
    ['too few numbers', (n) => new Float32Array(n * 8 - 1)],
    ['a number that is not finite', (n) => new Float32Array(n * 8).fill(Number.NaN)],
  ])('as %s from the embedder never reaches the WAL', async (_name, answer) => {
    const embedder = { ...countingEmbedder(), embed: async (texts: readonly string[]) => answer(texts.length) }
    await using it = await rig({ embedder })
    it.world.add('ses_a', ['one'])
    await it.run()
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, lastError: { code: 'EMBEDDER_UNAVAILABLE' }, dead: 0 })
    expect(it.sink.rows.size).toBe(0)
  })

  it('in a listener is its own affair', async () => {
    await using it = await rig({
      onProgress: () => {
        throw new Error('a listener')
      },
    })
    it.world.add('ses_a', ['one'])
    await it.run()
    expect(it.sink.rows.size).toBe(1)
  })

  it('as ids beyond the keys of the index is left out, named, and the rest is indexed', async () => {
    const events: IndexProgress[] = []
    await using it = await rig({ onProgress: (event) => events.push(event) })
    it.world.add('s'.repeat(900), ['one'])
    const session = it.world.add('ses_a', ['two'])
    session.messages.unshift({ id: 'm'.repeat(900), role: 'user', text: 'three', changed: 0, version: 1 })
    expect(await it.indexer.observe()).toMatchObject({ leftOut: 1 })
    await it.indexer.drain()
    expect(textsOf(it.sink.rows)).toEqual(['two'])
    expect(events.filter(({ kind }) => kind === 'left-out')).toHaveLength(2)
    expect(it.state.status().queue).toEqual(EMPTY_QUEUE)
  })

  it('as an option or an embedder of another space is refused', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.run()
    const { indexer } = await it.join(2, { embedder: countingEmbedder('fake-2') })
    await expect(indexer.drain()).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    await expect(it.join(3, { batchSize: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    const options = { sessions: new World(it.clock).source(), state: it.state, embedder: it.embedder, sink: it.sink }
    expect(() => createIndexer({ ...options, ...{ batchsize: 3 } })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })
})

describe('stopping', () => {
  it('in the middle loses nothing: the session is runnable at once, and its record is drained', async () => {
    const stop = new AbortController()
    await using it = await rig({ batchSize: 1, recordSize: 1 })
    it.world.add('ses_a', ['one', 'two', 'three'])
    it.sink.before = () => {
      if (it.embedder.texts.length === 2) stop.abort()
    }
    await it.indexer.observe()
    expect(await it.indexer.drain(stop.signal)).toMatchObject({ stopped: true, failed: 0 })
    expect(it.state.status()).toMatchObject({ queue: { ready: 1, leased: 0, backoff: 0 }, counters: { failures: 0 } })
    it.sink.before = () => undefined
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['one', 'two', 'three'])
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('by disposal waits for the run and refuses more', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    let disposed: Promise<void> | undefined
    it.sink.before = () => {
      disposed = Promise.resolve(it.indexer[Symbol.asyncDispose]())
    }
    await it.indexer.drain()
    await disposed
    expect(it.state.status().queue.leased).toBe(0)
    await expect(it.indexer.drain()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
  })

  it('a long call keeps its lease: the heartbeat renews it', async () => {
    await using it = await rig({}, { memory: true })
    it.world.add('ses_a', ['one'])
    const second = await it.join(2)
    it.sink.before = async () => {
      for (let i = 0; i < 10; i++) {
        it.clock.advance(4000)
        await new Promise((resolve) => setImmediate(resolve))
        expect(await second.state.sweep()).toBe(0)
      }
    }
    await it.run()
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, counters: { takeovers: 0 } })
  })
})

describe('privacy', () => {
  it.each([[{ directories: ['/home/dev/secret/'] }], [{ projects: ['project_secret'] }], [{ sessions: ['ses_secret'] }]])(
    '%j is left out before anything is embedded',
    async (exclude) => {
      await using it = await rig({ exclude })
      it.world.add('ses_secret', ['hush'], { directory: '/home/dev/secret/deep', project: 'project_secret' })
      it.world.add('ses_open', ['hello'], { directory: '/home/dev/secretary' })
      expect(await it.indexer.observe()).toMatchObject({ excluded: 1, changed: 1 })
      await it.indexer.drain()
      expect(it.embedder.texts).toEqual(['hello'])
      expect(it.world.hydrated).toEqual(['msg_ses_open_0000'])
    },
  )

  it.each([
    ['C:\\work\\secret', 'C:/work/secret/deep'],
    ['C:/work/secret/', 'C:\\work\\secret'],
    ['\\\\server\\secret', '//server/secret/deep'],
  ])('%j keeps out what ran in %j: a store may spell a path in either way', async (folder, directory) => {
    await using it = await rig({ exclude: { directories: [folder] } })
    it.world.add('ses_secret', ['hush'], { directory })
    it.world.add('ses_open', ['hello'], { directory: `${directory}ary` })
    it.world.add('ses_other', ['hello too'], { directory: 'C:\\work' })
    expect(await it.indexer.observe()).toMatchObject({ excluded: directory.endsWith('deep') ? 2 : 1 })
    await it.indexer.drain()
    expect(it.embedder.texts).not.toContain('hush')
    expect(it.embedder.texts).toContain('hello too')
  })

  it('what is excluded later leaves the sink, and comes back when it is not', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    it.world.add('ses_b', ['two'])
    await it.run()
    const { indexer } = await it.join(1, { exclude: { sessions: ['ses_b'] } })
    await indexer.observe()
    await indexer.drain()
    expect(textsOf(it.sink.rows)).toEqual(['one'])
    await it.run()
    expect(textsOf(it.sink.rows)).toEqual(['one', 'two'])
  })

  it('a session that moves into an excluded folder between listing and reading is not embedded', async () => {
    await using it = await rig({ exclude: { directories: ['/secret'] } })
    const session = it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    session.directory = '/secret'
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual([])
  })
})

it('writes no embedding cache unless it is given one', async () => {
  await using it = await rig()
  it.world.add('ses_a', ['one'])
  await it.run()
  expect(existsSync(join(it.folder, 'embcache.mdb'))).toBe(false)
})
