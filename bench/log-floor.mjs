/**
 * The least that a full read of logs in JavaScript can cost: node log-floor.mjs FOLDER EXTENSION
 * Every file read into one buffer, cut at its line ends, each line parsed and dropped; no sessions, no messages, nothing kept.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

const [folder, extension] = process.argv.slice(2)
const LINE_FEED = 0x0a
let buffer = Buffer.allocUnsafe(2 ** 20)

const started = performance.now()
let [files, records] = [0, 0]
for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith(extension)) continue
  files++
  const length = read(join(entry.parentPath, entry.name))
  for (let start = 0; start < length; ) {
    const found = extension === '.jsonl' ? buffer.indexOf(LINE_FEED, start) : -1
    const end = found < 0 || found > length ? length : found
    if (end > start && JSON.parse(buffer.toString('utf8', start, end)) !== undefined) records++
    start = end + 1
  }
}
console.log(JSON.stringify({ files, records, ms: performance.now() - started }))

function read(path) {
  const file = openSync(path, 'r')
  let length = 0
  for (let count = -1; count !== 0; length += count) {
    if (length === buffer.length) buffer = Buffer.concat([buffer], 2 * length)
    count = readSync(file, buffer, length, buffer.length - length, length)
  }
  closeSync(file)
  return length
}
