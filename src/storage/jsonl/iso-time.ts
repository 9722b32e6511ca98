/** Times in the bytes of a line. */
import { timeIn } from '../../core/agents/message-draft.js'
import { QUOTE } from './json-bytes.js'
import { textAt } from './json-text.js'

/** Epoch milliseconds of an ISO time with its quotes, or of a number of them. `from` is -1 where there is none. */
export function isoTime(bytes: Buffer, from: number, to: number): number | undefined {
  if (from < 0) return undefined
  return timeIn(bytes[from] === QUOTE ? textAt(bytes, from, to) : Number(bytes.toString('latin1', from, to)))
}
