/**
 * Known texts among the lines of one log, whatever pieces it comes in. All that a piece holds is searched at once, and remembered is
 * where the next sighting is: most lines then cost a comparison, and not a search of their own.
 */

interface Sought {
  readonly text: Buffer
  /** Of the log was searched what stands between these; bytes from its start. */
  from: number
  until: number
  /** The first sighting from `from` on; Infinity where there is none before `until`. */
  next: number
}

export class Sightings {
  readonly #sought: readonly Sought[]
  readonly #unless: Buffer

  /** Right behind `unless` a text does not count. */
  constructor(texts: readonly string[], unless: string) {
    this.#unless = Buffer.from(unless)
    this.#sought = texts.map((text) => ({ text: Buffer.from(text), from: 0, until: -1, next: Number.POSITIVE_INFINITY }))
  }

  /**
   * Whether a text stands in the line from `start` to `end`. `offset` is where `bytes[start]` stands in the log, and `until`, at least
   * `end`, is the end of what `bytes` hold of it. What was given before may not change.
   */
  in(bytes: Buffer, start: number, end: number, offset: number, until: number): boolean {
    const lineEnd = offset + end - start
    for (const sought of this.#sought) {
      if (offset < sought.from || lineEnd > sought.until || sought.next < offset) {
        const found = this.#find(bytes.subarray(start, until), sought.text)
        sought.from = offset
        sought.until = offset + until - start
        sought.next = found < 0 ? Number.POSITIVE_INFINITY : offset + found
      }
      if (sought.next + sought.text.length <= lineEnd) return true
    }
    return false
  }

  #find(bytes: Buffer, text: Buffer): number {
    const unless = this.#unless
    let found = bytes.indexOf(text)
    while (found >= unless.length && bytes.compare(unless, 0, unless.length, found - unless.length, found) === 0)
      found = bytes.indexOf(text, found + 1)
    return found
  }
}
