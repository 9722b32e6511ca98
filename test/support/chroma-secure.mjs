// Writes to Chroma over TLS and reads it back from a process of its own, which trusts what NODE_EXTRA_CA_CERTS names: node chroma-secure.mjs URL TOKEN
import { openChromaSink } from '../../dist/indexer/sinks/chroma.js'

const [url, token] = process.argv.slice(2)
try {
  const sink = await openChromaSink({ url, token, collection: 'secure', space: 'test/2' })
  const metadata = { agent: 'opencode', session_id: 's', message_id: 'm', chunk: 0, role: 'user', created_at: 1, text_hash: 'h', project_id: 'p' }
  const row = {
    id: 'a',
    text: 'over TLS',
    vector: Float32Array.of(1, 0),
    metadata: { ...metadata, directory: '/w', title: '', source: 'x', rev: 1, space: 's' },
  }
  await sink.upsert([row])
  const hits = await sink.matching('tls', 5)
  process.stdout.write(`${await sink.count()} ${hits[0]?.text} ${sink.remote}\n`)
} catch (error) {
  process.stdout.write(`${error.code}\n`)
}
