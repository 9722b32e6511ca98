/** B5, one process: the same texts through the indexer, or through a plain loop of embed and upsert. Argument: {"how","msPerText","texts","sink","folder","chroma"}. */
import { join } from 'node:path'
import { openEmbedCache } from '../../dist/indexer/embedding/embed-cache.js'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { documentId } from '../../dist/indexer/text/document.js'
import { openSink } from '../../test/soak/sinks.mjs'
import { fakeEmbedder, memorySource, say, timed } from './world.mjs'

const options = JSON.parse(process.argv[2])
const { how, msPerText, texts, folder } = options
const BATCH = 32
const embedder = fakeEmbedder({ msPerText })
const source = memorySource({ sessions: texts / BATCH / 2, messages: BATCH * 2, characters: 600 })
const sink = await openSink({ ...options, home: folder }, embedder.space)
const ms = how === 'plain' ? await timed(plain) : await indexed()
const documents = await sink.count()
await sink[Symbol.asyncDispose]()
if (documents !== texts) throw new Error(`the sink holds ${documents} documents, not ${texts}`)
say({ ms })
process.exit(0)

async function plain() {
  const { sessions } = await source.list()
  for (const { meta } of sessions) {
    const { messages } = await source.tail(meta.key, () => undefined)
    for (let from = 0; from < messages.length; from += BATCH) {
      const page = messages.slice(from, from + BATCH)
      const matrix = await embedder.embed(page.map(({ parts: [part] }) => part.text))
      await sink.upsert(page.map((node, at) => rowOf(meta, node, matrix.subarray(at * embedder.dimensions, (at + 1) * embedder.dimensions))))
    }
  }
}

function rowOf(meta, { key, parts: [part] }, vector) {
  const fixed = {
    agent: 'opencode',
    session_id: key.session,
    message_id: key.message,
    chunk: 0,
    role: 'user',
    created_at: 1,
    text_hash: '0'.repeat(32),
  }
  const metadata = { ...fixed, project_id: meta.project, directory: meta.directory, title: meta.title, source: 'memory', rev: 1, space: '00000000' }
  return { id: documentId('local', key, 0), text: part.text, vector, metadata }
}

async function indexed() {
  const state = await openLmdbState({ directory: join(folder, 'index') })
  const cache = await openEmbedCache({ directory: join(folder, 'index'), now: Date.now })
  const indexer = createIndexer({ sessions: source, state, embedder, sink, cache })
  const ms = await timed(async () => {
    await indexer.observe()
    await indexer.drain()
  })
  await indexer[Symbol.asyncDispose]()
  for (const part of [cache, state]) await part[Symbol.asyncDispose]()
  return ms
}
