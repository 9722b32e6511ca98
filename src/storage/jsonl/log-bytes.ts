/** Reads logs, line by line; the packed ones as if they were not. Nothing is parsed here. */
import { readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import { CHUNK, type Slab, type SlabPool } from '../slab.js'
import type { StoreWork } from '../store.js'
import { LineScanner, type LineVisitor, LOG_START, type LogPlace, type Rest } from './line-scanner.js'
import type { LogFile } from './log-adapter.js'
import { readFully } from './log-reads.js'
import { type LogStat, type OpenLog, withLog } from './log-stat.js'
import { RunningSum, sumBefore } from './log-sum.js'
import { anchorHeld, cursorAt, isTouched, type TailCursor } from './tail-cursor.js'
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
  /** Makes the sum of the cursor, too. @default false */
  readonly sum?: boolean | undefined
  /** Of a plain file: what is read stays in it (`ScanEnd.stays`), where one read and its chunk are enough. */
  readonly slab?: Slab | undefined
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
  /** The text from its `offset` on, as it was visited. */
  readonly stays?: TextRange | undefined
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

export interface TextRange extends LogRange, RangeBytes {}

const SMALLEST = 2 ** 12
/** Bytes after which others get their turn. */
export const BREATH = 2 ** 24

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
    const room = roomIn(options.slab, file.packed ? Number.POSITIVE_INFINITY : log.stat.size - from.offset)
    const own = room === undefined ? pool?.take() : undefined
    const buffer = room ?? own ?? Buffer.allocUnsafeSlow(Math.max(SMALLEST, Math.min(CHUNK, log.stat.size - from.offset + 1)))
    try {
      const { reread, held } = after === undefined ? {} : anchorHeld(log, after, work, spare)
      const isOther =
        reread === undefined && after !== undefined && isTouched(after, log.stat) && (await sumBefore(log, after.offset, options)) !== after.sum
      const reason = reread ?? (isOther ? 'the file was written in place' : undefined)
      if (reason !== undefined) return { stat: log.stat, place: from, read: from.offset, cursor: undefined, damage: undefined, reread: reason }
      const sum = new RunningSum(from.offset, options.sum === true ? (after === undefined ? 0 : after.sum) : undefined)
      const scanner = new LineScanner(visitor, { from, maxLine, buffer })
      const damage = file.packed
        ? await scanPacked(log, file.path, scanner, from.offset, options)
        : await scanPlain(log, scanner, from.offset, sum, options)
      const rest = scanner.rest()
      if (rest !== undefined) visitor.rest?.(rest)
      const { place, read } = scanner
      const anchoring = {
        most: options.anchor,
        held,
        before: (length: number) => scanner.before(length),
        into: room === undefined ? buffer : undefined,
      }
      const cursor = options.cursor === true && !file.packed ? cursorAt(log.fd, log.stat, place, { ...anchoring, sum: sum.value }) : undefined
      const stays = room && options.slab && staying(options.slab, from.offset, read, scanner.rooms)
      return { stat: log.stat, place, read, cursor, damage, stays }
    } finally {
      if (own !== undefined) pool?.give(own)
      if (spare !== undefined) pool?.give(spare)
    }
  })
}

/** Where so many bytes fit in what a slab has at hand; one more than the text has shows that it ends there. */
function roomIn(slab: Slab | undefined, bytes: number): Buffer | undefined {
  const most = Math.max(SMALLEST, bytes + 1)
  if (slab === undefined || most > CHUNK) return undefined
  slab.reserve(most)
  return slab.chunk.subarray(slab.used, slab.used + most)
}

/** A second room is made by moving what the first one took. */
function staying(slab: Slab, offset: number, read: number, rooms: number): TextRange | undefined {
  if (rooms > 1) return undefined
  const { chunk, used: start } = slab
  slab.used += read - offset
  return { offset, length: read - offset, chunk, start }
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

async function scanPlain(
  { fd, stat }: OpenLog,
  scanner: LineScanner,
  from: number,
  sum: RunningSum,
  { work, signal }: ScanOptions,
): Promise<undefined> {
  let breath = from + BREATH
  for (let at = from; at < stat.size; ) {
    const room = scanner.room()
    const length = Math.min(room.length, CHUNK, stat.size - at)
    const count = readSync(fd, room, 0, length, at)
    if (count === 0) return
    work.bytes += count
    at += count
    scanner.filled(count)
    sum.take(scanner)
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
export async function* untilDamage(
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
