/** Whole files into a slab: open, read, close; no promise, no string, no allocation per file. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import type { Slab } from './slab.js'

/** Nine of ten part files are under 4 KB; what is left of a chunk below this is not worth a second read call. */
const ROOM = 2 ** 16

/** Opening a named pipe would wait for a writer for ever; this way it is an empty file. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Reads a file behind `slab.used` and returns its length; the caller takes the bytes by moving `slab.used`.
 * `seen` gets the file's stat, taken after the last byte was read, or before the first: then what is written meanwhile has another one.
 * @throws the system's error
 */
export function readInto(slab: Slab, path: string, seen?: (stat: Stats) => void, when: 'before' | 'after' = 'after'): number {
  const fd = openSync(path, READ)
  try {
    if (when === 'before') seen?.(fstatSync(fd))
    slab.reserve(ROOM)
    let length = readSync(fd, slab.chunk, slab.used, slab.chunk.length - slab.used, null)
    while (length === slab.chunk.length - slab.used) length = readOn(fd, slab, length)
    if (when === 'after') seen?.(fstatSync(fd))
    return length
  } finally {
    closeSync(fd)
  }
}

/** The file did not fit: moves what was read to a buffer that holds the file as it is now, and reads on. */
function readOn(fd: number, slab: Slab, length: number): number {
  const start = slab.chunk.subarray(slab.used, slab.used + length)
  const stat = fstatSync(fd)
  // A link to a device may never end.
  if (!stat.isFile()) throw Object.assign(new Error('this is no regular file'), { code: 'EFTYPE' })
  slab.reserve(Math.max(stat.size, length) + ROOM)
  slab.chunk.set(start, slab.used)
  const from = slab.used + length
  return length + readSync(fd, slab.chunk, from, slab.chunk.length - from, null)
}

const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b
const NEWLINE = 0x0a

/**
 * True when the bytes cannot be a whole document, judged by their ends alone. OpenCode rewrites files in place and
 * indents them, so a document that begins with a bracket and a newline ends with a newline and that bracket,
 * and no beginning of it does: deeper brackets are indented.
 */
export function looksTorn(bytes: Buffer, start: number, length: number): boolean {
  if (length === 0) return true // behind it stands what was read before
  let last = start + length - 1
  while (last >= start && isSpace(bytes[last])) last--
  const first = bytes[start]
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return true
  const close = first === OPEN_BRACE ? 0x7d : 0x5d
  return bytes[last] !== close || (bytes[start + 1] === NEWLINE && bytes[last - 1] !== NEWLINE)
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09
}
