/**
 * `sessions.idx.lock`: who is listing everything anew, so that a second process may wait for what the first one finds.
 *
 * It is advice, no more: whatever it says, and whoever ignores it, the catalog stays right, since SQLite's own locks guard that. A lock whose
 * owner is provably gone (it does not run any more, its pid belongs to another process, the machine was started anew) is taken over; where
 * nothing can be proved it is left to its age.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { makeFolder } from '../make-folder.js'
import { type Owner, type OwnerProbe, procOwners } from './owner.js'

export interface IndexLock extends Disposable {
  /** Whose lock was taken over, if it was anybody's: what that process began is unfinished. */
  readonly reclaimed: Owner | undefined
}

export interface IndexLockOptions {
  readonly clock: Clock
  readonly owners?: OwnerProbe
}

/** No scan takes that long; a lock without a provable owner is let go then. */
const LONGEST_SCAN_MS = 10 * 60_000

/** Undefined while another process holds it, and where no file can be made. Disposing gives it back. */
export function takeIndexLock(path: string, { clock, owners = procOwners() }: IndexLockOptions): IndexLock | undefined {
  const self = owners.self()
  const text = JSON.stringify({ ...self, since: clock.now() })
  const draft = `${path}.${self.pid}.${self.start ?? 0}`
  try {
    makeFolder(dirname(path))
    writeFileSync(draft, text, { mode: 0o600 })
    if (link(draft, path)) return lock(path, text, undefined)
    const held = readText(path)
    if (held !== undefined && !isFree(held, clock, owners)) return undefined
    if (held !== undefined && !takeAway(path, held, `${draft}.old`)) return undefined
    return link(draft, path) ? lock(path, text, ownerIn(held)) : undefined
  } catch {
    return undefined
  } finally {
    remove(draft)
  }
}

/** A first listing that takes longer is not waited for. */
const LONGEST_WAIT_MS = 10_000
const POLL_MS = 50

/** Waits for a process that holds the lock, no longer than `signal` says, and takes it. */
export async function awaitIndexLock(path: string, options: IndexLockOptions, signal: AbortSignal): Promise<IndexLock | undefined> {
  for (let waited = 0; !signal.aborted && waited < LONGEST_WAIT_MS; waited += POLL_MS) {
    const lock = takeIndexLock(path, options)
    if (lock !== undefined || !isIndexLocked(path, options)) return lock
    await options.clock.sleep(POLL_MS, signal).catch(() => undefined)
  }
  return takeIndexLock(path, options)
}

/** Whether a process that may be running holds the lock. */
export function isIndexLocked(path: string, { clock, owners = procOwners() }: IndexLockOptions): boolean {
  const held = readText(path)
  return held !== undefined && ownerIn(held) !== undefined && !isFree(held, clock, owners)
}

function lock(path: string, text: string, reclaimed: Owner | undefined): IndexLock {
  return {
    reclaimed,
    [Symbol.dispose]: () => {
      if (readText(path) === text) remove(path)
    },
  }
}

/** The lock appears with its content, or not at all. */
function link(draft: string, path: string): boolean {
  try {
    linkSync(draft, path)
    return true
  } catch {
    return false
  }
}

/** False when it was not the lock that was looked at that is taken away: then another process was faster, and has its own back. */
function takeAway(path: string, held: string, aside: string): boolean {
  renameSync(path, aside)
  const taken = readText(aside)
  if (taken !== held) link(aside, path)
  remove(aside)
  return taken === held
}

/** What no process of this library wrote is neither taken away nor waited for. */
function isFree(text: string, clock: Clock, owners: OwnerProbe): boolean {
  const owner = ownerIn(text)
  if (owner === undefined) return false
  const age = clock.now() - owner.since
  return owners.isGone(owner) || age > LONGEST_SCAN_MS || age < -LONGEST_SCAN_MS
}

function ownerIn(text: string | undefined): (Owner & { readonly since: number }) | undefined {
  try {
    const { pid, boot, start, namespace, since } = JSON.parse(text ?? '') as Readonly<Record<string, unknown>>
    if (typeof pid !== 'number' || typeof since !== 'number') return undefined
    const plain = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
    return { pid, boot: plain(boot), start: plain(start), namespace: plain(namespace), since }
  } catch {
    return undefined
  }
}

/** What cannot be removed stays: it is no lock. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // nothing depends on it
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
