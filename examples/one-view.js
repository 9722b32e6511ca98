// Every store, one view: which stores there are, and where each session is read from. node examples/one-view.js [DATA]
import { describeStores, listSessions, openSessions } from 'spanleaf'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const sessions = await openSessions({ data })

const { stores, issues, total } = await describeStores(sessions)
for (const { era, path, sessions: held, shown, hides } of stores) {
  console.log(`${era}: ${shown} of ${held} sessions shown  ${path}`)
  for (const { kind, sessions: copies } of hides) console.log(`  and ${copies} copies in ${kind} hidden`)
}
for (const { code, path, reason } of issues) console.log(`${code}: ${reason} (${path})`)
console.log(`${total.sessions} sessions, each once, the last of them from ${listSessions(sessions)[0]?.source.kind}`)
await sessions.close()

// One store alone, hidden copies included.
const files = await openSessions({ data, store: 'opencode-json' })
console.log(`${listSessions(files).length} of them stand in the JSON tree`)
await files.close()
