/** Times in the bytes of a line, without making a text of them: a log has one on every line. */
import { timeIn } from '../../core/agents/message-draft.js'
import { plainText } from './skim.js'

/** `"2026-01-20T15:03:49.065Z"`, quotes included; without milliseconds four bytes less. */
const WITH_MILLISECONDS = 26
const WITHOUT = 22

const QUOTE = 0x22
const ZERO = 0x30
const NINE = 0x39
const Z = 0x5a

/** Epoch milliseconds of an ISO time with its quotes, or of a number of them. `from` is -1 where there is none. */
export function isoTime(bytes: Buffer, from: number, to: number): number | undefined {
  if (from < 0) return undefined
  const length = to - from
  if ((length === WITH_MILLISECONDS || length === WITHOUT) && bytes[from] === QUOTE && bytes[to - 2] === Z) {
    const milliseconds = length === WITH_MILLISECONDS ? digits(bytes, from + 21, 3) : 0
    const [month, day] = [digits(bytes, from + 6, 2), digits(bytes, from + 9, 2)]
    const [hour, minute, second] = [digits(bytes, from + 12, 2), digits(bytes, from + 15, 2), digits(bytes, from + 18, 2)]
    // What is out of its range is for `Date.parse` to tell, as it tells it of the record.
    if (month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60) {
      const time = Date.UTC(digits(bytes, from + 1, 4), month - 1, day) + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds
      if (time >= 0) return time
    }
  }
  return timeIn(bytes[from] === QUOTE ? plainText(bytes, from, to) : Number(bytes.toString('latin1', from, to)))
}

/** NaN where something else stands among them. */
function digits(bytes: Buffer, from: number, count: number): number {
  let value = 0
  for (let at = from; at < from + count; at++) {
    const byte = bytes[at] as number
    if (byte < ZERO || byte > NINE) return Number.NaN
    value = value * 10 + byte - ZERO
  }
  return value
}
