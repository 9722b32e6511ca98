/**
 * Entries of pi's logs as messages: results of tools with the calls they answer, and the tree of entries through those that say
 * nothing. Entries of version 1 have no ids and follow one another.
 */
import { crc32 } from 'node:zlib'
import type { MessageId } from '../../core/ids.js'
import { LineFields } from './line-fields.js'
import { COPIES, isCopy, link, messageId, ownId, setTip, tipOf } from './log-chain.js'
import type { LogIndex, LogLine, LogMessage, Sum } from './log-index.js'

const TYPE = 0
const ID = 1
const PARENT = 2
const TIME = 3
const ORIGIN = 4
const BRANCHED = 5
const ROLE = 6
const ANSWERED = 7
const SENT = 8
const BLOCK_TYPE = 9
const BLOCK_ID = 10

/** The calls of the entry that was skimmed last. */
const calls: string[] = []

/** Synchronous, as all reading of lines is: one for all logs. */
const ENTRY = new LineFields({
  type: TYPE,
  id: ID,
  parentId: PARENT,
  timestamp: TIME,
  parentSession: ORIGIN,
  branchedFrom: BRANCHED,
  message: {
    role: ROLE,
    toolCallId: ANSWERED,
    timestamp: SENT,
    content: {
      each: { type: BLOCK_TYPE, id: BLOCK_ID },
      begin: () => {
        calls.length = 0
      },
      end: () => {
        if (ENTRY.now.text(BLOCK_TYPE) !== 'toolCall') return
        const id = ENTRY.now.text(BLOCK_ID)
        if (id !== undefined) calls.push(id)
      },
    },
  },
})

/** Types of entries that say nothing of the conversation; all but the header are links of its chain. */
const SAY_NOTHING: ReadonlyMap<string, string> = new Map([
  ['model_change', 'changes of the model'],
  ['thinking_level_change', 'changes of the model'],
  ['custom', 'data of extensions'],
  ['label', 'labels'],
  ['session_info', 'names of the session'],
])

interface Link {
  readonly id: string | undefined
  readonly time: number | undefined
  readonly content: Sum
}

export function readPi(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  if (!ENTRY.read(bytes, start, end, line, log)) {
    log.damaged(line)
    return
  }
  const type = ENTRY.now.text(TYPE)
  const time = ENTRY.now.time(TIME) ?? ENTRY.now.time(SENT)
  if (type === 'session') {
    takeHeader(time, line, log)
    return
  }
  const id = ownId(ENTRY.now.text(ID))
  const content = log.sum(() => (log.lasting ? crc32(bytes.subarray(start, end)) : line.crc))
  if (id !== undefined && isCopy(log, id, time, content)) log.ignore(line, COPIES)
  else take(type, { id, time, content }, line, log)
}

/** A fork begins with a copy of what it was forked from: all that is older than its header. */
function takeHeader(time: number | undefined, line: LogLine, log: LogIndex): void {
  if (time !== undefined && (ENTRY.now.isText(ORIGIN) || ENTRY.now.isText(BRANCHED))) log.notes.forked = time
  log.ignore(line, 'headers of the session')
}

function take(type: string | undefined, entry: Link, line: LogLine, log: LogIndex): void {
  const reason = type === undefined ? undefined : SAY_NOTHING.get(type)
  if (reason !== undefined) {
    const parent = parentOf(log)
    join(entry, parent, log)
    if (isFollowed(log)) log.moveLeaf(parent)
    log.ignore(line, reason)
    return
  }
  if (ENTRY.now.text(ROLE) === 'toolResult') {
    const answered = ENTRY.now.text(ANSWERED)
    const caller = answered === undefined ? undefined : log.answer(answered)
    if (caller !== undefined) {
      log.add(caller, line, 'answer')
      const parent = parentOf(log) ?? caller.id
      join(entry, parent, log)
      log.moveLeaf(parent)
      return
    }
  }
  const message = begin(entry, line, log)
  for (const call of calls) log.call(call, message)
}

function begin(entry: Link, line: LogLine, log: LogIndex): LogMessage {
  const { forked } = log.notes
  const isInherited = typeof forked === 'number' && entry.time !== undefined && entry.time < forked
  const message = log.begin(
    { id: messageId(log, entry.id, line), created: entry.time, parent: parentOf(log), trait: isInherited ? 'inherited' : undefined },
    line,
  )
  setTip(log, message)
  join(entry, message.id, log)
  return message
}

function join({ id, time, content }: Link, message: MessageId | undefined, log: LogIndex): void {
  if (id !== undefined) link(log, id, message, time, content)
}

/** The leaf is the entry that was appended last; what follows nothing that is there does not move it. */
function isFollowed(log: LogIndex): boolean {
  const { now } = ENTRY
  return !now.has(PARENT) || now.is(PARENT, null) || log.entry(now.text(PARENT) ?? '') !== undefined
}

/** Without a parent of its own an entry follows the one before. */
function parentOf(log: LogIndex): MessageId | undefined {
  return ENTRY.now.has(PARENT) ? log.follow(ENTRY.now.text(PARENT)) : tipOf(log)
}
