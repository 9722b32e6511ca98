/**
 * What the disk may do: a cache file that is torn costs embeddings, never a document. Pages of it that hold noise are no matter of a test:
 * LMDB ends the process when it follows them.
 */
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CrashRig, contentOf, crashRig, eventsOf, type Place, run } from '../support/crash-rig.js'

let rig: CrashRig
beforeAll(async () => {
  rig = await crashRig({ cache: true })
})
afterAll(() => rig[Symbol.dispose]())

const cacheOf = ({ folder }: Place): string => join(folder, 'index', 'embcache.mdb')

function overwrite(path: string, from: number, to: number, byte: (at: number) => number): void {
  const file = openSync(path, 'r+')
  writeSync(
    file,
    Uint8Array.from({ length: to - from }, (_, at) => byte(at)),
    0,
    to - from,
    from,
  )
  closeSync(file)
}

const TEARS: readonly [string, (path: string) => void][] = [
  ['is cut in the middle', (path) => truncateSync(path, Math.floor(statSync(path).size / 2))],
  ['is cut to no whole page', (path) => truncateSync(path, 5000)],
  ['has no byte', (path) => truncateSync(path, 0)],
  ['begins with zeros', (path) => overwrite(path, 0, 8192, () => 0)],
  ['holds something else', (path) => writeFileSync(path, 'no cache at all '.repeat(4000))],
  ['has bits turned in its vectors', (path) => flipVectors(path)],
]

/** Vectors of the child are whole numbers below 256: as float32 their first bytes are 0 and the last one 0x40 to 0x43. */
function flipVectors(path: string): void {
  const bytes = readFileSync(path)
  for (let at = 8192; at < bytes.length; at += 4)
    if ([0x41, 0x42, 0x43].includes(bytes[at + 3] ?? 0) && bytes[at] === 0) bytes[at + 2] = (bytes[at + 2] ?? 0) ^ 0x10
  writeFileSync(path, bytes)
}

describe.concurrent('n: a cache file that', () => {
  it.each(TEARS)('%s costs no document', async (name, tear) => {
    const there = rig.place(`torn ${name}`)
    tear(cacheOf(there))
    expect(await run(there, { cache: true })).toBe('0')
    expect(contentOf(there)).toEqual(rig.undisturbed)
    expect(eventsOf(there).repeated).toEqual([])
    expect(await run(there, { cache: true })).toBe('0')
    expect(contentOf(there)).toEqual(rig.undisturbed)
  })
})
