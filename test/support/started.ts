/** Children that the system has no memory to start for the moment: they are started again, since no test is about that. */
import { systemCode } from '../../src/core/errors.js'

const SCARCE = new Set(['ENOMEM', 'EAGAIN'])
/** Milliseconds between one try and the next. */
const WAITS = [100, 400, 1500, 4000, 8000]

/** What `start` gives. It throws when the child could not be started, and is called again when want of memory was the reason. */
export function started<T>(start: () => T): T {
  for (const wait of WAITS) {
    try {
      return start()
    } catch (error) {
      if (!SCARCE.has(systemCode(error) ?? '')) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, wait)
    }
  }
  return start()
}
