/** What a cursor remembers of a log's messages: their places in few words, so that it stays small however long the log is. */
import { type MessageId, parseMessageId } from '../../core/ids.js'
import type { LogTrait } from '../store.js'
import type { LineUse, LogLine, LogMessage, UsedLine } from './log-index.js'

/** The end of a log, as plain data: what going on with it needs. */
export interface LogMemory {
  readonly count: number
  readonly messages: readonly KeptMessage[]
  readonly entries: readonly (readonly [id: string, message: string | null, content: number])[]
  readonly calls: readonly (readonly [id: string, message: string])[]
  readonly groups: readonly (readonly [name: string, message: string])[]
  readonly notes: Readonly<Record<string, unknown>>
}

/** A message in short. Null in the place of its lines: they are too many to be kept. */
export type KeptMessage = readonly [
  id: string,
  order: number,
  created: number,
  parent: string | null,
  open: 0 | 1,
  trait: LogTrait | null,
  lines: readonly KeptLine[] | null,
]
type KeptLine = readonly [file: number, offset: number, length: number, line: number, crc: number, isAnswer: 0 | 1]

/** Lines that are kept at most, of one message and of all. */
const LINES = 64
const ALL_LINES = 384

/** The last ones with their lines, as far as these are not too many. */
export function inShort(messages: readonly LogMessage[]): readonly KeptMessage[] {
  let left = ALL_LINES
  const kept = [...messages].reverse().map(({ id, order, created, parent, open, trait, lines }): KeptMessage => {
    const fits = lines.length <= Math.min(LINES, left)
    if (fits) left -= lines.length
    return [id, order, created, parent ?? null, open ? 1 : 0, trait ?? null, fits ? lines.map(lineInShort) : null]
  })
  return kept.reverse()
}

function lineInShort({ file, offset, length, line, crc, use }: UsedLine): KeptLine {
  return [file, offset, length, line, crc, use === 'answer' ? 1 : 0]
}

export function messageOf([id, order, created, parent, open, trait, lines]: KeptMessage): LogMessage {
  return {
    id: parseMessageId(id),
    order,
    created,
    parent: idOf(parent),
    lines: (lines ?? []).map(([file, offset, length, line, crc, isAnswer]) =>
      used({ file, offset, length, line, crc }, isAnswer === 1 ? 'answer' : 'own'),
    ),
    open: open === 1,
    trait: trait ?? undefined,
  }
}

/** Written out: spread, it costs as much as finding the line. */
export function used({ file, offset, length, line, crc, parsed }: LogLine, use: LineUse): UsedLine {
  return { file, offset, length, line, crc, parsed, use }
}

export function idOf(text: string | null): MessageId | undefined {
  return text === null ? undefined : parseMessageId(text)
}
