/** Long lists of what is asked for, cut into calls: the worker turns to others between them, and neither thread waits for the other. */

import { setImmediate } from 'node:timers/promises'

/** Calls that are on their way at once. */
const AT_ONCE = 2

/** How much of the items from `from` on makes the next piece: at least 1. */
export type Measure<T> = (items: readonly T[], from: number) => number

/** The results in the order of the pieces. `long`: it is not the only piece. */
export async function inPieces<T, R>(
  items: readonly T[],
  measure: Measure<T>,
  call: (piece: readonly T[], long: boolean) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = []
  const flying: Promise<R>[] = []
  let from = 0
  do {
    const size = measure(items, from)
    const flight = call(items.slice(from, from + size), size < items.length)
    // It is awaited below, or it fails together with one before it.
    flight.catch(() => undefined)
    flying.push(flight)
    from += size
    const [first] = flying
    if (flying.length < AT_ONCE || first === undefined) continue
    results.push(await first)
    flying.shift()
    // Answers that are here already would be taken one after the other, with no turn for anybody else.
    await setImmediate()
  } while (from < items.length)
  for (const flight of flying) results.push(await flight)
  return results
}

export function upTo(count: number): Measure<unknown> {
  return () => count
}
