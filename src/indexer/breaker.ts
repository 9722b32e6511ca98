/** A circuit breaker per service: while the embedder or the sink is down, nobody is sent to find that out again. */
import type { Clock } from '../core/clock.js'
import type { BreakerStatus, ServiceName } from './state-status.js'

export interface Breaker {
  readonly service: ServiceName
  /** Milliseconds until a call may pass; 0 when one may now. */
  retryInMs(): number
  /**
   * Runs the call. While the breaker is open, and while another call probes it, throws the failure that opened it.
   * A failure of the service opens it, for twice as long each time; any other end of the call closes it.
   */
  run<T>(call: () => Promise<T>): Promise<T>
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

export declare function createBreaker(options: BreakerOptions): Breaker
