/** The indexer on a real Chroma server that dies and comes back: nothing missing, nothing stale, nothing too much, no text embedded twice. */
import { randomUUID } from 'node:crypto'
import { ChromaClient } from 'chromadb'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import type { Sink } from '../../src/indexer/ports.js'
import { openChromaSink } from '../../src/indexer/sinks/chroma.js'
import { collectionName } from '../../src/indexer/sinks/chroma-collection.js'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'
import { type Rig, rig } from '../support/index-rig.js'
import { countingEmbedder, tempFolder, type World } from '../support/index-world.js'

// a busy machine runs the server slowly
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const missing = whyNoServer()
const SPACE = 'fake-1'

describe.skipIf(missing !== undefined)(`the indexer on a real Chroma server${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let server: ChromaTestServer | undefined
  beforeAll(async () => {
    server = await startChromaServer()
  })
  afterAll(async () => server?.[Symbol.asyncDispose]())
  const running = (): ChromaTestServer => {
    if (server === undefined) throw new Error('there is no server')
    return server
  }

  it.each<[string, Moment]>([
    ['before a write', 'before'],
    ['during a write', 'during'],
    ['after a write', 'after'],
  ])('that is killed %s', async (_, moment) => {
    const { url, kill } = running()
    const sink = await openChromaSink({ url, collection: `index-${randomUUID()}`, space: SPACE })
    const fatal = killing(sink, kill, { moment, at: new Set([3, 7]) })
    const embedder = countingEmbedder(SPACE)
    await using it = await rig({ sink: fatal, embedder })
    const documents = fill(it.world, 12, 10)
    for (let deaths = 0; deaths < 2; deaths++) {
      await it.run()
      expect((await it.indexer.status()).services.find(({ service }) => service === 'sink')?.state).toBe('open')
      await running().start()
      it.clock.advance(60_000)
    }
    await finish(it)
    expect(await contentOf(sink)).toEqual(it.world.expected())
    expect(embedder.texts).toHaveLength(documents)
    expect(fatal.writes()).toBeGreaterThan(12)
  })

  it('that is down while everything is embedded gets all of it from the records', async () => {
    const { url, kill } = running()
    const sink = await openChromaSink({ url, collection: `index-${randomUUID()}`, space: SPACE })
    const embedder = countingEmbedder(SPACE)
    await using it = await rig({ sink, embedder })
    const documents = fill(it.world, 30, 20)
    await kill()
    for (let turn = 0; turn < 40; turn++) {
      await it.run()
      it.clock.advance(60_000)
    }
    const pending = it.state.status().wal.records
    const embedded = embedder.texts.length
    await running().start()
    await finish(it)
    expect(await contentOf(sink)).toEqual(it.world.expected())
    expect(pending).toBeGreaterThan(0)
    expect([embedder.texts.length, new Set(embedder.texts).size]).toEqual([documents, documents])
    expect(embedded).toBeGreaterThan(0)
  })

  it('that lost the collection is told so by a verification, and filled again from ledger and cache', async () => {
    const { url } = running()
    const collection = `index-${randomUUID()}`
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => 0 })
    const sink = await openChromaSink({ url, collection, space: SPACE })
    const embedder = countingEmbedder(SPACE)
    await using it = await rig({ sink, embedder, cache })
    const documents = fill(it.world, 5, 6)
    await finish(it)
    expect((await it.indexer.verify()).differences).toEqual([])
    await new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url).port) }).deleteCollection({ name: collectionName(collection, SPACE) })
    const { differences } = await it.indexer.verify()
    expect(differences.map(({ kind }) => kind)).toEqual(Array.from({ length: documents }, () => 'missing'))
    const repaired = await it.indexer.verify({ repair: true })
    expect([repaired.differences, repaired.repaired]).toEqual([[], documents])
    expect(await contentOf(sink)).toEqual(it.world.expected())
    expect(embedder.texts).toHaveLength(documents)
  })

  it('that holds what nobody indexed and lacks what somebody deleted is mended', async () => {
    const { url } = running()
    const sink = await openChromaSink({ url, collection: `index-${randomUUID()}`, space: SPACE })
    await using it = await rig({ sink, embedder: countingEmbedder(SPACE) })
    fill(it.world, 3, 4)
    await finish(it)
    const [first = '', second = ''] = it.world.expected().keys()
    const [hit] = await sink.nearest(new Float32Array(8).fill(1), 1)
    if (hit === undefined) throw new Error('nothing is indexed')
    const stale = { ...hit.metadata, text_hash: 'another', rev: 0 }
    await sink.delete([second])
    await sink.upsert([{ id: first, text: 'old', vector: new Float32Array(8).fill(1), metadata: { ...stale, ...(await metadataOf(sink, first)) } }])
    expect(new Set((await it.indexer.verify()).differences.map(({ kind }) => kind))).toEqual(new Set(['missing', 'stale']))
    await it.indexer.verify({ repair: true })
    expect(await contentOf(sink)).toEqual(it.world.expected())
  })
})

type Moment = 'before' | 'during' | 'after'

/** Kills the server at some of the writes, in their order from 1. */
function killing(sink: Sink, kill: () => Promise<void>, { moment, at }: { readonly moment: Moment; readonly at: ReadonlySet<number> }) {
  let writes = 0
  const upsert: Sink['upsert'] = async (rows, options) => {
    const isFatal = at.has(++writes)
    if (isFatal && moment === 'before') await kill()
    const written = sink.upsert(rows, options)
    if (isFatal && moment === 'during') await Promise.all([kill(), written.catch(() => undefined)])
    await written
    if (isFatal && moment === 'after') {
      await kill()
      throw Object.assign(new Error('the answer was lost'), { code: 'ECONNRESET' })
    }
  }
  const fatal: Sink = {
    name: sink.name,
    space: sink.space,
    upsert,
    delete: sink.delete.bind(sink),
    count: sink.count.bind(sink),
    ids: sink.ids.bind(sink),
    nearest: sink.nearest.bind(sink),
    matching: sink.matching.bind(sink),
    [Symbol.asyncDispose]: async () => undefined,
  }
  return { ...fatal, writes: () => writes }
}

function fill(world: World, sessions: number, messages: number): number {
  for (let s = 0; s < sessions; s++) {
    world.add(
      `ses_${s}`,
      Array.from({ length: messages }, (_, m) => `text ${m} of session ${s}`),
    )
  }
  return sessions * messages
}

/** Until nothing is left to do. */
async function finish(it: Rig): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    await it.indexer.observe()
    const { claims } = await it.indexer.drain()
    const { wal } = it.state.status()
    if (claims === 0 && wal.records === 0) return
    it.clock.advance(60_000)
  }
  throw new Error('it does not come to rest')
}

async function contentOf(sink: Sink): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  for await (const { id, text_hash } of sink.ids()) content.set(id, text_hash)
  return new Map([...content].sort(([a], [b]) => (a < b ? -1 : 1)))
}

async function metadataOf(sink: Sink, id: string): Promise<object> {
  const hits = await sink.nearest(new Float32Array(8).fill(1), 100)
  const { session_id, message_id } = hits.find((hit) => hit.id === id)?.metadata ?? {}
  return { session_id, message_id }
}
