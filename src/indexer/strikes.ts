/**
 * Texts that the embedder goes down with. It worked before, for it is probed first; so such texts are given in ever smaller pages,
 * and one that it goes down with alone, and again, is put aside. An outage strikes a text once: while the probe fails, no text is given.
 */
import type { Failure } from './state-rows.js'

export interface Strikes {
  /** How often the embedder went down with it since it was last embedded. */
  of(key: string): number
  add(keys: readonly string[], failure: Failure): void
  clear(keys: Iterable<string>): void
  /** Why the text is to be put aside. */
  verdict(key: string): Failure | undefined
}

const LETHAL = 2
/** Beyond so many, all are forgotten: what was found is found again. */
const MOST = 10_000

export function createStrikes(): Strikes {
  const struck = new Map<string, { times: number; alone: number; failure: Failure }>()
  return {
    of: (key) => struck.get(key)?.times ?? 0,
    add(keys, failure) {
      if (struck.size + keys.length > MOST) struck.clear()
      for (const key of keys) {
        const { times = 0, alone = 0 } = struck.get(key) ?? {}
        struck.set(key, { times: times + 1, alone: alone + (keys.length === 1 ? 1 : 0), failure })
      }
    },
    clear(keys) {
      for (const key of keys) struck.delete(key)
    },
    verdict(key) {
      const found = struck.get(key)
      if (found === undefined || found.alone < LETHAL) return undefined
      return { code: 'TEXT_REFUSED', reason: `${found.failure.reason} when it is given this text, and works without it` }
    },
  }
}
