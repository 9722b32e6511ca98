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
  leaf?: string | null,
]
type KeptLine = readonly [file: number, offset: number, length: number, line: number, crc: number, isAnswer: 0 | 1]

/** Lines that are kept at most, of one message and of all. */
const LINES = 64
const ALL_LINES = 384

/** The last ones with their lines, as far as these are not too many. */
export function inShort(messages: readonly LogMessage[]): readonly KeptMessage[] {
  let left = ALL_LINES
  const kept: KeptMessage[] = new Array(messages.length)
  for (let at = messages.length - 1; at >= 0; at--) {
    const message = messages[at] as LogMessage
    const same = message instanceof RememberedMessage ? message.unchanged : undefined
    const count = same === undefined ? message.lines.length : (same[LINES_AT]?.length ?? 0)
    const fits = count <= Math.min(LINES, left)
    if (fits) left -= count
    kept[at] = same !== undefined && (fits || same[LINES_AT] === null) ? same : shortOf(message, fits)
  }
  return kept
}

function shortOf({ id, order, created, parent, open, trait, lines, leaf }: LogMessage, fits: boolean): KeptMessage {
  const kept = [id, order, created, parent ?? null, open ? 1 : 0, trait ?? null, fits ? lines.map(lineInShort) : null] as const
  return leaf === undefined ? kept : [...kept, leaf]
}

function lineInShort({ file, offset, length, line, crc, use }: UsedLine): KeptLine {
  return [file, offset, length, line, crc, use === 'answer' ? 1 : 0]
}

const LINES_AT = 6
const LEAF_AT = 7

/** Of the messages that a cursor remembers few go on, and the next cursor remembers most of them again: hence made of what was kept, and kept as it was. */
export class RememberedMessage implements LogMessage {
  readonly id: MessageId
  readonly order: number
  readonly created: number
  readonly parent: MessageId | undefined
  readonly trait: LogTrait | undefined
  open: boolean
  leaf: MessageId | null | undefined
  readonly #kept: KeptMessage
  #lines: UsedLine[] | undefined

  constructor(kept: KeptMessage) {
    const [id, order, created, parent, open, trait, , leaf] = kept
    this.id = parseMessageId(id)
    this.order = order
    this.created = created
    this.parent = idOf(parent)
    this.trait = trait ?? undefined
    this.open = open === 1
    this.leaf = leaf === null ? null : idOf(leaf ?? null)
    this.#kept = kept
  }

  get lines(): UsedLine[] {
    this.#lines ??= (this.#kept[LINES_AT] ?? []).map(([file, offset, length, line, crc, isAnswer]) =>
      used({ file, offset, length, line, crc }, isAnswer === 1 ? 'answer' : 'own'),
    )
    return this.#lines
  }

  /** Its lines were too many to be kept. */
  get isCut(): boolean {
    return (this.#kept[LINES_AT]?.length ?? 0) === 0
  }

  /** What was kept of it, while that still says what it is: lines are added, never taken away. */
  get unchanged(): KeptMessage | undefined {
    const isAsKept = this.open === (this.#kept[4] === 1) && this.leaf === this.#kept[LEAF_AT]
    const isSame = isAsKept && (this.#lines === undefined || this.#lines.length === (this.#kept[LINES_AT]?.length ?? 0))
    return isSame ? this.#kept : undefined
  }
}

/** Written out: spread, it costs as much as finding the line. */
export function used({ file, offset, length, line, crc, parsed }: LogLine, use: LineUse): UsedLine {
  return { file, offset, length, line, crc, parsed, use }
}

export function idOf(text: string | null): MessageId | undefined {
  return text === null ? undefined : parseMessageId(text)
}
