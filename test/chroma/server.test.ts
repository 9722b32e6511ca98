/** What a real Chroma server does beside the contract of sinks: other people's collections, deleted ones, tenants, tokens, TLS. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AdminClient, ChromaClient } from 'chromadb'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { HeldDocument, Sink } from '../../src/indexer/ports.js'
import { type ChromaSinkOptions, openChromaSink } from '../../src/indexer/sinks/chroma.js'
import { collectionName } from '../../src/indexer/sinks/chroma-collection.js'
import { sinkRow } from '../contracts/sink.js'
import { chromaProxy, selfSigned } from '../support/chroma-proxy.js'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'
import { tempFolder } from '../support/temp.js'

// a busy machine runs the server slowly
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const missing = whyNoServer()
const SPACE = 'test/8'

describe.skipIf(missing !== undefined)(`a real Chroma server${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let server: ChromaTestServer | undefined
  beforeAll(async () => {
    server = await startChromaServer()
  })
  afterAll(async () => server?.[Symbol.asyncDispose]())
  const url = () => server?.url ?? ''
  const client = () => new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url()).port) })
  const open = (options: Partial<ChromaSinkOptions> = {}) =>
    openChromaSink({ url: url(), collection: `docs-${randomUUID()}`, space: SPACE, ...options })

  describe('a collection', () => {
    it('is made by the first write: compared by cosine, with the space, and without an embedding function', async () => {
      const collection = `docs-${randomUUID()}`
      await using sink = await open({ collection })
      expect([await sink.count(), await sink.matching('apple', 5), await held(sink)]).toEqual([0, [], []])
      await sink.delete(['a'])
      const name = collectionName(collection, SPACE)
      await expect(client().getCollection({ name })).rejects.toThrow()
      await sink.upsert([sinkRow('a', 'apple')])
      const { metadata, configuration } = await client().getCollection({ name })
      expect(metadata).toEqual({ spanleaf: 1, space: SPACE })
      expect(configuration).toMatchObject({ hnsw: { space: 'cosine', ef_search: 400 }, embedding_function: null })
    })

    it('is one for each space', async () => {
      const collection = `docs-${randomUUID()}`
      await using one = await open({ collection })
      await using other = await open({ collection, space: 'other/8' })
      await one.upsert([sinkRow('a', 'apple')])
      expect(await other.count()).toBe(0)
      await other.upsert([sinkRow('b', 'banana')])
      await one.drop?.()
      expect(await held(other)).toMatchObject([{ id: 'b' }])
    })

    it.each<[string, object, string]>([
      ["another program's", {}, 'STORE_UNSUPPORTED'],
      ['of another space', { metadata: { spanleaf: 1, space: 'other/8' }, configuration: { hnsw: { space: 'cosine' } } }, 'SINK_MISMATCH'],
      ['of another metric', { metadata: { spanleaf: 1, space: SPACE }, configuration: { hnsw: { space: 'l2' } } }, 'SINK_MISMATCH'],
    ])('that is %s is refused and left alone', async (_, given, code) => {
      const collection = `docs-${randomUUID()}`
      const name = collectionName(collection, SPACE)
      await client().createCollection({ name, embeddingFunction: null, ...given })
      await expect(open({ collection })).rejects.toMatchObject({ code })
      expect((await client().getCollection({ name })).name).toBe(name)
    })

    it('that was deleted by somebody is made again by the next write', async () => {
      const collection = `docs-${randomUUID()}`
      await using sink = await open({ collection })
      await sink.upsert([sinkRow('a'), sinkRow('b')])
      await client().deleteCollection({ name: collectionName(collection, SPACE) })
      expect([await sink.count(), await held(sink), await sink.nearest(sinkRow('a').vector, 5), await sink.matching('text', 5)]).toEqual([
        0,
        [],
        [],
        [],
      ])
      await sink.delete(['a'])
      await sink.upsert([sinkRow('b')])
      expect(await held(sink)).toMatchObject([{ id: 'b' }])
    })

    it('is made once by several that write at the same time', async () => {
      const collection = `docs-${randomUUID()}`
      const sinks = await Promise.all(Array.from({ length: 5 }, () => open({ collection })))
      await Promise.all(sinks.map((sink, i) => sink.upsert([sinkRow(`d${i}`)])))
      for (const sink of sinks) expect(await sink.count()).toBe(5)
    })

    it('takes vectors of one length', async () => {
      await using sink = await open()
      await sink.upsert([sinkRow('a')])
      const short = { ...sinkRow('b'), vector: new Float32Array(4).fill(1) }
      await expect(sink.upsert([short])).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
      await expect(sink.nearest(short.vector, 1)).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
      await expect(sink.cosines?.(short.vector, ['a'])).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
      expect(await sink.count()).toBe(1)
    })
  })

  it('lists every document that stays, while others are deleted and written', async () => {
    await using sink = await open()
    await sink.upsert(Array.from({ length: 1400 }, (_, i) => sinkRow(`d${i}`, 'x', [1, i])))
    const seen: string[] = []
    for await (const { id } of sink.ids()) {
      seen.push(id)
      if (seen.length === 990) await sink.delete(Array.from({ length: 700 }, (_, i) => `d${i}`))
      if (seen.length === 1020) await sink.upsert([sinkRow('d900', 'again'), sinkRow('new')])
    }
    expect(new Set(seen).size).toBe(seen.length)
    for (let i = 700; i < 1400; i++) expect(seen).toContain(`d${i}`)
  })

  it('filters by folders deeper than the documents have levels for', async () => {
    await using sink = await open()
    const deep = (n: number) => `/${Array.from({ length: n }, (_, i) => `f${i}`).join('/')}`
    const rows = [12, 10, 9, 8, 7].map((n) => sinkRow(`at${n}`, 'word', [1, n], { directory: deep(n) }))
    await sink.upsert([...rows, ...Array.from({ length: 300 }, (_, i) => sinkRow(`x${i}`, 'word', [1], { directory: `${deep(9)}x/${i}` }))])
    const within = async (directory: string) => [
      (await sink.nearest(sinkRow('q').vector, 5, { directory })).map(({ id }) => id).sort(),
      (await sink.matching('word', 5, { directory })).map(({ id }) => id).sort(),
      (await held(sink, directory)).map(({ id }) => id).sort(),
    ]
    expect(await within(deep(10))).toEqual([
      ['at10', 'at12'],
      ['at10', 'at12'],
      ['at10', 'at12'],
    ])
    expect(await within(deep(9))).toEqual([
      ['at10', 'at12', 'at9'],
      ['at10', 'at12', 'at9'],
      ['at10', 'at12', 'at9'],
    ])
  })

  it('keeps tenants and databases apart', async () => {
    const admin = new AdminClient({ host: '127.0.0.1', port: Number(new URL(url()).port), ssl: false })
    const tenant = `team-${randomUUID()}`
    await admin.createTenant({ name: tenant })
    await admin.createDatabase({ name: 'sessions', tenant })
    const collection = `docs-${randomUUID()}`
    await using theirs = await open({ collection, tenant, database: 'sessions' })
    await theirs.upsert([sinkRow('a')])
    await using ours = await open({ collection })
    expect([await theirs.count(), await ours.count()]).toEqual([1, 0])
    await using nobody = await open({ collection, tenant, database: 'none' })
    await expect(nobody.upsert([sinkRow('a'), sinkRow('b')])).rejects.toMatchObject({ code: 'SINK_REFUSED', key: undefined })
  })

  it('names the one document that it does not take, and takes the others', async () => {
    await using sink = await open()
    const large = sinkRow('large', 'word '.repeat(12_000_000))
    await expect(sink.upsert([sinkRow('a'), large, sinkRow('b')])).rejects.toMatchObject({ code: 'SINK_REFUSED', key: 'large' })
    expect((await held(sink)).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('is reached with the right token only', async () => {
    await using proxy = await chromaProxy({ target: url(), token: 'tok' })
    const collection = `docs-${randomUUID()}`
    await using sink = await open({ url: proxy.url, collection, token: 'tok' })
    await sink.upsert([sinkRow('a')])
    expect(await sink.count()).toBe(1)
    await expect(open({ url: proxy.url, collection, token: 'other' })).rejects.toMatchObject({ code: 'SINK_REFUSED', key: undefined })
    await expect(open({ url: proxy.url, collection })).rejects.toMatchObject({ code: 'SINK_REFUSED' })
  })

  it('is reached over TLS, by who trusts its certificate', async (context) => {
    using folder = tempFolder()
    const tls = selfSigned(folder.path)
    const child = fileURLToPath(new URL('../support/chroma-secure.mjs', import.meta.url))
    if (tls === undefined || !existsSync(fileURLToPath(new URL('../../dist/indexer/sinks/chroma.js', import.meta.url)))) return context.skip()
    await using proxy = await chromaProxy({ target: url(), token: 'tok', tls })
    const run = async (env: Record<string, string>, token: string) =>
      (await promisify(execFile)(process.execPath, [child, proxy.url, token], { env: { ...process.env, ...env } })).stdout.trim()
    expect(await run({ NODE_EXTRA_CA_CERTS: tls.path }, 'tok')).toBe('1 over TLS false')
    expect(await run({ NODE_EXTRA_CA_CERTS: tls.path }, 'other')).toBe('SINK_REFUSED')
    expect(await run({}, 'tok')).toBe('SINK_UNAVAILABLE')
  })
})

async function held(sink: Sink, directory?: string): Promise<HeldDocument[]> {
  const all: HeldDocument[] = []
  for await (const document of sink.ids(directory === undefined ? {} : { directory })) all.push(document)
  return all
}
