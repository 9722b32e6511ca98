/**
 * When a followed session is looked at to the ground: soon after a refresh told that it changed, and now and then without. An ordinary look
 * trusts old messages, so it sees none that is rewritten in place; one to the ground costs the more the longer the session is.
 */
import { DEEP_MS, REST } from './pace.js'

/** Between two looks that words of changes bring about, in milliseconds. */
const GAP_MS = 500

/** Times are monotonic milliseconds. */
export class DeepLooks {
  #isTold = false
  #isUnderWay = false
  #at: number
  #took = 0

  /** @param isDue At once: nobody knows what was rewritten before. */
  constructor(now: number, isDue: boolean) {
    this.#at = isDue ? Number.NEGATIVE_INFINITY : now
  }

  /** A refresh found that the session changed. */
  told(): void {
    this.#isTold = true
  }

  /** When the look is due that somebody's word asks for; Infinity without one. */
  get toldAt(): number {
    return this.#isTold ? this.#at + Math.max(GAP_MS, REST.deep * this.#took) : Number.POSITIVE_INFINITY
  }

  isDue(now: number): boolean {
    return now >= Math.min(this.toldAt, this.#at + Math.max(DEEP_MS, REST.deep * this.#took))
  }

  /** What is told from now on may be too late for this look. */
  begin(): void {
    this.#isTold = false
    this.#isUnderWay = true
  }

  end(start: number, now: number): void {
    this.#isUnderWay = false
    this.#at = now
    this.#took = now - start
  }

  /** The session could not be looked at: it is tried again after a while. */
  failed(now: number): void {
    this.#isTold ||= this.#isUnderWay
    this.#isUnderWay = false
    if (this.#isTold) this.#at = now
  }

  /** A reading begins that trusts nothing, or that needs no trust. */
  readAll(now: number): void {
    this.#isTold = false
    this.#at = now
    this.#took = 0
  }
}
