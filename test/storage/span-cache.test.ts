/** Single records in memory: by version, within a budget, and not past the moment that somebody knows to be a write. */
import { describe, expect, it } from 'vitest'
import { createDirtyTracker } from '../../src/core/dirty-tracker.js'
import type { Generation } from '../../src/storage/generation.js'
import { OwnedSpan } from '../../src/storage/span.js'
import { SpanCache } from '../../src/storage/span-cache.js'
import { keyOf } from '../support/trees.js'

const GENERATION = '1' as Generation
const span = (id: string, bytes = 10, path = `/store/${id}.json`): OwnedSpan =>
  new OwnedSpan(keyOf(id), { path }, GENERATION, Buffer.alloc(bytes, id))

describe('a record that is known to be written to', () => {
  it('is not served when it was read before that, and is when it was read after', () => {
    const dirty = createDirtyTracker()
    const cache = new SpanCache(100, dirty)
    cache.put(span('ses_a'))
    cache.put(span('ses_b'))
    dirty.mark('/store/ses_a.json')
    expect(cache.get(keyOf('ses_a'), GENERATION)).toBeUndefined()
    expect(cache.get(keyOf('ses_b'), GENERATION)).toBeDefined()
    expect(cache.size).toBe(1)
    cache.put(span('ses_a'))
    expect(cache.get(keyOf('ses_a'), GENERATION)).toBeDefined()
    dirty.mark('/store')
    expect([cache.get(keyOf('ses_a'), GENERATION), cache.get(keyOf('ses_b'), GENERATION)]).toEqual([undefined, undefined])
  })

  it('is not served when it was written to while it was read', () => {
    const dirty = createDirtyTracker()
    const cache = new SpanCache(100, dirty)
    const readAt = dirty.clock.now
    dirty.mark('/store/ses_a.json')
    cache.put(span('ses_a'), readAt)
    expect(cache.get(keyOf('ses_a'), GENERATION)).toBeUndefined()
  })
})

describe('a pinned record', () => {
  it('stays while others go, and goes after its last span is disposed', () => {
    const cache = new SpanCache(30)
    cache.put(span('ses_a'))
    const [one, other] = [cache.pin(keyOf('ses_a'), GENERATION), cache.pin(keyOf('ses_a'), GENERATION)]
    for (const id of ['ses_b', 'ses_c', 'ses_d', 'ses_e']) cache.put(span(id))
    expect(cache.get(keyOf('ses_a'), GENERATION)).toBeDefined()
    expect(cache.bytes).toBe(30)
    one?.[Symbol.dispose]()
    one?.[Symbol.dispose]()
    expect(cache.prune(0)).toBe(2)
    expect(other?.bytes().length).toBe(10)
    other?.[Symbol.dispose]()
    expect(cache.prune(0)).toBe(1)
  })

  it('keeps its bytes when the entry is removed or everything is cleared', () => {
    const cache = new SpanCache(30)
    cache.put(span('ses_a'))
    using held = cache.pin(keyOf('ses_a'), GENERATION)
    cache.remove(keyOf('ses_a'), GENERATION)
    cache.clear()
    expect(held?.bytes().length).toBe(10)
  })
})
