// Keep an index up to date in the background, and hear of each change: node examples/keep-indexed.js
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSessions, openSessions } from 'spanleaf'
import { createIndexer, openIndexHome, searchIndex } from 'spanleaf/indexer'

// A copy of the demo's JSON tree, so that a message can be added to it.
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-keep-'))
const data = join(folder, 'storage')
cpSync(new URL('demo-store/opencode/storage', import.meta.url).pathname, data, { recursive: true })

const sessions = await openSessions({ data })
const home = await openIndexHome({ home: join(folder, 'home'), sessions })
const indexer = createIndexer({ ...home, sessions, pollMs: 100, listRefreshMs: 100, settleMs: 500, settleRecheckMs: 500 })
// In a program of yours: process.once('SIGINT', () => indexer.stop())

const committed = (session) =>
  new Promise((resolve) => {
    const end = indexer.on('committed', (event) => {
      if (event.documents === 0 || (session !== undefined && event.key.session !== session)) return
      end()
      resolve(event)
    })
  })

const first = committed()
await indexer.start() // lists the sessions, and goes on by itself
await first
console.log('the index is being kept up to date')

const session = listSessions(sessions).find((meta) => !meta.damaged).id
const change = committed(session)
write(['message', session, 'msg_example'], { id: 'msg_example', sessionID: session, role: 'user', time: { created: Date.now() } })
write(['part', 'msg_example', 'prt_example'], {
  id: 'prt_example',
  sessionID: session,
  messageID: 'msg_example',
  type: 'text',
  text: 'what is a marmot doing here',
})
await change
console.log(`${(await searchIndex(home.searched(), 'marmot'))[0]?.text}: found`)
console.log(`${(await indexer.status()).counters.failures} failures`)

await indexer.stop() // begins nothing new; what is embedded already is kept
await home.close()
await sessions.close()
rmSync(folder, { recursive: true })

function write(path, record) {
  const file = join(data, ...path.slice(0, -1), `${path.at(-1)}.json`)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, JSON.stringify(record))
  // As a message that has been quiet for an hour, which is not waited for.
  const anHourAgo = new Date(Date.now() - 3_600_000)
  utimesSync(file, anHourAgo, anHourAgo)
}
