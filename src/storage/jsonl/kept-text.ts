/**
 * The bytes of a log that is read straight through: read once and kept until its records were made, so that what was found in them is
 * what is parsed. A view and the slabs of its readings share them.
 */
import { closeSync, fstatSync, readSync } from 'node:fs'
import { CHUNK, SharedBytes, type SlabPool } from '../slab.js'
import type { StoreWork } from '../store.js'
import { LineScanner } from './line-scanner.js'
import type { LogVisitor, ScanEnd } from './log-bytes.js'
import { type LogStat, type OpenLog, openLog } from './log-stat.js'

/** A file of more bytes is never kept. */
export const MOST_KEPT = 2 ** 24

export interface KeptText {
  /** From its start each byte of the file stands at its offset; behind `length` of them stands anything. */
  readonly shared: SharedBytes
  readonly length: number
  /** Of the file, before the first byte and after the last. */
  readonly stat: LogStat
}

/**
 * The caller is the holder of the bytes. Undefined when they are too many, or when the file was written to meanwhile.
 * @throws the system's error as it is, EFTYPE when it is no regular file
 */
export function keepText(path: string, work: StoreWork, pool: SlabPool | undefined): KeptText | undefined {
  const log = openLog(path, work)
  try {
    if (log.stat.size > MOST_KEPT) return undefined
    const shared = roomFor(log.stat.size, pool)
    const isWhole = reads(log, shared.bytes, work)
    if (isWhole) return { shared, length: log.stat.size, stat: log.stat }
    shared.letGo()
    return undefined
  } finally {
    closeSync(log.fd)
  }
}

/** Visits every line, and the rest. Their bytes stay where they are. Makes no cursor. */
export function scanText({ shared, length, stat }: KeptText, visitor: LogVisitor): ScanEnd {
  const scanner = new LineScanner(visitor, { buffer: shared.bytes })
  scanner.room()
  scanner.filled(length)
  const rest = scanner.rest()
  if (rest !== undefined) visitor.rest?.(rest)
  return { stat, place: scanner.place, read: scanner.read, cursor: undefined, damage: undefined }
}

/** A chunk of the pool, or a buffer of its own for what is larger. */
function roomFor(bytes: number, pool: SlabPool | undefined): SharedBytes {
  if (pool === undefined || bytes > CHUNK) return new SharedBytes(Buffer.allocUnsafeSlow(bytes))
  return new SharedBytes(pool.take(), (chunk) => pool.give(chunk))
}

/** True when all was read, and nobody wrote to the file meanwhile, as far as its metadata tell. */
function reads({ fd, stat }: OpenLog, bytes: Buffer, work: StoreWork): boolean {
  let held = 0
  for (let count = -1; held < stat.size && count !== 0; held += count) count = readSync(fd, bytes, held, stat.size - held, held)
  work.bytes += held
  const now = fstatSync(fd)
  return held === stat.size && now.size === stat.size && now.mtimeMs === stat.mtimeMs && now.ctimeMs === stat.ctimeMs
}
