/** Gives the event loop its turn in the midst of long work. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../core/clock.js'

/** Nobody waits longer than this for work that can be interrupted, in milliseconds. */
const LONGEST_MS = 5

export interface Turns {
  /** Asked between two steps of the work. */
  isDue(): boolean
  take(): Promise<void>
}

export function turnsOf(clock: Clock): Turns {
  let last = clock.monotonic()
  return {
    isDue: () => clock.monotonic() - last >= LONGEST_MS,
    async take() {
      await nextTurn()
      last = clock.monotonic()
    },
  }
}
