/** Listings that are made at the same time. */
import { expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory-store.js'
import type { Store } from '../../src/storage/store.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'

it('a listing that began earlier and ended later does not take the place of a newer one', async () => {
  const memory = new MemoryStore()
  const gates: (() => void)[] = []
  let isGated = false
  const store = new Proxy<Store>(memory, {
    get: (_target, name) => {
      const value = Reflect.get(memory, name)
      if (name === 'sessions') {
        return async () => {
          const listing = await memory.sessions()
          if (isGated) await new Promise<void>((open) => gates.push(open))
          return listing
        }
      }
      return typeof value === 'function' ? value.bind(memory) : value
    },
  })
  await using set = await createSessionSet([store])
  isGated = true
  const older = set.refresh()
  while (gates.length < 1) await Promise.resolve()
  memory.put({ session: 'ses_new' }, { title: 'new', time: { created: 1, updated: 1 } }, 1)
  const newer = set.refresh()
  while (gates.length < 2) await Promise.resolve()
  gates[1]?.()
  await newer
  expect(set.index.stats().sessions).toBe(1)
  gates[0]?.()
  await older
  expect(set.index.stats().sessions).toBe(1)
})
