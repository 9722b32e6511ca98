import { randomFillSync } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Key } from 'lmdb'
import { open } from 'lmdb'
import { describe, expect, it } from 'vitest'
import { type EmbedCacheOptions, embeddingKey, openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import { START, tempFolder } from '../support/index-world.js'

const DAY = 86_400_000
const now = () => START
const KEY = embeddingKey('space', 'document', 'text')
const VECTOR = Float32Array.of(1, -2, 0.5)

const keyOf = (i: number): string => embeddingKey('space', 'document', `text ${i}`)
const vectorOf = (i: number, dimensions = 64): Float32Array => new Float32Array(dimensions).fill(i + 1)
const entries = (from: number, to: number, dimensions?: number) =>
  Array.from({ length: to - from }, (_, i) => ({ key: keyOf(from + i), vector: vectorOf(from + i, dimensions) }))

/** A cache on a clock of its own, that can be opened again. */
function onDays(folder: { readonly path: string }, options: Partial<EmbedCacheOptions> = {}) {
  const clock = { day: 0 }
  return { clock, reopen: () => openEmbedCache({ directory: folder.path, now: () => START + clock.day * DAY, ...options }) }
}

describe('the embedding cache', () => {
  it('gives back what was put, in a later process too', async () => {
    using folder = tempFolder()
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      expect(cache.get(KEY)).toBeUndefined()
      await cache.put([{ key: KEY, vector: VECTOR }])
      expect(cache.stats()).toEqual({ hits: 0, misses: 1 })
    }
    await using cache = await openEmbedCache({ directory: folder.path, now })
    expect(cache.get(KEY)).toEqual(VECTOR)
    expect(cache.stats()).toEqual({ hits: 1, misses: 0 })
    expect(statSync(join(folder.path, 'embcache.mdb')).mode & 0o777).toBe(0o600)
    await cache.remove([KEY])
    expect(cache.get(KEY)).toBeUndefined()
  })

  it('tells space, kind and text apart, however they are cut', () => {
    const keys = [
      KEY,
      embeddingKey('space2', 'document', 'text'),
      embeddingKey('space', 'query', 'text'),
      embeddingKey('space', 'document', 'text2'),
      embeddingKey('spac', 'document', 'etext'),
    ]
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('holds vectors of any number and length, put in any portions', async () => {
    using folder = tempFolder()
    const { reopen } = onDays(folder)
    {
      await using cache = await reopen()
      for (const [from, to] of [
        [0, 1],
        [1, 3],
        [3, 40],
        [40, 41],
        [41, 200],
      ] as const)
        await cache.put(entries(from, to))
      await cache.put(entries(200, 201, 200_000))
      await cache.put([{ key: KEY, vector: VECTOR }])
      for (let i = 0; i < 200; i += 7) expect(cache.get(keyOf(i))).toEqual(vectorOf(i))
    }
    await using cache = await reopen()
    for (let i = 0; i < 200; i++) expect(cache.get(keyOf(i))).toEqual(vectorOf(i))
    expect(cache.get(keyOf(200))).toEqual(vectorOf(200, 200_000))
    expect(cache.get(KEY)).toEqual(VECTOR)
  })

  it('sees what another process put meanwhile, into a slab that it has read', async () => {
    using folder = tempFolder()
    const { reopen } = onDays(folder)
    await using one = await reopen()
    await using two = await reopen()
    await one.put(entries(0, 2))
    expect(two.get(keyOf(0))).toEqual(vectorOf(0))
    await one.put(entries(2, 4))
    expect(two.get(keyOf(3))).toEqual(vectorOf(3))
    await two.put(entries(2, 6))
    expect(one.get(keyOf(5))).toEqual(vectorOf(5))
  })

  it('wipes what is removed, and keeps its neighbours', async () => {
    using folder = tempFolder()
    const { reopen } = onDays(folder)
    await using cache = await reopen()
    await cache.put(entries(0, 10))
    expect(cache.get(keyOf(3))).toBeDefined()
    await cache.remove([keyOf(3), keyOf(4), 'nobody'])
    expect([3, 4].map((i) => cache.get(keyOf(i)))).toEqual([undefined, undefined])
    for (const i of [0, 1, 2, 5, 6, 7, 8, 9]) expect(cache.get(keyOf(i))).toEqual(vectorOf(i))
    await cache.put(entries(3, 4))
    expect(cache.get(keyOf(3))).toEqual(vectorOf(3))
    await cache.remove(Array.from({ length: 10 }, (_, i) => keyOf(i)))
    await cache.put(entries(0, 1))
    expect(cache.get(keyOf(0))).toEqual(vectorOf(0))
  })
})

describe('what the cache lets go', () => {
  it('is what was not used for its time; a use counts once a day, and keeps it', async () => {
    using folder = tempFolder()
    const { clock, reopen } = onDays(folder, { ttlMs: 30 * DAY })
    {
      await using cache = await reopen()
      await cache.put(entries(0, 32))
      await cache.put(entries(32, 64))
      clock.day = 20
      expect(cache.get(keyOf(40))).toBeDefined()
    }
    await using cache = await reopen()
    clock.day = 31
    expect(cache.get(keyOf(0))).toBeUndefined()
    expect(cache.get(keyOf(63))).toEqual(vectorOf(63))
    await cache.put(entries(0, 1))
    expect(cache.get(keyOf(0))).toEqual(vectorOf(0))
    expect(cache.get(keyOf(1))).toBeUndefined()
  })

  it('is what was not used for longest when there is too much, and the file stays in bounds', async () => {
    using folder = tempFolder()
    const { clock, reopen } = onDays(folder, { maxBytes: 1_000_000 })
    await using cache = await reopen()
    await cache.put(entries(0, 32, 1000))
    for (clock.day = 1; clock.day < 60; clock.day++) {
      await cache.put(entries(32 * clock.day, 32 * (clock.day + 1), 1000))
      expect(cache.get(keyOf(0))).toBeDefined()
    }
    const held = Array.from({ length: 32 * 60 }, (_, i) => i).filter((i) => cache.get(keyOf(i)) !== undefined)
    expect(held.length).toBeGreaterThan(190)
    expect(held.length * 4000).toBeLessThanOrEqual(1_000_000)
    expect(held).toEqual([
      ...Array.from({ length: 32 }, (_, i) => i),
      ...Array.from({ length: held.length - 32 }, (_, i) => 32 * 60 - held.length + 32 + i),
    ])
    expect(statSync(join(folder.path, 'embcache.mdb')).size).toBeLessThan(1_500_000)
  })

  it('is everything when its file is much larger than it may be now', async () => {
    using folder = tempFolder()
    const { reopen } = onDays(folder)
    {
      await using cache = await reopen()
      await cache.put(entries(0, 100, 5000))
    }
    await using cache = await openEmbedCache({ directory: folder.path, now, maxBytes: 10 })
    expect(cache.get(keyOf(0))).toBeUndefined()
  })
})

describe('a damaged cache', () => {
  it('takes a damaged vector for a miss, and stores it anew', async () => {
    using folder = tempFolder()
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      await cache.put([{ key: KEY, vector: VECTOR }, ...entries(0, 3)])
    }
    const root = open<Buffer, Key>({ path: join(folder.path, 'embcache.mdb'), noSubdir: true, overlappingSync: false, maxDbs: 24 })
    const slabs = root.openDB<Buffer, Key>({ name: 'slab', encoding: 'binary' })
    const bytes = Buffer.from(slabs.get(1) ?? [])
    const at = bytes.indexOf(Buffer.from(VECTOR.buffer))
    bytes[at] = (bytes[at] ?? 0) ^ 1
    slabs.putSync(1, bytes)
    await root.flushed
    await root.close()
    await using cache = await openEmbedCache({ directory: folder.path, now })
    expect(cache.get(KEY)).toBeUndefined()
    expect(cache.get(keyOf(2))).toEqual(vectorOf(2))
    await cache.put([{ key: KEY, vector: VECTOR }])
    expect(cache.get(KEY)).toEqual(VECTOR)
  })

  it.each<[string, (path: string, size: number) => void]>([
    ['is no database', (path) => writeFileSync(path, 'no database')],
    ['is empty', (path) => truncateSync(path, 0)],
    ['was cut in its meta pages', (path) => truncateSync(path, 5000)],
    ['was cut in the middle', (path, size) => truncateSync(path, Math.floor(size / 2))],
    ['was cut at its last page', (path, size) => truncateSync(path, size - 1)],
    ['holds noise', (path, size) => writeFileSync(path, randomFillSync(Buffer.alloc(size)))],
    ['holds zeros after its meta pages', (path, size) => zeroFrom(path, 8192, size)],
  ])('[n] starts over when its file %s', async (_, damage) => {
    using folder = tempFolder()
    const path = join(folder.path, 'embcache.mdb')
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      for (let i = 0; i < 300; i += 30) await cache.put(entries(i, i + 30))
    }
    damage(path, statSync(path).size)
    for (let i = 0; i < 2; i++) {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      for (let i = 0; i < 300; i += 11) expect([undefined, ...vectorOf(i)]).toContain(cache.get(keyOf(i))?.[0])
      await cache.put([{ key: KEY, vector: VECTOR }])
      expect(cache.get(KEY)).toEqual(VECTOR)
    }
  })

  it.each([0, 0xa7])('[n] gives nothing wrong and starts over when any page of its file is filled with %i', async (fill) => {
    let startedOver = 0
    for (let page = 3; page < 20; page += 4) {
      using folder = tempFolder()
      const path = join(folder.path, 'embcache.mdb')
      {
        await using cache = await openEmbedCache({ directory: folder.path, now })
        for (let i = 0; i < 150; i += 30) await cache.put(entries(i, i + 30))
      }
      const file = openSync(path, 'r+')
      writeSync(file, Buffer.alloc(4096, fill), 0, 4096, page * 4096)
      closeSync(file)
      for (let round = 0; round < 2; round++) {
        await using cache = await openEmbedCache({ directory: folder.path, now })
        const asked = Array.from({ length: 10 }, (_, i) => 15 * i)
        const found = asked.map((i) => cache.get(keyOf(i)))
        for (const [at, i] of asked.entries()) expect([undefined, i + 1]).toContain(found[at]?.[0])
        if (found.every((vector) => vector === undefined)) startedOver++
        await cache.put([{ key: KEY, vector: VECTOR }])
        expect(cache.get(KEY)).toEqual(VECTOR)
      }
    }
    expect(startedOver).toBeGreaterThan(0)
  })

  it('[n] starts over once for all who write at that moment', async () => {
    for (const page of [5, 6, 17]) {
      using folder = tempFolder()
      const path = join(folder.path, 'embcache.mdb')
      {
        await using cache = await openEmbedCache({ directory: folder.path, now })
        for (let i = 0; i < 150; i += 30) await cache.put(entries(i, i + 30, 100))
      }
      const file = openSync(path, 'r+')
      writeSync(file, Buffer.alloc(4096), 0, 4096, page * 4096)
      closeSync(file)
      const at = [1000, 2000, 3000]
      {
        await using cache = await openEmbedCache({ directory: folder.path, now })
        await Promise.all(at.map((i) => cache.put(entries(i, i + 10, 100))))
      }
      await using cache = await openEmbedCache({ directory: folder.path, now })
      expect(at.map((i) => cache.get(keyOf(i))?.[0])).toEqual([1001, 2001, 3001])
    }
  })

  it('is never one that was merely used', async () => {
    using folder = tempFolder()
    const { clock, reopen } = onDays(folder, { maxBytes: 100_000 })
    for (let round = 0; round < 10; round++) {
      clock.day = round
      await using cache = await reopen()
      expect(cache.get(keyOf(32 * round - 1)) !== undefined).toBe(round > 0)
      for (let i = 0; i < 4; i++) await cache.put(entries(32 * round + 8 * i, 32 * round + 8 * (i + 1)))
      await cache.remove([keyOf(32 * round + 3)])
    }
  })
})

it('takes little more than its vectors', async () => {
  for (const [dimensions, most] of [
    [384, 1.25],
    [768, 1.25],
    [1024, 1.25],
  ] as const) {
    using folder = tempFolder()
    const { reopen } = onDays(folder)
    const count = 6000
    {
      await using cache = await reopen()
      // As a running index does: sometimes many, sometimes one.
      for (let i = 0; i < count; ) {
        const to = Math.min(count, i + (i % 3 === 0 ? 32 : 5))
        await cache.put(entries(i, to, dimensions))
        i = to
      }
    }
    const size = readFileSync(join(folder.path, 'embcache.mdb')).length
    expect(size / (count * dimensions * 4)).toBeLessThan(most)
  }
})

function zeroFrom(path: string, from: number, size: number): void {
  const file = openSync(path, 'r+')
  ftruncateSync(file, from)
  ftruncateSync(file, size)
  closeSync(file)
}
