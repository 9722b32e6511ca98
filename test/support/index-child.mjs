/**
 * One process of the indexer for crash tests: real state, a world in a file, a sink that is an append-only file or the local one.
 * It drains what the world says and ends. The log `events.log` says what it embedded, which records were durable, where it was killed.
 * Argument: {"folder","world","killAt":"point:nth","delay":ms per call,"cache":bool,"wal":bool,"concurrency","sink":"file"|"local",
 * "space","former":[space],"rebuild":bool}.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMessageId, parsePartId, parseSessionId } from '../../dist/core/ids.js'
import { messageKey, sessionKey } from '../../dist/core/keys.js'
import { openEmbedCache } from '../../dist/indexer/embedding/embed-cache.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLocalSink } from '../../dist/indexer/sinks/local.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { hashOf, killingFailpoint, loggingCache, loggingEmbedder, loggingState } from './counted.mjs'

const options = JSON.parse(process.argv[2])
const { folder, killAt = '', delay = 0, space = 'fake', former = [], rebuild = false } = options
const world = JSON.parse(readFileSync(options.world, 'utf8'))
const log = join(folder, 'events.log')
const failpoint = killingFailpoint(killAt, log)

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

const sinkFile = (of) => join(folder, `sink-${of}.log`)
const openFileSink = (of) => {
  const path = sinkFile(of)
  const append = (lines) => appendFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const held = () => {
    const rows = new Map()
    for (const line of existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []) {
      const row = JSON.parse(line)
      if (row.deleted) rows.delete(row.id)
      else rows.set(row.id, row)
    }
    return rows
  }
  return {
    name: 'file',
    space: of,
    async upsert(rows) {
      append(
        rows.map(({ id, text, vector, metadata: { session_id: session, title, text_hash, rev } }) => ({
          ...{ id, text, session, title, text_hash, rev },
          vector: [...vector],
        })),
      )
    },
    delete: async (ids) => append(ids.map((id) => ({ id, deleted: true }))),
    count: async () => held().size,
    async *ids({ session } = {}) {
      for (const [id, row] of held()) if (session === undefined || row.session === session) yield { id, text_hash: row.text_hash, rev: row.rev }
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
const openSink = (of) => (options.sink === 'local' ? openLocalSink({ path: join(folder, `documents-${of}.db`), space: of }) : openFileSink(of))

const state = await openLmdbState({ directory: join(folder, 'index'), failpoint })
const cache = options.cache === true ? await openEmbedCache({ directory: join(folder, 'index'), now: Date.now }) : undefined
const sink = await openSink(space)
const others = await Promise.all(former.map(openSink))
process.stdout.write('ready\n')
const indexer = createIndexer({
  sessions,
  state: loggingState(state, log),
  embedder: loggingEmbedder({ log, space, delayMs: delay }),
  sink,
  former: others,
  rebuild,
  cache: cache && loggingCache(cache, log),
  walEnabled: options.wal ?? true,
  concurrency: options.concurrency ?? 1,
  batchSize: 2,
  recordSize: 4,
  sinkBatchSize: 2,
  quantum: 6,
  failpoint,
})
await indexer.observe()
const report = await indexer.drain()
const { spaces } = state.status()
await indexer[Symbol.asyncDispose]()
for (const part of [sink, ...others, cache, state]) await part?.[Symbol.asyncDispose]()
process.stdout.write(`${JSON.stringify({ report, spaces })}\n`)
