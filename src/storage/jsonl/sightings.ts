/**
 * The last line of a log that one of some texts names, whatever pieces the log comes in. A piece is searched from its end, where the
 * line stands more often than not; the other lines then cost a comparison.
 */

const NEWLINE = 0x0a
const NUL = 0x00

export class LastSighting {
  readonly #texts: readonly Buffer[]
  readonly #isMeant: (bytes: Buffer, start: number, end: number) => boolean
  /** Up to where the log was searched, and where the line begins that was found: in bytes from its start. */
  #until = -1
  #line = -1

  /** Not every line that holds one of the texts is meant. */
  constructor(texts: readonly string[], isMeant: (bytes: Buffer, start: number, end: number) => boolean) {
    this.#texts = texts.map((text) => Buffer.from(text))
    this.#isMeant = isMeant
  }

  /**
   * Whether of the lines that `bytes` hold the one from `start` to `end` is the last that is meant. `offset` is where `bytes[start]`
   * stands in the log, and `until`, at least `end`, is the end of what `bytes` hold of it. Lines are given in their order.
   */
  is(bytes: Buffer, start: number, end: number, offset: number, until: number): boolean {
    if (offset + end - start > this.#until) {
      // What follows the last newline is no line yet.
      const whole = Math.max(end, bytes.subarray(0, until).lastIndexOf(NEWLINE))
      const found = this.#lastIn(bytes.subarray(start, whole))
      this.#until = offset + whole - start
      this.#line = found < 0 ? -1 : offset + found
    }
    return offset === this.#line
  }

  /** Where it begins; -1 when there is none. */
  #lastIn(bytes: Buffer): number {
    let last = -1
    for (const text of this.#texts) {
      for (let at = bytes.lastIndexOf(text); at > last; ) {
        let start = at === 0 ? 0 : bytes.lastIndexOf(NEWLINE, at - 1) + 1
        const end = bytes.indexOf(NEWLINE, at)
        const before = start - 1
        while (bytes[start] === NUL) start++
        if (this.#isMeant(bytes, start, end < 0 ? bytes.length : end)) last = start
        if (start === last || before < text.length) break
        at = bytes.lastIndexOf(text, before - text.length)
      }
    }
    return last
  }
}
