/**
 * Unpacks logs that were compressed by zstd, step by step: Node's decompressor where there is one (22.15), else a plain one.
 *
 * Frames and blocks are told apart here, not by the decompressors: Node's stops at the end of the first frame without a word, and
 * either would unpack all of what it is given at once. So a step is a few whole blocks, and a file that is cut off is known to be.
 */
import { readSync } from 'node:fs'
import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { StorageError } from '../../core/errors.js'

/** 'native' is Node's. The plain one does not verify checksums. */
export type UnpackEngine = 'native' | 'plain'

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined
  /** @default 'native' where this Node has it */
  readonly engine?: UnpackEngine | undefined
  /** Told how many packed bytes were read. */
  readonly onRead?: (bytes: number) => void
}

/** Bytes of the packed file that are read at once. */
const READ = 2 ** 18
/** A block unpacks to no more than 128 KiB, so that a step gives no more than 1 MiB. */
const BLOCK = 2 ** 17
const BLOCKS = 8
/** What zstd itself unpacks unasked: it needs as much memory as the window is large. */
const WINDOW = 2 ** 27

/** A step of a frame: whole blocks, the first with the frame's header before them. */
interface Step {
  readonly packed: Buffer
  readonly first: boolean
  /** Set with the last step of the frame; -1 where the frame does not say how long it is. */
  readonly content: number | undefined
}

/** Takes the steps of one frame. */
interface Engine {
  /** Gives what the blocks unpack to, then throws if they are damaged. `last`: the frame ends with them. */
  feed(packed: Buffer, last: boolean): AsyncGenerator<Buffer>
  end(): void
}

/** Whether this Node unpacks zstd itself. */
export function hasNativeZstd(): boolean {
  return createNative !== undefined
}

/**
 * The unpacked text of an open zstd file, in pieces of at most 1 MiB, which stay as they are.
 * @throws StorageError CORRUPT_RECORD after all that could be unpacked; the system's error; the signal's reason
 */
export async function* unpackFile(fd: number, path: string, options: UnpackOptions = {}): AsyncGenerator<Buffer> {
  const start = options.engine === 'plain' || createNative === undefined ? await plainEngine() : nativeEngine(createNative)
  let engine: Engine | undefined
  let unpacked = 0
  try {
    for (const { packed, first, content } of stepsOf(new PackedFile(fd, path, options.onRead))) {
      options.signal?.throwIfAborted()
      if (first) [engine, unpacked] = [start(), 0]
      for await (const piece of whatItGives(engine as Engine, packed, content !== undefined, path)) {
        unpacked += piece.length
        yield piece
      }
      if (content === undefined) continue
      engine?.end()
      if (content >= 0 && content !== unpacked) throw damage(path, 'a frame of the zstd file does not unpack to the length that it names')
    }
  } finally {
    engine?.end()
  }
}

async function* whatItGives(engine: Engine, packed: Buffer, last: boolean, path: string): AsyncGenerator<Buffer> {
  try {
    yield* engine.feed(packed, last)
  } catch (cause) {
    throw damage(path, BROKEN_BLOCK, { cause })
  }
}

const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
const DICTIONARY_BYTES = [0, 1, 2, 4]
const CONTENT_BYTES = [0, 2, 4, 8]
const RUN = 1
const RESERVED = 3
const CHECKSUM = 4

const CUT_OFF = 'the zstd file is cut off'
const BROKEN_BLOCK = 'a block of the zstd file is damaged'

function* stepsOf(file: PackedFile): Generator<Step> {
  if (!file.has(1)) throw damage(file.path, 'the zstd file is empty')
  while (file.has(1)) {
    const magic = file.need(4).readUInt32LE()
    if (magic === MAGIC) yield* frame(file)
    else if ((magic & ~0xf) >>> 0 === SKIPPABLE) file.skip(8 + file.need(8).readUInt32LE(4))
    else throw damage(file.path, file.untouched ? 'it is no zstd file' : 'something else follows the zstd frames')
  }
}

function* frame(file: PackedFile): Generator<Step> {
  const { length, content, checksum } = frameHeader(file)
  let first = true
  let [size, blocks] = [length, 0]
  for (;;) {
    const block = blockAt(file, size)
    if (block.flaw === undefined) [size, blocks] = [block.end, blocks + 1]
    const last = block.flaw === undefined && block.last
    const sum = last && checksum ? CHECKSUM : 0
    const flaw = file.has(size + sum) ? block.flaw : CUT_OFF
    if (blocks > 0 && (last || blocks === BLOCKS || flaw !== undefined)) {
      const whole = last && flaw === undefined
      yield { packed: file.take(whole ? size + sum : size), first, content: whole ? content : undefined }
      first = false
      ;[size, blocks] = [0, 0]
    }
    if (flaw !== undefined) throw damage(file.path, flaw)
    if (last) return
  }
}

interface Block {
  /** Where it ends, counted from what is not taken yet. */
  readonly end: number
  readonly last: boolean
  readonly flaw: string | undefined
}

function blockAt(file: PackedFile, at: number): Block {
  if (!file.has(at + 3)) return { end: at, last: false, flaw: CUT_OFF }
  const header = file.held.readUIntLE(file.at + at, 3)
  const kind = (header >> 1) & 3
  const size = header >> 3
  const end = at + 3 + (kind === RUN ? 1 : size)
  const broken = kind === RESERVED || size > BLOCK
  return { end, last: (header & 1) === 1, flaw: broken ? BROKEN_BLOCK : file.has(end) ? undefined : CUT_OFF }
}

/** `content`: bytes that the frame unpacks to, -1 where it does not say. */
function frameHeader(file: PackedFile): { readonly length: number; readonly content: number; readonly checksum: boolean } {
  const described = file.need(6)
  const flags = described[4] as number
  const single = (flags & 0x20) !== 0
  const dictionary = DICTIONARY_BYTES[flags & 3] as number
  const sizeBytes = CONTENT_BYTES[flags >> 6] || (single ? 1 : 0)
  const sizeAt = (single ? 5 : 6) + dictionary
  const length = sizeAt + sizeBytes
  const header = file.need(length)
  if ((flags & 8) !== 0) throw damage(file.path, 'a frame of the zstd file is damaged')
  if (header.subarray(sizeAt - dictionary, sizeAt).some((byte) => byte !== 0)) throw damage(file.path, 'the zstd file needs a dictionary')
  const content = contentSize(header, sizeAt, sizeBytes)
  const exponent = (described[5] as number) >> 3
  const window = single ? content : 2 ** (10 + exponent) * (1 + ((described[5] as number) & 7) / 8)
  if (window > WINDOW) throw damage(file.path, `unpacking the zstd file needs ${Math.ceil(window / 2 ** 20)} MiB of memory, more than the 128 it may`)
  return { length, content, checksum: (flags & 4) !== 0 }
}

function contentSize(header: Buffer, at: number, bytes: number): number {
  if (bytes === 0) return -1
  if (bytes === 8) return Number(header.readBigUInt64LE(at))
  return header.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0)
}

/** The packed bytes that were read and not taken yet: `held` from `at` on. Buffers are never overwritten. */
class PackedFile {
  readonly path: string
  held: Buffer = Buffer.alloc(0)
  at = 0
  readonly #fd: number
  readonly #onRead: ((bytes: number) => void) | undefined
  #position = 0

  constructor(fd: number, path: string, onRead: ((bytes: number) => void) | undefined) {
    this.path = path
    this.#fd = fd
    this.#onRead = onRead
  }

  /** Whether nothing was taken yet. */
  get untouched(): boolean {
    return this.#position === this.held.length && this.at === 0
  }

  has(bytes: number): boolean {
    while (this.held.length - this.at < bytes) {
      const more = Buffer.allocUnsafeSlow(READ)
      const count = readSync(this.#fd, more, 0, READ, this.#position)
      if (count === 0) return false
      this.#position += count
      this.#onRead?.(count)
      const left = this.held.subarray(this.at)
      this.held = left.length === 0 ? more.subarray(0, count) : Buffer.concat([left, more.subarray(0, count)])
      this.at = 0
    }
    return true
  }

  /** A look at the next bytes. @throws StorageError CORRUPT_RECORD */
  need(bytes: number): Buffer {
    if (!this.has(bytes)) throw damage(this.path, CUT_OFF)
    return this.held.subarray(this.at, this.at + bytes)
  }

  take(bytes: number): Buffer {
    const taken = this.held.subarray(this.at, this.at + bytes)
    this.at += bytes
    return taken
  }

  skip(bytes: number): void {
    for (let left = bytes; left > 0; ) {
      this.need(1)
      left -= this.take(Math.min(left, this.held.length - this.at)).length
    }
  }
}

function damage(path: string, reason: string, options?: ErrorOptions): StorageError {
  return new StorageError('CORRUPT_RECORD', { reason, path }, options)
}

const createNative = (zlib as { createZstdDecompress?: (options: object) => Transform }).createZstdDecompress

/** ZSTD_e_flush: a frame that is cut off is no error of the decompressor's. */
const FLUSH = 1

function nativeEngine(create: NonNullable<typeof createNative>): () => Engine {
  return () => {
    // Nothing is held back: all that a step gives has room.
    const stream = create({ chunkSize: BLOCK, finishFlush: FLUSH, readableHighWaterMark: 2 * BLOCK * BLOCKS })
    let settle: (failure?: Error | null) => void = () => {}
    // Of damage the callback of `write` hears nothing.
    stream.on('error', (failure) => settle(failure))
    return {
      async *feed(packed) {
        const failure = await new Promise<Error | null | undefined>((resolve) => {
          settle = resolve
          stream.write(packed, resolve)
        })
        for (let piece = stream.read(); piece !== null; piece = stream.read()) yield piece as Buffer
        if (failure) throw failure
      },
      end: () => stream.destroy(),
    }
  }
}

async function plainEngine(): Promise<() => Engine> {
  const { Decompress } = await import('fzstd')
  return () => {
    const pieces: Uint8Array[] = []
    const stream = new Decompress((piece) => pieces.push(piece))
    return {
      async *feed(packed, last) {
        let failure: unknown
        try {
          stream.push(packed, last)
        } catch (error) {
          failure = error
        }
        for (const { buffer, byteOffset, length } of pieces.splice(0)) yield Buffer.from(buffer, byteOffset, length)
        if (failure !== undefined) throw failure
      },
      end() {},
    }
  }
}
