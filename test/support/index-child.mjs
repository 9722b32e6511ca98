/**
 * One process of the indexer for crash tests: real state, a sink that is an append-only file, an embedder that counts in one.
 * Arguments: folder, world file, [point:nth to be killed at], [embed delay in ms], [cache].
 */
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMessageId, parsePartId, parseSessionId } from '../../dist/core/ids.js'
import { messageKey, sessionKey } from '../../dist/core/keys.js'
import { openEmbedCache } from '../../dist/indexer/embed-cache.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/lmdb-state.js'

const [folder, worldFile, killAt = '', delay = '0', withCache = ''] = process.argv.slice(2)
const world = JSON.parse(readFileSync(worldFile, 'utf8'))
const log = (line) => appendFileSync(join(folder, 'events.log'), `${line}\n`)
const hashOf = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16)

const [point, nth] = killAt.split(':')
let left = Number(nth)
const failpoint = (name) => {
  if (name === point && --left === 0) process.kill(process.pid, 'SIGKILL')
}

const keyOf = (id) => sessionKey('opencode', parseSessionId(id))
const metaOf = (session) => ({
  key: keyOf(session.id),
  id: session.id,
  title: session.title,
  directory: '/work',
  project: 'project_1',
  created: 1,
  updated: 2,
  source: { kind: 'memory', path: '/store' },
})
const nodeOf = (key, { id, text }) => ({
  key: messageKey(key, parseMessageId(id)),
  message: { role: 'user', id, sessionID: key.session, time: { created: 1 } },
  parts: [{ type: 'text', id: parsePartId(`prt_${id}`), sessionID: key.session, messageID: id, text }],
  damagedParts: 0,
  signature: hashOf(text),
  changed: 2,
})
const find = (key) => world.find(({ id }) => id === key.session)
const sessions = {
  list: async () => ({
    sessions: world.map((session) => ({ meta: metaOf(session), revision: hashOf(JSON.stringify(session)) })),
    stores: [{ path: '/store', complete: true }],
  }),
  revision: async (key) => find(key) && hashOf(JSON.stringify(find(key))),
  tail: async (key, known) => {
    const nodes = find(key).messages.map((message) => nodeOf(key, message))
    return {
      meta: metaOf(find(key)),
      messages: nodes.filter((node) => known(node.key) !== node.signature),
      present: nodes.map((node) => node.key.message),
      complete: true,
    }
  },
}

const embedder = {
  name: 'fake',
  space: 'fake',
  dimensions: 8,
  async embed(texts) {
    if (delay !== '0') await new Promise((resolve) => setTimeout(resolve, Number(delay)))
    for (const text of texts) log(`E ${hashOf(text)}`)
    return Float32Array.from(texts.flatMap((text) => [...createHash('sha256').update(text).digest().subarray(0, 8)]))
  },
}

const sinkFile = join(folder, 'sink.log')
const lines = () => (existsSync(sinkFile) ? readFileSync(sinkFile, 'utf8').split('\n').filter(Boolean) : [])
const held = () => {
  const rows = new Map()
  for (const line of lines()) {
    const { id, ...row } = JSON.parse(line)
    if (row.deleted) rows.delete(id)
    else rows.set(id, row)
  }
  return rows
}
const sink = {
  name: 'file',
  async upsert(rows) {
    for (const { id, text, vector, metadata } of rows) {
      const { session_id: session, title, text_hash } = metadata
      appendFileSync(sinkFile, `${JSON.stringify({ id, text, vector: [...vector], session, title, text_hash })}\n`)
    }
  },
  async delete(ids) {
    for (const id of ids) appendFileSync(sinkFile, `${JSON.stringify({ id, deleted: true })}\n`)
  },
  count: async () => held().size,
  async *ids({ session }) {
    for (const [id, row] of held()) if (row.session === session) yield { id, text_hash: row.text_hash }
  },
}

const directory = join(folder, 'index')
const state = await openLmdbState({ directory, failpoint })
const counted = {
  ...state,
  async walAppend(claim, record) {
    const seq = await state.walAppend(claim, record)
    for (const { text } of record.rows) log(`W ${hashOf(text)}`)
    return seq
  },
}
const cache = withCache === 'cache' ? await openEmbedCache({ directory, now: Date.now }) : undefined
process.stdout.write('ready\n')
const indexer = createIndexer({
  sessions,
  state: counted,
  embedder,
  sink,
  cache,
  batchSize: 2,
  recordSize: 4,
  sinkBatchSize: 2,
  quantum: 6,
  failpoint,
})
await indexer.observe()
const report = await indexer.drain()
await indexer[Symbol.asyncDispose]()
await state[Symbol.asyncDispose]()
await cache?.[Symbol.asyncDispose]()
process.stdout.write(`${JSON.stringify(report)}\n`)
