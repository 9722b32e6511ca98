// Writes to a local sink from a process of its own: node sink-writer.mjs PATH NAME BATCHES. Prints the name of each batch once it is stored.
import { openLocalSink } from '../../dist/indexer/sinks/local.js'

const ROWS = 10
const [path, name, batches] = process.argv.slice(2)
const sink = await openLocalSink({ path })
for (let batch = 0; batch < Number(batches); batch++) {
  const rows = Array.from({ length: ROWS }, (_, i) => rowOf(`${name}-${batch}-${i}`, batch, i))
  await sink.upsert(rows)
  await sink.delete([`${name}-${batch}-0`])
  process.stdout.write(`${name}-${batch}\n`)
}
await sink[Symbol.asyncDispose]()

function rowOf(id, batch, i) {
  return {
    id,
    text: `shared words of ${name} ${name}batch${batch}`,
    vector: Float32Array.from({ length: 16 }, (_, d) => Math.sin(batch * 7 + i * 3 + d)),
    metadata: {
      agent: 'opencode',
      session_id: name,
      message_id: id,
      chunk: i,
      role: 'user',
      created_at: batch,
      text_hash: id,
      project_id: 'p',
      directory: '/w',
      title: '',
      source: 'test',
      rev: batch,
      space: 'space',
    },
  }
}
