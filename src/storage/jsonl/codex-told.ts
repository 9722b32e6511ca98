/**
 * What events tell. Most repeat an item, which stands near them: which of the two is first goes by the version, and often by the role.
 * An event that no item repeats is a message, or a line of a step.
 *
 * Where items come first an event that is none of them is known to be alone, at once. Where events come first, and as long as nobody knows, it
 * is held back until its item is there, or until the turn tells that none will come.
 */
import { type Reading, TIME } from './codex-fields.js'
import { COPIES } from './codex-kinds.js'
import { type CodexNotes, type Held, hasTwins, heard, isHeard, noteTwin, type Speaker, takeTwin } from './codex-notes.js'
import { alone, beginTurn, step } from './codex-steps.js'
import { textSums } from './codex-texts.js'

/** So many events are held back at most. */
const HELD = 64

/** `sum`: of what the event says; undefined where it says nothing. */
export function readTold(reading: Reading, role: Speaker, sum: number | undefined): void {
  const { line, log, notes, found } = reading
  if (notes.items !== true) tell(reading, role, sum)
  else if (sum === undefined) log.ignore(line, COPIES.reason)
  else if (isHeard(notes, role, sum)) {
    if (notes.first?.[role] !== 'item') notes.first = { ...notes.first, [role]: 'item' }
    log.ignore(line, COPIES.reason)
  } else if (notes.first?.[role] === 'item') {
    tellHeld(reading)
    tell(reading, role, sum)
  } else hold(reading, role, sum, found.time(TIME))
}

function hold(reading: Reading, role: Speaker, sum: number, time: number | undefined): void {
  const { notes, line } = reading
  const { file, offset, length, line: number, crc } = line
  if ((notes.held?.length ?? 0) >= HELD) tellHeld(reading)
  notes.held = [...(notes.held ?? []), { role, sum, time: time ?? null, line: { file, offset, length, line: number, crc } }]
}

/** An item, whose texts were found. Whether an event that says the same is a message already: then the line is one of that message's. */
export function hearItem(reading: Reading, role: Speaker): boolean {
  const { notes, log, line } = reading
  const sums = textSums()
  if (hasTwins(notes)) {
    const twin = takeTwin(notes, log.count, role, sums)
    const message = twin && log.find(twin.message)
    if (message !== undefined) {
      log.add(message, line, 'own')
      return true
    }
  }
  release(reading, role, sums)
  heard(notes, role, sums)
  return false
}

/** In the place of a text: there is one review at a time. */
export const OF_REVIEW = 1

/** An item says what a review found. */
export function hearReview(reading: Reading): void {
  release(reading, 'review', [OF_REVIEW])
  heard(reading.notes, 'review', [OF_REVIEW])
}

/** Events that were held back and say what an item says. */
function release({ notes, log }: Reading, role: Speaker, sums: readonly number[]): void {
  const { held } = notes
  if (held === undefined) return
  const others = held.filter((one) => {
    const isCopy = one.role === role && sums.includes(one.sum)
    if (isCopy) log.ignore(one.line, COPIES.reason)
    return !isCopy
  })
  if (others.length === held.length) return
  notes.first = { ...notes.first, [role]: 'event' }
  keep(notes, others)
}

/** No item will say what is held back. */
export function tellHeld(reading: Reading): void {
  const { notes } = reading
  const { held } = notes
  if (held === undefined) return
  keep(notes, [])
  for (const { role, sum, time, line } of held) tell({ ...reading, line, written: time }, role, sum)
}

function keep(notes: CodexNotes, held: readonly Held[]): void {
  if (held.length > 0) notes.held = held
  else delete notes.held
}

/** The event is a message: an item may repeat it all the same. */
function tell(reading: Reading, role: Speaker, sum: number | undefined): void {
  if (role === 'user') beginTurn(reading)
  const { id, order } = role === 'user' ? alone(reading) : step(reading)
  if (sum !== undefined) noteTwin(reading.notes, { role, crc: sum, message: id, order })
}
