/** Generations: names of versions. Equal generation, equal bytes. */
import type { Stats } from 'node:fs'
import type { Id } from '../core/ids.js'
import { fingerprint } from './fingerprint.js'

export type Generation = Id<'generation'>

/**
 * A file's generation. Times are in milliseconds with their fraction: coarser clocks than the writer's pace could
 * hide a rewrite of equal length, which inode, ctime and size together make unlikely, and `deep` reading finds.
 */
export function fileGeneration(stat: Stats): Generation {
  return `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}` as Generation
}

/** Of what cannot even be looked at. No readable file has it, so opening is tried, and names the reason. */
export function unreadableGeneration(reason: string): Generation {
  return `unreadable:${reason}` as Generation
}

/** A row's generation: OpenCode sets `time_updated` (epoch ms) on every write of a row. */
export function rowGeneration(timeUpdated: number, bytes: number): Generation {
  return `${timeUpdated}:${bytes}` as Generation
}

/** Of a document that is put together from columns: they have no common time of writing. */
export function textGeneration(text: string): Generation {
  return fingerprint(text) as string as Generation
}

/** For versions that only an in-memory store numbers. */
export function numberedGeneration(version: number): Generation {
  return `v${version}` as Generation
}
