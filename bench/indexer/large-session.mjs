/** B13, one process: indexes one session, and says how large it grew. Argument: {"data","directory","prepare":"json"|"sqlite"|undefined,"messages","megabytes"}. */
import { randomBytes } from 'node:crypto'
import { createIndexer } from '../../dist/indexer/indexer.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { openSessions } from '../../dist/open.js'
import { openWriter } from '../../test/soak/store-writer.mjs'
import { fakeEmbedder, instantSink, say, textOf } from './world.mjs'

const { data, directory, prepare, messages, megabytes } = JSON.parse(process.argv[2])
if (prepare === undefined) await index()
else write()

/** One message in forty carries a picture, as a data URL; together they weigh `megabytes`. */
function write() {
  const writer = openWriter(prepare, data)
  const session = { id: 'ses_000000000001zzzzzzzzzzzzzz', title: 'Large', created: 1_760_000_000_000, updated: 1_760_000_100_000, messages: [] }
  writer.session(session)
  const picture = randomBytes(Math.floor((((megabytes * 2 ** 20) / Math.ceil(messages / 40)) * 3) / 4)).toString('base64')
  for (let at = 0; at < messages; at++) {
    const created = session.created + at
    const role = at % 2 === 0 ? 'user' : 'assistant'
    const message = { id: `msg_${String(at).padStart(12, '0')}zzzzzzzzzzzzzz`, role, created, updated: created, completed: created }
    writer.message(session, message)
    const part = (n, document) => ({ id: `prt_${String(at * 2 + n).padStart(12, '0')}zzzzzzzzzzzzzz`, created, updated: created, data: document })
    writer.part(session, message, part(0, { type: 'text', text: textOf(at, 2000), time: { start: created, end: created } }))
    if (at % 40 === 0) writer.part(session, message, part(1, { type: 'file', mime: 'image/png', url: `data:image/png;base64,${picture}` }))
  }
  writer.close()
  say({ prepared: true })
}

async function index() {
  const embedder = fakeEmbedder()
  const sessions = await openSessions({ data })
  const state = await openLmdbState({ directory })
  const sink = instantSink({ space: embedder.space })
  const indexer = createIndexer({ sessions, state, embedder, sink, settleMs: 0 })
  await indexer.observe()
  const { documents } = await indexer.drain()
  await indexer[Symbol.asyncDispose]()
  await state[Symbol.asyncDispose]()
  await sessions.close()
  say({ documents, held: await sink.count() })
}
