/**
 * When the stores are looked at: soon after word of a write, now and then without one, rarely to the ground. A look that takes long makes
 * the next ones wait, so that looking never takes more than a part of the time. Times are monotonic milliseconds.
 */

export interface PaceOptions {
  /** Between two looks that words of writes bring about. */
  readonly gapMs: number
  /** Between looks where nothing tells of changes. */
  readonly pollMs: number
}

/** Between looks where every change should be told: events get lost, and stores appear. */
const SLOW_MS = 3000
/** Between looks that trust nothing: an old message that is rewritten in place moves nothing that a plain look sees. */
export const DEEP_MS = 60_000
/** The same, after events were lost. */
const DEEP_AFTER_LOSS_MS = 5000

/** How many times as long as it took is left between a look and the next of its kind. */
export const REST = { woken: 2, polled: 10, deep: 50 } as const

export class Pace {
  readonly #options: PaceOptions
  #woken = true
  #lost = false
  #looked = { at: Number.NEGATIVE_INFINITY, took: 0 }
  #deep: { readonly at: number; readonly took: number }

  constructor(options: PaceOptions, now: number) {
    this.#options = options
    this.#deep = { at: now, took: 0 }
  }

  /** The last plain look, in milliseconds. */
  get took(): number {
    return this.#looked.took
  }

  /** Word of a write. */
  woken(): void {
    this.#woken = true
  }

  /** Word of writes may be lacking. */
  lost(): void {
    this.#lost = true
    this.#woken = true
  }

  /** @param polls Nothing tells of changes in some store. */
  dueAt(polls: boolean): number {
    const { at, took } = this.#looked
    const woken = this.#woken ? at + Math.max(this.#options.gapMs, REST.woken * took) : Number.POSITIVE_INFINITY
    const polled = at + Math.max(polls ? this.#options.pollMs : SLOW_MS, REST.polled * took)
    return Math.min(woken, polled, this.#deepAt())
  }

  isDeepDue(now: number): boolean {
    return now >= this.#deepAt()
  }

  /** A look begins: what comes from now on is for the next one. */
  begin(deep: boolean): void {
    this.#woken = false
    if (deep) this.#lost = false
  }

  end(start: number, now: number, deep: boolean): void {
    this.#looked = { at: now, took: deep ? this.#looked.took : now - start }
    if (deep) this.#deep = { at: now, took: now - start }
  }

  #deepAt(): number {
    const { at, took } = this.#deep
    return at + Math.max(this.#lost ? DEEP_AFTER_LOSS_MS : DEEP_MS, REST.deep * took)
  }
}
