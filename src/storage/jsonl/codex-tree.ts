/**
 * Codex's logs put together. What the model says in one go (reasoning, text, calls) is one message, a *step*: it goes on until a line
 * that is not the model's, or that answers a call. The log is linear; only a rollback makes the next message follow an older one.
 *
 * Settings of a turn (`turn_context`) belong to each of its steps, token counts to the newest step, the mark of an aborted turn and
 * an error to the step that they ended: each as a further line of the step's own.
 */
import { readEvent } from './codex-events.js'
import { bare, CALL, FORK, ID, isParsed, KIND, type Reading, ROLE, STATE, TIME, TURN, TYPE, wrapped } from './codex-fields.js'
import { HEAD, itemKind, LINES, mayBeEvent, ROLES } from './codex-kinds.js'
import { type CodexNotes, forgetAnswers, noteHead, noteTurn } from './codex-notes.js'
import { alone, begin, beginTurn, endStep, leaveStep, step } from './codex-steps.js'
import { findText, isOfReview, isTypedText } from './codex-texts.js'
import { hearItem, hearReview, tellHeld } from './codex-told.js'
import type { LogIndex, LogLine, LogMessage } from './log-index.js'

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
  else if (kind === 'compacted') readCompacted(reading)
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
  else if (kind === 'compaction') readCompacted(reading)
  else if (kind === 'letter') readLetter(reading)
  else if (kind === undefined) begin(reading, false)
  else log.ignore(line, kind.reason)
}

function readMessage(reading: Reading): void {
  const role = reading.found.word(ROLES, ROLE)
  if (role === 'assistant') inStep(reading, 'agent')
  else if (role !== 'user') alone(reading)
  else if (!readAsked(reading)) alone(reading)
}

/** What stands in the user's name. Whether it is a line of a message that is there already. */
function readAsked(reading: Reading): boolean {
  const { notes } = reading
  findText(reading.bytes, reading.start, reading.end)
  const isTyped = isTypedText()
  if (isTyped) forgetAnswers(notes)
  if (hearItem(reading, 'user')) return true
  if (isOfReview()) hearReview(reading)
  if (!isTyped) return false
  tellHeld(reading)
  notes.twins = []
  beginTurn(reading)
  return false
}

function readCompacted(reading: Reading): void {
  tellHeld(reading)
  alone(reading)
}

/** What another agent writes begins a turn, as a prompt does. */
function readLetter(reading: Reading): void {
  tellHeld(reading)
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

/** A line of the model's. Undefined: it says again what an event said. */
function inStep(reading: Reading, role: 'agent' | 'thought' | undefined): LogMessage | undefined {
  if (role !== undefined) {
    findText(reading.bytes, reading.start, reading.end)
    if (hearItem(reading, role)) return undefined
  }
  return step(reading)
}
