/** Gives the event loop its turn in the midst of long work. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../core/clock.js'

/** Nobody waits longer than this for work that can be interrupted, in milliseconds. */
const LONGEST_MS = 5
/** Short steps between two looks at the clock. */
const STEPS = 32

export interface Turns {
  /** Asked between two steps of the work. */
  isDue(): boolean
  /** Rejects with the reason of the signal when that is aborted by then. */
  take(): Promise<void>
}

export function turnsOf(clock: Clock, signal?: AbortSignal): Turns {
  let last = clock.monotonic()
  return {
    isDue: () => clock.monotonic() - last >= LONGEST_MS,
    async take() {
      await nextTurn()
      signal?.throwIfAborted()
      last = clock.monotonic()
    },
  }
}

/** A short step for each item, with turns in between. */
export async function inTurns<T>(items: Iterable<T>, turns: Turns, step: (item: T) => void): Promise<void> {
  let left = STEPS
  for (const item of items) {
    step(item)
    if (--left > 0) continue
    left = STEPS
    if (turns.isDue()) await turns.take()
  }
}
