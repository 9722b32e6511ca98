/**
 * Cursors: how far a log was read, and how to tell later that what was read is still there, so that reading the new lines is enough.
 * A log is taken as grown only when the bytes right before the cursor are the same; anything else is read anew.
 */
import { closeSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { StoreWork } from '../store.js'
import { crcBehind, joinedCrc } from './crc-pieces.js'
import type { LogPlace } from './line-scanner.js'
import { type LogStat, type OpenLog, openLog, statLog } from './log-stat.js'

/** Plain data, to be kept as JSON. */
export interface TailCursor {
  readonly dev: number
  readonly ino: number
  /** Bytes that the file had when it was read. */
  readonly size: number
  readonly mtimeMs: number
  /** Missing in older cursors. */
  readonly ctimeMs?: number
  /** After the last line that has an end. */
  readonly offset: number
  /** How many lines end before it. */
  readonly line: number
  /** Names the bytes right before `offset`: equal bytes, equal anchors. */
  readonly anchor: string
  /** How many bytes these are. */
  readonly anchorLength: number
  /** CRC-32 of all bytes before `offset`. Missing in older cursors, and where it was not made. */
  readonly sum?: number
}

/** 'unchanged': nobody wrote to it. 'grown': what the cursor stands behind is as it was. `reread`: the reason, one clause. */
export type CursorVerdict = 'unchanged' | 'grown' | { readonly reread: string }

/** Reading and hashing so many bytes takes less than 0.1 ms. */
export const ANCHOR = 2 ** 17

/** Bytes right before an offset, and their CRC-32. */
export interface AnchorBytes {
  readonly offset: number
  readonly bytes: Buffer
  readonly sum: number
}

export interface AnchorOptions {
  /** Bytes. @default 131072 */
  readonly most?: number | undefined
  /** The anchor of the cursor that the reading went on from: what of it is part of the new one is not read again. */
  readonly held?: AnchorBytes | undefined
  /** Of the bytes before `offset` as many as asked for, where somebody holds them: they are not read again. */
  readonly before?: ((length: number) => Buffer | undefined) | undefined
  /** A buffer that nobody needs any more. */
  readonly into?: Buffer | undefined
}

/** The cursor of an open file that was read up to `place`. `stat` is of before the first read. @throws the system's error */
export function cursorAt(
  fd: number,
  { dev, ino, size, mtimeMs, ctimeMs }: LogStat,
  { offset, line }: LogPlace,
  { sum, ...options }: AnchorOptions & { readonly sum?: number | undefined } = {},
): TailCursor {
  return { dev, ino, size, mtimeMs, ctimeMs, offset, line, ...anchorOf(fd, offset, options), ...(sum !== undefined && { sum }) }
}

/** Of the bytes before `offset`, so many at most. @throws the system's error */
export function anchorOf(
  fd: number,
  offset: number,
  { most = ANCHOR, held, before, into }: AnchorOptions = {},
): Pick<TailCursor, 'anchor' | 'anchorLength'> {
  const anchorLength = Math.min(offset, most)
  const start = offset - anchorLength
  const from = held !== undefined && held.offset > start && held.offset - held.bytes.length <= start ? held.offset : start
  const read = before?.(offset - from) ?? readBefore(fd, offset, offset - from, into)
  // Of a file that became shorter meanwhile: an anchor that nothing matches.
  if (read === undefined) return { anchor: '', anchorLength }
  const sum = from === start || held === undefined ? crc32(read) : joinedCrc(sumFrom(start, held), crc32(read), read.length)
  return { anchor: anchorOfSum(sum), anchorLength }
}

/** Undefined when the file does not reach to `offset`, or `length` is none that `anchorOf` gives. @throws the system's error */
export function readAnchor(fd: number, offset: number, length: number): string | undefined {
  const bytes = isLength(length, offset) ? readBefore(fd, offset, length) : undefined
  return bytes && anchorOfSum(crc32(bytes))
}

/** What an open file is to a cursor, and the bytes of the anchor, which were read (`into`) if it grew. @throws the system's error */
export function anchorHeld({ fd, stat }: OpenLog, cursor: TailCursor, work: StoreWork, into?: Buffer): AnchorHeld {
  let held: AnchorBytes | undefined
  const verdict = compareCursor(cursor, stat, (offset, length) => {
    const bytes = isLength(length, offset) ? readBefore(fd, offset, length, into) : undefined
    if (bytes === undefined) return undefined
    work.bytes += length
    held = { offset, bytes, sum: crc32(bytes) }
    return anchorOfSum(held.sum)
  })
  return typeof verdict === 'object' ? { verdict, reread: verdict.reread } : { verdict, held }
}

export interface AnchorHeld {
  readonly verdict: CursorVerdict
  readonly held?: AnchorBytes | undefined
  readonly reread?: string
}

/** By CRC-32, as the generations of lines are: it takes a tenth of the time of SHA-256, and an anchor keeps nobody from anything. */
function anchorOfSum(sum: number): string {
  return sum.toString(36)
}

/** Of the bytes of an anchor from `start` on: the few before them are looked at, and not the many behind. */
function sumFrom(start: number, { offset, bytes, sum }: AnchorBytes): number {
  const before = start - offset + bytes.length
  return crcBehind(crc32(bytes.subarray(0, before)), sum, bytes.length - before)
}

function isLength(length: number, offset: number): boolean {
  return length >= 0 && length <= Math.min(offset, ANCHOR)
}

function readBefore(fd: number, offset: number, length: number, into?: Buffer): Buffer | undefined {
  const bytes = into !== undefined && into.length >= length ? into.subarray(0, length) : Buffer.allocUnsafe(length)
  let held = 0
  for (let count = -1; held < length && count !== 0; held += count) count = readSync(fd, bytes, held, length - held, offset - length + held)
  return held < length ? undefined : bytes
}

const TOUCHED = 'the file was touched, and may have been written in place'

/** True where the bytes of the anchor say too little: of a log of which nothing but the ctime moved. Then `sum` must be that of its bytes. */
export function isTouched(cursor: TailCursor, { size, ctimeMs }: LogStat): boolean {
  return size === cursor.size && ctimeMs !== cursor.ctimeMs && cursor.anchorLength < cursor.offset
}

/** Without a look at the file's bytes: one that grew may still be another one. */
export function looksLike(cursor: TailCursor, stat: LogStat): CursorVerdict {
  return compareCursor(cursor, stat, () => cursor.anchor)
}

/** `anchorNow` gives the anchor of as many bytes before an offset; asked only when all else fits. */
export function compareCursor(
  cursor: TailCursor,
  { dev, ino, size, mtimeMs, ctimeMs }: LogStat,
  anchorNow: (offset: number, length: number) => string | undefined,
): CursorVerdict {
  if (dev !== cursor.dev || ino !== cursor.ino) return { reread: 'the file was replaced' }
  if (size < cursor.size) return { reread: 'the file was truncated' }
  if (size === cursor.size) {
    if (mtimeMs !== cursor.mtimeMs) return { reread: 'the file was written in place' }
    if (cursor.ctimeMs === undefined || ctimeMs === cursor.ctimeMs) return 'unchanged'
    // A writer can set the time of its writing back, as `touch -r` does, but not that of the change; which a new name or mode moves, too.
    if (cursor.anchorLength < cursor.offset && cursor.sum === undefined) return { reread: TOUCHED }
    return anchorNow(cursor.offset, cursor.anchorLength) === cursor.anchor ? 'grown' : { reread: 'the file was written in place' }
  }
  return anchorNow(cursor.offset, cursor.anchorLength) === cursor.anchor ? 'grown' : { reread: 'the bytes before the cursor changed' }
}

/** Opens the file only when its size says that it grew; the verdict and the stat are then of the open file. @throws the system's error */
export function checkCursor(path: string, cursor: TailCursor, work: StoreWork): { readonly verdict: CursorVerdict; readonly stat: LogStat } {
  work.stats++
  const stat = statLog(path)
  const likely = looksLike(cursor, stat)
  if (likely !== 'grown') return { verdict: likely, stat }
  const log = openLog(path, work)
  try {
    const { verdict } = anchorHeld(log, cursor, work)
    return { verdict: verdict === 'grown' && isTouched(cursor, log.stat) ? { reread: TOUCHED } : verdict, stat: log.stat }
  } finally {
    closeSync(log.fd)
  }
}
