/** The version and size of a file, from its metadata. */
import { statSync } from 'node:fs'
import { systemCode } from '../../core/errors.js'
import { fileGeneration, unreadableGeneration } from '../generation.js'
import type { Price, StoreWork } from '../store.js'

/** Undefined for a file that is not there. */
export function priceFile(path: string, work: StoreWork): Price | undefined {
  work.stats++
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat && { generation: fileGeneration(stat), bytes: stat.size, changed: stat.mtimeMs }
  } catch (error) {
    return { generation: unreadableGeneration(systemCode(error) ?? String(error)), bytes: 0, changed: 0 }
  }
}
