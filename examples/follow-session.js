// Follow a session while its agent writes: node examples/follow-session.js [LOG-OR-STORE [SESSION]]
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { followSession, listSessions, openSessions } from 'spanleaf'

const [data, session] = process.argv.slice(2)
const demo = data === undefined ? startDemo() : undefined
const ending = new AbortController()
process.once('SIGINT', () => ending.abort())

const sessions = await openSessions({ data: data ?? demo.folder })
const followed = session ?? listSessions(sessions)[0].id
// `since` takes the cursor of an update that was kept, also in another process: then only what is new comes.
for await (const { messages, reread } of followSession(sessions, followed, { pollMs: 50, signal: ending.signal })) {
  if (reread !== undefined) console.log(`(read from its start: ${reread})`)
  for (const { message, parts } of messages) console.log(`${message?.role}: ${parts.map((part) => part.text ?? part.type).join(' ')}`)
  if (demo !== undefined && !demo.goOn()) ending.abort()
}
await sessions.close()
if (demo !== undefined) rmSync(demo.folder, { recursive: true })

/** A log of pi that grows by a line whenever it is asked to. */
function startDemo() {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-follow-'))
  const log = join(folder, '--work--', '2026-01-02T03-04-05-000Z_demo-session.jsonl')
  mkdirSync(join(folder, '--work--'))
  const write = (line) => appendFileSync(log, `${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`)
  write({ type: 'session', version: 3, id: 'demo-session', cwd: '/work' })
  const lines = [
    { id: 'a1', parentId: null, message: { role: 'user', content: 'What is a marmot?' } },
    { id: 'a2', parentId: 'a1', message: { role: 'assistant', content: [{ type: 'text', text: 'A large ground squirrel.' }] } },
    { id: 'a3', parentId: 'a2', message: { role: 'user', content: 'Thank you.' } },
  ]
  const goOn = () => {
    const next = lines.shift()
    if (next !== undefined) write({ type: 'message', ...next })
    return next !== undefined
  }
  goOn()
  return { folder, goOn }
}
