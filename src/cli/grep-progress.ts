/** How far a search is, on the last line of a terminal; nothing where stderr is none. */
import type { GrepProgress } from '../index.js'
import { count, formatBytes } from './output.js'

/** Milliseconds between two looks of a person. */
const PERIOD_MS = 100

export class SearchProgress {
  readonly #isShown = process.stderr.isTTY === true
  #last = 0
  #isThere = false

  show({ sessions, total, bytes }: GrepProgress): void {
    const now = performance.now()
    if (!this.#isShown || now - this.#last < PERIOD_MS) return
    this.#last = now
    this.#isThere = true
    process.stderr.write(`\r\u001b[2K${sessions.toLocaleString('en')} of ${count(total, 'session')} searched, ${formatBytes(bytes)}`)
  }

  /** Takes the line away: something else is to be written, or the search is over. */
  clear(): void {
    if (this.#isThere) process.stderr.write('\r\u001b[2K')
    this.#isThere = false
  }
}
