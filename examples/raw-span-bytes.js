// The stages one by one, down to the raw bytes of messages and parts; nothing is parsed: node examples/raw-span-bytes.js [DATA [SESSION]]
import { listSessions, openSessions, planSessionTree, resolveSessionTree, unwrap } from 'spanleaf'

const data = process.argv[2] ?? new URL('demo-store/opencode', import.meta.url).pathname
const sessions = await openSessions({ data })
const session = process.argv[3] ?? listSessions(sessions)[0].id

const plan = unwrap(await planSessionTree(sessions, { session, messages: { last: 2 } }))
console.log(`plan: ${plan.messages.length} messages, ${plan.files} files, ${plan.rows} rows, ${plan.bytes} bytes; nothing is open yet`)

const refs = unwrap(await resolveSessionTree(sessions, plan))
for (const message of refs.messages) {
  // In stores of OpenCode 2 parts stand inside their message, and have no bytes of their own.
  for (const { key, leaf } of [message, ...message.parts]) {
    if (leaf.span === undefined) continue
    const bytes = leaf.span.bytes() // a view into the slab: valid until refs is disposed
    console.log(
      `${key.part ?? key.message}  ${bytes.length} bytes, from ${leaf.span.source.table ?? 'a file'}: ${Buffer.from(bytes.subarray(0, 40)).toString('latin1')}`,
    )
  }
}
refs[Symbol.dispose]()
await sessions.close()
