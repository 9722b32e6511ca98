/** A document's messages taken into the index, each in the place of a line; between them what of it is damaged. */
import { crc32 } from 'node:zlib'
import type { DocumentRange, LogAdapter, SplitDocument } from './log-adapter.js'
import type { LogIndex, LogLine } from './log-index.js'

const NOTHING: SplitDocument = { messages: [], others: [], rest: Buffer.alloc(0) }

/** `at`: which of the session's files it is. `summed`: its lines are opened from the file, later. Returns what it has no bytes for. */
export function readDocumentBytes(bytes: Buffer, at: number, summed: boolean, adapter: LogAdapter, log: LogIndex): SplitDocument['flaw'] {
  const { messages, damage = [], others, flaw } = adapter.split?.(bytes) ?? adapter.rescue?.(bytes) ?? NOTHING
  const lineOf = ({ start, end }: DocumentRange, line: number): LogLine => {
    const crc = summed ? crc32(bytes.subarray(start, end)) : 0
    return { file: at, offset: start, length: end - start, line, crc, parsed: undefined }
  }
  const damaged = new Set(damage)
  const ranges = damage.length === 0 ? messages : [...messages, ...damage].sort((a, b) => a.start - b.start)
  for (const [place, range] of ranges.entries()) {
    const line = lineOf(range, place + 1)
    if (damaged.has(range)) log.damaged(line)
    else adapter.read(bytes, range.start, range.end, line, log)
  }
  for (const other of others) log.ignore(lineOf(other, ranges.length + 1), other.reason)
  return flaw
}
