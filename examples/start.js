// npm start: the main job on this machine. Finds the sessions, indexes them with the embedded defaults, answers a search.
// Where there is no OpenCode store, the demo store of this repository stands in, with an index of its own in a temporary folder.
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listSessions, openSessions, spanleafHome } from 'spanleaf'
import { createIndexer, openIndexHome, readExclusions, searchIndex, sessionSource } from 'spanleaf/indexer'

const demo = fileURLToPath(new URL('demo-store/opencode', import.meta.url))
let sessions = await openSessions()
const isDemo = sessions.stores.length === 0
if (isDemo) {
  console.log('No OpenCode store on this machine: taking the demo store of the repository.')
  sessions = await openSessions({ data: demo })
}
const home = isDemo ? mkdtempSync(join(tmpdir(), 'spanleaf-demo-')) : spanleafHome(process.env, homedir())
for (const { kind, path } of sessions.stores) console.log(`${kind}  ${path}`)

const all = listSessions(sessions)
const index = await openIndexHome({ home, sessions })
let done = 0
const indexer = createIndexer({
  ...{ state: index.state, cache: index.cache, embedder: index.embedder, sink: index.sink },
  sessions: sessionSource(sessions),
  exclude: readExclusions(home),
  onProgress: ({ kind }) => {
    if (kind === 'released') progress(++done, all.length)
  },
})
console.log(`Indexing ${all.length} sessions with the embedder "${index.embedder.name}" (lexical, no server) into ${index.directory}`)
await indexer.observe()
const { embedded, cached } = await indexer.drain()
await indexer[Symbol.asyncDispose]()
console.log(`${await index.sink.count()} documents; ${embedded} texts embedded, ${cached} from the cache`)

// A sample question: the demo has an answer to it; elsewhere the title of the last session is asked for.
const query = isDemo ? 'why do retries hit the gateway at the same time?' : (all.find(({ title }) => title !== '')?.title ?? 'test')
console.log(`\nsearch: ${query}\n`)
const hits = await searchIndex(index, query, { limit: 3 })
for (const { title, role, text, session } of hits) console.log(`  ${title || '(no title)'} (${role}, ${session})\n    ${text}\n`)
if (hits.length === 0) console.log('  no hits')

await index.close()
await sessions.close()
if (isDemo) rmSync(home, { recursive: true })
else console.log('Next: npx spanleaf search <words>, npx spanleaf ls, npx spanleaf show <id>')

/** One line that is rewritten on a terminal, and every hundredth session elsewhere. */
function progress(count, total) {
  if (process.stderr.isTTY) process.stderr.write(`\r${count}/${total} sessions${count === total ? '\n' : ''}`)
  else if (count % 100 === 0 || count === total) console.error(`${count}/${total} sessions`)
}
