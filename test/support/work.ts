/** What a store did while something ran. */
import type { Store, StoreWork } from '../../src/storage/store.js'

export interface Worked<T> {
  readonly value: T
  readonly work: StoreWork
}

export async function workOf<T>(store: Store, act: () => Promise<T> | T): Promise<Worked<T>> {
  const before = { ...store.work }
  const value = await act()
  const { files, rows, bytes, stats } = store.work
  return { value, work: { files: files - before.files, rows: rows - before.rows, bytes: bytes - before.bytes, stats: stats - before.stats } }
}
