// Find a text in everything that was said, without an index: node examples/grep-sessions.js [TEXT] [DATA]
import { grepSessions, openSessions } from 'spanleaf'

const [text = 'jitter', data = new URL('demo-store/opencode', import.meta.url).pathname] = process.argv.slice(2)
const sessions = await openSessions({ data })
// Hits come while the search goes on: it reads page by page, and ends where you stop asking.
for await (const { session, role, kind, text: line, match } of grepSessions(sessions, text, { ignoreCase: true, kinds: ['text', 'tool'] })) {
  console.log(`${session.title} | ${role} ${kind}: ${line.slice(0, match.start)}[${line.slice(match.start, match.end)}]${line.slice(match.end)}`)
}
await sessions.close()
