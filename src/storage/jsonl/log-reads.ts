/** Bytes of an open file into a buffer. */
import { read, readSync } from 'node:fs'

/** Less than this is read sooner than another thread is asked for it. */
const WORTH_ASKING = 2 ** 15

/** Returns how many bytes there were. @throws the system's error */
export function readFully(fd: number, buffer: Buffer, to: number, length: number, position: number): number {
  let held = 0
  for (let count = -1; held < length && count !== 0; held += count) count = readSync(fd, buffer, to + held, length - held, position + held)
  return held
}

/** As one `readSync`; a long one in another thread, while this one does something else. */
export function readAside(fd: number, buffer: Buffer, length: number, position: number): number | Promise<number> {
  if (length < WORTH_ASKING) return readSync(fd, buffer, 0, length, position)
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, length, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}
