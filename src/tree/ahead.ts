/** Reading ahead: another thread answers for the next sessions while this one is at work on one. */
import type { SessionKey } from '../core/keys.js'
import type { Store } from '../storage/store.js'

interface Reading {
  readonly stores: readonly Pick<Store, 'agent' | 'ahead'>[]
}

interface Keyed {
  readonly key: SessionKey
}

/** Each of the sessions with what was begun for it; as many are begun ahead as the stores of their agent say. */
export function* begunAhead<T extends Keyed, R>(
  { stores }: Reading,
  sessions: readonly T[],
  begin: (session: T) => Promise<R>,
): Generator<readonly [T, Promise<R>]> {
  const mostOf = new Map(stores.map(({ agent, ahead = 0 }) => [agent, ahead]))
  const begun: (readonly [T, Promise<R>])[] = []
  for (const session of sessions) {
    while (begun.length > (mostOf.get(session.key.agent) ?? 0)) yield* begun.splice(0, 1)
    const result = begin(session)
    // Whoever takes it hears of its failure; nobody does when the rest is not wanted any more.
    result.catch(() => undefined)
    begun.push([session, result])
  }
  yield* begun
}
