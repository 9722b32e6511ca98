import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Key } from 'lmdb'
import { open } from 'lmdb'
import { describe, expect, it } from 'vitest'
import { embeddingKey, openEmbedCache } from '../../src/indexer/embed-cache.js'
import { START, tempFolder } from '../support/index-world.js'

const now = () => START
const KEY = embeddingKey('space', 'document', 'text')
const VECTOR = Float32Array.of(1, -2, 0.5)

describe('the embedding cache', () => {
  it('gives back what was put, in a later process too', async () => {
    using folder = tempFolder()
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      expect(cache.get(KEY)).toBeUndefined()
      await cache.put([{ key: KEY, vector: VECTOR }])
    }
    await using cache = await openEmbedCache({ directory: folder.path, now })
    expect(cache.get(KEY)).toEqual(VECTOR)
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

  it('takes a damaged vector for a miss', async () => {
    using folder = tempFolder()
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      await cache.put([{ key: KEY, vector: VECTOR }])
    }
    const root = open<Buffer, Key>({ path: join(folder.path, 'embcache.mdb'), noSubdir: true, overlappingSync: false, maxDbs: 24 })
    const vectors = root.openDB<Buffer, Key>({ name: 'vec', encoding: 'binary' })
    const bytes = Buffer.from(vectors.get(KEY) ?? [])
    bytes[20] = (bytes[20] ?? 0) ^ 1
    vectors.putSync(KEY, bytes)
    await root.flushed
    await root.close()
    await using cache = await openEmbedCache({ directory: folder.path, now })
    expect(cache.get(KEY)).toBeUndefined()
  })

  it('starts over when its file is damaged or too large', async () => {
    using folder = tempFolder()
    writeFileSync(join(folder.path, 'embcache.mdb'), 'no database')
    {
      await using cache = await openEmbedCache({ directory: folder.path, now })
      await cache.put([{ key: KEY, vector: VECTOR }])
      expect(cache.get(KEY)).toEqual(VECTOR)
    }
    await using cache = await openEmbedCache({ directory: folder.path, now, maxBytes: 10 })
    expect(cache.get(KEY)).toBeUndefined()
  })
})
