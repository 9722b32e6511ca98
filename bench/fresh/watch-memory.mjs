/** The memory of a process that does nothing but watch: node watch-memory.mjs STORE [BACKEND]. Prints megabytes of RSS after some seconds. */
import { setTimeout as delay } from 'node:timers/promises'
import { openSessions, watchSessions } from 'spanleaf'

const SETTLES_MS = 4000

const [data, backend = 'auto'] = process.argv.slice(2)
const sessions = await openSessions({ data })
const ending = new AbortController()
const issues = []
let events = 0
const watching = (async () => {
  for await (const _ of watchSessions(sessions, { signal: ending.signal, watch: backend, onIssue: (issue) => issues.push(issue) })) events++
})()
await delay(SETTLES_MS)
const rssMb = process.memoryUsage.rss() / 2 ** 20
ending.abort()
await watching
await sessions.close()
console.log(JSON.stringify({ rssMb, events, issues: issues.length }))
