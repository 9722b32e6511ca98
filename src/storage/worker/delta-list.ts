/** Lists that both threads hold: an answer names what it has of the list before by its places, and gives only the rest. */

/** `from`: for each entry its place in the list before, -1 for the next of `fresh`. Missing: the list is the one before. */
export interface Delta<T> {
  readonly from?: Int32Array | undefined
  readonly fresh: readonly T[]
}

/** Entries are the same when they are the same objects. */
export function deltaOf<T extends object>(entries: readonly T[], before: readonly T[]): Delta<T> {
  if (entries === before || (entries.length === before.length && entries.every((entry, at) => entry === before[at]))) return { fresh: [] }
  const places = placesOf(before)
  const fresh: T[] = []
  const from = Int32Array.from(entries, (entry) => {
    const place = places.get(entry) ?? -1
    if (place < 0) fresh.push(entry)
    return place
  })
  return { from, fresh }
}

export function applyDelta<T>({ from, fresh }: Delta<T>, before: readonly T[]): readonly T[] {
  if (from === undefined) return before
  let next = 0
  return Array.from(from, (place) => (place < 0 ? fresh[next++] : before[place]) as T)
}

/** Whether every place exists; what comes from another thread is not trusted. */
export function fits({ from, fresh }: Delta<unknown>, before: readonly unknown[]): boolean {
  if (from === undefined) return fresh.length === 0
  return from.every((place) => place < before.length) && fresh.length === from.reduce((count, place) => count + Number(place < 0), 0)
}

function placesOf<T extends object>(entries: readonly T[]): ReadonlyMap<T, number> {
  return new Map(entries.map((entry, at) => [entry, at]))
}
