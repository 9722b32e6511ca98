/** Many small reads, several of them at a time. */

/** Results in the order of the items, of which so many are worked on at once. Rejects when nothing is worked on any more. */
export async function inOrder<T, R>(items: readonly T[], most: number, of: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  let failed = false
  const work = async (): Promise<void> => {
    try {
      for (let at = next++; at < items.length && !failed; at = next++) results[at] = await of(items[at] as T)
    } catch (error) {
      failed = true
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: most }, work))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return results
}
