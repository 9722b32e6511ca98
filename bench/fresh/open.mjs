/**
 * Opening the sessions, and paging through them: node open.mjs STORE [HOME]
 * With a home, from its catalog. Prints milliseconds of: opening, the first page of 50, all pages, and the refresh.
 */
import { openSessions, pageSessions } from 'spanleaf'

const [data, home] = process.argv.slice(2)
let mark = performance.now()
const lap = () => {
  const now = performance.now()
  const took = now - mark
  mark = now
  return took
}
const sessions = await openSessions({ data, ...(home && { home }) })
const openMs = lap()
const stale = sessions.stale === true
let page = await pageSessions(sessions, { children: true, archived: true })
const firstPageMs = lap()
let count = page.sessions.length
while (page.next !== undefined) {
  page = await pageSessions(sessions, { children: true, archived: true, after: page.next })
  count += page.sessions.length
}
const pagesMs = lap()
await sessions.refresh()
const refreshMs = lap()
await sessions.close()
console.log(JSON.stringify({ ms: openMs, openMs, firstPageMs, pagesMs: firstPageMs + pagesMs, refreshMs, sessions: count, stale }))
