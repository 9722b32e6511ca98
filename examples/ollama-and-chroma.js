// Vectors from Ollama, kept by Chroma: node examples/ollama-and-chroma.js [DATA [QUERY]]
// Needs `ollama serve`, a model (OLLAMA_EMBED_MODEL, here nomic-embed-text unless it is set) and a Chroma server (npx chroma run); says so where one is absent.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSessions, StorageError } from 'spanleaf'
import { configFromEnv, createIndexer, openIndexHome, searchIndex } from 'spanleaf/indexer'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const query = process.argv[3] ?? 'why do all clients come back at the same moment?'
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-services-'))

// Services are chosen by name; where they are, and which model, the environment may tell (docs/configuration.md).
const fallback = { ollamaModel: 'nomic-embed-text', ollamaNumCtx: 2048, chromaCollection: 'spanleaf_example' }
const config = { ...fallback, ...configFromEnv(process.env), embedder: 'ollama', sink: 'chroma' }

const sessions = await openSessions({ data })
try {
  await using(openIndexHome({ home: folder, sessions, config, warn: console.warn }), async (home) => {
    await home.sink.count() // throws when Chroma does not answer
    await using(createIndexer({ ...home, sessions }), async (indexer) => {
      await indexer.observe()
      const { documents, embedded, cached } = await indexer.drain()
      console.log(`${documents} documents written, ${embedded} texts embedded by ${home.embedder.name}, ${cached} from the cache`)
    })
    for (const { title, text } of await searchIndex(home.searched(), query, { limit: 3 })) console.log(`${title}: ${text}`)
    await home.sink.drop() // this is an example: nothing of it stays on the server
  })
} catch (error) {
  const absent = ['EMBEDDER_UNAVAILABLE', 'EMBEDDER_REFUSED', 'SINK_UNAVAILABLE', 'CHROMA_CLIENT_MISSING']
  if (!(error instanceof StorageError) || !absent.includes(error.code)) throw error
  console.log(`This example needs Ollama and Chroma: ${error.message}`)
} finally {
  await sessions.close()
  rmSync(folder, { recursive: true })
}

/** What `await using` does, for Node 20. */
async function using(opening, use) {
  const opened = await opening
  try {
    return await use(opened)
  } finally {
    await opened[Symbol.asyncDispose]()
  }
}
