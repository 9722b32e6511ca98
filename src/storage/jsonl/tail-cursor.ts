/**
 * Cursors: how far a log was read, and how to tell later that what was read is still there, so that reading the new lines is enough.
 * A log is taken as grown only when the bytes right before the cursor are the same; anything else is read anew.
 */
import { hash } from 'node:crypto'
import { closeSync, readSync } from 'node:fs'
import type { StoreWork } from '../store.js'
import type { LogPlace } from './line-scanner.js'
import { type LogStat, openLog, statLog } from './log-stat.js'

/** Plain data, to be kept as JSON. */
export interface TailCursor {
  readonly dev: number
  readonly ino: number
  /** Bytes that the file had when it was read. */
  readonly size: number
  readonly mtimeMs: number
  /** After the last line that has an end. */
  readonly offset: number
  /** How many lines end before it. */
  readonly line: number
  /** Names the bytes right before `offset`: equal bytes, equal anchors. */
  readonly anchor: string
  /** How many bytes these are. */
  readonly anchorLength: number
}

/** 'unchanged': nobody wrote to it. 'grown': what the cursor stands behind is as it was. `reread`: the reason, one clause. */
export type CursorVerdict = 'unchanged' | 'grown' | { readonly reread: string }

/** Reading and hashing so many bytes takes 0.1 ms. */
const ANCHOR = 2 ** 17

/** The cursor of an open file that was read up to `place`. `stat` is of before the first read. @throws the system's error */
export function cursorAt(fd: number, { dev, ino, size, mtimeMs }: LogStat, { offset, line }: LogPlace): TailCursor {
  return { dev, ino, size, mtimeMs, offset, line, ...anchorOf(fd, offset) }
}

/** Of the bytes before `offset`, 128 KiB at most. @throws the system's error */
export function anchorOf(fd: number, offset: number): Pick<TailCursor, 'anchor' | 'anchorLength'> {
  const anchorLength = Math.min(offset, ANCHOR)
  // Of a file that became shorter meanwhile: an anchor that nothing matches.
  return { anchor: readAnchor(fd, offset, anchorLength) ?? '', anchorLength }
}

/** Undefined when the file does not reach to `offset`, or `length` is none that `anchorOf` gives. @throws the system's error */
export function readAnchor(fd: number, offset: number, length: number): string | undefined {
  if (!(length >= 0 && length <= Math.min(offset, ANCHOR))) return undefined
  const bytes = Buffer.allocUnsafe(length)
  let held = 0
  for (let count = -1; held < length && count !== 0; held += count) count = readSync(fd, bytes, held, length - held, offset - length + held)
  return held < length ? undefined : hash('sha256', bytes, 'base64url').slice(0, 22)
}

/** `anchorNow` gives the anchor of as many bytes before an offset; asked only when all else fits. */
export function compareCursor(
  cursor: TailCursor,
  { dev, ino, size, mtimeMs }: LogStat,
  anchorNow: (offset: number, length: number) => string | undefined,
): CursorVerdict {
  if (dev !== cursor.dev || ino !== cursor.ino) return { reread: 'the file was replaced' }
  if (size < cursor.size) return { reread: 'the file was truncated' }
  if (size === cursor.size) return mtimeMs === cursor.mtimeMs ? 'unchanged' : { reread: 'the file was written in place' }
  return anchorNow(cursor.offset, cursor.anchorLength) === cursor.anchor ? 'grown' : { reread: 'the bytes before the cursor changed' }
}

/** Opens the file only when its size says that it grew; the verdict and the stat are then of the open file. @throws the system's error */
export function checkCursor(path: string, cursor: TailCursor, work: StoreWork): { readonly verdict: CursorVerdict; readonly stat: LogStat } {
  work.stats++
  const stat = statLog(path)
  // As if the bytes before the cursor were the same: only a file that grew is worth a look at them.
  const likely = compareCursor(cursor, stat, () => cursor.anchor)
  if (likely !== 'grown') return { verdict: likely, stat }
  const log = openLog(path, work)
  try {
    const anchorNow = (offset: number, length: number): string | undefined => {
      work.bytes += length
      return readAnchor(log.fd, offset, length)
    }
    return { verdict: compareCursor(cursor, log.stat, anchorNow), stat: log.stat }
  } finally {
    closeSync(log.fd)
  }
}
