/** What is remembered beside the transitions, and who has the index running. */

import { isDocument } from '../../../core/documents.js'
import type { Owner } from '../../../tree/catalog/owner.js'
import { type IndexNote, type IndexStatus, listingOf } from '../status.js'
import { count, read, type StateTables, scan } from './tables.js'

export function remember(t: StateTables, note: IndexNote): void {
  switch (note.kind) {
    case 'tick':
      t.meta.putSync('lastTick', note.tick)
      count(t, 'ticks', 1)
      count(t, 'tickSessions', note.tick.sessions)
      count(t, 'tickMessages', note.tick.messages)
      return
    case 'listing':
      t.meta.putSync('listing', listingOf(note))
      return
    case 'breaker':
      t.meta.putSync('breakers', { ...(read(t.meta, 'breakers') as object | undefined), [note.breaker.service]: note.breaker })
      return
    case 'count':
      count(t, note.name, note.by)
  }
}

/** Notes that this process runs, or does not; those that ended without a word go. */
export function noteRunning(t: StateTables, self: Owner, is: boolean, ended: readonly Owner[], now: number): void {
  for (const owner of ended) t.owners.removeSync(pathOf(owner))
  if (is) t.owners.putSync(pathOf(self), { owner: self, since: now })
  else t.owners.removeSync(pathOf(self))
}

function pathOf({ boot, pid }: Owner): (string | number)[] {
  return [boot ?? '', pid]
}

/** Reads the identities of processes: never inside a transaction. */
export function endedProcesses(t: StateTables, isGone: (owner: Owner) => boolean): Owner[] {
  return processes(t).flatMap(({ owner }) => (isGone(owner) ? [owner] : []))
}

export function runningProcesses(t: StateTables, isGone: (owner: Owner) => boolean): IndexStatus['running'] {
  return processes(t).flatMap(({ owner, since }) => (isGone(owner) ? [] : [{ pid: owner.pid, since }]))
}

function processes(t: StateTables): { readonly owner: Owner; readonly since: number }[] {
  return [...scan(t.owners)].flatMap(({ value }) => (isDocument(value) ? [value as unknown as { owner: Owner; since: number }] : []))
}
