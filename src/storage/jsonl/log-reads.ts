/** Bytes of an open file into a buffer. */
import { readSync } from 'node:fs'

/** Returns how many bytes there were. @throws the system's error */
export function readFully(fd: number, buffer: Buffer, to: number, length: number, position: number): number {
  let held = 0
  for (let count = -1; held < length && count !== 0; held += count) count = readSync(fd, buffer, to + held, length - held, position + held)
  return held
}
