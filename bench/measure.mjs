/** Fresh processes, run in turns, and what their figures come to. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What cannot be measured here, and why. */
export class Skipped extends Error {}

const PRELOAD = join(import.meta.dirname, 'peak-rss.mjs')

/** Runs a script in a process of its own; its lines of JSON as one object. */
export function runOnce([script, ...options]) {
  const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--import', PRELOAD, script, ...options], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`${script} ${options.join(' ')} ended with ${run.status ?? run.signal}`)
  return Object.assign(
    {},
    ...run.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  )
}

/** A B A B ...: `runs` figures of each side after one pair that is discarded. `before` is called ahead of every process. */
export function inTurns(a, b, runs, before = () => {}) {
  const sides = { a: [], b: [] }
  for (let round = 0; round <= runs; round++) {
    for (const [side, run] of [
      ['a', a],
      ['b', b],
    ]) {
      before()
      const figures = run()
      if (round > 0) sides[side].push(figures)
    }
  }
  return sides
}

/** Lowest, median and highest. */
export function spread(values) {
  const sorted = values.toSorted((x, y) => x - y)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { min: sorted[0], median, max: sorted.at(-1) }
}

const DROP_CACHES = '/proc/sys/vm/drop_caches'

/** Forgets the system's file cache, so that the next process reads from the disk. False where that is not allowed. */
export function dropFileCache() {
  try {
    spawnSync('sync')
    writeFileSync(DROP_CACHES, '3')
    return true
  } catch {
    return false
  }
}
