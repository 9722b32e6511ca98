import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { httpSender } from '../../../src/indexer/embedders/ollama-http.js'
import { hostOf, modelName } from '../../../src/indexer/embedders/ollama-space.js'

const LIMITS = { timeoutMs: 5000, maxBytes: 1000, signal: undefined }

/** Counts the requests of each connection; `after` of them it closes it instead of answering. */
async function server(after = Number.POSITIVE_INFINITY): Promise<{ readonly url: string; readonly sockets: Map<Socket, number> } & AsyncDisposable> {
  const sockets = new Map<Socket, number>()
  const http: Server = createServer((request, response) => {
    const nth = (sockets.get(request.socket) ?? 0) + 1
    sockets.set(request.socket, nth)
    if (nth > after) request.socket.resetAndDestroy()
    else request.resume().on('end', () => setTimeout(() => response.end(request.headers['content-length'] ?? '-'), 5))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    sockets,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

describe('HTTP for Ollama', () => {
  it('keeps its connections, and says how long a body is', async () => {
    await using there = await server()
    const send = httpSender()
    for (const body of ['ä', 'plain', '']) {
      expect(await (await send(there.url, { method: 'POST', body }, LIMITS)).text()).toBe(String(Buffer.byteLength(body)))
    }
    expect([...there.sockets.values()]).toEqual([3])
  })

  it('asks once more, over a new connection, when an idle one was closed under it', async () => {
    await using there = await server(1)
    const send = httpSender()
    await Promise.all([send(there.url, {}, LIMITS), send(there.url, {}, LIMITS)])
    expect(there.sockets.size).toBe(2)
    expect((await send(there.url, {}, LIMITS)).status).toBe(200)
    expect([...there.sockets.values()].sort()).toEqual([1, 1, 2])
  })

  it('gives up after the timeout, and with the reason of its signal', async () => {
    await using there = await server()
    const send = httpSender()
    await expect(send(there.url, {}, { ...LIMITS, timeoutMs: 1 })).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
    const reason = new Error('enough')
    await expect(send(there.url, {}, { ...LIMITS, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const before = there.sockets.size
    expect(before).toBeLessThanOrEqual(1)
  })

  it.each([
    [200, 'EMBEDDING_INVALID'],
    [500, 'EMBEDDER_FAILED'],
  ])('takes so much of a body and no more, then closes the connection (%i)', async (status, code) => {
    let closed = (): void => undefined
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve
    })
    const endless = createServer((_, response) => {
      response.writeHead(status)
      const writing = setInterval(() => response.write('x'.repeat(10_000)), 1)
      response.once('close', () => {
        clearInterval(writing)
        closed()
      })
    })
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve))
    const { port } = endless.address() as AddressInfo
    await expect(httpSender()(`http://127.0.0.1:${port}/`, {}, LIMITS)).rejects.toMatchObject({ code })
    await isClosed
    await new Promise((resolve) => endless.close(resolve))
  })

  it('knows what speaks no HTTP', async () => {
    const { createServer: createTcp } = await import('node:net')
    const tcp = createTcp((socket) => {
      socket.on('error', () => undefined)
      socket.resume().end('SSH-2.0-OpenSSH_9.6\r\n')
    })
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
    const { port } = tcp.address() as AddressInfo
    try {
      await expect(httpSender()(`http://127.0.0.1:${port}/`, {}, LIMITS)).rejects.toMatchObject({ code: 'EMBEDDER_REFUSED' })
      await expect(httpSender()(`https://127.0.0.1:${port}/`, {}, LIMITS)).rejects.toMatchObject({ code: 'EMBEDDER_REFUSED' })
    } finally {
      await new Promise((resolve) => tcp.close(resolve))
    }
  })
})

describe('the names of hosts and models', () => {
  it.each([
    ['http://127.0.0.1:11434', 'http://127.0.0.1:11434', true],
    ['localhost', 'http://localhost:11434', true],
    ['0.0.0.0:11434', 'http://0.0.0.0:11434', true],
    ['http://[::1]:11434/api/', 'http://[::1]:11434', true],
    ['127.9.8.7', 'http://127.9.8.7:11434', true],
    ['https://ollama.example.com/', 'https://ollama.example.com', false],
    ['http://gpu:11434/ollama/api', 'http://gpu:11434/ollama', false],
    ['127.0.0.1.example.com', 'http://127.0.0.1.example.com:11434', false],
    ['https://me:secret@localhost.example.com', 'https://localhost.example.com', false],
  ])('%s is %s', (given, url, loopback) => {
    expect(hostOf(given)).toMatchObject({ url, loopback })
    expect(JSON.stringify(hostOf(given))).not.toContain('secret')
  })

  it.each([
    ['nomic-embed-text', 'nomic-embed-text:latest'],
    ['Qwen3-Embedding:8B', 'qwen3-embedding:8b'],
    ['registry.ollama.ai/library/all-minilm:l6-v2', 'all-minilm:l6-v2'],
    ['localhost:5000/me/model', 'localhost:5000/me/model:latest'],
  ])('%s is %s', (given, name) => {
    expect(modelName(given)).toBe(name)
  })
})
