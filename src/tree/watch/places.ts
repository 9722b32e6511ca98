/** Where stores may appear: asked a few times a second, which costs some stats, so that a new store is not left to the next slow look. */
import { StorageError } from '../../core/errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { foundBy } from './told.js'

/** Milliseconds between two questions. */
const ASK_MS = 500
/** How many times as long as it took is left before the next. */
const REST = 50

export class Places {
  readonly #sessions: Sessions
  readonly #found: ReturnType<typeof foundBy>
  #last: string | undefined
  #dueAt: number

  constructor(sessions: Sessions) {
    this.#sessions = sessions
    this.#found = foundBy(sessions)
    this.#dueAt = this.#found === undefined ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
  }

  /** Monotonic milliseconds. */
  get dueAt(): number {
    return this.#dueAt
  }

  /** Whether another store than before is found, or one that could not be opened was written to. */
  async moved(now: number): Promise<boolean> {
    if (now < this.#dueAt || this.#found === undefined) return false
    const before = this.#last
    try {
      this.#last = await this.#found()
    } catch (error) {
      // A worker that is replaced: the next look says so.
      if (!(error instanceof StorageError)) throw error
    }
    const took = this.#sessions.clock.monotonic() - now
    this.#dueAt = now + took + Math.max(ASK_MS, REST * took)
    return before !== undefined && before !== this.#last
  }
}
