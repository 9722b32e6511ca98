/** How the cost of a piece of work grows with its size; no test goes by how long something takes. */

/** How many times longer it takes at `factor` times the size, the best of a few tries each. What is linear gives about `factor`. */
export function growthOf(work: (size: number) => () => unknown, size: number, factor: number): number {
  return bestOf(work(size * factor)) / bestOf(work(size))
}

const TRIES = 5

function bestOf(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let at = 0; at < TRIES; at++) {
    const from = process.cpuUsage()
    const begun = performance.now()
    run()
    const { user, system } = process.cpuUsage(from)
    best = Math.min(best, performance.now() - begun, (user + system) / 1000)
  }
  return best
}
