// What is new since last time. Signatures are plain strings: keep them where you like. node examples/tail.js
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSessions, openSessions, runSessionTreeFlow } from 'spanleaf'

// A copy of the demo's JSON tree, so that a message can be added to it.
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-tail-'))
cpSync(new URL('demo-store/opencode/storage', import.meta.url).pathname, folder, { recursive: true })
const sessions = await openSessions({ data: folder })
const session = listSessions(sessions).find((meta) => !meta.damaged).id

const signatures = new Map()
async function changed() {
  const result = await runSessionTreeFlow(sessions, { session, known: (key) => signatures.get(key.message) })
  if (result.status === 'failed') throw result.error
  for (const { key, signature } of result.value.messages) signatures.set(key.message, signature)
  return result.value.messages
}

console.log(`first time: ${(await changed()).length} messages`)
console.log(`nothing happened: ${(await changed()).length} messages`)
const created = Date.now()
const message = { id: 'msg_example', sessionID: session, role: 'user', time: { created } }
writeFileSync(join(folder, 'message', session, 'msg_example.json'), JSON.stringify(message, null, 2))
console.log(`after one more: ${(await changed()).map(({ key }) => key.message).join(', ')}`)

await sessions.close()
rmSync(folder, { recursive: true })
