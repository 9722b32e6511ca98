/** The folder of the index: private, and on a disk of this machine. */
import { chmodSync, statfsSync } from 'node:fs'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import { NETWORK_FILESYSTEMS } from '../../core/filesystems.js'
import { makeFolder } from '../../tree/make-folder.js'

/** @throws StorageError STATE_UNAVAILABLE, NETWORK_FILESYSTEM */
export function preparePrivateFolder(path: string, options: { readonly force?: boolean; readonly filesystem?: (path: string) => number } = {}): void {
  try {
    makeFolder(path)
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
  const name = NETWORK_FILESYSTEMS.get(type)
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
