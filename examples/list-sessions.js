// List the sessions of a data folder: node examples/list-sessions.js [DATA]
import { listSessions, openSessions } from 'spanleaf'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const sessions = await openSessions({ data })
for (const { id, title, directory, source } of listSessions(sessions)) console.log(`${id}  ${source.kind}  ${directory}  ${title}`)
await sessions.close()
