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

/** Times of a file, epoch milliseconds. */
export interface FileTimes {
  /** When its content was written. */
  readonly changed: number
  /** When it, or its metadata, was. */
  readonly moved: number
}

/** Undefined for what is no file's generation. */
export function timesOf(generation: Generation): FileTimes | undefined {
  const fields = generation.split(':')
  const [changed, moved] = [Number(fields[2]), Number(fields[3])]
  return fields.length === 4 && Number.isFinite(changed) && Number.isFinite(moved) ? { changed, moved } : undefined
}

/** The kernel stamps files by a clock that steps every few milliseconds. */
const GRAIN_MS = 10
/** File systems that keep whole seconds step by up to two. */
const COARSE_GRAIN_MS = 2000

/** True when another write at the moment of the look, which was between the two given, could have left the times as they are. */
export function isUnsure(times: FileTimes | undefined, from: number, until = from): boolean {
  if (times === undefined) return false
  const { changed, moved } = times
  const grain = changed % 1000 === 0 && moved % 1000 === 0 ? COARSE_GRAIN_MS : GRAIN_MS
  const [first, last] = [from - grain, until + grain]
  return (changed >= first && changed <= last) || (moved >= first && moved <= last)
}

/** True when what bears this time was certainly written before a moment. */
export function isBefore(time: number, moment: number): boolean {
  return time < moment - (time % 1000 === 0 ? COARSE_GRAIN_MS : GRAIN_MS)
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
