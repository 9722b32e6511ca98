/** What a listing of logs says of a session: which version of its files it is of, and whether that is the one of before. */
import { fingerprint } from '../fingerprint.js'
import type { Generation } from '../generation.js'
import type { SessionEntry } from '../store.js'
import type { LogListing, LogSession } from './log-adapter.js'
import type { LogStat } from './log-stat.js'

export function versionOf(stats: readonly (LogStat | undefined)[]): Generation {
  return stats
    .map((stat) => (stat === undefined ? '-' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`))
    .join(' ') as Generation
}

/** A token that moves with any write to the files. */
export function revisionOf(stats: readonly (LogStat | undefined)[]): string {
  return fingerprint(versionOf(stats))
}

/** The same object for what did not change. */
export function asHeld(held: SessionEntry | undefined, entry: SessionEntry): SessionEntry {
  if (held?.version !== entry.version || held?.generation !== entry.generation || held.damage !== undefined || entry.damage !== undefined)
    return entry
  return held.key.session === entry.key.session && JSON.stringify(held.record) === JSON.stringify(entry.record) ? held : entry
}

/** The very list of before where nothing changed. */
export function asListed(before: readonly SessionEntry[] | undefined, entries: readonly SessionEntry[]): readonly SessionEntry[] {
  return before !== undefined && before.length === entries.length && entries.every((entry, at) => entry === before[at]) ? before : entries
}

/** Of one log that was named; what stands beside it is no part of the store. */
export function listOnly({ sessions, leftOut }: LogListing, only: string): LogListing {
  const own = sessions.filter(({ files }) => files.some(({ path }) => path === only))
  return { sessions: own, issues: [], leftOut: leftOut.filter(({ path }) => path === only) }
}

/** What a session's log goes by: its first file. */
export function pathOf({ files }: LogSession): string {
  return files[0]?.path ?? ''
}

export function byPath(entries: readonly SessionEntry[]): ReadonlyMap<string, SessionEntry> {
  return new Map(entries.map((entry) => [entry.path, entry]))
}

/** The log that was written to last first; of logs as old as one another the order of the listing stays. */
export function byRecency<T extends { readonly files: readonly { readonly written: number }[] }>(passes: Iterable<T>): T[] {
  const timed = Array.from(passes, (pass) => ({ pass, time: pass.files.reduce((latest, { written }) => Math.max(latest, written), 0) }))
  return timed.sort((a, b) => b.time - a.time).map(({ pass }) => pass)
}
