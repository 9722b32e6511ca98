/**
 * Vectors by the text they were made of: the same text is embedded once, in whatever session, and after a crash.
 * The cache may be deleted at any time; that costs compute, never correctness.
 *
 * A value is version:u8 zero:3 day:u32 crc32:u32 float32...; one that does not check is a miss.
 */
import { createHash } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { StorageError } from '../core/errors.js'
import { openLmdb } from './lmdb-env.js'
import { preparePrivateFolder } from './local-disk.js'

export interface EmbedCache extends AsyncDisposable {
  get(key: string): Float32Array | undefined
  /** Stored when it resolves; a cache that cannot be written stays without. */
  put(entries: readonly CachedVector[]): Promise<void>
  remove(keys: readonly string[]): Promise<void>
  /** Since it was opened. */
  stats(): { readonly hits: number; readonly misses: number }
}

export interface CachedVector {
  readonly key: string
  readonly vector: Float32Array
}

export interface EmbedCacheOptions {
  readonly directory: string
  /** A cache found larger than this, in bytes, is started over. @default 2 GiB */
  readonly maxBytes?: number
  /** Epoch milliseconds, to note when a vector was stored. */
  readonly now: () => number
  readonly force?: boolean
}

const VERSION = 1
const HEADER = 12
const DAY_MS = 86_400_000

/** Session and chunker are not in it: the text decides. */
export function embeddingKey(space: string, kind: 'document' | 'query', text: string): string {
  const hash = createHash('sha256')
  for (const part of [space, kind, text]) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  return hash.digest('base64url').slice(0, 27)
}

/** @throws StorageError STATE_UNAVAILABLE, NETWORK_FILESYSTEM */
export async function openEmbedCache({ directory, maxBytes = 2 * 2 ** 30, now, force = false }: EmbedCacheOptions): Promise<EmbedCache> {
  preparePrivateFolder(directory, { force })
  const path = join(directory, 'embcache.mdb')
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > maxBytes) startOver(path)
  const environment = await openOrStartOver(path)
  const write = async (change: () => void): Promise<void> => {
    try {
      await environment.transact(change)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }
  const read = (key: string): Float32Array | undefined => {
    try {
      const bytes = environment.tables.vec.getBinary(key)
      return bytes && decode(bytes)
    } catch {
      return undefined
    }
  }
  let hits = 0
  let misses = 0
  return {
    get(key) {
      const vector = read(key)
      if (vector === undefined) misses++
      else hits++
      return vector
    },
    async put(entries) {
      const values = entries.map(({ key, vector }) => ({ key, value: encode(vector, now()) }))
      await write(() => {
        for (const { key, value } of values) environment.tables.vec.putSync(key, value)
      })
    },
    remove: (keys) =>
      write(() => {
        for (const key of keys) environment.tables.vec.removeSync(key)
      }),
    stats: () => ({ hits, misses }),
    [Symbol.asyncDispose]: () => environment[Symbol.asyncDispose](),
  }
}

async function openOrStartOver(path: string) {
  const options = { path, tables: { vec: 'binary' }, disposable: true } as const
  try {
    return await openLmdb(options)
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'STATE_DAMAGED') throw error
    startOver(path)
    return openLmdb(options)
  }
}

function startOver(path: string): void {
  for (const file of [path, `${path}-lock`]) rmSync(file, { force: true })
}

function encode(vector: Float32Array, now: number): Buffer {
  const values = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
  const bytes = Buffer.alloc(HEADER + values.length)
  bytes.writeUInt8(VERSION, 0)
  bytes.writeUInt32LE(Math.floor(now / DAY_MS), 4)
  bytes.writeUInt32LE(crc32(values), 8)
  values.copy(bytes, HEADER)
  return bytes
}

function decode(bytes: Buffer): Float32Array | undefined {
  const values = bytes.subarray(HEADER)
  if (bytes.length <= HEADER || values.length % 4 !== 0 || bytes.readUInt8(0) !== VERSION || crc32(values) !== bytes.readUInt32LE(8)) return undefined
  const vector = new Float32Array(values.length / 4)
  new Uint8Array(vector.buffer).set(values)
  return vector
}
