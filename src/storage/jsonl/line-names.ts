/** What a line of a log goes by: its version, its part, and where it stands. */
import { type PartId, parsePartId } from '../../core/ids.js'
import type { EntityKey } from '../../core/keys.js'
import type { Generation } from '../generation.js'
import type { SpanSource } from '../span.js'
import { type LogIndex, type LogLine, lineId, type UsedLine } from './log-index.js'

/** Offset, length and checksum: a line that was copied, rotated or compressed with its log keeps its generation. */
export function lineGeneration({ offset, length, crc }: LogLine): Generation {
  return `${offset}:${length}:${crc.toString(36)}` as Generation
}

/** What a further line of a message goes by. */
export function linePart(line: LogLine): PartId {
  return parsePartId(lineId(line))
}

export function sourceOf(path: string, { offset, line, use }: UsedLine): SpanSource {
  return use === 'answer' ? { path, offset, line, type: use } : { path, offset, line }
}

/** A message's own line, or the further one that a part's key names. */
export function lineOf(log: LogIndex, key: EntityKey): UsedLine | undefined {
  if (key.kind === 'session') return undefined
  const lines = log.find(key.message)?.lines
  if (key.kind === 'message') return lines?.[0]
  // By numbers: a message may have thousands of lines, and each is asked for.
  const [, file = 0, offset] = /^@(?:(\d+)\.)?(\d+)$/.exec(key.part)?.map(Number) ?? []
  return lines?.find((line, at) => at > 0 && line.offset === offset && line.file === (file || 0) && lineId(line) === key.part)
}
