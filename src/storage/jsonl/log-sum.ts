/** CRC-32 of all of a log before a cursor: by it a log that was only touched is told from one that was written in place. */
import { readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { CHUNK } from '../slab.js'
import type { LineScanner } from './line-scanner.js'
import type { ReadingOptions } from './log-bytes.js'
import type { OpenLog } from './log-stat.js'

/** Of the bytes before the scanner's place, taken as they pass it. */
export class RunningSum {
  #offset: number
  /** Undefined where it is not known, as once bytes were let go before their line had an end. */
  value: number | undefined

  constructor(offset: number, value: number | undefined) {
    this.#offset = offset
    this.value = value
  }

  /** After each time that the scanner was fed. */
  take(scanner: LineScanner): void {
    const { offset } = scanner.place
    if (this.value === undefined || offset === this.#offset) return
    const bytes = scanner.before(offset - this.#offset)
    this.value = bytes && crc32(bytes, this.value)
    this.#offset = offset
  }
}

/** Bytes after which others get their turn. */
const BREATH = 2 ** 24

/** Undefined when the file does not reach to `offset`. @throws the system's error; the signal's reason */
export async function sumBefore({ fd }: OpenLog, offset: number, { work, signal, pool }: ReadingOptions): Promise<number | undefined> {
  const chunk = pool?.take()
  const buffer = chunk ?? Buffer.allocUnsafeSlow(Math.min(CHUNK, offset))
  try {
    let sum = 0
    for (let at = 0, breath = BREATH; at < offset; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, offset - at), at)
      if (count === 0) return undefined
      work.bytes += count
      sum = crc32(buffer.subarray(0, count), sum)
      at += count
      if (at < breath) continue
      breath = at + BREATH
      await setImmediate()
      signal?.throwIfAborted()
    }
    return sum
  } finally {
    if (chunk !== undefined) pool?.give(chunk)
  }
}
