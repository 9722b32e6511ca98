/** Messages of Codex's logs: steps, messages of one line, and the turns that they stand in. */
import { type Reading, TIME } from './codex-fields.js'
import { type CodexNotes, isCopied, turnName } from './codex-notes.js'
import { setTip, tipOf } from './log-chain.js'
import { type LogIndex, type LogMessage, lineId } from './log-index.js'

/** A step that is so many messages back gets no more lines: a cursor would not remember it. */
const NEAR = 8
const STEP = 'step'

export function step(reading: Reading): LogMessage {
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
export function alone(reading: Reading): LogMessage {
  endStep(reading.log, reading.notes)
  return begin(reading, false)
}

export function begin({ found, line, log, notes, written }: Reading, open: boolean): LogMessage {
  const time = written === undefined ? found.time(TIME) : (written ?? undefined)
  const created = time ?? (log.count === 0 ? notes.begun : undefined)
  const trait = isCopied(notes, time) ? 'inherited' : undefined
  const message = log.begin({ id: lineId(line), created, parent: tipOf(log), open, trait }, line)
  setTip(log, message)
  return message
}

/** Of a turn that begins is remembered which message is before it, by its place. */
export function beginTurn({ log, notes }: Reading): void {
  const turn = notes.turns ?? 0
  const tip = tipOf(log)
  const before = tip === undefined ? undefined : log.find(tip)
  if (tip !== undefined && before === undefined) log.needsPast('a new turn follows a message before the cursor')
  log.enter(turnName(turn), { message: undefined, content: before === undefined ? 0 : before.order + 1 })
  notes.turns = turn + 1
}

/** The newest step, over or not. */
export function stepOf(log: LogIndex): LogMessage | undefined {
  const step = log.group(STEP)
  return step !== undefined && step.order >= log.count - NEAR ? step : undefined
}

export function endStep(log: LogIndex, notes: CodexNotes): void {
  notes.over = true
  const step = stepOf(log)
  if (step !== undefined) log.close(step)
}

/** Another turn begins: nothing is said of the step any more. */
export function leaveStep(log: LogIndex, notes: CodexNotes): void {
  endStep(log, notes)
  log.setGroup(STEP, undefined)
}
