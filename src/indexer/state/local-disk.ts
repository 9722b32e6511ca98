/** The folder of the index: private, and on a disk of this machine. */
import { chmodSync, mkdirSync, statfsSync } from 'node:fs'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'

/**
 * File systems whose other clients do not share our memory maps and locks, by Linux's `f_type`.
 * FUSE is not among them: most of it is local, and its number does not tell sshfs from the rest.
 */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'kAFS'],
  [0x73757245, 'Coda'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
])

/** @throws StorageError STATE_UNAVAILABLE, NETWORK_FILESYSTEM */
export function preparePrivateFolder(path: string, options: { readonly force?: boolean; readonly filesystem?: (path: string) => number } = {}): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    chmodSync(path, 0o700)
  } catch (error) {
    throw new StorageError(
      'STATE_UNAVAILABLE',
      { reason: `the folder of the index cannot be written, or is another user's: ${systemCode(error) ?? messageOf(error)}`, path },
      { cause: error },
    )
  }
  // Other systems number their file systems by other rules.
  if (options.force || (options.filesystem === undefined && process.platform !== 'linux')) return
  // 32-bit types come out sign-extended on some builds.
  const type = (options.filesystem ?? filesystemOf)(path) >>> 0
  const name = NETWORK.get(type)
  if (name !== undefined) throw new StorageError('NETWORK_FILESYSTEM', { reason: `the index state would lie on ${name}`, path })
}

function filesystemOf(path: string): number {
  return Number(statfsSync(path).type)
}

/** Takes away what the process's umask left to others. */
export function makePrivate(files: readonly string[]): void {
  for (const file of files) {
    try {
      chmodSync(file, 0o600)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
  }
}
