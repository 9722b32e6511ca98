/**
 * An indexer in a process of its own that ends as a program should: SIGTERM stops it.
 * Arguments: folder, milliseconds that each call of the embedder takes from the signal on (0: it waits for none), drainMs. Says `embedding` when a call
 * has begun and tells in the end what it embedded.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMessageId, parsePartId, parseSessionId } from '../../dist/core/ids.js'
import { messageKey, sessionKey } from '../../dist/core/keys.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'

const [folder, embedMs, drainMs] = process.argv.slice(2)
const key = sessionKey('opencode', parseSessionId('ses_a'))
const meta = {
  key,
  id: key.session,
  title: 'A',
  directory: '/work',
  project: 'p',
  created: 1,
  updated: 2,
  source: { kind: 'memory', path: '/store' },
}
const texts = ['one', 'two', 'three']
const nodes = texts.map((text) => {
  const id = parseMessageId(`msg_${text}`)
  const parts = [{ type: 'text', id: parsePartId(`prt_${text}`), sessionID: key.session, messageID: id, text }]
  const message = { role: 'user', id, sessionID: key.session, time: { created: 1 } }
  return { key: messageKey(key, id), message, parts, damagedParts: 0, signature: text, changed: 2 }
})
const sessions = {
  list: async () => ({ sessions: [{ meta, revision: '1' }], stores: [{ path: '/store', complete: true }] }),
  revision: async () => '1',
  tail: async (_key, known) => ({
    meta,
    messages: nodes.filter((node) => known(node.key) !== node.signature),
    present: nodes.map((node) => node.key.message),
    complete: true,
  }),
}
const signalled = new Promise((resolve) => process.once('SIGTERM', resolve))
const embedded = []
const embedder = {
  name: 'slow',
  space: 'slow',
  dimensions: 2,
  async embed(given, { signal }) {
    process.stdout.write('embedding\n')
    if (Number(embedMs) > 0) await signalled
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, Number(embedMs))
      signal?.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.reason)
      })
    })
    embedded.push(...given)
    return new Float32Array(given.length * 2).fill(1)
  },
}
const file = join(folder, 'sink.json')
const rows = new Map(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [])
const sink = {
  name: 'file',
  async upsert(given) {
    for (const { id, text, metadata } of given) rows.set(id, { text, metadata })
    writeFileSync(file, JSON.stringify([...rows]))
  },
  async delete(ids) {
    for (const id of ids) rows.delete(id)
  },
  count: async () => rows.size,
  async *ids() {
    for (const [id, { metadata }] of rows) yield { id, text_hash: metadata.text_hash, rev: metadata.rev }
  },
}
const state = await openLmdbState({ directory: join(folder, 'index') })
const indexer = createIndexer({ sessions, state, embedder, sink, batchSize: 1, recordSize: 1, drainMs: Number(drainMs) })
const end = async () => {
  const { wal, queue } = state.status()
  await indexer[Symbol.asyncDispose]()
  const after = state.status()
  await state[Symbol.asyncDispose]()
  process.stdout.write(
    `${JSON.stringify({ embedded, sent: rows.size, wal: after.wal.records, leased: after.queue.leased, before: { wal, queue } })}\n`,
  )
}
process.once('SIGTERM', () => void end().then(() => process.exit(0)))
await indexer.start()
while (rows.size < texts.length) await new Promise((resolve) => setTimeout(resolve, 20))
await end()
