/**
 * Which files are mapped, and how many at once.
 *
 * Nothing unmaps a file but the garbage collector, and the kernel stops at 65,530 maps of a process. So live maps are counted
 * for the whole process, and past the budget files are read. Every refusal means the same: read the file.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statfsSync } from 'node:fs'
import { type Clock, systemClock } from '../../core/clock.js'
import { messageOf } from '../../core/errors.js'
import { FileMap, type FileVersion, isVersion } from './file-map.js'
import { type LoadedMapper, loadMapper, type Mapper } from './mmap.js'

/**
 * 'auto': leaves of 2 MiB and more, of files that nobody wrote to for 10 minutes. Leaves of a few KB are read in a third of the time,
 * as each costs a look at the file and its own page faults. A number: every leaf of files of at least so many bytes, whoever writes
 * them; only for files that are never truncated.
 */
export type MapOption = 'auto' | 'never' | number

export interface FileMapsOptions {
  readonly map: MapOption
  /** Live maps. @default 4096, and at most a quarter of the descriptors that the process may have */
  readonly budget?: number | undefined
  readonly clock?: Pick<Clock, 'now'> | undefined
  /** @default mmap-io */
  readonly load?: (() => LoadedMapper) | undefined
  /** Linux's `f_type` of a path. @default statfs; undefined on other systems */
  readonly filesystem?: ((path: string) => number | undefined) | undefined
  /** @default those of the process */
  readonly live?: LiveMaps | undefined
}

export interface FileMapsStats {
  /** Maps that the garbage collector did not take yet, of the whole process. */
  readonly live: number
  readonly budget: number
  /** Why the last file that should have been mapped was not, or why none is. */
  readonly why?: string
}

export interface FileMaps {
  /**
   * A map of exactly this version of the file; undefined where it is to be read. Never throws.
   * @param leaf Bytes of the leaf, or of the largest of several. @default the whole file
   */
  open(path: string, stat: FileVersion, leaf?: number): FileMap | undefined
  stats(): FileMapsStats
}

/** Counts maps until the collector takes them, then closes their descriptors. */
export class LiveMaps {
  count = 0
  readonly #registry = new FinalizationRegistry(({ fd, gone }: { readonly fd: number; gone(): void }) => {
    this.count--
    gone()
    try {
      closeSync(fd)
    } catch {
      // somebody else closed it; thrown from here it would end the process
    }
  })

  /** By the memory itself, as a view of it may outlive the map and the spans. */
  add(bytes: Buffer, fd: number, gone: () => void): void {
    this.count++
    this.#registry.register(bytes.buffer, { fd, gone })
  }
}

const PROCESS = new LiveMaps()

export function createFileMaps(options: FileMapsOptions): FileMaps {
  return new VersionedMaps(options)
}

const LARGE_LEAF = 2 ** 21
const HOT_WINDOW_MS = 600_000
/** mmap-io counts in 32 bits with a sign. */
const TOO_LARGE = 2 ** 31
const BUDGET = 4096
const PACKED = /\.zst$/

/**
 * File systems of this machine, by Linux's `f_type`: ext, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS, bcachefs. On others, whose files somebody
 * elsewhere may truncate, the size that is asked for before an access may be an old one.
 */
const LOCAL: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e])

class VersionedMaps implements FileMaps {
  readonly #options: FileMapsOptions
  readonly #budget: number
  readonly #live: LiveMaps
  readonly #open = new Map<string, WeakRef<FileMap>>()
  #why: string | undefined

  constructor(options: FileMapsOptions) {
    this.#options = options
    this.#budget = Math.min(options.budget ?? BUDGET, Math.floor(descriptorLimit() / 4))
    this.#live = options.live ?? PROCESS
    if (options.map === 'never') this.#why = 'mapping is off'
  }

  open(path: string, stat: FileVersion, leaf = stat.size): FileMap | undefined {
    if (!this.#isWanted(path, stat, leaf)) return undefined
    const name = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`
    const known = this.#open.get(name)?.deref()
    if (known !== undefined && !known.isStale) return known
    const { mapper, why } = (this.#options.load ?? loadMapper)()
    try {
      if (mapper !== undefined) return this.#map(path, stat, name, mapper)
      this.#why = why
    } catch (error) {
      this.#why = messageOf(error)
    }
    return undefined
  }

  stats(): FileMapsStats {
    return { live: this.#live.count, budget: this.#budget, ...(this.#why !== undefined && { why: this.#why }) }
  }

  #isWanted(path: string, { size, mtimeMs }: FileVersion, leaf: number): boolean {
    const { map, clock = systemClock } = this.#options
    if (map === 'never' || size < 1 || size >= TOO_LARGE || PACKED.test(path)) return false
    return map === 'auto' ? leaf >= LARGE_LEAF && clock.now() - mtimeMs >= HOT_WINDOW_MS : size >= map
  }

  /** @throws the system's error */
  #map(path: string, version: FileVersion, name: string, mapper: Mapper): FileMap | undefined {
    this.#why = this.#refusal(path)
    if (this.#why !== undefined) return undefined
    const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    let counted = false
    try {
      const bytes = mapper.map(fd, version.size)
      this.#live.add(bytes, fd, () => this.#forget(name))
      counted = true
      const file = new FileMap(path, fd, version, bytes)
      // Asked for last: what the map noted of the file is then of this version.
      if (!isVersion(fstatSync(fd), version)) return undefined
      this.#open.set(name, new WeakRef(file))
      return file
    } finally {
      if (!counted) closeSync(fd)
    }
  }

  #refusal(path: string): string | undefined {
    if (this.#live.count >= this.#budget) return `${this.#budget} files are mapped already`
    const type = (this.#options.filesystem ?? filesystemOf)(path)
    return type === undefined || LOCAL.has(type >>> 0) ? undefined : 'the file may lie on another machine'
  }

  #forget(name: string): void {
    if (this.#open.get(name)?.deref() === undefined) this.#open.delete(name)
  }
}

function filesystemOf(path: string): number | undefined {
  return process.platform === 'linux' ? statfsSync(path).type : undefined
}

/** Where the system does not tell, what most give at least. */
function descriptorLimit(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit ?? 1024)
  } catch {
    return 1024
  }
}
