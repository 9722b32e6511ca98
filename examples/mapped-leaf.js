// Bytes of a large log, straight from a map of its file: node examples/mapped-leaf.js [LOG-OR-STORE [SESSION]]
// Mapping needs the optional peer: npm i mmap-io@npm:@riaskov/mmap-io@^1.4.3. Without it the same bytes are read.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSessions, openSessions, planSessionTree, resolveSessionTree, unwrap } from 'spanleaf'

const demo = process.argv[2] === undefined ? largeLog() : undefined
const [data, session] = demo === undefined ? process.argv.slice(2) : [demo.folder, demo.session]

// 'auto' maps leaves of at least 2 MiB of logs that nobody wrote to for ten minutes; a number maps logs from so many bytes on, hot ones too.
const sessions = await openSessions({ data, map: 2 ** 20 })
const plan = unwrap(await planSessionTree(sessions, { session: session ?? listSessions(sessions)[0].id })) // which lines, at which offsets
const refs = unwrap(await resolveSessionTree(sessions, plan)) // the lines as spans: nothing is parsed

const [largest] = refs.messages.flatMap(({ leaf }) => leaf.span ?? []).sort((a, b) => b.length - a.length)
const bytes = largest.bytes() // a view into the map (or into the slab it was read to), not a copy
const { offset, line } = largest.source
console.log(`line ${line} at byte ${offset}: ${bytes.length} bytes, mapped: ${largest.mapped}`)
console.log(`it begins with ${Buffer.from(bytes.subarray(0, 40)).toString()}`)
console.log(`newlines inside: ${bytes.includes(0x0a)}`)

refs[Symbol.dispose]() // every span ends here; the map goes once nothing refers to it
await sessions.close()
if (demo !== undefined) rmSync(demo.folder, { recursive: true })

function largeLog() {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-map-'))
  mkdirSync(join(folder, '--work--'))
  const timestamp = '2026-01-02T03:04:05.000Z'
  const message = (id, parentId, text) => ({ type: 'message', id, parentId, timestamp, message: { role: 'user', content: text } })
  const lines = [
    { type: 'session', version: 3, id: 'demo-session', timestamp, cwd: '/work' },
    message('a1', null, 'short'),
    message('a2', 'a1', 'long '.repeat(500_000)),
  ]
  writeFileSync(join(folder, '--work--', '2026-01-02T03-04-05-000Z_demo-session.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return { folder, session: 'demo-session' }
}
