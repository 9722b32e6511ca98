/** Spans, the slabs under them, and the cache of single records. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../src/core/keys.js'
import { numberedGeneration } from '../../src/storage/generation.js'
import { Slab, SlabPool } from '../../src/storage/slab.js'
import { parseSpan, SlabSpan, type Span } from '../../src/storage/span.js'
import { SpanCache } from '../../src/storage/span-cache.js'

const keyNamed = (name: string): SessionKey => sessionKey('opencode', parseSessionId(name))
const disposed = expect.objectContaining({ code: 'SPAN_DISPOSED' })

function spanOf(text: string | Uint8Array, slab = new Slab(), name = 's', version = 1): SlabSpan {
  const bytes = Buffer.from(text)
  return new SlabSpan(keyNamed(name), { path: '/store' }, numberedGeneration(version), slab, slab.append(bytes), bytes.length)
}

describe('a span', () => {
  it('is a view of the slab, in place', () => {
    using slab = new Slab()
    const [one, two] = [spanOf('one', slab), spanOf('zwölf', slab)]
    expect([one.text(), two.text(), two.length]).toEqual(['one', 'zwölf', 6])
    expect(Buffer.from(two.bytes()).toString()).toBe('zwölf')
    expect(one.bytes().buffer).toBe(two.bytes().buffer)
  })

  it('ends with itself, and with its slab', () => {
    const slab = new Slab()
    const [one, two] = [spanOf('one', slab), spanOf('two', slab)]
    one[Symbol.dispose]()
    for (const use of [() => one.bytes(), () => one.text(), () => parseSpan(one)]) expect(use).toThrow(disposed)
    expect(two.text()).toBe('two')
    slab[Symbol.dispose]()
    for (const use of [() => two.bytes(), () => two.text(), () => parseSpan(two)]) expect(use).toThrow(disposed)
    one[Symbol.dispose]()
    slab[Symbol.dispose]()
  })

  it('never shows the bytes of the next reading, which is given the same buffer', () => {
    const pool = new SlabPool()
    const first = new Slab(pool)
    const secret = spanOf('first reading', first)
    const chunk = first.chunk
    first[Symbol.dispose]()
    using second = new Slab(pool)
    expect(second.chunk).toBe(chunk)
    const other = spanOf('second reading', second)
    expect(() => secret.text()).toThrow(disposed)
    expect(other.text()).toBe('second reading')
  })

  it('keeps its bytes when the slab goes on to other buffers, large and adopted ones', () => {
    using slab = new Slab()
    const spans = [spanOf('small', slab)]
    slab.adopt(Buffer.from('adopted'))
    spans.push(new SlabSpan(keyNamed('s'), { path: '/store' }, undefined, slab, 0, 7))
    spans.push(spanOf('x'.repeat(3 * 2 ** 20), slab), spanOf('after', slab))
    expect(spans.map((span) => span.text().slice(0, 8))).toEqual(['small', 'adopted', 'xxxxxxxx', 'after'])
  })

  it('gives back only buffers of the pool, each once', () => {
    const pool = new SlabPool()
    const slab = new Slab(pool)
    slab.adopt(Buffer.alloc(10))
    slab.append(Buffer.alloc(2 ** 21))
    for (let n = 0; n < 40; n++) slab.append(Buffer.alloc(2 ** 19))
    slab[Symbol.dispose]()
    slab[Symbol.dispose]()
    const taken = Array.from({ length: 40 }, () => pool.take())
    expect(new Set(taken).size).toBe(40)
    expect(taken.every(({ length }) => length === 2 ** 20)).toBe(true)
  })
})

describe('parseSpan', () => {
  it('parses JSON, with a byte order mark and white space, and written replacement characters', () => {
    expect(parseSpan(spanOf('\uFEFF {"a": "\uFFFD"}\r\n'))).toEqual({ a: '\uFFFD' })
    expect(parseSpan(spanOf('"\\ud83d"'))).toBe('\ud83d')
    expect(Object.entries(parseSpan(spanOf('{"__proto__": {"x": 1}}')) as object)).toEqual([['__proto__', { x: 1 }]])
  })

  it.each([
    ['', 'empty'],
    [' \n\t', 'empty'],
    ['\0\0\0', 'NUL-filled'],
    ['{"a": [1, {"b": "c\\"', 'truncated'],
    ['{"a": "unfinished \\', 'truncated'],
    ['{"a": 1}}', 'not JSON'],
    ['{"a": 1} {"b": 2}', 'not JSON'],
    ['undefined', 'not JSON'],
    ['{"a": 1}\0\0\0', 'NUL-filled'],
    ['{"a": 1}\0', 'not JSON'],
    [Buffer.from([0x22, 0xc3, 0x22]), 'invalid UTF-8'],
    [Buffer.from([0xff, 0xfe, 0x7b, 0x00]), 'invalid UTF-8'],
  ])('says of %j that it is %s', (text, reason) => {
    expect(() => parseSpan(spanOf(text))).toThrow(expect.objectContaining({ code: 'CORRUPT_RECORD', reason, path: '/store' }))
  })

  it('does what JSON.parse does, or throws CORRUPT_RECORD (property)', () => {
    const bytes = fc.oneof(
      fc.json().map((text) => Buffer.from(text)),
      fc.json().map((text) => Buffer.from(text).subarray(1)),
      fc.uint8Array().map((array) => Buffer.from(array)),
    )
    fc.assert(
      fc.property(bytes, (content) => {
        let expected: { readonly value: unknown } | undefined
        try {
          expected = { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(content)) }
        } catch {
          expected = undefined
        }
        let given: { readonly value: unknown } | undefined
        try {
          given = { value: parseSpan(spanOf(content)) }
        } catch (error) {
          expect(error).toMatchObject({ code: 'CORRUPT_RECORD' })
        }
        expect(given).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('puts no content into its error', () => {
    const error = (() => {
      try {
        return parseSpan(spanOf('{"text": "my secret plan'))
      } catch (thrown) {
        return thrown as Error
      }
    })()
    expect(error).toBeInstanceOf(Error)
    expect(String((error as Error).message)).not.toContain('secret')
  })
})

describe('the span cache', () => {
  it('keeps a copy that outlives the slab and its own entry', () => {
    const cache = new SpanCache(100)
    const slab = new Slab()
    cache.put(spanOf('kept', slab))
    slab.chunk.fill(0)
    slab[Symbol.dispose]()
    const held = cache.get(keyNamed('s'), numberedGeneration(1)) as Span
    cache.clear()
    expect([held.text(), held.length, cache.size, cache.bytes]).toEqual(['kept', 4, 0, 0])
    held[Symbol.dispose]()
    expect(() => held.text()).toThrow(disposed)
  })

  it('keeps no span without a generation, none above its budget, and never a wrong version', () => {
    const cache = new SpanCache(5)
    const slab = new Slab()
    cache.put(new SlabSpan(keyNamed('s'), { path: '' }, undefined, slab, 0, 1))
    cache.put(spanOf('too large', slab))
    expect(cache.size).toBe(0)
    cache.put(spanOf('v1', slab))
    expect(cache.get(keyNamed('s'), numberedGeneration(2))).toBeUndefined()
    expect(cache.get(keyNamed('t'), numberedGeneration(1))).toBeUndefined()
    expect(cache.remove(keyNamed('s'), numberedGeneration(2))).toBe(false)
    expect(cache.remove(keyNamed('s'), numberedGeneration(1))).toBe(true)
  })

  it('does what a model does, whatever is asked of it (property)', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd')
    const version = fc.integer({ min: 1, max: 2 })
    const step = fc.oneof(
      fc.record({ act: fc.constant('put' as const), name, version, size: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ act: fc.constant('get' as const), name, version }),
      fc.record({ act: fc.constant('remove' as const), name, version }),
      fc.record({ act: fc.constant('prune' as const), bytes: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ act: fc.constant('clear' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = new SpanCache(20)
        const slab = new Slab()
        let model: { id: string; text: string }[] = []
        const total = (): number => model.reduce((sum, { text }) => sum + text.length, 0)
        const shrink = (bytes: number): number => {
          const before = model.length
          while (total() > bytes) model.shift()
          return before - model.length
        }
        for (const [at, given] of steps.entries()) {
          if (given.act === 'put') {
            const text = String.fromCharCode(97 + (at % 26)).repeat(given.size)
            cache.put(spanOf(text, slab, given.name, given.version))
            model = model.filter(({ id }) => id !== given.name + given.version)
            model.push({ id: given.name + given.version, text })
            shrink(20)
          } else if (given.act === 'get') {
            const found = model.find(({ id }) => id === given.name + given.version)
            expect(cache.get(keyNamed(given.name), numberedGeneration(given.version))?.text()).toBe(found?.text)
            if (found !== undefined) model = [...model.filter((entry) => entry !== found), found]
          } else if (given.act === 'remove') {
            const rest = model.filter(({ id }) => id !== given.name + given.version)
            expect(cache.remove(keyNamed(given.name), numberedGeneration(given.version))).toBe(rest.length < model.length)
            model = rest
          } else if (given.act === 'prune') expect(cache.prune(given.bytes)).toBe(shrink(given.bytes))
          else {
            cache.clear()
            model = []
          }
          expect([cache.size, cache.bytes]).toEqual([model.length, total()])
          expect(cache.bytes).toBeLessThanOrEqual(cache.budget)
        }
      }),
      { numRuns: 200 },
    )
  })
})
