/** Lines of a log as leaves: read in few reads, or seen through a map of their file. A line that is not what it was is stale. */
import { crc32 } from 'node:zlib'
import { systemCode } from '../../core/errors.js'
import type { EntityKey } from '../../core/keys.js'
import { fileIssue, rewritten } from '../files/file-issues.js'
import type { Generation } from '../generation.js'
import type { FileMaps } from '../maps/file-maps.js'
import { MappedSpan } from '../maps/mapped-span.js'
import type { SharedBytes, Slab } from '../slab.js'
import { SlabSpan } from '../span.js'
import type { Leaf, StoreWork } from '../store.js'
import { KeptSpan } from './kept-lines.js'
import { sourceOf } from './line-names.js'
import type { LogRange } from './log-bytes.js'
import type { LogLine, UsedLine } from './log-index.js'
import { readRanges } from './log-ranges.js'
import type { LogView, ViewedFile } from './log-view.js'

/** A line longer than so many bytes is told, and never opened. */
export const MAX_LINE = 32 * 2 ** 20

export interface LineRead {
  readonly key: EntityKey
  readonly line: UsedLine
  /** The version that is asked for; undefined: whatever is there. */
  readonly generation: Generation | undefined
}

export interface LeavesOptions {
  readonly maps: FileMaps
  readonly work: StoreWork
  readonly signal?: AbortSignal | undefined
}

/** One leaf per read, in order. The slab shares the texts of the view. */
export async function openLines(view: LogView, reads: readonly LineRead[], slab: Slab, options: LeavesOptions): Promise<readonly Leaf[]> {
  const leaves: Leaf[] = new Array(reads.length)
  for (const [at, viewed] of view.files.entries()) {
    const text = view.texts?.[at]
    if (text !== undefined) {
      openKept(text, viewed.file.path, at, reads, leaves, slab)
      continue
    }
    const own: number[] = []
    for (let place = 0; place < reads.length; place++) if (reads[place]?.line.file === at) own.push(place)
    if (own.length > 0) await openFile(viewed, own, reads, leaves, slab, options)
  }
  return leaves
}

/** From the bytes that were kept, which are those that were indexed: no I/O, and nothing to check. */
function openKept({ bytes }: SharedBytes, path: string, file: number, reads: readonly LineRead[], leaves: Leaf[], slab: Slab): void {
  const kept = { path, bytes, slab }
  for (let place = 0; place < reads.length; place++) {
    const { key, line } = reads[place] as LineRead
    if (line.file === file) leaves[place] = { span: new KeptSpan(key, false, line, kept) }
  }
}

async function openFile(
  viewed: ViewedFile,
  own: readonly number[],
  reads: readonly LineRead[],
  leaves: Leaf[],
  slab: Slab,
  options: LeavesOptions,
): Promise<void> {
  const { file, stat, stays } = viewed
  const readable: number[] = []
  let mapped = 0
  for (const place of own) {
    const { key, line, generation } = reads[place] as LineRead
    if (line.length > MAX_LINE) {
      leaves[place] = { issue: tooLong(key, file.path, line) }
      continue
    }
    if (stays !== undefined && isWithin(line, stays)) {
      const start = stays.start + line.offset - stays.offset
      leaves[place] = { span: new SlabSpan(key, sourceOf(file.path, line), generation, slab, start, line.length, stays.chunk) }
      continue
    }
    const map = file.packed || stat === undefined ? undefined : options.maps.open(file.path, stat, line.length)
    if (map === undefined) {
      readable.push(place)
      continue
    }
    const span = new MappedSpan(key, sourceOf(file.path, line), generation, slab, map, line.offset, line.length)
    leaves[place] = checked(() => crc32(span.bytes()), line, { span }, key, file.path)
    mapped += line.length
  }
  if (mapped > 0) {
    options.work.files++
    options.work.bytes += mapped
  }
  if (readable.length === 0) return
  try {
    const ranges = readable.map((place) => (reads[place] as LineRead).line)
    const found = await readRanges(file, ranges, slab, { work: options.work, signal: options.signal })
    for (const [at, place] of readable.entries()) {
      const { key, line, generation } = reads[place] as LineRead
      const bytes = found[at]
      if (bytes === undefined) {
        leaves[place] = { issue: rewritten(key, file.path) }
        continue
      }
      const span = new SlabSpan(key, sourceOf(file.path, line), generation, slab, bytes.start, line.length, bytes.chunk)
      leaves[place] = checked(() => crc32(bytes.chunk.subarray(bytes.start, bytes.start + line.length)), line, { span }, key, file.path)
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    for (const place of readable) leaves[place] = { issue: fileIssue(error, (reads[place] as LineRead).key, file.path) }
  }
}

function isWithin({ offset, length }: LogLine, range: LogRange): boolean {
  return offset >= range.offset && offset + length <= range.offset + range.length
}

/** Bytes that are not those that were indexed are never given (law 1). */
function checked(sum: () => number, { crc }: LogLine, leaf: Leaf, key: EntityKey, path: string): Leaf {
  try {
    return crc === 0 || sum() === crc ? leaf : { issue: rewritten(key, path) }
  } catch {
    return { issue: rewritten(key, path) }
  }
}

function tooLong(key: EntityKey, path: string, { offset, length, line }: LogLine): Leaf['issue'] & object {
  return { code: 'UNREADABLE_RECORD', key, path, offset, line, reason: `the line is longer than ${MAX_LINE / 2 ** 20} MiB (${length} bytes)` }
}
