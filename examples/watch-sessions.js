// Watch the sessions of all agents, or of one store: node examples/watch-sessions.js [LOGS-OR-STORE]
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSessions, watchSessions } from 'spanleaf'

const [data] = process.argv.slice(2)
const demo = data === undefined ? startDemo() : undefined
const ending = new AbortController()
process.once('SIGINT', () => ending.abort())

const sessions = await openSessions({ data: data ?? demo.folder })
// Where events are not to be had the stores are looked at again and again instead, and `onIssue` says why.
const changes = watchSessions(sessions, { signal: ending.signal, onIssue: ({ reason }) => console.log(`(polling: ${reason})`) })
demo?.goOn()
for await (const { session, kind } of changes) {
  const title = sessions.index.session(session)?.title
  console.log(`${kind}: ${session.agent} ${session.session}${title === undefined ? '' : `, "${title}"`}`)
  if (demo !== undefined && !demo.goOn()) ending.abort()
}
await sessions.close()
if (demo !== undefined) rmSync(demo.folder, { recursive: true })

/** A folder of logs of pi, in which something is done whenever it is asked to. */
function startDemo() {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-watch-'))
  const logs = join(folder, '--work--')
  mkdirSync(logs)
  const log = (id) => join(logs, `2026-01-02T03-04-05-000Z_${id}.jsonl`)
  const write = (id, line) => appendFileSync(log(id), `${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`)
  const begin = (id, content) => {
    write(id, { type: 'session', version: 3, id, cwd: '/work' })
    write(id, { type: 'message', id: 'a1', parentId: null, message: { role: 'user', content } })
  }
  begin('first', 'What is a marmot?')
  const acts = [
    () => begin('second', 'Where does it sleep?'),
    () => write('first', { type: 'message', id: 'a2', parentId: 'a1', message: { role: 'user', content: 'And what does it eat?' } }),
    () => rmSync(log('second')),
  ]
  const goOn = () => {
    const act = acts.shift()
    act?.()
    return act !== undefined
  }
  return { folder, goOn }
}
