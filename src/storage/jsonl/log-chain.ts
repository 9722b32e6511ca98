/**
 * The chain that lines with ids form, and copies of lines: Claude Code writes lines again after a compaction or a resume, with
 * the ids and the times that they had, but often with another parent, version or branch.
 *
 * A resumed index does not remember every id. It knows a line for new all the same when it is later than all that were read,
 * since a copy keeps its time; of any other line it may not guess. (That an id which it forgot now names something else it cannot see.)
 */
import { isSafeId, type MessageId, parseMessageId } from '../../core/ids.js'
import { type LogEntry, type LogIndex, type LogLine, type LogMessage, lineId, type Sum } from './log-index.js'

/** So many of the last links a resumed index remembers for certain. */
const REMEMBERED = 64

export const COPIES = 'copies of earlier lines'

/** An id is no longer than so many characters: it stands in keys, in cursors and on the screen. */
const LONGEST_ID = 512

/** The id that a line gives itself, its session or another one; undefined where it has none, or one that cannot be used. */
export function ownId(text: unknown): string | undefined {
  return isSafeId(text) && text.length <= LONGEST_ID ? text : undefined
}

/** Whether the line stood in the log before and said the same. The one that is there first counts. */
export function isCopy(log: LogIndex, id: string, time: number | undefined, content: Sum): boolean {
  const entry = log.entry(id)
  if (entry !== undefined) return entry.content === made(content)
  // The id is not known: a resumed index may have forgotten it.
  if (!isLatest(log, time)) log.needsPast('a new line may be a copy of one before the cursor')
  return false
}

/** The id of a message that begins with the line: the line's own, unless another line of the log has it too. */
export function messageId(log: LogIndex, id: string | undefined, line: LogLine): string {
  if (id === undefined) return lineId(line)
  return log.entry(id) === undefined ? id : `${id}${lineId(line)}`
}

/** Remembers the message that was begun last, damage left out. */
export function setTip({ notes }: LogIndex, { id }: LogMessage): void {
  notes.tip = id
}

/** The message that a line without a parent of its own follows. */
export function tipOf({ notes: { tip } }: LogIndex): MessageId | undefined {
  return isSafeId(tip) ? parseMessageId(tip) : undefined
}

/** Adds the link to the chain. `content`: a checksum of what the line says. */
export function link(log: LogIndex, id: string, message: MessageId | undefined, time: number | undefined, content: Sum): void {
  const { notes } = log
  // An id that is there already keeps its place among the links, which may be one that is soon forgotten.
  const isAgain = !log.enter(id, typeof content === 'number' ? { message, content } : new LaterEntry(message, content))
  if (time !== undefined && time > latest(log)) {
    notes.latest = time
    notes.since = 0
  }
  notes.since = isAgain ? REMEMBERED : sinceLatest(log) + 1
}

/** A link whose checksum is made when it is asked for. */
class LaterEntry implements LogEntry {
  readonly message: MessageId | undefined
  readonly #make: () => number

  constructor(message: MessageId | undefined, make: () => number) {
    this.message = message
    this.#make = make
  }

  get content(): number {
    return this.#make()
  }
}

function made(sum: Sum): number {
  return typeof sum === 'number' ? sum : sum()
}

/**
 * True when no line that was forgotten can have this time: it is later than every other one, or one of those that have
 * the latest time, as long as all of these are remembered.
 */
function isLatest(log: LogIndex, time: number | undefined): boolean {
  if (time === undefined) return false
  return time > latest(log) || (time === latest(log) && sinceLatest(log) < REMEMBERED)
}

function latest({ notes }: LogIndex): number {
  return typeof notes.latest === 'number' ? notes.latest : -1
}

/** How many links were added since the latest time was first seen. */
function sinceLatest({ notes }: LogIndex): number {
  return typeof notes.since === 'number' ? notes.since : 0
}
