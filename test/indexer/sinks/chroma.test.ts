/** What the Chroma sink sends, and what it makes of answers that a good server does not give. Needs no server. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../../src/core/errors.js'
import { faultOf } from '../../../src/indexer/faults.js'
import { type ChromaSinkOptions, openChromaSink } from '../../../src/indexer/sinks/chroma.js'
import { batchesOf } from '../../../src/indexer/sinks/chroma-rows.js'
import { ChromaServer } from '../../../src/indexer/sinks/chroma-server.js'
import { spaceIdOf } from '../../../src/indexer/space.js'
import { sinkRow } from '../../contracts/sink.js'
import { chromaProxy, type ProxyAnswer, type ProxyRequest } from '../../support/chroma-proxy.js'

const SPACE = 'test/8'
const NAME = `docs__${spaceIdOf(SPACE)}`
const ID = '11111111-1111-4111-8111-111111111111'
const ours = {
  id: ID,
  name: NAME,
  tenant: 't',
  database: 'd',
  metadata: { spanleaf: 1, space: SPACE },
  configuration_json: { hnsw: { space: 'cosine' } },
}

/** A server with our collection; `answer` comes before what it says. */
function server(answer: (request: ProxyRequest) => ProxyAnswer = () => undefined, collection: object | undefined = ours) {
  return chromaProxy({
    answer: (request) => {
      const answered = answer(request)
      if (answered !== undefined) return answered
      if (request.path.endsWith('/pre-flight-checks')) return { status: 200, body: { max_batch_size: 3, supports_base64_encoding: false } }
      if (/\/collections\/[^/]*$/.test(request.path)) return collection === undefined ? { status: 404, body: {} } : { status: 200, body: collection }
      return { status: 200, body: {} }
    },
  })
}

const open = (url: string, options: Partial<ChromaSinkOptions> = {}) => openChromaSink({ url, collection: 'docs', space: SPACE, ...options })
const upserts = (requests: readonly ProxyRequest[]) => requests.filter(({ path }) => path.endsWith('/upsert'))
const idsOf = ({ body }: ProxyRequest): string[] => JSON.parse(body).ids

async function failed(promise: Promise<unknown>): Promise<StorageError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof StorageError)) throw new Error('no StorageError', { cause: error })
  expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain('SECRET')
  return error
}

describe('options of the Chroma sink', () => {
  it.each<[string, Partial<ChromaSinkOptions>]>([
    ['no address', { url: '' }],
    ['another protocol', { url: 'ftp://127.0.0.1' }],
    ['a password', { url: 'http://me:SECRET@127.0.0.1:8000' }],
    ['a path', { url: 'http://127.0.0.1:8000/chroma' }],
    ['no space', { space: '' }],
    ['no time', { timeoutMs: 0 }],
    ...['', '-docs', 'do cs', 'a..b', 'x'.repeat(503), 'd/e'].map((collection): [string, Partial<ChromaSinkOptions>] => [
      `the name "${collection}"`,
      { collection },
    ]),
  ])('refuse %s at once', async (_, options) => {
    const error = await failed(open('http://127.0.0.1:1', options))
    expect(error.code).toBe('INVALID_OPTION')
  })

  it('say whether texts leave the machine', async () => {
    for (const url of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1', 'http://127.9.9.9:1']) {
      await using sink = await open(url)
      expect(sink.remote, url).toBe(false)
    }
    await using proxy = await server()
    await using sink = await open(proxy.url.replace('127.0.0.1', '0.0.0.0'))
    expect(sink.remote).toBe(true)
    expect(sink.space).toBe(SPACE)
  })

  it('are sent: token, headers, tenant and database', async () => {
    await using proxy = await server()
    await using sink = await open(proxy.url, { token: 'tok', tenant: 'team', database: 'base', headers: { 'x-more': 'more' } })
    await sink.upsert([sinkRow('a')])
    for (const { path, headers } of proxy.requests) {
      expect(headers).toMatchObject({ 'x-chroma-token': 'tok', authorization: 'Bearer tok', 'x-more': 'more' })
      if (!path.endsWith('checks')) expect(path).toContain('/tenants/team/databases/base/collections/')
    }
    expect(proxy.requests.map(({ path }) => path.split('/').at(-1))).toEqual([NAME, 'pre-flight-checks', 'upsert'])
  })
})

describe('writes to Chroma', () => {
  it('have every key on every document, none null, no half characters, and each id once', async () => {
    await using proxy = await server()
    await using sink = await open(proxy.url)
    await sink.upsert([sinkRow('a', 'old'), sinkRow('b', 'lone \ud800 half', [0.5], { directory: '/w/app', title: '\udc00' }), sinkRow('a', 'new')])
    const [sent] = upserts(proxy.requests).map(({ body }) => JSON.parse(body))
    expect(sent.ids).toEqual(['a', 'b'])
    expect(sent.documents).toEqual(['new', 'lone \ufffd half'])
    expect(sent.embeddings[1]).toEqual([0.5, 0, 0, 0, 0, 0, 0, 0])
    const { folder_0, folder_1, folder_2, folder_3, folder_7, title, rev, space, inherited, ...others } = sent.metadatas[1]
    expect([folder_0, folder_1, folder_2, folder_3, folder_7]).toEqual(['/', '/w', '/w/app', '', ''])
    expect([title, rev, space, inherited]).toEqual(['\ufffd', 1, 'space', false])
    expect(Object.keys(others)).toHaveLength(13)
    expect(Object.values(sent.metadatas[0]).every((value) => value !== null)).toBe(true)
  })

  it('are cut by the size that the server takes', async () => {
    await using proxy = await server()
    await using sink = await open(proxy.url)
    await sink.upsert(Array.from({ length: 7 }, (_, i) => sinkRow(`d${i}`)))
    await sink.delete(Array.from({ length: 4 }, (_, i) => `d${i}`).concat('d0'))
    expect(upserts(proxy.requests).map((request) => idsOf(request).length)).toEqual([3, 3, 1])
    const deletes = proxy.requests.filter(({ path }) => path.endsWith('/delete'))
    expect(deletes.map(idsOf)).toEqual([['d0', 'd1', 'd2'], ['d3']])
  })

  it.each([0, -1, null, undefined])('are of a hundred documents where the server says %s', async (max_batch_size) => {
    await using proxy = await server(({ path }) => (path.endsWith('checks') ? { status: 200, body: { max_batch_size } } : undefined))
    await using sink = await open(proxy.url)
    await sink.upsert(Array.from({ length: 101 }, (_, i) => sinkRow(`d${i}`)))
    expect(upserts(proxy.requests).map((request) => idsOf(request).length)).toEqual([100, 1])
  })

  it('are smaller for Chroma Cloud, which is told by its host', () => {
    const options = { tenant: 't', database: 'd', headers: {}, timeoutMs: 1000 }
    const isCloud = (url: string) => new ChromaServer({ ...options, url: new URL(url) }, () => expect.unreachable()).isCloud
    expect(['https://api.trychroma.com', 'https://nottrychroma.com', 'http://trychroma.com.evil.example'].map(isCloud)).toEqual([true, false, false])
  })

  it('are cut by their bytes too; a document that is larger goes alone', () => {
    const sizes = [1, 1, 1, 1, 9, 1].map((megabytes, i) => sinkRow(`d${i}`, 'x'.repeat(megabytes * 1_000_000)))
    expect([...batchesOf(sizes, 100)].map((batch) => batch.map(({ id }) => id).join())).toEqual(['d0,d1,d2,d3', 'd4', 'd5'])
  })

  it('are refused for vectors of several lengths before anything is sent', async () => {
    await using proxy = await server()
    await using sink = await open(proxy.url)
    const error = await failed(sink.upsert([sinkRow('a'), { ...sinkRow('b'), vector: new Float32Array(3) }]))
    expect([error.code, error.key]).toEqual(['EMBEDDING_INVALID', 'b'])
    expect(upserts(proxy.requests)).toEqual([])
  })
})

describe('a Chroma that fails', () => {
  const atUpsert = (answer: ProxyAnswer) => server(({ path }) => (path.endsWith('/upsert') ? answer : undefined))

  it.each<[string, ProxyAnswer]>([
    ['500', { status: 500, body: { message: 'SECRET' } }],
    ['502', { status: 502, body: '<html>SECRET' }],
    ['503', { status: 503, body: { error: 'SECRET' } }],
    ['429', { status: 429, body: { message: 'SECRET' } }],
    ['a reset', 'reset'],
    ['no answer', 'hang'],
    ['another place', { status: 302, headers: { location: 'http://127.0.0.1:1/SECRET' } }],
  ])('with %s is not there, and no document is at fault', async (_, answer) => {
    await using proxy = await atUpsert(answer)
    // Only what never answers is given up soon: a busy machine may take its time over the others, and over the opening.
    await using sink = await open(proxy.url, { timeoutMs: answer === 'hang' ? 2000 : 20_000 })
    const error = await failed(sink.upsert([sinkRow('a'), sinkRow('b')]))
    expect([error.code, error.key, faultOf(error)]).toEqual(['SINK_UNAVAILABLE', undefined, 'service'])
    expect(upserts(proxy.requests)).toHaveLength(1)
  })

  it('is not there when nobody listens or what answers is no Chroma, and is asked again by the next call', async () => {
    await using sink = await open('http://127.0.0.1:1')
    for (const call of [
      sink.upsert([sinkRow('a')]),
      sink.delete(['a']),
      sink.count(),
      sink.nearest(sinkRow('a').vector, 1),
      sink.matching('word', 1),
    ])
      expect((await failed(call)).code).toBe('SINK_UNAVAILABLE')
    await using proxy = await chromaProxy({ answer: () => ({ status: 200, body: '<html>SECRET' }) })
    await using other = await open(proxy.url)
    expect((await failed(other.count())).code).toBe('SINK_UNAVAILABLE')
  })

  it('is given up when the caller gives up', async () => {
    await using proxy = await atUpsert('hang')
    await using sink = await open(proxy.url)
    const abort = new AbortController()
    const reason = new Error('enough')
    const write = sink.upsert([sinkRow('a')], { signal: abort.signal })
    setTimeout(() => abort.abort(reason), 50)
    await expect(write).rejects.toBe(reason)
  })

  it.each([401, 403])('with %d refuses all, and no document is at fault', async (status) => {
    await using proxy = await atUpsert({ status, body: { message: 'SECRET' } })
    await using sink = await open(proxy.url, { token: 'SECRET' })
    const error = await failed(sink.upsert([sinkRow('a'), sinkRow('b')]))
    expect([error.code, error.key, faultOf(error)]).toEqual(['SINK_REFUSED', undefined, 'service'])
    await using closed = await chromaProxy({ token: 'tok' })
    expect((await failed(open(closed.url, { token: 'wrong' }))).code).toBe('SINK_REFUSED')
  })

  it.each([400, 413, 422])('with %d for one document names it, and takes all others', async (status) => {
    const stored: string[] = []
    await using proxy = await server((request) => {
      if (!request.path.endsWith('/upsert')) return undefined
      const ids = idsOf(request)
      if (ids.some((id) => id.startsWith('bad'))) return { status, body: status === 413 ? 'SECRET' : { message: 'SECRET' } }
      stored.push(...ids)
      return undefined
    })
    await using sink = await open(proxy.url)
    const error = await failed(sink.upsert(['a', 'b', 'bad1', 'c', 'd', 'bad2', 'e'].map((id) => sinkRow(id))))
    expect([error.code, error.key, faultOf(error)]).toEqual(['SINK_REFUSED', 'bad1', 'text'])
    expect(stored.sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('with 413 for many documents gets them in smaller requests', async () => {
    const stored: string[] = []
    await using proxy = await server((request) => {
      if (!request.path.endsWith('/upsert')) return undefined
      if (idsOf(request).length > 1) return { status: 413, body: 'too much' }
      stored.push(...idsOf(request))
      return undefined
    })
    await using sink = await open(proxy.url)
    await sink.upsert(['a', 'b', 'c', 'd'].map((id) => sinkRow(id)))
    expect(stored).toEqual(['a', 'b', 'c', 'd'])
  })

  it('with a quota of the account refuses all', async () => {
    await using proxy = await atUpsert({ status: 422, body: { message: 'Billing limit exceeded SECRET' } })
    await using sink = await open(proxy.url)
    const error = await failed(sink.upsert([sinkRow('a')]))
    expect([error.code, faultOf(error)]).toEqual(['SINK_REFUSED', 'service'])
  })

  it('with vectors of another length is the wrong one', async () => {
    await using proxy = await atUpsert({ status: 400, body: { message: 'Collection expecting embedding with dimension of 3, got 8 SECRET' } })
    await using sink = await open(proxy.url)
    expect((await failed(sink.upsert([sinkRow('a')]))).code).toBe('SINK_MISMATCH')
  })

  it.each([400, 404])('without the tenant or the database refuses all (%d)', async (status) => {
    await using proxy = await chromaProxy({
      answer: ({ method, path }) =>
        path.endsWith('checks') ? { status: 200, body: {} } : method === 'POST' ? { status, body: { message: 'SECRET' } } : undefined,
    })
    await using sink = await open(proxy.url, { tenant: 'nobody' })
    expect(await sink.count()).toBe(0)
    await sink.delete(['a'])
    const error = await failed(sink.upsert([sinkRow('a'), sinkRow('b')]))
    expect([error.code, error.key]).toEqual(['SINK_REFUSED', undefined])
  })
})

describe('a collection', () => {
  it.each<[string, object, string]>([
    ["of another program's", { ...ours, metadata: null }, 'STORE_UNSUPPORTED'],
    ['of a newer version', { ...ours, metadata: { spanleaf: 2, space: SPACE } }, 'STATE_TOO_NEW'],
    ['of another space', { ...ours, metadata: { spanleaf: 1, space: 'other/8' } }, 'SINK_MISMATCH'],
    ['of another metric', { ...ours, configuration_json: { hnsw: { space: 'l2' } } }, 'SINK_MISMATCH'],
  ])('%s is refused', async (_, collection, code) => {
    await using proxy = await server(() => undefined, collection)
    expect((await failed(open(proxy.url))).code).toBe(code)
  })

  it('is checked at the first call when the server was down before', async () => {
    let isDown = true
    const other = { ...ours, metadata: { spanleaf: 1, space: 'other/8' } }
    await using proxy = await server(() => (isDown ? { status: 503 } : undefined), other)
    await using sink = await open(proxy.url)
    expect((await failed(sink.upsert([sinkRow('a')]))).code).toBe('SINK_UNAVAILABLE')
    isDown = false
    for (const call of [() => sink.upsert([sinkRow('a')]), () => sink.delete(['a']), () => sink.count(), async () => sink.drop?.()])
      expect((await failed(call())).code).toBe('SINK_MISMATCH')
    expect(upserts(proxy.requests)).toEqual([])
  })
})
