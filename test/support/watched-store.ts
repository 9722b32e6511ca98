/** A store that says what it is asked for, and lets a test step in between the stages. */
import type { Read, Store } from '../../src/storage/store.js'

export interface WatchedStore {
  readonly store: Store
  /** Names of the methods called, in order. */
  readonly calls: string[]
  /** Ids of the messages and parts that were opened. */
  readonly opened: string[]
  /** Runs before the named method's next calls. */
  before: Partial<Record<keyof Store, () => void>>
}

export function watched(inner: Store): WatchedStore {
  const calls: string[] = []
  const opened: string[] = []
  const world: WatchedStore = { calls, opened, before: {}, store: inner }
  const store = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        calls.push(String(name))
        world.before[name as keyof Store]?.()
        if (name === 'open') for (const { kind, key } of args[0] as readonly Read[]) if (kind !== 'session') opened.push(idOf(key))
        if (name === 'openParts') opened.push('openParts')
        return Reflect.apply(value, target, args)
      }
    },
  })
  return Object.assign(world, { store })
}

function idOf(key: Read['key']): string {
  return key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
}
