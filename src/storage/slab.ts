/**
 * Slabs: large buffers that many small leaves are read into, so that a leaf costs no allocation.
 *
 * Ownership: a Slab belongs to one reading (a tree, or a page of one). Disposing it hands its chunks back to the pool,
 * where the next reading overwrites them; spans check that before every access.
 */
const CHUNK = 2 ** 20
const KEEP = 16

/** Chunks that no slab holds at the moment. */
export class SlabPool {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK)
  }

  give(chunk: Buffer): void {
    if (this.#free.length < KEEP) this.#free.push(chunk)
  }
}

export class Slab implements Disposable {
  readonly #pool: SlabPool
  #chunks: Buffer[] = []
  /** The chunk that is written to, and how much of it is taken. */
  chunk: Buffer
  used = 0
  disposed = false

  constructor(pool: SlabPool = new SlabPool()) {
    this.#pool = pool
    this.chunk = pool.take()
    this.#chunks.push(this.chunk)
  }

  /** Makes sure that `bytes` fit behind `used` in `chunk`. What does not fit an empty chunk gets a buffer of its own. */
  reserve(bytes: number): void {
    if (this.used + bytes <= this.chunk.length) return
    this.chunk = bytes > CHUNK ? Buffer.allocUnsafeSlow(bytes) : this.#pool.take()
    if (bytes <= CHUNK) this.#chunks.push(this.chunk)
    this.used = 0
  }

  /** Takes a buffer over as the current chunk, full: its spans end with the slab, and it never goes to the pool. */
  adopt(bytes: Buffer): void {
    this.chunk = bytes
    this.used = bytes.length
  }

  /** Copies `bytes` in and returns where they start in `chunk`. */
  append(bytes: Uint8Array): number {
    this.reserve(bytes.length)
    const start = this.used
    this.chunk.set(bytes, start)
    this.used += bytes.length
    return start
  }

  [Symbol.dispose](): void {
    if (this.disposed) return
    this.disposed = true
    for (const chunk of this.#chunks) this.#pool.give(chunk)
    this.#chunks = []
  }
}
