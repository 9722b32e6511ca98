/** A clock that stands still until somebody sleeps; `onSleep` is what happens meanwhile. */
import type { Clock } from '../../src/core/clock.js'

export interface ManualClock extends Clock {
  wall: number
  readonly slept: number[]
}

export function manualClock(wall: number, onSleep: (times: number) => void = () => undefined): ManualClock {
  const slept: number[] = []
  return {
    wall,
    slept,
    now() {
      return this.wall
    },
    monotonic() {
      return this.wall
    },
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      slept.push(ms)
      this.wall += ms
      onSleep(slept.length)
    },
  }
}
