// npm start: the main job on this machine. Finds the sessions, indexes them with the embedded defaults, answers a search.
// Where no agent left a session, the demo store of this repository stands in, with an index of its own in a temporary folder.
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listSessions, openSessions, StorageError, spanleafHome } from 'spanleaf'
import { configFromEnv, createIndexer, openIndexHome, readConfigFile, searchIndex } from 'spanleaf/indexer'

const DEMO = fileURLToPath(new URL('demo-store/opencode', import.meta.url))
const interruption = new AbortController()
process.once('SIGINT', () => interruption.abort())

try {
  const found = await openSessions()
  if (listSessions(found).length > 0) await indexAndSearch(found, spanleafHome(process.env, homedir()))
  else {
    await found.close()
    await showDemo()
  }
} catch (error) {
  if (!(error instanceof StorageError) && !interruption.signal.aborted) throw error
  console.error(interruption.signal.aborted ? 'stopped' : error.message)
  process.exitCode = 1
}

async function showDemo() {
  console.log('No sessions on this machine: taking the demo store of the repository.')
  const home = mkdtempSync(join(tmpdir(), 'spanleaf-demo-'))
  try {
    await indexAndSearch(await openSessions({ data: DEMO }), home, 'why do retries hit the gateway at the same time?')
  } finally {
    rmSync(home, { recursive: true })
  }
}

async function indexAndSearch(sessions, folder, question) {
  for (const { kind, path } of sessions.stores) console.log(`${kind}  ${path}`)
  const all = listSessions(sessions)
  // Nothing is configured by default; what is (docs/configuration.md) counts here, too.
  const config = { ...readConfigFile(folder).config, ...configFromEnv(process.env) }
  const home = await openIndexHome({ home: folder, sessions, config, warn: console.warn })
  try {
    console.log(
      `Indexing ${all.length} sessions into ${home.directory}\nEmbedder: ${home.embedder.name}${home.embedder.name.startsWith('hash') ? '; no server is needed' : ''}.`,
    )
    const { embedded, cached } = await index(sessions, home, all.length)
    console.log(`${await home.sink.count()} documents; ${embedded} texts embedded, ${cached} from the cache`)

    // A sample question: the demo has an answer to it; elsewhere the title of the last session is asked for.
    const query = question ?? all.find(({ title }) => title !== '')?.title ?? 'test'
    console.log(`\nsearch: ${plain(query)}\n`)
    const hits = await searchIndex(home.searched(), query, { limit: 3 })
    for (const { title, role, text, session } of hits) console.log(`  ${plain(title)} (${role}, ${session})\n    ${plain(text)}\n`)
    if (hits.length === 0) console.log('  no hits\n')
    if (question === undefined) console.log('Next: npx spanleaf search <words>, npx spanleaf ls, npx spanleaf show <id>')
  } finally {
    await home.close()
    await sessions.close()
  }
}

async function index(sessions, home, total) {
  let done = 0
  const indexer = createIndexer({
    ...home,
    sessions,
    onProgress: ({ kind }) => kind === 'released' && progress(++done, total),
  })
  try {
    await indexer.observe(interruption.signal)
    const report = await indexer.drain(interruption.signal)
    interruption.signal.throwIfAborted()
    return report
  } finally {
    await indexer[Symbol.asyncDispose]()
  }
}

/** One line that is rewritten on a terminal, and every hundredth session elsewhere. */
function progress(count, total) {
  if (process.stderr.isTTY) process.stderr.write(`\r${count}/${total} sessions${count === total ? '\n' : ''}`)
  else if (count % 100 === 0 || count === total) console.error(`${count}/${total} sessions`)
}

/** Without control characters, which could move the cursor. */
function plain(text) {
  return text.replace(/\p{Cc}/gu, ' ')
}
