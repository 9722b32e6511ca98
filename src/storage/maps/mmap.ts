/**
 * mmap-io, the optional peer that maps files into memory. It is loaded with the first file that is to be mapped, and here alone.
 *
 * Maps are private and writable: to write into one neither reaches the file nor kills the process, and reading costs the same.
 */
import { createRequire } from 'node:module'
import { messageOf, systemCode } from '../../core/errors.js'

export interface Mapper {
  /**
   * The first `length` bytes of an open file. Unmapped once nothing refers to the buffer any more, a turn of the event loop later.
   * To read behind the end of a file that has shrunk ends the process (SIGBUS).
   * @throws Error of the system, for want of maps or of address space
   */
  map(fd: number, length: number): Buffer
}

/** A mapper, or why there is none. */
export type LoadedMapper = { readonly mapper: Mapper; readonly why?: undefined } | { readonly mapper?: undefined; readonly why: string }

let loaded: LoadedMapper | undefined

export function loadMapper(): LoadedMapper {
  loaded ??= load()
  return loaded
}

function load(): LoadedMapper {
  // The owner of a file that is mapped there can neither truncate nor replace it.
  if (process.platform === 'win32') return { why: 'files are not mapped on Windows' }
  const require = createRequire(import.meta.url)
  try {
    require.resolve('mmap-io')
  } catch {
    return { why: 'the optional peer mmap-io is not installed' }
  }
  try {
    const module: unknown = require('mmap-io')
    return isNative(module) ? { mapper: mapperOf(module) } : { why: 'mmap-io does not load: it has no map()' }
  } catch (error) {
    if (systemCode(error) === 'MODULE_NOT_FOUND') return { why: `mmap-io was not built for Node ${process.version}` }
    return { why: `mmap-io does not load: ${messageOf(error).split('\n')[0]}` }
  }
}

const PROT_READ = 1
const PROT_WRITE = 2
const MAP_PRIVATE = 2
/** Linux's on x86 and ARM: the pages that nobody writes need no memory set aside. */
const MAP_NORESERVE = 0x4000

function mapperOf(native: Native): Mapper {
  const reserves = process.platform !== 'linux' || !['x64', 'arm64', 'arm', 'ia32'].includes(process.arch)
  const flags = reserves ? MAP_PRIVATE : MAP_PRIVATE | MAP_NORESERVE
  return { map: (fd, length) => native.map(length, PROT_READ | PROT_WRITE, flags, fd) }
}

interface Native {
  map(size: number, protection: number, flags: number, fd: number): Buffer
}

function isNative(module: unknown): module is Native {
  return typeof module === 'object' && module !== null && 'map' in module && typeof module.map === 'function'
}
