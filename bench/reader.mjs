/**
 * The measured side: node reader.mjs all|sessions|one STORE [SESSION]
 * Prints what it read and the milliseconds since its first line of work; the library is loaded before that, as the
 * baseline's modules are. `openMs` is the part of it that opened the store.
 */
import { listSessions, openSessions, runSessionFlow, runSessionTreeFlow } from '../dist/index.js'

const [mode, data, session] = process.argv.slice(2)
const out = { mode, sessions: 0, messages: 0, parts: 0, bytes: 0 }
const started = performance.now()
const sessions = await openSessions({ data })
out.openMs = performance.now() - started
const metas = listSessions(sessions)
if (mode === 'sessions') out.sessions = metas.length
else if (mode === 'one') take(await runSessionTreeFlow(sessions, { session: session ?? metas[0].id }))
else for await (const result of runSessionFlow(sessions, { all: true })) take(result)
out.ms = performance.now() - started
await sessions.close()
console.log(JSON.stringify(out))

function take(result) {
  if (result.status !== 'ok') throw new Error(`${result.status}: ${JSON.stringify(result.issues ?? result.error)}`)
  out.sessions++
  out.messages += result.value.messages.length
  for (const { parts } of result.value.messages) out.parts += parts.length
  out.bytes += result.reports.at(-1).bytes
}
