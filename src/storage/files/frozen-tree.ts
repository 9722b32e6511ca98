/**
 * A tree of files that a database has superseded: OpenCode writes to it no more, so its large files may be mapped where the caller
 * names a size. One that is live is never mapped: OpenCode 1.0 and 1.1 truncate files to rewrite them, which would end the process.
 */
import { readdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.js'
import type { EntityKey } from '../../core/keys.js'
import { fileGeneration } from '../generation.js'
import type { FileMaps } from '../maps/file-maps.js'
import { MappedSpan } from '../maps/mapped-span.js'
import type { Slab } from '../slab.js'
import type { Leaf, Price } from '../store.js'

/** Gives the leaf of a file that is mapped; undefined for one that is to be read. */
export type MapFile = (path: string, key: EntityKey, price: Price | undefined, slab: Slab) => Leaf | undefined

/** An older client may still write to a superseded tree; a file that was written to within so many milliseconds is not mapped. */
const HOT_WINDOW_MS = 600_000

/** Undefined where no database stands beside the tree. */
export function mapFrozen(tree: string, maps: FileMaps, clock: Clock): MapFile | undefined {
  if (!hasDatabase(dirname(tree))) return undefined
  return (path, key, price, slab) => {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined || clock.now() - stat.mtimeMs < HOT_WINDOW_MS) return undefined
    const generation = fileGeneration(stat)
    const map = price === undefined || price.generation === generation ? maps.open(path, stat) : undefined
    return map && { span: new MappedSpan(key, { path }, price && generation, slab, map, 0, stat.size) }
  }
}

function hasDatabase(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => /^opencode(-.+)?\.db$/.test(name))
  } catch {
    return false
  }
}
