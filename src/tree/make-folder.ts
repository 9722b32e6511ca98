/** Folders of our own. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isFolder, isSomething } from '../storage/file-type.js'

/**
 * Makes a folder, and those above it that are not there, for the owner alone; one that is there stays as it is. Node's own `recursive` tries
 * without end where nothing can be made and the system says that something is missing, as below /proc.
 * @throws the system's error
 */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && !isSomething(dirname(path))) {
      makeFolder(dirname(path))
      makeFolder(path)
    } else if (!isFolder(path)) throw error
  }
}
