/** Reads logs: all their lines, or some ranges of them; the packed ones as if they were not. Nothing is parsed here. */
import { readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import type { Slab, SlabPool } from '../slab.js'
import type { StoreWork } from '../store.js'
import { LineScanner, type LineVisitor, LOG_START, type LogPlace, type Rest } from './line-scanner.js'
import type { LogFile } from './log-adapter.js'
import { readFully } from './log-reads.js'
import { type LogStat, type OpenLog, withLog } from './log-stat.js'
import { anchorHeld, cursorAt, type TailCursor } from './tail-cursor.js'
import { unpackFile } from './unpack.js'

export { type LogStat, statIfThere, statLog } from './log-stat.js'

export interface LogVisitor extends LineVisitor {
  /** Called once, at the end, when something follows the last newline; its bytes are valid only during the call. */
  rest?(rest: Rest): void
}

export interface ReadingOptions {
  /** Counts the file and the bytes that were read from disk. */
  readonly work: StoreWork
  readonly signal?: AbortSignal | undefined
  /** Lends its chunks to read into. */
  readonly pool?: SlabPool | undefined
}

export interface ScanOptions extends ReadingOptions {
  /** @default LOG_START */
  readonly from?: LogPlace | undefined
  /** Of a plain file, in the place of `from`: goes on from this cursor, as long as the file is what the cursor stands behind. */
  readonly after?: TailCursor | undefined
  /** Bytes; longer lines are skipped. @default 33554432 */
  readonly maxLine?: number | undefined
  /** Told of the file as it is opened, before the first line. */
  readonly opened?: ((stat: LogStat) => void) | undefined
  /** Makes the cursor of what was read. @default false */
  readonly cursor?: boolean | undefined
  /** Bytes that the cursor's anchor is made of, at most. @default 131072 */
  readonly anchor?: number | undefined
}

export interface ScanEnd {
  /** Of the file when it was opened, before the first byte. */
  readonly stat: LogStat
  /** After the last line that has an end. */
  readonly place: LogPlace
  /** Up to where the text was read. Less than `stat.size` in a plain file that was truncated meanwhile. */
  readonly read: number
  /** Of a plain file, when it was asked for. */
  readonly cursor: TailCursor | undefined
  /** Of a packed file: CORRUPT_RECORD. What stands before the damage was visited. */
  readonly damage: StorageError | undefined
  /** With `after`: why nothing was visited. */
  readonly reread?: string
}

export interface LogRange {
  /** Bytes from the start of the text. */
  readonly offset: number
  readonly length: number
}

/** A range in a slab: as many bytes of `chunk` from `start` on. */
export interface RangeBytes {
  readonly chunk: Buffer
  readonly start: number
}

const CHUNK = 2 ** 20
const SMALLEST = 2 ** 12
/** Bytes after which others get their turn. */
const BREATH = 2 ** 24
/** What lies between two ranges is read with them when it is less than this: a read costs as much as 64 KiB of it. */
const GAP = 2 ** 16

/**
 * Visits every line from `from` on, and the rest. Of a plain file nothing behind the size that it had when it was opened is read:
 * what a writer appends meanwhile is for the next scan.
 * @throws the system's error as it is, EFTYPE when it is no regular file; the signal's reason
 */
export async function scanLog(file: LogFile, visitor: LogVisitor, options: ScanOptions): Promise<ScanEnd> {
  const { work, signal, pool, after, maxLine } = options
  const from = after ?? options.from ?? LOG_START
  signal?.throwIfAborted()
  return withLog(file.path, work, async (log) => {
    options.opened?.(log.stat)
    const spare = after === undefined ? undefined : pool?.take()
    const buffer = pool?.take() ?? Buffer.allocUnsafeSlow(Math.max(SMALLEST, Math.min(CHUNK, log.stat.size - from.offset + 1)))
    try {
      const { reread, held } = after === undefined ? {} : anchorHeld(log, after, work, spare)
      if (reread !== undefined) return { stat: log.stat, place: from, read: from.offset, cursor: undefined, damage: undefined, reread }
      const scanner = new LineScanner(visitor, { from, maxLine, buffer })
      const damage = file.packed
        ? await scanPacked(log, file.path, scanner, from.offset, options)
        : await scanPlain(log, scanner, from.offset, options)
      const rest = scanner.rest()
      if (rest !== undefined) visitor.rest?.(rest)
      const { place, read } = scanner
      const anchoring = { most: options.anchor, held, before: (length: number) => scanner.before(length), into: buffer }
      const cursor = options.cursor === true && !file.packed ? cursorAt(log.fd, log.stat, place, anchoring) : undefined
      return { stat: log.stat, place, read, cursor, damage }
    } finally {
      pool?.give(buffer)
      if (spare !== undefined) pool?.give(spare)
    }
  })
}

/**
 * Gives the bytes of a whole file to `use`; they are valid only during the call.
 * @throws the system's error as it is, EFTYPE when it is no regular file
 */
export async function withWhole<T>(path: string, { work, pool }: ReadingOptions, use: (bytes: Buffer, stat: LogStat) => T): Promise<T> {
  return withLog(path, work, ({ fd, stat }) => {
    const chunk = stat.size <= CHUNK ? pool?.take() : undefined
    const buffer = chunk ?? Buffer.allocUnsafeSlow(stat.size)
    try {
      const held = readFully(fd, buffer, 0, stat.size, 0)
      work.bytes += held
      return use(buffer.subarray(0, held), stat)
    } finally {
      if (chunk !== undefined) pool?.give(chunk)
    }
  })
}

async function scanPlain({ fd, stat }: OpenLog, scanner: LineScanner, from: number, { work, signal }: ScanOptions): Promise<undefined> {
  let breath = from + BREATH
  for (let at = from; at < stat.size; ) {
    const room = scanner.room()
    const length = Math.min(room.length, CHUNK, stat.size - at)
    const count = readSync(fd, room, 0, length, at)
    if (count === 0) return
    work.bytes += count
    at += count
    scanner.filled(count)
    if (at < breath || at >= stat.size) continue
    breath = at + BREATH
    await setImmediate()
    signal?.throwIfAborted()
  }
}

async function scanPacked(
  { fd }: OpenLog,
  path: string,
  scanner: LineScanner,
  from: number,
  options: ScanOptions,
): Promise<StorageError | undefined> {
  let damage: StorageError | undefined
  const pieces = untilDamage(fd, path, options, (error) => {
    damage = error
  })
  let at = 0
  for await (const piece of pieces) {
    for (let taken = Math.min(piece.length, Math.max(0, from - at)); taken < piece.length; ) {
      const count = piece.copy(scanner.room(), 0, taken)
      scanner.filled(count)
      taken += count
    }
    at += piece.length
  }
  return damage
}

/** The unpacked text up to where the file is damaged, which `told` is then told. */
async function* untilDamage(
  fd: number,
  path: string,
  { work, signal }: ReadingOptions,
  told?: (damage: StorageError) => void,
): AsyncGenerator<Buffer> {
  const count = (bytes: number): void => {
    work.bytes += bytes
  }
  let breath = BREATH
  try {
    for await (const piece of unpackFile(fd, path, { signal, onRead: count })) {
      yield piece
      breath -= piece.length
      if (breath > 0) continue
      breath = BREATH
      await setImmediate()
    }
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'CORRUPT_RECORD') throw error
    told?.(error)
  }
}

/**
 * Reads ranges into the slab, each of them whole, in few reads; those of a packed file in one pass over it. They may be in any order,
 * repeat, and overlap. Undefined where the text ends before the range does, or is damaged there.
 * @throws the system's error as it is, EFTYPE when it is no regular file; the signal's reason
 */
export async function readRanges(
  file: LogFile,
  ranges: readonly LogRange[],
  slab: Slab,
  options: ReadingOptions,
): Promise<readonly (RangeBytes | undefined)[]> {
  options.signal?.throwIfAborted()
  if (ranges.length === 0) return []
  const wanted = ranges.map(({ offset, length }, place) => ({ offset, end: offset + length, place })).sort((a, b) => a.offset - b.offset)
  const found = new Array<RangeBytes | undefined>(ranges.length).fill(undefined)
  await withLog(file.path, options.work, (log) =>
    file.packed ? pickRanges(log, file.path, wanted, found, slab, options) : readGroups(log, wanted, found, slab, options),
  )
  return found
}

interface Wanted {
  readonly offset: number
  readonly end: number
  /** Its place among the ranges that were asked for. */
  readonly place: number
}

type Found = (RangeBytes | undefined)[]

async function readGroups(
  { fd, stat }: OpenLog,
  wanted: readonly Wanted[],
  found: Found,
  slab: Slab,
  { work, signal }: ReadingOptions,
): Promise<void> {
  const within = wanted.filter(({ end }) => end <= stat.size)
  let breath = BREATH
  for (let at = 0; at < within.length; ) {
    const { until, start, end } = groupAt(within, at, slab.chunk.length - slab.used)
    slab.reserve(end - start)
    const { chunk, used } = slab
    const held = readFully(fd, chunk, used, end - start, start)
    work.bytes += held
    for (; at < until; at++) {
      const range = within[at] as Wanted
      if (range.end - start <= held) found[range.place] = { chunk, start: used + range.offset - start }
    }
    slab.used += held
    breath -= held
    if (breath > 0) continue
    breath = BREATH
    await setImmediate()
    signal?.throwIfAborted()
  }
}

/** The ranges from `at` on that are read at once: into what is left of the chunk if the first fits there, else into a new one. */
function groupAt(wanted: readonly Wanted[], at: number, left: number): { readonly until: number; readonly start: number; readonly end: number } {
  const { offset: start, end: first } = wanted[at] as Wanted
  const most = first - start <= left ? left : CHUNK
  let [until, end] = [at + 1, first]
  for (; until < wanted.length; until++) {
    const next = wanted[until] as Wanted
    if (next.offset - end >= GAP || Math.max(end, next.end) - start > most) break
    end = Math.max(end, next.end)
  }
  return { until, start, end }
}

async function pickRanges(
  { fd }: OpenLog,
  path: string,
  wanted: readonly Wanted[],
  found: Found,
  slab: Slab,
  options: ReadingOptions,
): Promise<void> {
  let [at, next] = [0, 0]
  /** Ranges of which the beginning was met. */
  let begun: { readonly range: Wanted; readonly bytes: RangeBytes }[] = []
  for await (const piece of untilDamage(fd, path, options)) {
    const end = at + piece.length
    for (; next < wanted.length && (wanted[next] as Wanted).offset < end; next++) {
      const range = wanted[next] as Wanted
      slab.reserve(range.end - range.offset)
      begun.push({ range, bytes: { chunk: slab.chunk, start: slab.used } })
      slab.used += range.end - range.offset
    }
    for (const { range, bytes } of begun) {
      const from = Math.max(range.offset, at)
      piece.copy(bytes.chunk, bytes.start + from - range.offset, from - at, Math.min(range.end, end) - at)
      if (range.end <= end) found[range.place] = bytes
    }
    begun = begun.filter(({ range }) => range.end > end)
    if (begun.length === 0 && next === wanted.length) return
    at = end
  }
}
