/**
 * One version of one file in memory, shared by all leaves of it.
 *
 * To touch a page behind the end of a file ends the process, and files can be truncated at any moment. So before each access
 * the file is looked at again, through a descriptor that the map keeps: only that tells of the mapped file itself. Its path may
 * lead to another one by now (a log that was rotated and then truncated), and costs more to ask (2.2 us against 1.3 us). The price is one
 * descriptor per live map, which counts in the budget of FileMaps. A file that was removed or replaced lives on while it is mapped.
 *
 * What remains: a file that shrinks between the look and the access, or while the caller works on the bytes, ends the process.
 * Agents append to their logs; pi alone writes a file of its older formats anew, when it opens it. Files that are rewritten in place as a
 * habit are not mapped.
 */
import { fstatSync, readSync, type Stats } from 'node:fs'
import { StorageError } from '../../core/errors.js'
import { type EntityKey, encodeKey } from '../../core/keys.js'

/** Of `fs.Stats`: equal versions of a file have equal bytes. */
export interface FileVersion {
  readonly dev: number
  readonly ino: number
  /** Bytes. */
  readonly size: number
  /** Epoch milliseconds. */
  readonly mtimeMs: number
}

/** Bytes before the end of the map that must still be there when the file has grown; else it was written anew. */
const ANCHOR = 1024

export class FileMap {
  readonly path: string
  /** Bytes. */
  readonly length: number
  readonly #fd: number
  readonly #version: FileVersion
  readonly #bytes: Buffer
  readonly #anchor: Buffer
  /** The version that was last found to hold the mapped bytes. */
  #seen: FileVersion
  #flaw: string | undefined

  /** The descriptor stays the caller's, and open for as long as anything refers to `bytes`. */
  constructor(path: string, fd: number, version: FileVersion, bytes: Buffer) {
    this.path = path
    this.length = version.size
    this.#fd = fd
    this.#version = version
    this.#seen = version
    this.#bytes = bytes
    this.#anchor = this.#readAnchor()
  }

  /**
   * A view, not a copy. Copy what must outlive a change of the file; what is written into it no other process sees.
   * @throws StorageError STALE_SPAN when the file has shrunk or was rewritten since it was mapped
   */
  bytes(offset: number, length: number, key?: EntityKey): Buffer {
    this.#flaw ??= this.#changed()
    const flaw = this.#flaw ?? (isRange(offset, length, this.length) ? undefined : 'the file is shorter than it was planned')
    if (flaw === undefined) return this.#bytes.subarray(offset, offset + length)
    throw new StorageError('STALE_SPAN', { reason: flaw, path: this.path, ...(key !== undefined && { key: encodeKey(key) }) })
  }

  /** As the last access found it. */
  get isStale(): boolean {
    return this.#flaw !== undefined
  }

  #changed(): string | undefined {
    const stat = fstatSync(this.#fd)
    if (isVersion(stat, this.#seen)) return undefined
    if (stat.ino !== this.#version.ino || stat.dev !== this.#version.dev) return 'the descriptor of the file was closed'
    if (stat.size < this.length) return 'the file was truncated after it was mapped'
    if (stat.size === this.length || !this.#readAnchor().equals(this.#anchor)) return 'the file was rewritten after it was mapped'
    this.#seen = { dev: stat.dev, ino: stat.ino, size: stat.size, mtimeMs: stat.mtimeMs }
    return undefined
  }

  /** Read, not mapped: nothing happens when the file shrinks meanwhile. */
  #readAnchor(): Buffer {
    const anchor = Buffer.alloc(Math.min(ANCHOR, this.length))
    return anchor.subarray(0, readSync(this.#fd, anchor, 0, anchor.length, this.length - anchor.length))
  }
}

export function isVersion(stat: Stats, version: FileVersion): boolean {
  return stat.size === version.size && stat.mtimeMs === version.mtimeMs && stat.ino === version.ino && stat.dev === version.dev
}

function isRange(offset: number, length: number, end: number): boolean {
  return Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= end
}
