/** Unpacks every .zst file of a folder and lets go of the text: node log-unpack.mjs program|native|plain FOLDER */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { hasNativeZstd, unpackFile } from '../dist/storage/jsonl/unpack.js'

const [how, folder] = process.argv.slice(2)
const files = readdirSync(folder).map((name) => join(folder, name))
if (how === 'native' && !hasNativeZstd()) console.log(JSON.stringify({ unsupported: 'this Node has no zstd of its own' }))
else console.log(JSON.stringify(await measured()))

async function measured() {
  const started = performance.now()
  const bytes = how === 'program' ? byProgram() : await byLibrary(how)
  return { bytes, ms: performance.now() - started }
}

/** One process for all files. */
function byProgram() {
  const run = spawnSync('zstd', ['-dc', '--single-thread', ...files], { maxBuffer: 2 ** 30 })
  if (run.status !== 0) throw new Error(`zstd ended with ${run.status ?? run.signal}`)
  return run.stdout.length
}

async function byLibrary(engine) {
  let bytes = 0
  for (const path of files) {
    const fd = openSync(path, 'r')
    for await (const piece of unpackFile(fd, path, { engine })) bytes += piece.length
    closeSync(fd)
  }
  return bytes
}
