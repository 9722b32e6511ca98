/** The tokens of every session: node log-usage.mjs DATA. Every message is read for that. */
import { openSessions } from 'spanleaf'

const sessions = await openSessions({ data: process.argv[2] })
const metas = sessions.index.sessionsByTime()
const total = { input: 0, output: 0 }
for (const { key } of metas) {
  const { tokens } = await sessions.index.usage(key)
  total.input += tokens.input
  total.output += tokens.output
}
await sessions.close()
console.log(JSON.stringify({ sessions: metas.length, ...total }))
