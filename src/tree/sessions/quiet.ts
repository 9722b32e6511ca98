/** Work in the background waits while somebody asks, for a while. */
import type { Clock } from '../../core/clock.js'

/** Milliseconds in which nobody asked. */
const QUIET_MS = 50
/** One second in all. */
const MOST_WAITS = 20

export class Quiet {
  readonly #clock: Clock
  #isDisturbed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Somebody asks. */
  disturb(): void {
    this.#isDisturbed = true
  }

  /** Resolves after a wait in which nobody asked, after the last wait that there is, or when the signal is aborted. */
  async awaited(signal: AbortSignal): Promise<void> {
    for (let waits = 0; waits < MOST_WAITS && !signal.aborted; waits++) {
      this.#isDisturbed = false
      await this.#clock.sleep(QUIET_MS, signal).catch(() => undefined)
      if (!this.#isDisturbed) return
    }
  }
}
