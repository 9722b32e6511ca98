// A whole session in one call, damage and cost beside it: node examples/session-tree.js [DATA [SESSION]]
import { listSessions, openSessions, runSessionTreeFlow } from 'spanleaf'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const sessions = await openSessions({ data })
const session = process.argv[3] ?? listSessions(sessions)[0].id

const result = await runSessionTreeFlow(sessions, { session })
if (result.status === 'failed') throw result.error
for (const { message, parts } of result.value.messages) {
  const text = parts.flatMap((part) => (part.type === 'text' ? [part.text] : part.type === 'tool' ? [`[${part.tool}: ${part.state.status}]`] : []))
  console.log(`${message?.role ?? 'damaged'}: ${text.join(' ').slice(0, 100)}`)
}
for (const issue of result.status === 'partial' ? result.issues : []) console.log(`! ${issue.code}: ${issue.reason} (${issue.path})`)
for (const { stage, files, rows, bytes, records } of result.reports) console.log({ stage, files, rows, bytes, records })
await sessions.close()
