/** The `session_diff` files that some versions write beside their database. */
import type { Stats } from 'node:fs'
import { systemCode } from '../../core/errors.js'
import type { EntityKey } from '../../core/keys.js'
import { fileGeneration } from '../generation.js'
import { readInto } from '../read-file.js'
import type { Slab } from '../slab.js'
import { SlabSpan } from '../span.js'
import type { Leaf, Price, StoreWork } from '../store.js'

export function openDiffFile(path: string, key: EntityKey, price: Price | undefined, slab: Slab, work: StoreWork): Leaf {
  let stat: Stats | undefined
  try {
    const length = readInto(slab, path, (seen) => {
      stat = seen
    })
    const generation = stat && fileGeneration(stat)
    work.files++
    work.bytes += length
    if (price !== undefined && price.generation !== generation) {
      return { issue: { code: 'STALE_SPAN', key, path, reason: 'the file was rewritten after it was planned', transient: true } }
    }
    const span = new SlabSpan(key, { path }, generation, slab, slab.used, length)
    slab.used += length
    return { span }
  } catch (error) {
    const gone = systemCode(error) === 'ENOENT'
    const reason = gone ? 'there is no such file' : `it cannot be read (${systemCode(error) ?? String(error)})`
    return { issue: { code: gone ? 'STALE_SPAN' : 'UNREADABLE_RECORD', key, path, reason } }
  }
}
