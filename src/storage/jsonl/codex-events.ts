/** Events in Codex's logs: what they tell, what a step took, how a turn ended. */
import { crc32 } from 'node:zlib'
import { COUNT, ITEM, ITEM_TEXT, KIND, REVIEW, type Reading, TEXT, TURN, USAGE, wrapped } from './codex-fields.js'
import { COUNTS, EVENT_ITEMS, EVENT_KINDS, EVENTS, type EventKind, REVIEWS, ROLLBACKS, TURNS } from './codex-kinds.js'
import { noteTurn, turnName } from './codex-notes.js'
import { alone, begin, endStep, leaveStep, stepOf } from './codex-steps.js'
import { findText, sumOf, textSums } from './codex-texts.js'
import { OF_REVIEW, readTold, tellHeld } from './codex-told.js'
import { tipOf } from './log-chain.js'
import type { LogIndex, LogMessage } from './log-index.js'

export function readEvent(reading: Reading): void {
  const { found, line, log } = reading
  const kind: EventKind | undefined = found.word(EVENT_KINDS, KIND)
  switch (kind) {
    case undefined:
      begin(reading, false)
      return
    case 'usage':
      readUsage(reading)
      return
    case 'user':
    case 'agent':
    case 'thought':
      readTold(reading, kind, sumIn(TEXT))
      return
    case 'item':
      readItemEvent(reading)
      return
    case 'review':
      if (found.isObject(REVIEW)) readTold(reading, 'review', OF_REVIEW)
      else log.ignore(line, REVIEWS.reason)
      return
    case 'aborted':
      readAbort(reading)
      return
    case 'error':
      readError(reading)
      return
    default:
      if (typeof kind === 'object') log.ignore(line, kind.reason)
      else readMark(reading, kind)
  }
}

function sumIn(slot: number): number | undefined {
  const { bytes, from, to } = wrapped.skim
  return wrapped.now.isText(slot) ? sumOf(bytes, (from[slot] as number) + 1, (to[slot] as number) - 1) : undefined
}

/** Of what newer versions note of everything that was done, the texts. */
function readItemEvent(reading: Reading): void {
  const { found, bytes, start, end, line, log } = reading
  const kind = found.word(EVENT_ITEMS, ITEM)
  if (kind === 'plan') readTold(reading, 'agent', sumIn(ITEM_TEXT))
  else if (kind === 'agent') {
    findText(bytes, start, end)
    readTold(reading, kind, textSums().at(-1))
  } else log.ignore(line, kind?.reason ?? EVENTS.reason)
}

/** Where a turn begins or ends, or where some are taken back. */
function readMark(reading: Reading, kind: 'started' | 'complete' | 'rolled back'): void {
  const { found, line, log, notes } = reading
  if (kind === 'started') noteTurn(notes, found.text(TURN))
  else tellHeld(reading)
  if (kind === 'rolled back') rollBack(reading)
  if (kind === 'complete') endStep(log, notes)
  else leaveStep(log, notes)
  log.ignore(line, kind === 'rolled back' ? ROLLBACKS.reason : TURNS.reason)
}

/** Of a turn in which the model said nothing nobody says that it was aborted. */
function readAbort(reading: Reading): void {
  tellHeld(reading)
  const { line, log, notes } = reading
  const step = stepOf(log)
  endStep(log, notes)
  if (step === undefined) log.ignore(line, TURNS.reason)
  else log.add(step, line, 'own')
}

/** It ends the step that it is an error of; where the model said nothing, it stands in the place of one. */
function readError(reading: Reading): void {
  tellHeld(reading)
  const { line, log, notes } = reading
  const step = stepOf(log)
  if (step === undefined || step.id !== tipOf(log)) {
    alone(reading)
    return
  }
  endStep(log, notes)
  log.add(step, line, 'own')
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
  log.moveLeaf(before?.id)
}

function messageAt(log: LogIndex, order: number): LogMessage | undefined {
  const there = log.messages[order]
  return there?.order === order ? there : log.messages.find((message) => message.order === order)
}
