/** Reads some ranges of a log, in few reads; of a packed one as if it were not. */
import { setImmediate } from 'node:timers/promises'
import { CHUNK, type Slab } from '../slab.js'
import type { LogFile } from './log-adapter.js'
import { BREATH, type LogRange, type RangeBytes, type ReadingOptions, untilDamage } from './log-bytes.js'
import { readFully } from './log-reads.js'
import { type OpenLog, withLog } from './log-stat.js'

/** What lies between two ranges is read with them when it is less than this: a read costs as much as 64 KiB of it. */
const GAP = 2 ** 16

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
