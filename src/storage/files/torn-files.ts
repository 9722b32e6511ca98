/** Files that OpenCode rewrites in place: one that looks half-written moments after a write is read again, a bounded number of times. */
import { statSync } from 'node:fs'
import type { Clock } from '../../core/clock.js'

/** A half-written file is read again, at most this often, after 15, 30, 60 and 120 ms. */
const RETRIES = 4
const RETRY_MS = 15
/** Only files written this recently can still be in the middle of a write, in milliseconds. */
const FRESH_MS = 1000

/** True when the file was written so recently that its writer may not be done. */
export function isFreshFile(path: string, clock: Clock): boolean {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat !== undefined && clock.now() - stat.mtimeMs < FRESH_MS
  } catch {
    return false
  }
}

/** Reads the torn ones again, all of them after one wait, until they are whole or no longer fresh; what stays torn is left as it is. */
export async function mendTorn<T>(
  items: readonly T[],
  isTorn: (item: T) => boolean,
  reread: (item: T) => void,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 0; attempt < RETRIES; attempt++) {
    const torn = items.filter(isTorn)
    if (torn.length === 0) return
    await clock.sleep(RETRY_MS * 2 ** attempt, signal)
    for (const item of torn) reread(item)
  }
}
