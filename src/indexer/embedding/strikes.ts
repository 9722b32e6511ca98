/**
 * Texts that the embedder goes down with. Such texts are given in ever smaller pages, and one that it goes down with alone, and again,
 * is put aside. An outage strikes a text once at most: after a failure a harmless text goes first, and while that fails no other is given.
 */
import type { Failure } from '../state/rows.js'

export interface Strikes {
  /** What the last call said of the embedder. */
  health(): 'unknown' | 'up' | 'down'
  /** How often the embedder went down with the text since it was last embedded. */
  of(key: string): number
  /** It went down with these. */
  down(keys: readonly string[], failure: Failure): void
  /** It embedded these. */
  up(keys: readonly string[]): void
  /** Why the text is to be put aside. */
  verdict(key: string): Failure | undefined
  forget(keys: readonly string[]): void
}

interface Struck {
  readonly times: number
  /** Times that it was the only text, and the embedder had answered just before. */
  readonly alone: number
  readonly failure: Failure
}

const LETHAL = 2
/** Beyond so many, all are forgotten: what was found is found again. */
const MOST = 10_000

export function createStrikes(): Strikes {
  const struck = new Map<string, Struck>()
  let health: ReturnType<Strikes['health']> = 'unknown'
  const forget = (keys: readonly string[]): void => {
    for (const key of keys) struck.delete(key)
  }
  return {
    health: () => health,
    of: (key) => struck.get(key)?.times ?? 0,
    down(keys, failure) {
      if (struck.size + keys.length > MOST) struck.clear()
      for (const key of keys) {
        const { times = 0, alone = 0 } = struck.get(key) ?? {}
        struck.set(key, { times: times + 1, alone: alone + (keys.length === 1 && health === 'up' ? 1 : 0), failure })
      }
      health = 'down'
    },
    up(keys) {
      health = 'up'
      forget(keys)
    },
    verdict(key) {
      const found = struck.get(key)
      if (found === undefined || found.alone < LETHAL) return undefined
      return { code: 'TEXT_REFUSED', reason: `${found.failure.reason} when it is given this text, and works without it` }
    },
    forget,
  }
}
