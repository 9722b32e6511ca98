/** A lease while it is worked under: renewed by a heartbeat, and checked before each word to the sink. */
import type { Clock } from '../core/clock.js'
import type { IndexStore } from './state.js'
import type { Claim } from './state-rows.js'

export interface HeldLease extends AsyncDisposable {
  readonly claim: Claim
  /** Aborted when the lease is lost or the caller stops. */
  readonly signal: AbortSignal
  /** @throws StorageError LEASE_LOST, or the reason of the signal */
  guard(): Promise<void>
}

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
  const beating = beat().catch((error: unknown) => {
    if (!ended.signal.aborted) lost.abort(error)
  })
  const signal = AbortSignal.any([lost.signal, outer])
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
      await beating
    },
  }
}
