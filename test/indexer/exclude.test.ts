/** What is excluded leaves, wherever it is on its way. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { embeddingKey, openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import type { Exclusion } from '../../src/indexer/exclusion.js'
import { rig } from '../support/index-rig.js'
import { contentOf, START, tempFolder } from '../support/index-world.js'

const DOWN = () => Promise.reject(new Error('down'))

describe('a pending record', () => {
  it.each<[string, Exclusion]>([
    ['session', { sessions: ['ses_a'] }],
    ['project', { projects: ['project_1'] }],
    ['directory', { directories: ['/home/dev'] }],
  ])('of an excluded %s becomes deletions, and its text does not reach the sink', async (_name, exclude) => {
    await using it = await rig({ sinkBatchSize: 1 })
    it.world.add('ses_a', ['one', 'two', 'three'])
    // The first document gets through.
    it.sink.before = () => {
      if (it.sink.rows.size === 1) throw new Error('down')
    }
    await it.run()
    expect(it.state.status().wal.records).toBe(1)
    const written: string[] = []
    it.sink.before = ({ kind, ids }) => {
      if (kind === 'upsert') written.push(...ids)
    }
    const { indexer } = await it.join(2, { exclude })
    it.clock.advance(120_000)
    await indexer.drain()
    expect(written).toEqual([])
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { documents: 0 } })
  })

  it.each(['walRecover', 'drain'] as const)(
    'of what an excluded session started becomes deletions, also when nothing was observed yet: %s',
    async (send) => {
      await using it = await rig()
      it.world.add('ses_a', ['one'])
      it.world.add('ses_b', ['two'], { parent: 'ses_a' })
      it.sink.before = DOWN
      await it.run()
      const { indexer } = await it.join(2, { exclude: { sessions: ['ses_a'] } })
      it.clock.advance(120_000)
      const written: string[] = []
      it.sink.before = ({ kind, ids }) => {
        if (kind === 'upsert') written.push(...ids)
      }
      expect(await indexer[send]()).toMatchObject({ documents: 0 })
      expect(written).toEqual([])
      expect(it.sink.rows.size).toBe(0)
    },
  )

  it('of a session that is gone becomes deletions', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    it.sink.before = DOWN
    await it.run()
    it.world.sessions.delete('ses_a')
    const kinds: string[] = []
    it.sink.before = ({ kind }) => void kinds.push(kind)
    await it.run()
    expect(kinds).toEqual(['delete'])
    expect(it.state.sessions()).toEqual([])
  })

  it('of a session that left the excluded folder since is written anew', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'], { directory: '/secret' })
    it.sink.before = DOWN
    await it.run()
    it.sink.before = () => undefined
    session.directory = '/open'
    const { indexer } = await it.join(2, { exclude: { directories: ['/secret'] } })
    it.clock.advance(120_000)
    await indexer.observe()
    await indexer.drain()
    expect([...it.sink.rows.values()].map(({ metadata }) => Object(metadata).directory)).toEqual(['/open'])
  })
})

describe('an exclusion that another process adds', () => {
  it.each(['b', 'd', 'e', 'h'])('at point %s of a run counts in that run', async (point) => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    const cached: string[] = []
    const watched: typeof cache = {
      ...cache,
      async put(entries) {
        cached.push(...entries.map(({ key }) => key))
        await cache.put(entries)
      },
    }
    let exclude: Exclusion = {}
    await using it = await rig({
      cache: watched,
      recordSize: 1,
      exclude: () => exclude,
      failpoint: (name) => {
        if (name === point) exclude = { sessions: ['ses_a'] }
      },
    })
    it.world.add('ses_a', ['one', 'two', 'three'])
    let upserts = 0
    it.sink.before = ({ kind }) => {
      if (kind === 'upsert') upserts++
    }
    await it.run()
    expect(it.sink.rows.size).toBe(0)
    // What was committed before is taken back before the run ends.
    expect(upserts).toBe(point === 'h' ? 1 : 0)
    expect(it.embedder.texts.length).toBeLessThan(2)
    expect(cached.filter((key) => cache.get(key) !== undefined)).toEqual([])
    expect(it.state.status().ledger.documents).toBe(0)
    exclude = {}
    it.clock.advance(120_000)
    const { indexer } = await it.join(2, { exclude: {}, failpoint: () => undefined })
    await indexer.observe()
    await indexer.drain()
    expect(it.sink.rows.size).toBe(3)
  })

  it('between two calls of the embedder keeps the texts that are left from it, and the vectors from the cache', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    let exclude: Exclusion = {}
    await using it = await rig({ cache, batchSize: 1, exclude: () => exclude })
    const [long, rest] = ['long '.repeat(200).trim(), ['two', 'three']]
    it.world.add('ses_a', [long, ...rest])
    const { embed } = it.embedder
    let halves: readonly string[] = []
    it.embedder.embed = async (texts, options) => {
      if (texts.some((text) => text.length > 600)) throw new StorageError('TEXT_TOO_LONG', { reason: 'too long' })
      if (texts[0]?.startsWith('long')) {
        halves = texts
        exclude = { sessions: ['ses_a'] }
      }
      return embed.call(it.embedder, texts, options)
    }
    await it.run()
    // The first half of the long text, behind the others.
    expect(halves).toHaveLength(1)
    expect(it.embedder.texts).toEqual([...rest, ...halves])
    const keys = it.embedder.texts.map((text) => embeddingKey(it.embedder.space, 'document', text))
    expect(keys.filter((key) => cache.get(key) !== undefined)).toEqual([])
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { messages: 0 }, counters: { failures: 0 } })
  })

  it('is asked for before an observation writes', async () => {
    let exclude: Exclusion = {}
    await using it = await rig({ exclude: () => exclude })
    it.world.add('ses_a', ['one'])
    const { list } = it.world.source()
    const { indexer } = await it.join(2, {
      sessions: {
        ...it.world.source(),
        list: async () => {
          const listing = await list()
          exclude = { projects: ['project_1'] }
          return listing
        },
      },
    })
    expect(await indexer.observe()).toMatchObject({ excluded: 1, changed: 0 })
  })

  it('to a list that cannot be read any more stops the run, and blames no session', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    const { indexer } = await it.join(2, {
      exclude: () => {
        throw new StorageError('EXCLUSIONS_DAMAGED', { reason: 'the list cannot be read' })
      },
    })
    await expect(indexer.drain()).rejects.toMatchObject({ code: 'EXCLUSIONS_DAMAGED' })
    await expect(indexer.observe()).rejects.toMatchObject({ code: 'EXCLUSIONS_DAMAGED' })
    expect(it.embedder.texts).toEqual([])
    expect(it.state.status()).toMatchObject({ queue: { ready: 1, leased: 0, backoff: 0 }, counters: { failures: 0 } })
  })
})

describe('the vectors of a session', () => {
  it('that is excluded leave the cache with it', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    let exclude: Exclusion = {}
    await using it = await rig({ cache, exclude: () => exclude })
    it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['three'])
    await it.run()
    const keysOf = (): string[] => it.state.sessions().flatMap(({ key }) => [...it.state.ledger(key).values()].flatMap(({ chunks }) => chunks))
    const before = keysOf()
    expect(before.filter((key) => cache.get(key) !== undefined)).toHaveLength(3)
    exclude = { sessions: ['ses_a'] }
    await it.run()
    expect(before.filter((key) => cache.get(key) !== undefined)).toEqual(keysOf())
    expect(keysOf()).toHaveLength(1)
  })

  it('that is excluded leave the cache with it, also those of a record that another process commits meanwhile', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using it = await rig({ cache })
    it.world.add('ses_a', ['one', 'two'])
    it.sink.before = DOWN
    await it.run()
    it.sink.before = () => undefined
    const pending = async () => {
      const found = it.state.pending()
      await it.indexer.walRecover()
      return found
    }
    const { indexer } = await it.join(2, { state: { ...it.state, pending }, exclude: { sessions: ['ses_a'] } })
    expect(await indexer.observe()).toMatchObject({ removed: 1 })
    const keys = it.embedder.texts.map((text) => embeddingKey(it.embedder.space, 'document', text))
    expect(keys.map((key) => cache.get(key))).toEqual([undefined, undefined])
    await indexer.drain()
    expect(it.sink.rows.size).toBe(0)
  })

  it('that is deleted in its store stay for its forks, which are renamed without an embedding', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using it = await rig({ cache })
    it.world.add('ses_a', ['one', 'two'])
    const fork = it.world.add('ses_fork', ['one', 'two'])
    await it.run()
    it.world.sessions.delete('ses_a')
    await it.run()
    it.world.edit(fork, (session) => {
      session.title = 'Renamed'
    })
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect([...it.sink.rows.values()].map(({ metadata }) => metadata.title)).toEqual(['Renamed', 'Renamed'])
    expect(it.embedder.texts).toEqual(['one', 'two'])
  })
})

describe('a session whose own record is damaged', () => {
  it('is withheld while a folder is excluded, for it may have run there; what is indexed of it stays', async () => {
    await using it = await rig({ exclude: { directories: ['/home/dev/secret'] } })
    it.world.add('ses_new', ['hush'], { directory: '', damaged: true })
    const old = it.world.add('ses_old', ['hello'])
    await it.run()
    expect(it.embedder.texts).toEqual(['hello'])
    Object.assign(old, { damaged: true, directory: '', revision: 2 })
    expect(await it.indexer.observe()).toMatchObject({ excluded: 2, removed: 0, changed: 0 })
    await it.indexer.drain()
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['hello'])
  })

  it('is withheld by a claim, too, when a folder was excluded after it was queued', async () => {
    let exclude: Exclusion = {}
    await using it = await rig({ exclude: () => exclude })
    const session = it.world.add('ses_new', ['hush'], { directory: '', damaged: true })
    const old = it.world.add('ses_old', ['hello'])
    await it.run()
    const before = [...it.sink.rows.values()].map(({ text }) => text).sort()
    it.world.add('ses_late', ['hush, too'], { directory: '', damaged: true })
    Object.assign(old, { damaged: true, directory: '', revision: 2 })
    session.revision = 2
    await it.indexer.observe()
    exclude = { directories: ['/home/dev/secret'] }
    await it.indexer.drain()
    expect([it.embedder.texts.includes('hush, too'), [...it.sink.rows.values()].map(({ text }) => text).sort()]).toEqual([false, before])
    exclude = {}
    it.clock.advance(3_600_000)
    await it.run()
    expect(it.embedder.texts).toContain('hush, too')
  })

  it('is indexed where no folder is excluded', async () => {
    await using it = await rig({ exclude: { sessions: ['ses_other'] } })
    it.world.add('ses_new', ['hello'], { directory: '', damaged: true })
    await it.run()
    expect(it.embedder.texts).toEqual(['hello'])
  })
})

describe('an excluded session', () => {
  it('keeps out what it starts, whenever that begins and whether or not its own record is there', async () => {
    await using it = await rig({ exclude: { sessions: ['ses_root'] } })
    it.world.add('ses_root', ['one'])
    it.world.add('ses_child', ['two'], { parent: 'ses_root' })
    it.world.add('ses_other', ['four'])
    await it.run()
    it.world.add('ses_grandchild', ['three'], { parent: 'ses_child' })
    expect(await it.indexer.observe()).toMatchObject({ excluded: 3 })
    await it.indexer.drain()
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['four'])
    it.world.sessions.delete('ses_root')
    it.world.add('ses_late', ['five'], { parent: 'ses_root' })
    await it.run()
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['four'])
    expect(await it.indexer.verify()).toMatchObject({ differences: [] })
  })

  it('takes what it started with it, also what is about to be sent', async () => {
    await using it = await rig()
    it.world.add('ses_root', ['one'])
    it.world.add('ses_child', ['two'], { parent: 'ses_root' })
    await it.run()
    it.world.add('ses_late', ['three'], { parent: 'ses_child' })
    const excluded: Exclusion[] = [{}]
    const { indexer } = await it.join(2, { exclude: () => excluded[0] ?? {} })
    await indexer.observe()
    const written: string[] = []
    it.sink.before = ({ kind, ids }) => {
      if (kind === 'upsert') written.push(...ids)
    }
    excluded[0] = { sessions: ['ses_root'] }
    await indexer.drain()
    expect(written).toEqual([])
    await indexer.observe()
    await indexer.drain()
    expect(it.sink.rows.size).toBe(0)
  })

  it('of which somebody says that it started itself is looked at once', async () => {
    await using it = await rig({ exclude: { sessions: ['ses_elsewhere'] } })
    it.world.add('ses_a', ['one'], { parent: 'ses_b' })
    it.world.add('ses_b', ['two'], { parent: 'ses_a' })
    await it.run()
    expect(it.sink.rows.size).toBe(2)
  })
})
