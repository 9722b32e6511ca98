/** Lets one waiter go per turn of the event loop, so that whatever arrived in between comes first. */
export class Lane {
  readonly #waiting: (() => void)[] = []
  #isTurning = false

  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (!this.#isTurning) this.#next()
    })
  }

  #next(): void {
    this.#isTurning = true
    setImmediate(() => {
      this.#waiting.shift()?.()
      this.#isTurning = false
      if (this.#waiting.length > 0) this.#next()
    })
  }
}
