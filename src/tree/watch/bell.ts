/** Waiting that a ring cuts short. */
import type { Clock } from '../../core/clock.js'
import { following } from '../../core/signals.js'

export interface Bell {
  /** A ring that nobody waits for is kept for the next who does. */
  ring(): void
  /** True when it rang, false when the time or the signal ended the wait; rejects only as the clock does. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<boolean>
}

export function createBell(clock: Pick<Clock, 'sleep'>): Bell {
  let rung = false
  let waiting: AbortController | undefined
  return {
    ring() {
      rung = true
      waiting?.abort()
    },
    async wait(ms, signal) {
      if (!rung && signal?.aborted !== true) {
        const heard = new AbortController()
        waiting = heard
        using either = following(heard.signal, signal)
        await clock.sleep(ms, either.signal).catch((error: unknown) => {
          if (!either.signal.aborted) throw error
        })
        waiting = undefined
      }
      const rang = rung
      rung = false
      return rang
    },
  }
}
