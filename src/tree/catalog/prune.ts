/**
 * Rows of stores that are gone. A store that cannot be found may be on a disk that is not here today, so its rows stay for a time after it was
 * listed last, whoever listed it; one that is there stays, whether anybody lists it or not.
 */
import { lstat } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../core/clock.js'
import { systemCode } from '../../core/errors.js'
import { untilAborted } from '../../core/signals.js'
import type { SessionOrigin } from '../types.js'
import type { Ask } from './before.js'
import type { Prepare } from './pages.js'
import { hiderOf, readSegments, unhidden } from './places.js'
import { removeRow } from './write.js'

/** Milliseconds. */
const GRACE_MS = 30 * 24 * 60 * 60_000
/** Rows in one transaction. */
const STEP = 500

export interface Pruning {
  readonly ask: Ask
  /** Carries it out in a transaction, behind the writes that wait already; false where it cannot be now. */
  readonly step: (act: (prepare: Prepare) => boolean) => Promise<boolean>
  readonly clock: Clock
  /** These stay in any case. */
  readonly known: readonly SessionOrigin[]
  readonly signal: AbortSignal
}

/** One store after the other, in short transactions: what is left when it is cut off is taken up by the next one. @throws the reason of the signal */
export async function pruneStores({ ask, step, clock, known, signal }: Pruning): Promise<void> {
  const before = clock.now() - GRACE_MS
  for (const [store, kind, path] of ask('SELECT store, kind, path FROM stores WHERE listed IS NULL OR listed < ?', [before])) {
    if (known.some((one) => one.kind === kind && one.path === path) || !(await untilAborted(isGone(String(path)), signal))) continue
    while (await step((prepare) => pruneSome(prepare, Number(store), before))) {
      await turn()
      signal.throwIfAborted()
    }
  }
}

/** True where more is left of the store. */
function pruneSome(prepare: Prepare, store: number, before: number): boolean {
  // Somebody may have listed it since.
  if (prepare('SELECT 1 FROM stores WHERE store = ? AND (listed IS NULL OR listed < ?)').get(store, before) === undefined) return false
  // Nobody is shown a part of it.
  prepare('UPDATE stores SET listed = NULL, mark = NULL WHERE store = ?').run(store)
  const isMore = unhideSome(prepare, store) || removeSome(prepare, store)
  if (!isMore) prepare('DELETE FROM stores WHERE store = ?').run(store)
  return isMore
}

/** Of rows that are hidden by the store. */
function unhideSome(prepare: Prepare, store: number): boolean {
  const segment = readSegments(prepare).find((one) => hiderOf(one) === store)
  if (segment === undefined) return false
  const rows = 'SELECT row FROM sessions WHERE segment = ? LIMIT ?'
  prepare(`UPDATE sessions SET segment = ? WHERE row IN (${rows})`).run(unhidden(segment), segment, STEP)
  return true
}

function removeSome(prepare: Prepare, store: number): boolean {
  const rows = prepare('SELECT row FROM sessions WHERE store = ? LIMIT ?').all(store, STEP)
  for (const [row] of rows) removeRow(prepare, Number(row))
  return rows.length === STEP
}

/** What cannot be looked at may be there. It may also take its time, so nobody waits for it. */
async function isGone(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return false
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')
  }
}
