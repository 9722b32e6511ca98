/**
 * jcode's sessions put together: messages of a snapshot, then those that the lines of a journal append. A journal that should have gone
 * with the last snapshot repeats its messages: by their ids they are known for copies, or for older versions of what is there.
 * A journal line that a crash tore may go on with the next entry: every whole entry in it is saved.
 */
import { crc32 } from 'node:zlib'
import { jcodeIdTime } from '../../core/agents/jcode.js'
import { isSafeId, parseMessageId } from '../../core/ids.js'
import { isoTime } from './iso-time.js'
import type { SplitDocument } from './log-adapter.js'
import { COPIES, isCopy, link, ownId } from './log-chain.js'
import { type LogIndex, type LogLine, type LogMessage, lineId } from './log-index.js'
import { Skim } from './skim.js'
import type { SkimShape } from './skim-shape.js'
import { Words } from './words.js'

const [ID, ROLE, TIME, META, UPDATED, APPENDED, BLOCK, BLOCK_ID, CALL] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const

/** What the blocks of the message that is read are. */
const blocks = { calls: [] as string[], results: [] as string[], others: 0 }
const KINDS = new Words<'call' | 'result'>({ tool_use: 'call', tool_result: 'result' })

const SHAPE: SkimShape = {
  meta: META,
  append_messages: APPENDED,
  id: ID,
  role: ROLE,
  timestamp: TIME,
  content: {
    each: { type: BLOCK, id: BLOCK_ID, tool_use_id: CALL },
    end: () => {
      const kind = KINDS.in(message, BLOCK)
      const id = kind === undefined ? undefined : message.plain(kind === 'call' ? BLOCK_ID : CALL)
      if (kind === 'result') blocks.results.push(id ?? '')
      else if (kind === undefined) blocks.others++
      else if (id !== undefined) blocks.calls.push(id)
    },
  },
}
/** A message, or an entry of a journal. */
const message: Skim = new Skim(SHAPE)
const salvaged = new Skim({ meta: { updated_at: UPDATED }, append_messages: APPENDED })

/** `bytes` is a message of a snapshot, or a line of a journal. */
export function readJcodeLine(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  if (!isWhole(bytes, start, end)) salvage(bytes, start, end, line, log)
  else if (message.has(APPENDED) || (message.has(META) && !message.has(ROLE))) append(bytes, message, start, line, line, log)
  else readMessage(line, log)
}

function isWhole(bytes: Buffer, start: number, end: number): boolean {
  blocks.calls = []
  blocks.results = []
  blocks.others = 0
  return message.whole(bytes, start, end)
}

/** `line` begins at `start`; the entry is `own`, the line or a range of it. */
function append(bytes: Buffer, { from, to }: Skim, start: number, line: LogLine, own: LogLine, log: LogIndex): void {
  const list = from[APPENDED] as number
  const listEnd = to[APPENDED] as number
  let count = 0
  if (list >= 0 && bytes[list] === OPEN_BRACKET) {
    eachItem(bytes, list, listEnd, (itemFrom, itemTo) => {
      count++
      const own = part(bytes, start, itemFrom, itemTo, line)
      if (isWhole(bytes, itemFrom, itemTo)) readMessage(own, log)
      else log.damaged(own)
    })
  }
  if (count === 0) log.ignore(own, 'states of the session')
}

/** A range inside a line, as a line. */
function part(bytes: Buffer, start: number, from: number, to: number, line: LogLine): LogLine {
  return { file: line.file, offset: line.offset + from - start, length: to - from, line: line.line, crc: crc32(bytes.subarray(from, to)) }
}

const ENTRY = Buffer.from('{"meta":')

/** Walks that lead to no entry go over so many bytes together, for each of the line: a line may be nothing but beginnings. */
const WALKS = 64

/** Entries of a damaged line that are whole. What stands before and between them is damage. */
function salvage(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  let left = start
  let walked = 0
  for (let at = bytes.indexOf(ENTRY, start); at >= 0 && at < end && walked <= WALKS * (end - start); ) {
    const after = salvaged.run(bytes, at, end)
    const isEntry = after >= 0 && (salvaged.has(UPDATED) || salvaged.has(APPENDED))
    if (isEntry) {
      damaged(bytes, start, left, at, line, log)
      append(bytes, salvaged, start, line, part(bytes, start, at, after, line), log)
      left = after
    } else walked += end - at
    at = bytes.indexOf(ENTRY, isEntry ? after : at + 1)
  }
  damaged(bytes, start, left, end, line, log)
}

function damaged(bytes: Buffer, start: number, from: number, to: number, line: LogLine, log: LogIndex): void {
  let first = from
  while (first < to && isBlank(bytes[first])) first++
  let last = to
  while (last > first && isBlank(bytes[last - 1])) last--
  if (first === start && last === start + line.length) log.damaged(line)
  else if (first < last) log.damaged(part(bytes, start, first, last, line))
}

/** The message that was walked over. */
function readMessage(line: LogLine, log: LogIndex): void {
  const id = ownId(message.plain(ID))
  const time = isoTime(message.bytes, message.from[TIME] as number, message.to[TIME] as number)
  if (id !== undefined) readNamed(id, time ?? jcodeIdTime(id), line, log)
  else place(lineId(line), time, line, log)
}

function readNamed(id: string, time: number | undefined, line: LogLine, log: LogIndex): void {
  const content = contentOf(line)
  if (isCopy(log, id, time, content)) {
    log.ignore(line, COPIES)
    return
  }
  // Only a journal that is older than the snapshot repeats an id: jcode drops what it repeats.
  if (log.entry(id) !== undefined) log.ignore(line, 'older versions in the journal')
  else link(log, id, place(id, time, line, log).id, time, content)
}

/** Length and checksum in one number. */
function contentOf({ length, crc }: LogLine): number {
  return crc * 2 ** 20 + (length % 2 ** 20)
}

/** Results alone are no message where their calls are known. */
function place(id: string, time: number | undefined, line: LogLine, log: LogIndex): LogMessage {
  const callers = new Set<LogMessage>()
  let unknown = 0
  const own = new Set(blocks.calls)
  for (const call of blocks.results) {
    if (own.has(call)) continue
    const caller = log.answer(call)
    if (caller === undefined) unknown++
    else callers.add(caller)
  }
  for (const caller of callers) log.add(caller, line, 'answer')
  const [first] = callers
  if (first !== undefined && unknown === 0 && blocks.others === 0 && blocks.calls.length === 0) return first
  const { tip } = log.notes
  const parent = isSafeId(tip) ? parseMessageId(tip) : undefined
  const begun = log.begin({ id, created: time, parent }, line)
  log.notes.tip = begun.id
  // What it answers of calls that nobody knows, it shows itself.
  if (unknown > 0 && blocks.others > 0) log.add(begun, line, 'answer')
  register(begun, log)
  return begun
}

function register(caller: LogMessage, log: LogIndex): void {
  const answered = new Set(blocks.results)
  for (const call of blocks.calls) if (!answered.has(call)) log.call(call, caller)
}

const LONG_LISTS = ['messages', 'env_snapshots', 'memory_injections', 'replay_events'] as const
const snapshot = new Skim(Object.fromEntries(LONG_LISTS.map((name, slot) => [name, slot])))
const MESSAGES = 0
/** A prompt longer than so many bytes is left out of what is light; and so many are kept, since the first ones may be jcode's own. */
const PROMPT = 2 ** 16
const PROMPTS = 4

/** The messages of a snapshot, and what is light in it; the first prompts are left in, since a session may go by them. */
export function splitJcode(bytes: Buffer): SplitDocument | undefined {
  if (!snapshot.whole(bytes, 0, bytes.length)) return undefined
  const lists = LONG_LISTS.flatMap((_, slot) => {
    const from = snapshot.from[slot] as number
    return from < 0 || bytes[from] !== OPEN_BRACKET ? [] : [{ slot, from, to: snapshot.to[slot] as number }]
  })
  const messages: { start: number; end: number }[] = []
  const list = lists.find(({ slot }) => slot === MESSAGES)
  if (list !== undefined) eachItem(bytes, list.from, list.to, (start, end) => messages.push({ start, end }))
  const prompts = promptsAmong(bytes, messages).join(',')
  const rest: Uint8Array[] = []
  let at = 0
  for (const { slot, from, to } of lists.sort((a, b) => a.from - b.from)) {
    rest.push(bytes.subarray(at, from + 1))
    if (slot === MESSAGES) rest.push(Buffer.from(prompts))
    at = to - 1
  }
  rest.push(bytes.subarray(at))
  return { messages, rest: Buffer.concat(rest) }
}

function promptsAmong(bytes: Buffer, messages: SplitDocument['messages']): readonly string[] {
  const prompts: string[] = []
  for (const { start, end } of messages) {
    if (prompts.length === PROMPTS) break
    if (end - start <= PROMPT && isAsked(bytes, start, end)) prompts.push(bytes.toString('utf8', start, end))
  }
  return prompts
}

const USER = new Words<true>({ user: true })

function isAsked(bytes: Buffer, start: number, end: number): boolean {
  return isWhole(bytes, start, end) && USER.in(message, ROLE) === true && blocks.others > 0
}

const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c

/** The items of a whole list, whatever they are; `from` is the bracket that opens it, `to` is behind the one that closes it. */
function eachItem(bytes: Buffer, from: number, to: number, take: (start: number, end: number) => void): void {
  const close = to - 1
  for (let at = from + 1; at < close; ) {
    if (isBlank(bytes[at]) || bytes[at] === COMMA) at++
    else {
      const end = itemEnd(bytes, at, close)
      take(at, end)
      at = end
    }
  }
}

function itemEnd(bytes: Buffer, start: number, close: number): number {
  let depth = 0
  let at = start
  for (; at < close; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) at = closing(bytes, at)
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
    else if (byte === COMMA && depth === 0) break
  }
  let end = Math.min(at, close)
  while (end > start && isBlank(bytes[end - 1])) end--
  return end
}

/** The quote that closes a string. */
function closing(bytes: Buffer, open: number): number {
  for (let at = bytes.indexOf(QUOTE, open + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
    let escapes = at
    while (bytes[escapes - 1] === BACKSLASH) escapes--
    if ((at - escapes) % 2 === 0) return at
  }
  return bytes.length
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}
