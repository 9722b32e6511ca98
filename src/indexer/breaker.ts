/** A circuit breaker per service: while the embedder or the sink is down, nobody is sent to find that out again. */
import type { Clock } from '../core/clock.js'
import { failureOf } from './faults.js'
import type { BreakerStatus, ServiceName } from './state/status.js'

export interface Breaker {
  readonly service: ServiceName
  /** Milliseconds until a call may pass; 0 when one may now. While another call probes the service, the time after which to ask again. */
  retryInMs(): number
  /**
   * Runs the call. While the breaker is open, and while another call probes it, throws the failure that opened it.
   * A failure of the service opens it, for twice as long each time; any other end of the call closes it,
   * but for one that its caller ended with the signal: that says nothing of the service.
   */
  run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T>
  status(): BreakerStatus
}

export interface BreakerOptions {
  readonly service: ServiceName
  readonly clock: Clock
  /** Milliseconds. @default 1000, 8000: at full speed within ten seconds after the service is back */
  readonly firstMs?: number
  readonly maxMs?: number
  /** True of an error that says that the service itself is down. */
  readonly isDown: (error: unknown) => boolean
  readonly onChange?: (status: BreakerStatus) => void
}

/** Times are those of the monotonic clock, but for what is told: `since` and `retryAt`. */
type State =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly error: unknown; readonly waitMs: number; readonly until: number; readonly retryAt: number }
  | { readonly kind: 'half-open'; readonly error: unknown; readonly waitMs: number }

export function createBreaker({ service, clock, firstMs = 1000, maxMs = 8000, isDown, onChange }: BreakerOptions): Breaker {
  let state: State = { kind: 'closed' }
  let since = clock.now()
  const status = (): BreakerStatus => ({
    service,
    state: state.kind,
    failure: state.kind === 'closed' ? undefined : failureOf(state.error),
    since,
    retryAt: state.kind === 'open' ? state.retryAt : undefined,
  })
  const enter = (next: State): State => {
    state = next
    since = clock.now()
    onChange?.(status())
    return next
  }
  const open = (error: unknown, waitMs: number): State =>
    enter({ kind: 'open', error, waitMs, until: clock.monotonic() + waitMs, retryAt: clock.now() + waitMs })

  /** The state that the call is let through in. @throws the failure that opened it */
  const admit = (): State => {
    if (state.kind === 'closed') return state
    if (state.kind === 'half-open' || clock.monotonic() < state.until) throw state.error
    return enter({ kind: 'half-open', error: state.error, waitMs: state.waitMs })
  }
  /** A call counts in the state that let it through; by the time that it ends, others may have moved on. */
  const settle = (admitted: State, end: 'answered' | 'silent' | { readonly error: unknown }): void => {
    if (admitted !== state) return
    if (typeof end === 'object') open(end.error, state.kind === 'closed' ? firstMs : Math.min(maxMs, state.waitMs * 2))
    else if (state.kind === 'closed') return
    else if (end === 'answered') enter({ kind: 'closed' })
    else enter({ kind: 'open', error: state.error, waitMs: state.waitMs, until: clock.monotonic(), retryAt: clock.now() })
  }
  return {
    service,
    retryInMs() {
      if (state.kind === 'closed') return 0
      return state.kind === 'half-open' ? firstMs : Math.max(0, state.until - clock.monotonic())
    },
    async run(call, signal) {
      const admitted = admit()
      try {
        const result = await call()
        settle(admitted, 'answered')
        return result
      } catch (error) {
        if (signal?.aborted) settle(admitted, 'silent')
        else settle(admitted, isDown(error) ? { error } : 'answered')
        throw error
      }
    },
    status,
  }
}
