// Index a data folder and search it: node examples/index-and-search.js [DATA [QUERY]]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSessions } from 'spanleaf'
import { createIndexer, openIndexHome, searchIndex } from 'spanleaf/indexer'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const query = process.argv[3] ?? 'thundering herd'
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-index-'))

const sessions = await openSessions({ data })
const home = await openIndexHome({ home: folder, sessions })
const indexer = createIndexer({ ...home, sessions })

await indexer.observe() // queue what changed
console.log(await indexer.drain()) // work until nothing is left to do now
console.log(await indexer.observe(), '<- a second look finds nothing new')
for (const { score, title, text } of await searchIndex(home.searched(), query, { limit: 3 })) console.log(`${score.toFixed(4)}  ${title}: ${text}`)

await indexer[Symbol.asyncDispose]()
await home.close()
await sessions.close()
rmSync(folder, { recursive: true })
