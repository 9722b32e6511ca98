/**
 * Codex's logs put together. What the model says in one go (reasoning, text, calls) is one message, a *step*: it goes on until a line
 * that is not the model's, or that answers a call. The log is linear; only a rollback makes the next message follow an older one.
 *
 * Settings of a turn (`turn_context`) belong to each of its steps, token counts to the newest step, the mark of an aborted turn to
 * the step that it aborted: each as a further line of the step's own.
 */
import { crc32 } from 'node:zlib'
import { COPIES, COUNTS, EVENT_KINDS, EVENTS, type EventKind, HEAD, itemKind, LINES, mayBeEvent, ROLES, ROLLBACKS, TURNS } from './codex-kinds.js'
import { type CodexNotes, hasTwins, isCopied, noteHead, noteTurn, noteTwin, takeTwin, turnName } from './codex-notes.js'
import { findText, isTypedText, textChecksum } from './codex-texts.js'
import { type Fields, LineFields } from './line-fields.js'
import { setTip, tipOf } from './log-chain.js'
import { type LogIndex, type LogLine, type LogMessage, lineId } from './log-index.js'
import type { SkimShape } from './skim-shape.js'

const [TIME, TYPE, KIND, ROLE, CALL, ID, FORK, TURN, COUNT, USAGE, TEXT, STATE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] as const

const PAYLOAD: SkimShape = {
  type: KIND,
  role: ROLE,
  call_id: CALL,
  id: ID,
  forked_from_id: FORK,
  turn_id: TURN,
  num_turns: COUNT,
  info: USAGE,
  message: TEXT,
  text: TEXT,
}
const wrapped = new LineFields({ timestamp: TIME, type: TYPE, payload: PAYLOAD })
/** What is told from its document; of all else the bytes are compared, or say enough. */
const isParsed = (): boolean => {
  const kind = wrapped.now.word(LINES, TYPE)
  return kind === 'item' || kind === 'context'
}
/** Lines of the first versions are the items themselves. */
const bare = new LineFields({ timestamp: TIME, type: KIND, role: ROLE, call_id: CALL, id: ID, record_type: STATE, payload: TYPE })

/** A step that is so many messages back gets no more lines: a cursor would not remember it. */
const NEAR = 8
const STEP = 'step'

interface Reading {
  readonly found: Fields
  readonly bytes: Buffer
  readonly line: LogLine
  readonly log: LogIndex
  readonly notes: CodexNotes
  readonly start: number
  readonly end: number
}

export function readCodexLine(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  const notes = log.notes as CodexNotes
  // What an event says is compared by its bytes, and most of them say nothing.
  if (!(mayBeEvent(bytes, start) ? wrapped.readBytes(bytes, start, end) : wrapped.read(bytes, start, end, line, log, isParsed))) {
    log.damaged(line)
    return
  }
  const kind = wrapped.now.word(LINES, TYPE)
  const reading = { found: wrapped.now, bytes, line, log, notes, start, end }
  if (kind === 'item') readItem(reading)
  else if (kind === 'event') readEvent(reading)
  else if (kind === 'context') readContext(reading)
  else if (kind === 'head') readHead(reading)
  else if (kind === 'compacted') alone(reading)
  else if (kind === 'letter') readLetter(reading)
  else if (kind === undefined) readOther(reading)
  else log.ignore(line, kind.reason)
}

/** Items of the first versions, their head and states; what is not known stands for itself. */
function readOther(reading: Reading): void {
  const { bytes, log, line, start, end } = reading
  bare.readBytes(bytes, start, end)
  const found = bare.now
  const old = { ...reading, found }
  if (!found.has(TYPE) && found.has(KIND) && itemKind(found, KIND) !== undefined) readItem(old)
  else if (found.has(STATE)) log.ignore(line, 'states of the agent')
  else if (!found.has(TYPE) && !found.has(KIND) && found.has(ID) && found.has(TIME)) readHead(old)
  else begin(old, false)
}

function readHead({ found, line, log, notes }: Reading): void {
  noteHead(notes, log, found.text(ID), found.time(TIME), found.text(FORK) !== undefined)
  log.ignore(line, HEAD.reason)
}

function readContext({ found, line, log, notes }: Reading): void {
  if (notes.context !== undefined) log.ignore(notes.context, 'settings of turns without a step')
  const { file, offset, length, line: number, crc, parsed } = line
  // The notes of a log that lasts are kept in no cursor.
  notes.context = { file, offset, length, line: number, crc, ...(parsed && { parsed: { ...parsed, isShared: true } }) }
  noteTurn(notes, found.text(TURN))
  leaveStep(log, notes)
}

function readItem(reading: Reading): void {
  const { found, line, log, notes } = reading
  notes.items = true
  const kind = itemKind(found, KIND)
  if (kind === 'message') readMessage(reading)
  else if (kind === 'model') inStep(reading, 'thought')
  else if (kind === 'call') {
    const step = inStep(reading, undefined)
    const call = found.text(CALL)
    if (step !== undefined && call !== undefined) log.call(call, step)
  } else if (kind === 'output') readOutput(reading)
  else if (kind === 'compaction') alone(reading)
  else if (kind === 'letter') readLetter(reading)
  else if (kind === undefined) begin(reading, false)
  else log.ignore(line, kind.reason)
}

function readMessage(reading: Reading): void {
  const { found } = reading
  const role = found.word(ROLES, ROLE)
  if (role === 'assistant') {
    inStep(reading, 'agent')
    return
  }
  if (role === 'user') {
    findText(reading.bytes, reading.start, reading.end)
    if (takesTwin(reading, 'user')) return
    if (isTypedText()) {
      reading.notes.twins = []
      beginTurn(reading)
    }
  }
  alone(reading)
}

/** What another agent writes begins a turn, as a prompt does. */
function readLetter(reading: Reading): void {
  beginTurn(reading)
  alone(reading)
}

function readOutput(reading: Reading): void {
  const { found, line, log, notes } = reading
  const call = found.text(CALL)
  const caller = call === undefined ? undefined : log.answer(call)
  endStep(log, notes)
  if (caller === undefined) {
    begin(reading, false)
    return
  }
  log.add(caller, line, 'answer')
  log.close(caller)
}

function readEvent(reading: Reading): void {
  const { found, line, log, notes } = reading
  const kind: EventKind = found.word(EVENT_KINDS, KIND) ?? EVENTS
  if (kind === 'usage') readUsage(reading)
  else if (kind === 'user' || kind === 'agent' || kind === 'thought') {
    if (notes.items === true) log.ignore(line, COPIES.reason)
    else readTold(reading, kind)
  } else if (kind === 'aborted') readAbort(reading)
  else if (typeof kind === 'object') log.ignore(line, kind.reason)
  else {
    if (kind === 'started') noteTurn(notes, found.text(TURN))
    if (kind === 'rolled back') rollBack(reading)
    if (kind === 'complete') endStep(log, notes)
    else leaveStep(log, notes)
    log.ignore(line, kind === 'rolled back' ? ROLLBACKS.reason : TURNS.reason)
  }
}

/** Of a turn in which the model said nothing nobody says that it was aborted. */
function readAbort({ line, log, notes }: Reading): void {
  const step = stepOf(log)
  endStep(log, notes)
  if (step === undefined) log.ignore(line, TURNS.reason)
  else log.add(step, line, 'own')
}

/** An event of a log that has no items so far. */
function readTold(reading: Reading, kind: 'user' | 'agent' | 'thought'): void {
  const { found, bytes, notes } = reading
  const { from, to } = wrapped.skim
  if (kind === 'user') beginTurn(reading)
  const message = kind === 'user' ? alone(reading) : step(reading)
  const crc = crc32(bytes.subarray(from[TEXT], to[TEXT]))
  if (found.has(TEXT)) noteTwin(notes, { role: kind, crc, message: message.id, order: message.order })
}

/** The usage is told again and again; what was told already says nothing. */
function readUsage({ found, bytes, line, log, notes }: Reading): void {
  const { from, to } = wrapped.skim
  const crc = found.isObject(USAGE) ? crc32(bytes.subarray(from[USAGE], to[USAGE])) : notes.usage
  const step = crc === notes.usage ? undefined : stepOf(log)
  if (crc !== undefined) notes.usage = crc
  if (step === undefined) log.ignore(line, COUNTS.reason)
  else log.add(step, line, 'own')
}

/** A line of the model's. Undefined: it says again what an event said. */
function inStep(reading: Reading, role: 'agent' | 'thought' | undefined): LogMessage | undefined {
  if (role !== undefined && hasTwins(reading.notes)) {
    findText(reading.bytes, reading.start, reading.end)
    if (takesTwin(reading, role)) return undefined
  }
  return step(reading)
}

function step(reading: Reading): LogMessage {
  const { line, log, notes } = reading
  const current = notes.over === true ? undefined : stepOf(log)
  if (current !== undefined) {
    log.add(current, line, 'own')
    return current
  }
  const begun = begin(reading, true)
  log.setGroup(STEP, begun)
  notes.over = false
  notes.settings = notes.context ?? notes.settings
  notes.context = undefined
  if (notes.settings !== undefined) log.add(begun, notes.settings, 'own')
  return begun
}

/** A message of one line, which ends the step. */
function alone(reading: Reading): LogMessage {
  endStep(reading.log, reading.notes)
  return begin(reading, false)
}

function begin({ found, line, log, notes }: Reading, open: boolean): LogMessage {
  const time = found.time(TIME)
  const created = time ?? (log.count === 0 ? notes.begun : undefined)
  const trait = isCopied(notes, time) ? 'inherited' : undefined
  const message = log.begin({ id: lineId(line), created, parent: tipOf(log), open, trait }, line)
  setTip(log, message)
  return message
}

/** Of a turn that begins is remembered which message is before it, by its place. */
function beginTurn({ log, notes }: Reading): void {
  const turn = notes.turns ?? 0
  const tip = tipOf(log)
  const before = tip === undefined ? undefined : log.find(tip)
  if (tip !== undefined && before === undefined) log.needsPast('a new turn follows a message before the cursor')
  log.enter(turnName(turn), { message: undefined, content: before === undefined ? 0 : before.order + 1 })
  notes.turns = turn + 1
}

/** What comes next follows the message before the turns that are taken back; of more turns than there are it is a root. */
function rollBack({ found, bytes, log, notes }: Reading): void {
  const { from, to } = wrapped.skim
  const count = Number(bytes.toString('latin1', from[COUNT], to[COUNT]))
  const turns = notes.turns ?? 0
  if (!found.has(COUNT) || !Number.isInteger(count) || count < 1 || turns === 0) return
  const left = Math.max(0, turns - count)
  const place = log.entry(turnName(left))?.content
  const before = place === undefined || place === 0 ? undefined : messageAt(log, place - 1)
  if (place === undefined || (place > 0 && before === undefined)) log.lost ??= 'a turn before the cursor was taken back'
  notes.tip = before?.id ?? null
  notes.turns = left
}

function messageAt(log: LogIndex, order: number): LogMessage | undefined {
  const there = log.messages[order]
  return there?.order === order ? there : log.messages.find((message) => message.order === order)
}

/** The newest step, over or not. */
function stepOf(log: LogIndex): LogMessage | undefined {
  const step = log.group(STEP)
  return step !== undefined && step.order >= log.count - NEAR ? step : undefined
}

function endStep(log: LogIndex, notes: CodexNotes): void {
  notes.over = true
  const step = stepOf(log)
  if (step !== undefined) log.close(step)
}

/** Another turn begins: nothing is said of the step any more. */
function leaveStep(log: LogIndex, notes: CodexNotes): void {
  endStep(log, notes)
  log.setGroup(STEP, undefined)
}

/** Whether the text that was found is an event's that stands as a message already; then the line is one of that message's. */
function takesTwin({ line, log, notes }: Reading, role: string): boolean {
  const crc = hasTwins(notes) ? textChecksum() : undefined
  const twin = crc === undefined ? undefined : takeTwin(notes, log.count, role, crc)
  const message = twin && log.find(twin.message)
  if (message === undefined) return false
  log.add(message, line, 'own')
  return true
}
