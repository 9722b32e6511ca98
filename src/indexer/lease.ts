/** A lease while it is worked under: renewed by a heartbeat, checked before each word to the sink, and given up before it runs out. */
import type { Clock } from '../core/clock.js'
import { StorageError } from '../core/errors.js'
import { following } from '../core/signals.js'
import type { Claim } from './state/rows.js'
import type { IndexStore } from './state/state.js'

export interface HeldLease extends AsyncDisposable {
  readonly claim: Claim
  /** Aborted when the lease is lost or the caller stops. */
  readonly signal: AbortSignal
  /** Leaves at least half of the lease for what follows. @throws StorageError LEASE_LOST, or the reason of the signal */
  guard(): Promise<void>
}

/** Of a lease: what is under way ends so long before it does. */
const MARGIN = 0.1

export function holdLease(claim: Claim, state: IndexStore, clock: Clock, outer: AbortSignal): HeldLease {
  const ended = new AbortController()
  const lost = new AbortController()
  const ttl = claim.until - clock.monotonic()
  let until = claim.until
  const beat = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await clock.sleep(ttl / 3, ended.signal)
      until = await state.renew(claim)
    }
  }
  /** Should renewing hang or fail to keep up, no call outlasts the lease. */
  const watch = async (): Promise<void> => {
    for (;;) {
      const left = until - MARGIN * ttl - clock.monotonic()
      if (left <= 0) throw new StorageError('LEASE_LOST', { reason: 'the lease could not be renewed in time' })
      await clock.sleep(left, ended.signal)
    }
  }
  const giveUp = (error: unknown): void => {
    if (!ended.signal.aborted) lost.abort(error)
  }
  const beating = beat().catch(giveUp)
  const watching = watch().catch(giveUp)
  const either = following(lost.signal, outer)
  const { signal } = either
  return {
    claim,
    signal,
    async guard() {
      signal.throwIfAborted()
      // A process that was stopped for long finds out here, before it writes.
      if (until - clock.monotonic() < ttl / 2) until = await state.renew(claim)
    },
    async [Symbol.asyncDispose]() {
      ended.abort()
      await Promise.all([beating, watching])
      either[Symbol.dispose]()
    },
  }
}
