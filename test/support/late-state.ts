/** A state whose answers come later, as those of a server would: nothing that works on an IndexStore may ask for more. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { IndexReads, IndexStore, LocalIndexStore } from '../../src/indexer/state/state.js'

const NAMES: Readonly<Record<keyof IndexReads, true>> = {
  ...{ identity: true, spaces: true, retiring: true, walRead: true, ledger: true, sessions: true },
  ...{ pending: true, deadLetters: true, status: true, nextRunAt: true },
}

/** The names of what is asked of a state. */
export const READS: ReadonlySet<string> = new Set(Object.keys(NAMES))

/** `answer` runs each read when it is to be answered. @default in the next turn of the event loop, and told in the one after it */
export function lateState(state: LocalIndexStore, answer = inLaterTurns): IndexStore {
  return new Proxy(state, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function' || typeof name !== 'string') return method
      if (!READS.has(name)) return method.bind(target)
      return (...args: unknown[]) => answer(() => Reflect.apply(method, target, args))
    },
  }) as unknown as IndexStore
}

async function inLaterTurns(read: () => unknown): Promise<unknown> {
  await nextTurn()
  const found = read()
  await nextTurn()
  return found
}
