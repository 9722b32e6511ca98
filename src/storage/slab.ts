/**
 * Slabs: large buffers that many small leaves are read into, so that a leaf costs no allocation.
 *
 * Ownership: a Slab belongs to one reading (a tree, or a page of one). Disposing it hands its chunks back to the pool,
 * where the next reading overwrites them; spans check that before every access.
 */
export const CHUNK = 2 ** 20
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

/** Bytes that several readings look at: each holder says so, and the last one to let go hands them back. */
export class SharedBytes {
  readonly bytes: Buffer
  readonly #handBack: ((bytes: Buffer) => void) | undefined
  #holders = 1

  /** The maker is the first holder. `handBack` gets the bytes when nobody holds them any more. */
  constructor(bytes: Buffer, handBack?: (bytes: Buffer) => void) {
    this.bytes = bytes
    this.#handBack = handBack
  }

  hold(): void {
    this.#holders++
  }

  letGo(): void {
    this.#holders--
    if (this.#holders === 0) this.#handBack?.(this.bytes)
  }
}

export class Slab implements Disposable {
  readonly #pool: SlabPool
  readonly #shared = new Set<SharedBytes>()
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

  /** Spans of `shared` may be given as this slab's: it holds the bytes as long as it lives. */
  share(shared: SharedBytes): void {
    if (this.disposed || this.#shared.has(shared)) return
    this.#shared.add(shared)
    shared.hold()
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
    for (const shared of this.#shared) shared.letGo()
    this.#shared.clear()
  }
}
