/**
 * A file mapped or read, again and again, with a warm file cache: node map-reader.mjs map|read|read-own whole|random FILE ROUNDS
 * 'whole' looks for a byte that is not there, 'random' for the same in 1,000 leaves of 4 KB. Prints the milliseconds of all rounds,
 * what the garbage collector takes for them included.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { parseSessionId } from '../dist/core/ids.js'
import { sessionKey } from '../dist/core/keys.js'
import { createFileMaps } from '../dist/storage/maps/file-maps.js'
import { MappedSpan } from '../dist/storage/maps/mapped-span.js'
import { loadMapper } from '../dist/storage/maps/mmap.js'
import { Slab, SlabPool } from '../dist/storage/slab.js'
import { SlabSpan } from '../dist/storage/span.js'

const LEAF = 4096
const LEAVES = 1000
/** Rounds whose times are not counted: the compiler is still at work, and the buffers are cold. */
const WARM_UP = 3
const ABSENT = 0

const [way, access, path, times] = process.argv.slice(2)
const key = sessionKey('opencode', parseSessionId('s'))
const stat = statSync(path)
const offsets = randomOffsets(stat.size)
const pool = new SlabPool()
const warm = way === 'read' && access === 'whole' ? Buffer.alloc(stat.size) : undefined
const { why } = way === 'map' ? loadMapper() : {}
if (why === undefined) await main(Number(times))
else console.log(JSON.stringify({ unsupported: why }))

async function main(rounds) {
  // Of each round its own: a file that is mapped already is not mapped again.
  const maps = Array.from({ length: WARM_UP + rounds }, () => createFileMaps({ map: 1 }))
  let ms = 0
  for (const [round, own] of maps.entries()) {
    const started = performance.now()
    const slab = new Slab(pool)
    const met = way === 'map' ? mapped(own, slab) : read(slab)
    slab[Symbol.dispose]()
    if (met !== 0) throw new Error('a byte was found that is not there')
    await turn() // the system unmaps between turns
    if (round >= WARM_UP) ms += performance.now() - started
  }
  console.log(JSON.stringify({ ms }))
}

function mapped(maps, slab) {
  const map = maps.open(path, stat)
  if (map === undefined) throw new Error(`not mapped: ${maps.stats().why}`)
  const span = (offset, length) => new MappedSpan(key, { path }, undefined, slab, map, offset, length)
  if (access === 'whole') return found([span(0, stat.size)])
  return found(offsets.map((offset) => span(offset, LEAF)))
}

function read(slab) {
  const fd = openSync(path, 'r')
  try {
    return found(access === 'whole' ? [whole(fd, slab)] : offsets.map((offset) => leaf(fd, slab, offset)))
  } finally {
    closeSync(fd)
  }
}

function whole(fd, slab) {
  const bytes = warm ?? Buffer.allocUnsafeSlow(stat.size)
  readSync(fd, bytes, 0, stat.size, 0)
  slab.adopt(bytes)
  return new SlabSpan(key, { path }, undefined, slab, 0, stat.size)
}

function leaf(fd, slab, offset) {
  slab.reserve(LEAF)
  const start = slab.used
  slab.used += readSync(fd, slab.chunk, start, LEAF, offset)
  return new SlabSpan(key, { path }, undefined, slab, start, LEAF)
}

function found(spans) {
  let count = 0
  for (const span of spans) if (span.bytes().includes(ABSENT)) count++
  return count
}

/** The same in every process. */
function randomOffsets(bytes) {
  let state = 1
  return Array.from({ length: LEAVES }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * (bytes - LEAF))
  })
}
