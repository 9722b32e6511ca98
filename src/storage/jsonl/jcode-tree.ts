/**
 * jcode's sessions put together: messages of a snapshot, then those that the lines of a journal append. A journal that should have gone
 * with the last snapshot repeats its messages: by their ids they are known for copies, or for older versions of what is there.
 * A journal line that a crash tore may go on with the next entry: every whole entry in it is saved.
 */
import { crc32 } from 'node:zlib'
import { jcodeIdTime } from '../../core/agents/jcode.js'
import { isSafeId, parseMessageId } from '../../core/ids.js'
import { begins } from './json-bytes.js'
import { LineFields } from './line-fields.js'
import { COPIES, isCopy, link, ownId } from './log-chain.js'
import { type LogIndex, type LogLine, type LogMessage, lineId, type Sum } from './log-index.js'
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
    begin: () => {
      blocks.calls = []
      blocks.results = []
      blocks.others = 0
    },
    end: () => {
      const { now } = message
      const kind = now.word(KINDS, BLOCK)
      const id = kind === undefined ? undefined : now.text(kind === 'call' ? BLOCK_ID : CALL)
      if (kind === 'result') blocks.results.push(id ?? '')
      else if (kind === undefined) blocks.others++
      else if (id !== undefined) blocks.calls.push(id)
    },
  },
}
/** A message, or an entry of a journal. */
const message: LineFields = new LineFields(SHAPE)
const salvaged = new Skim({ meta: { updated_at: UPDATED }, append_messages: APPENDED })

/** `bytes` is a message of a snapshot, or a line of a journal. */
export function readJcodeLine(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  if (begins(bytes, start, end, ENTRY) || !message.read(bytes, start, end, line, log) || isEntry()) readEntry(bytes, start, end, line, log)
  else readMessage(bytes, start, line, log)
}

/** A line of a journal, or what is left of one: where its messages stand only its bytes tell. */
function readEntry(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  line.parsed = undefined
  if (!message.readBytes(bytes, start, end)) salvage(bytes, start, end, line, log)
  else if (isEntry()) append(bytes, message.skim, start, line, line, log)
  else readMessage(bytes, start, line, log)
}

function isEntry(): boolean {
  const { now } = message
  return now.has(APPENDED) || (now.has(META) && !now.has(ROLE))
}

/** `line` begins at `start`; the entry is `own`, the line or a range of it. */
function append(bytes: Buffer, { from, to }: Skim, start: number, line: LogLine, own: LogLine, log: LogIndex): void {
  const list = from[APPENDED] as number
  const listEnd = to[APPENDED] as number
  let count = 0
  if (list >= 0 && bytes[list] === OPEN_BRACKET) {
    eachItem(bytes, list, listEnd, (itemFrom, itemTo) => {
      count++
      const own = part(bytes, start, itemFrom, itemTo, line, log)
      if (message.read(bytes, itemFrom, itemTo, own, log)) readMessage(bytes, itemFrom, own, log, true)
      else log.damaged(own)
    })
  }
  if (count === 0) log.ignore(own, 'states of the session')
}

/** A range inside a line, as a line. */
function part(bytes: Buffer, start: number, from: number, to: number, line: LogLine, log: LogIndex): LogLine {
  const crc = log.lasting ? 0 : crc32(bytes.subarray(from, to))
  return { file: line.file, offset: line.offset + from - start, length: to - from, line: line.line, crc, parsed: undefined }
}

const ENTRY = Buffer.from('{"meta":')

/** Walks that lead to no entry go over so many bytes together, for each of the line: a line may be nothing but beginnings. */
const WALKS = 64

/** Entries of a damaged line that are whole. What stands before and between them is damage. */
function salvage(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  let left = start
  let walked = 0
  // What is behind the line may be a whole snapshot: it is not searched for each of its messages.
  const text = bytes.subarray(0, end)
  for (let at = text.indexOf(ENTRY, start); at >= 0 && walked <= WALKS * (end - start); ) {
    const after = salvaged.run(bytes, at, end)
    const isEntry = after >= 0 && (salvaged.has(UPDATED) || salvaged.has(APPENDED))
    if (isEntry) {
      damaged(bytes, start, left, at, line, log)
      append(bytes, salvaged, start, line, part(bytes, start, at, after, line, log), log)
      left = after
    } else walked += end - at
    at = text.indexOf(ENTRY, isEntry ? after : at + 1)
  }
  damaged(bytes, start, left, end, line, log)
}

function damaged(bytes: Buffer, start: number, from: number, to: number, line: LogLine, log: LogIndex): void {
  let first = from
  while (first < to && isBlank(bytes[first])) first++
  let last = to
  while (last > first && isBlank(bytes[last - 1])) last--
  if (first === start && last === start + line.length) log.damaged(line)
  else if (first < last) log.damaged(part(bytes, start, first, last, line, log))
}

/** The message that was walked over. */
function readMessage(bytes: Buffer, start: number, line: LogLine, log: LogIndex, isOfJournal = false): void {
  const id = ownId(message.now.text(ID))
  const time = message.now.time(TIME)
  if (id !== undefined) readNamed(id, time ?? jcodeIdTime(id), contentOf(bytes, start, line, log), line, log, isOfJournal)
  else place(lineId(line), time, line, log)
}

function readNamed(id: string, time: number | undefined, content: Sum, line: LogLine, log: LogIndex, isOfJournal: boolean): void {
  if (isCopy(log, id, time, content)) {
    log.ignore(line, COPIES)
    return
  }
  // An id is one message's: of two that have it jcode drops the second, in the snapshot and in a journal older than that.
  if (log.entry(id) !== undefined) log.ignore(line, isOfJournal ? 'older versions in the journal' : 'messages with the id of an earlier one')
  else link(log, id, place(id, time, line, log).id, time, content)
}

/** Length and checksum in one number. */
function contentOf(bytes: Buffer, start: number, { length, crc }: LogLine, { lasting }: LogIndex): Sum {
  const of = (sum: number): number => sum * 2 ** 20 + (length % 2 ** 20)
  return lasting ? () => of(crc32(bytes.subarray(start, start + length))) : of(crc)
}

/** Results alone are no message where their calls are known. */
function place(id: string, time: number | undefined, line: LogLine, log: LogIndex): LogMessage {
  const { calls, results, others } = blocks
  const own = results.length === 0 ? NONE : new Set(calls)
  const answered = calls.length === 0 ? NONE : new Set(results)
  const callers = new Set<LogMessage>()
  let unknown = 0
  for (const call of results) {
    if (own.has(call)) continue
    const caller = log.answer(call)
    if (caller === undefined) unknown++
    else callers.add(caller)
  }
  for (const caller of callers) log.add(caller, line, 'answer')
  const [first] = callers
  if (first !== undefined && unknown === 0 && others === 0 && calls.length === 0) return first
  const { tip } = log.notes
  const parent = isSafeId(tip) ? parseMessageId(tip) : undefined
  const begun = log.begin({ id, created: time, parent }, line)
  log.notes.tip = begun.id
  // What it answers of calls that nobody knows, it shows itself.
  if (unknown > 0 && others > 0) log.add(begun, line, 'answer')
  for (const call of calls) if (!answered.has(call)) log.call(call, begun)
  return begun
}

const NONE: ReadonlySet<string> = new Set()

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
