// Appends messages of pi to a log as fast as it can, in pieces that split lines anywhere: node log-writer.mjs PATH COUNT
// After each third of them it waits for a byte of its input: its reader is to see them come, however the machine shares its time.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const [path, count] = process.argv.slice(2)
const fd = openSync(path, 'a')
const time = Date.parse('2026-03-01T10:00:00.000Z')
let seed = 1
for (let n = 0; n < Number(count); n++) {
  if (n > 0 && n % Math.ceil(Number(count) / 3) === 0) readSync(0, Buffer.alloc(1))
  const line = { type: 'message', id: `m${n}`, parentId: n === 0 ? null : `m${n - 1}`, timestamp: new Date(time + n).toISOString() }
  const bytes = Buffer.from(`${JSON.stringify({ ...line, message: { role: 'user', content: `number ${n} ${'ü'.repeat(n % 50)}` } })}\n`)
  seed = (seed * 1103515245 + 12345) % 2147483648
  const cut = seed % bytes.length
  writeSync(fd, bytes.subarray(0, cut))
  writeSync(fd, bytes.subarray(cut))
}
closeSync(fd)
