/**
 * Vectors by the text they were made of: the same text is embedded once, in whatever session, and after a crash.
 * The cache may be deleted at any time; that costs compute, never correctness. What does not check is a miss.
 */
import { createHash } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isDocument } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import { checkBoolean, checkFunction, checkNumber, checkText, refuseUnknown } from '../../core/options.js'
import { type LmdbEnvironment, openLmdb } from '../state/lmdb/env.js'
import { checkLmdbFile } from '../state/lmdb/file.js'
import { preparePrivateFolder } from '../state/local-disk.js'
import { addVectors, dayOf, evict, removeVectors, rowAt, SLAB_TABLES, type SlabTables, touch, vectorIn } from './embed-slabs.js'

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
  /** Bytes of vectors; beyond them those go that were not used for longest. @default 2 GiB */
  readonly maxBytes?: number
  /** Vectors that were not used for so long are misses, and go. Milliseconds. @default 30 days */
  readonly ttlMs?: number
  /** Epoch milliseconds; a day of use is noted. */
  readonly now: () => number
  readonly force?: boolean
}

const DAY_MS = 86_400_000
/** Slabs evicted in one transaction: 256 vectors. */
const EVICTED_AT_ONCE = 8
/** A file never shrinks. One that is this much larger than its limit had a higher one before, and is started over. */
const largestFile = (maxBytes: number): number => 1.5 * maxBytes + 2 ** 20

/** Session and chunker are not in it: the text decides. */
export function embeddingKey(space: string, kind: 'document' | 'query', text: string): string {
  const hash = createHash('sha256')
  for (const part of [space, kind, text]) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  return hash.digest('base64url').slice(0, 27)
}

/** @throws StorageError STATE_UNAVAILABLE, NETWORK_FILESYSTEM, INVALID_OPTION */
export async function openEmbedCache(options: EmbedCacheOptions): Promise<EmbedCache> {
  checkCacheOptions(options)
  const { directory, maxBytes = 2 * 2 ** 30, ttlMs = 30 * DAY_MS, now, force = false } = options
  preparePrivateFolder(directory, { force })
  const path = join(directory, 'embcache.mdb')
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > largestFile(maxBytes)) startOver(path)
  const cache = new SlabCache(path, await openOrStartOver(path), {
    maxBytes,
    ttlDays: Math.ceil(ttlMs / DAY_MS),
    today: () => Math.floor(now() / DAY_MS),
  })
  return {
    get: (key) => cache.get(key),
    put: (entries) => cache.put(entries),
    remove: (keys) => cache.remove(keys),
    stats: () => cache.stats(),
    [Symbol.asyncDispose]: () => cache.close(),
  }
}

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkCacheOptions(options: EmbedCacheOptions): void {
  refuseUnknown(options, ['directory', 'maxBytes', 'ttlMs', 'now', 'force'])
  checkText('directory', options.directory ?? '')
  checkNumber('maxBytes', options.maxBytes, 0)
  checkNumber('ttlMs', options.ttlMs, 0)
  checkFunction('now', options.now ?? null)
  checkBoolean('force', options.force)
}

type Environment = LmdbEnvironment<SlabTables>
const ENVIRONMENT = { tables: SLAB_TABLES } as const

/** lmdb ends the process when it reads what a file lacks, so one that was cut anywhere is not opened. */
async function openOrStartOver(path: string): Promise<Environment> {
  try {
    checkLmdbFile(path, { whole: true })
    return await openLmdb({ path, ...ENVIRONMENT })
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'STATE_DAMAGED') throw error
    startOver(path)
    return openLmdb({ path, ...ENVIRONMENT })
  }
}

/** What LMDB says of a page that is not what it should be. */
const DAMAGE = new Set([-30797, -30796, -30795, -30793, -30782, -30779])

function isDamage({ code, cause }: StorageError): boolean {
  return code === 'STATE_DAMAGED' || (isDocument(cause) && typeof cause.code === 'number' && DAMAGE.has(cause.code))
}

function startOver(path: string): void {
  for (const file of [path, `${path}-lock`]) rmSync(file, { force: true })
}

interface Bounds {
  readonly maxBytes: number
  readonly ttlDays: number
  readonly today: () => number
}

class SlabCache {
  readonly #path: string
  #environment: Environment
  readonly #bounds: Bounds
  /** Texts come back in the order in which they came, so the next vector is most often in the slab of the last. */
  #last: { readonly slab: number; readonly bytes: Buffer } | undefined
  /** While it starts over. */
  #anew: Promise<void> | undefined
  /** Slabs that were used today and are not noted so yet. */
  readonly #used = new Set<number>()
  #hits = 0
  #misses = 0

  constructor(path: string, environment: Environment, bounds: Bounds) {
    this.#path = path
    this.#environment = environment
    this.#bounds = bounds
  }

  get(key: string): Float32Array | undefined {
    const vector = this.#read(key)
    if (vector === undefined) this.#misses++
    else this.#hits++
    return vector
  }

  #read(key: string): Float32Array | undefined {
    try {
      const { tables } = this.#environment
      const row = rowAt(tables, key)
      if (row === undefined) return undefined
      const day = dayOf(tables, row.slab)
      const today = this.#bounds.today()
      if (day + this.#bounds.ttlDays < today) return undefined
      if (day < today) this.#used.add(row.slab)
      return vectorIn(this.#last?.slab === row.slab ? this.#last.bytes : undefined, row) ?? vectorIn(this.#slab(tables, row.slab), row)
    } catch {
      return undefined
    }
  }

  #slab(tables: SlabTables, slab: number): Buffer | undefined {
    const bytes = tables.slab.getBinary(slab)
    this.#last = bytes && { slab, bytes }
    return bytes
  }

  async put(entries: readonly CachedVector[]): Promise<void> {
    const vectors = new Map(entries.map(({ key, vector }) => [key, vector]))
    const today = this.#bounds.today()
    const used = this.#takeUsed()
    let more = false
    await this.#write((tables) => {
      addVectors(tables, vectors, { today, oldest: today - this.#bounds.ttlDays })
      touch(tables, used, today)
      more = this.#evict(tables)
    })
    while (more) {
      await this.#write((tables) => {
        more = this.#evict(tables)
      })
    }
  }

  #takeUsed(): readonly number[] {
    const used = [...this.#used]
    this.#used.clear()
    return used
  }

  /** True when there may be more to evict. */
  #evict(tables: SlabTables): boolean {
    const { maxBytes, ttlDays, today } = this.#bounds
    return evict(tables, { maxBytes, day: today() - ttlDays, most: EVICTED_AT_ONCE }) === EVICTED_AT_ONCE
  }

  /** A cache that cannot be written stays as it is; one that turns out to be damaged starts over. */
  async #write(change: (tables: SlabTables) => void): Promise<void> {
    try {
      await this.#anew
      const environment = this.#environment
      try {
        await environment.transact(change)
      } catch (error) {
        // Whoever found it damaged first has closed it on the others.
        const isOver = this.#anew !== undefined || this.#environment !== environment
        if (!isOver && !(error instanceof StorageError && isDamage(error))) throw error
        if (this.#environment === environment) await this.#startOver()
        await this.#environment.transact(change)
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }

  /** Once for all who ask meanwhile. Other processes go on with the file that they have open. */
  #startOver(): Promise<void> {
    this.#anew ??= (async () => {
      await this.#environment[Symbol.asyncDispose]()
      startOver(this.#path)
      this.#last = undefined
      this.#environment = await openLmdb({ path: this.#path, ...ENVIRONMENT })
    })().finally(() => {
      this.#anew = undefined
    })
    return this.#anew
  }

  async remove(keys: readonly string[]): Promise<void> {
    await this.#write((tables) => removeVectors(tables, keys))
    this.#last = undefined
  }

  stats(): ReturnType<EmbedCache['stats']> {
    return { hits: this.#hits, misses: this.#misses }
  }

  async close(): Promise<void> {
    const used = this.#takeUsed()
    const today = this.#bounds.today()
    if (used.length > 0) await this.#write((tables) => touch(tables, used, today))
    await this.#anew?.catch(() => undefined)
    await this.#environment[Symbol.asyncDispose]()
  }
}
